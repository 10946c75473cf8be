"""How the server makes one vector out of a cohort's replies."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fedcore.checks import count
from fedcore.halves import in_halves
from fedcore.types import Array

BLOCK = 1 << 17  # coordinates that are added up at a time: what is needed again is still in cache


def mean(U: Array, a: Array) -> Array:
    r"""Return the weighted mean of the replies, added up in the order of the cohort.

    .. math:: \sum_{k \in S} a_k\, g_k

    A fixed order makes the last bit independent of who answered first; ``a @ U`` would leave the
    order to the linear algebra library and to its number of threads.

    Parameters
    ----------
    U : (m, d) the replies, one a row
    a : (m,) their weights

    Book: eq-distributed-gradient

    Examples
    --------
    >>> mean(np.array([[1.0, 0.0], [0.0, 4.0]]), np.array([0.5, 0.25]))
    array([0.5, 1. ])
    """
    a = a.astype(U.dtype, copy=False)
    total = np.empty_like(U[0])

    def add(start: int, stop: int) -> None:
        spare = np.empty_like(U[0, :BLOCK])
        for i in range(start, stop, BLOCK):
            b = slice(i, min(i + BLOCK, stop))
            part = np.multiply(a[0], U[0, b], out=total[b])
            for a_k, g_k in zip(a[1:], U[1:, b], strict=True):
                part += np.multiply(a_k, g_k, out=spare[: len(part)])

    in_halves(add, len(total), rows=len(U))
    return total  # (d,)


def median(U: Array, a: Array) -> Array:
    r"""Return the coordinate-wise median of the replies, times the sum of the weights.

    .. math:: \Big(\sum_k a_k\Big) \operatorname{median}_k\, g_{k, i}

    Every client counts once: a liar must gain nothing by claiming many rows.

    Parameters
    ----------
    U : (m, d)
    a : (m,)

    Book: eq-coordinate-median

    Reference: Yin, Chen, Ramchandran, Bartlett 2018, arXiv 1803.01498.

    Examples
    --------
    >>> median(np.array([[0.0], [1.0], [99.0]]), np.full(3, 1 / 3))
    array([1.])
    """
    return (a.sum() * np.median(U, axis=0)).astype(U.dtype, copy=False)


@dataclass(frozen=True)
class TrimmedMean:
    r"""Leave out the f largest and the f smallest values of each coordinate.

    .. math:: \Big(\sum_k a_k\Big) \frac{1}{m - 2f} \sum_{j = f+1}^{m-f} g_{(j), i}

    Parameters
    ----------
    f : values cut on each side >= 0; 2 f < m

    Raises
    ------
    ValueError : where nothing would be left

    Book: eq-trimmed-mean

    Reference: Yin et al. 2018, arXiv 1803.01498.

    Examples
    --------
    >>> TrimmedMean(1)(np.array([[0.0], [1.0], [99.0]]), np.full(3, 1 / 3))
    array([1.])
    """

    f: int

    def __post_init__(self) -> None:
        count("f", self.f, least=0)

    def __call__(self, U: Array, a: Array) -> Array:
        """Return the trimmed mean, (d,)."""
        _enough("trimmed mean", U, self.f, 2 * self.f + 1)
        inner = np.sort(U, axis=0)[self.f : len(U) - self.f]  # (m - 2f, d)
        return mean(inner, np.full(len(inner), a.sum() / len(inner)))


@dataclass(frozen=True)
class Krum:
    r"""Choose the replies that lie closest to their neighbours, and average them.

    .. math:: \text{score}(k) = \sum_{j \in N_k} \|g_k - g_j\|^2,
              \qquad N_k \text{ the } m - f - 2 \text{ nearest}

    Parameters
    ----------
    f : liars to withstand >= 0; 2 f + 3 <= m
    chosen : replies averaged; 1 is Krum, more is multi-Krum

    Raises
    ------
    ValueError : where the cohort is too small for f

    Book: eq-krum

    Reference: Blanchard, El Mhamdi, Guerraoui, Stainer 2017, arXiv 1703.02757. Flower's multi-Krum
    weighs the chosen by the rows they claim; here, as in the paper, each counts once.

    Examples
    --------
    >>> U = np.array([[0.95], [1.0], [1.3], [1.1], [-50.0]])
    >>> Krum(f=1)(U, np.full(5, 0.2))
    array([1.])
    """

    f: int
    chosen: int = 1

    def __post_init__(self) -> None:
        count("f", self.f, least=0)
        count("chosen", self.chosen)

    def __call__(self, U: Array, a: Array) -> Array:
        """Return the mean of the chosen replies, (d,)."""
        _enough("Krum", U, self.f, max(2 * self.f + 3, self.chosen))
        best = np.argsort(krum_scores(U, self.f), kind="stable")[: self.chosen]
        return mean(U[np.sort(best)], np.full(len(best), a.sum() / len(best)))


def krum_scores(U: Array, f: int) -> Array:
    """Return each reply's sum of squared distances to its m - f - 2 nearest, (m,)."""
    D = np.stack([((U - g_k) ** 2).sum(axis=1) for g_k in U])  # (m, m)
    np.fill_diagonal(D, np.inf)
    return np.sort(D, axis=1)[:, : max(1, len(U) - f - 2)].sum(axis=1)


