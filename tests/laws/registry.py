"""One row a method: every law of this folder runs over all of them."""

from dataclasses import dataclass

import numpy as np

from fedcore import (
    Algorithm,
    Logistic,
    Shards,
    distributed_gd,
    fedavg,
    fedprox,
    gd,
    make_classification,
    scaffold,
    sgd,
    split_quantity,
)

MODEL = Logistic(6, l2=0.1)
PROBLEM = make_classification(150, 6, l2=0.1, seed=1)
UNEVEN = split_quantity(PROBLEM.X, PROBLEM.y, 7, alpha=1.0, seed=2)
ONE = Shards.one(PROBLEM.X, PROBLEM.y)
ROUNDS = 4


@dataclass(frozen=True)
class Row:
    """A method with its parameters, and the shards it runs on."""

    algorithm: Algorithm
    shards: Shards = UNEVEN

    def __str__(self) -> str:
        return self.algorithm.name


REGISTRY = [
    Row(gd(0.5), ONE),
    Row(sgd(0.2, batch_size=8)),
    Row(sgd(0.2, batch_size=8, replace=True)),
    Row(distributed_gd(0.5)),
    Row(fedavg(0.2, epochs=3, batch_size=4, cohort=3)),
    Row(fedavg(0.2, steps=5)),
    Row(fedprox(0.2, mu=0.5, epochs=2, batch_size=4, cohort=3)),
    Row(scaffold(0.1, steps=5, batch_size=4, cohort=3, option=1)),
    Row(scaffold(0.1, epochs=2, batch_size=4, cohort=3)),
]

W0 = np.full(6, 0.5)
