"""Weights keep the mean where they promise to; the exact expectation where it can be summed."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest

from fedcore import (
    Available,
    DropOut,
    Everyone,
    PoissonSample,
    Shards,
    UniformSample,
    WeightedSample,
)

SIZES = [1, 2, 3, 10]
SHARDS = Shards(np.ones((16, 1)), np.zeros(16), np.cumsum([0, *SIZES]))
G = np.array([3.0, -1.0, 0.5, 2.0])
MEAN = SHARDS.p_k @ G
TRIALS = 20_000

UNBIASED = [
    UniformSample(2, normalise=False),
    PoissonSample(0.4),
    WeightedSample(3),
    DropOut(Everyone(), 0.3),
    DropOut(UniformSample(3, normalise=False), 0.2),
]


def estimates(sampler):
    rng = np.random.default_rng(0)
    draws = (sampler(rng, SHARDS, t) for t in range(TRIALS))
    return np.array([a @ G[S] for S, a in draws])


@pytest.mark.parametrize("sampler", UNBIASED, ids=repr)
def test_unbiased_within_four_standard_errors(sampler):
    values = estimates(sampler)
    assert abs(values.mean() - MEAN) <= 4 * values.std(ddof=1) / np.sqrt(TRIALS)


def test_normalised_weights_are_biased_exactly_as_enumeration_says():
    cohorts = [np.array(c) for c in combinations(range(4), 2)]
    n_k = np.array(SIZES)
    exact = np.mean([n_k[S] @ G[S] / n_k[S].sum() for S in cohorts])
    assert abs(exact - MEAN) > 0.1
    values = estimates(UniformSample(2))
    assert abs(values.mean() - exact) <= 4 * values.std(ddof=1) / np.sqrt(TRIALS)


def test_normalised_weights_add_up_to_one():
    for t in range(50):
        _, a = UniformSample(3)(np.random.default_rng(t), SHARDS)
        assert a.sum() == pytest.approx(1)


def test_who_sleeps_is_never_asked():
    sampler = Available(2, awake=0.5, day=4)
    seen = [sampler(np.random.default_rng(i), SHARDS, t=0)[0] for i in range(200)]
    assert set(np.concatenate(seen)) == {0, 1}


def test_an_empty_poisson_cohort_changes_nothing():
    from fedcore import Linear, Processes, Serial, Vectorized, fedavg, run

    algorithm = replace(fedavg(0.1), sampler=PoissonSample(1e-9))
    for engine in (Serial(), Processes(2), Vectorized()):
        history = run(algorithm, Linear(1), SHARDS, rounds=2, w0=np.ones(1), engine=engine)
        assert history.w == 1.0
        assert history["clients"].tolist() == [0, 0, 0]