@dataclass(frozen=True)
class GeometricMedian:
    r"""Return the point with the least sum of distances to the replies.

    .. math:: \Big(\sum_k a_k\Big) \arg\min_z \sum_k a_k \|g_k - z\|_2

    found by Weiszfeld's iteration with distances below a small number smoothed.

    Parameters
    ----------
    iterations : at most; it stops once z moves by less than 1e-10 of its spread

    Book: eq-geometric-median

    Reference: Pillutla, Kakade, Harchaoui 2022, arXiv 1912.13445.

    Examples
    --------
    >>> GeometricMedian()(np.array([[0.0], [1.0], [99.0]]), np.full(3, 1 / 3)).round(6)
    array([1.])
    """

    iterations: int = 1000

    def __post_init__(self) -> None:
        count("iterations", self.iterations)

    def __call__(self, U: Array, a: Array) -> Array:
        """Return the geometric median, (d,)."""
        z = mean(U, a / a.sum())
        spread = np.sqrt(((U - z) ** 2).sum(axis=1)).max()
        for _ in range(self.iterations):
            distance = np.sqrt(((U - z) ** 2).sum(axis=1))  # (m,)
            b = a / np.maximum(distance, 1e-9 * spread + np.finfo(U.dtype).tiny)
            z, before = mean(U, b / b.sum()), z
            if np.abs(z - before).max() <= 1e-10 * spread:
                break
        return (a.sum() * z).astype(U.dtype, copy=False)


@dataclass(frozen=True)
class Bulyan:
    r"""Choose m - 2 f replies by Krum, then average the values nearest to their median.

    Of each coordinate the :math:`m - 4f` values closest to the median of the chosen are averaged.

    Parameters
    ----------
    f : liars to withstand >= 0; 4 f + 3 <= m

    Raises
    ------
    ValueError : where the cohort is too small for f

    Book: eq-bulyan

    Reference: El Mhamdi, Guerraoui, Rouault 2018, arXiv 1802.07927.

    Examples
    --------
    >>> U = np.array([[0.9], [1.0], [1.2], [1.1], [1.0], [0.8], [-50.0]])
    >>> Bulyan(f=1)(U, np.full(7, 1 / 7)).round(6)
    array([0.966667])
    """

    f: int

    def __post_init__(self) -> None:
        count("f", self.f, least=0)

    def __call__(self, U: Array, a: Array) -> Array:
        """Return Bulyan's mean, (d,)."""
        _enough("Bulyan", U, self.f, 4 * self.f + 3)
        left = list(range(len(U)))
        chosen: list[int] = []
        while len(chosen) < len(U) - 2 * self.f:
            best = left[int(krum_scores(U[left], self.f).argmin())]
            chosen.append(best)
            left.remove(best)
        V = U[sorted(chosen)]  # (m - 2f, d)
        near = np.argsort(np.abs(V - np.median(V, axis=0)), axis=0, kind="stable")
        inner = np.take_along_axis(V, near[: len(U) - 4 * self.f], axis=0)  # (m - 4f, d)
        return mean(inner, np.full(len(inner), a.sum() / len(inner)))


def _enough(rule: str, U: Array, f: int, least: int) -> None:
    if len(U) < least:
        raise ValueError(f"{rule} needs a cohort of at least {least} for f = {f}, got {len(U)}")
