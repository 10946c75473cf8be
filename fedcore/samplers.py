"""Who takes part in a round, and with what weight."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fedcore.checks import count, one_of
from fedcore.data import Shards
from fedcore.types import Array


@dataclass(frozen=True)
class Everyone:
    r"""Every client takes part, weighted by its share of the rows.

    .. math:: S = \{0, \dots, K-1\}, \qquad a_k = p_k = n_k / n

    Examples
    --------
    >>> shards = Shards.from_list([(np.ones((1, 1)), [0.0]), (np.ones((3, 1)), [0.0] * 3)])
    >>> S, a = Everyone()(None, shards)
    >>> S, a
    (array([0, 1]), array([0.25, 0.75]))
    """

    def __call__(self, rng: np.random.Generator | None, shards: Shards) -> tuple[Array, Array]:
        """Return all clients and their shares."""
        return np.arange(shards.K), shards.p_k


@dataclass(frozen=True)
class UniformSample:
    r"""m clients drawn uniformly without replacement.

    .. math:: a_k = \frac{n_k}{\sum_{j \in S} n_j} \quad\text{(normalised)}, \qquad
              a_k = \frac{K}{m}\, p_k \quad\text{(unbiased)}

    The unbiased weights satisfy :math:`\mathbb E \sum_{k \in S} a_k g_k = \sum_k p_k g_k`; the
    normalised ones add up to 1 in every round and are biased where the :math:`n_k` differ.

    Parameters
    ----------
    m : clients in a cohort
    normalise : weights that add up to 1 (as in FedAvg) instead of unbiased ones

    Raises
    ------
    ValueError : where m is larger than the population

    Book: eq-fedavg-weights

    Reference: McMahan et al. 2017, arXiv 1602.05629 (normalised); Li, Huang, Yang, Wang, Zhang
    2020, arXiv 1907.02189 (unbiased).

    Examples
    --------
    >>> shards = Shards.from_list([(np.ones((1, 1)), [0.0]), (np.ones((3, 1)), [0.0] * 3)])
    >>> UniformSample(1, normalise=False)(np.random.default_rng(0), shards)
    (array([1]), array([1.5]))
    """

    m: int
    normalise: bool = True

    def __post_init__(self) -> None:
        count("m", self.m)
        one_of("normalise", self.normalise, (True, False))

    def __call__(self, rng: np.random.Generator, shards: Shards) -> tuple[Array, Array]:
        """Draw a cohort, in the order of the clients' numbers."""
        count("m", self.m, most=shards.K)
        S = np.sort(rng.choice(shards.K, self.m, replace=False))
        if self.normalise:
            return S, shards.n_k[S] / shards.n_k[S].sum()
        return S, shards.K / self.m * shards.p_k[S]
