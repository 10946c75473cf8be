"""Clients that lie, to try the aggregators on. Those with the highest numbers collude."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from fedcore.aggregators import mean
from fedcore.checks import count, real
from fedcore.shards import Shards
from fedcore.types import Aggregator, Array


@dataclass(frozen=True)
class SignFlip:
    r"""The last f replies of a cohort are turned round and scaled: :math:`-c\, g_k`.

    Parameters
    ----------
    f : liars in a cohort >= 0
    aggregator : the rule under attack
    scale : c > 0

    Book: eq-sign-flip

    Reference: Li, Xu, Chen, Giannakis, Ling 2019, arXiv 1811.03761.

    Examples
    --------
    >>> SignFlip(1)(np.array([[1.0], [1.0]]), np.array([0.5, 0.5]))
    array([0.])
    """

    f: int
    aggregator: Aggregator = mean
    scale: float = 1.0

    def __post_init__(self) -> None:
        count("f", self.f, least=0)
        real("scale", self.scale, above=0)

    def __call__(self, U: Array, a: Array) -> Array:
        """Return what the rule makes of the replies, lies included."""
        honest = len(U) - min(self.f, len(U))
        lies = -self.scale * U[honest:]
        return self.aggregator(np.concatenate([U[:honest], lies]).astype(U.dtype), a)


@dataclass(frozen=True)
class LittleIsEnough:
    r"""The last f replies hide inside the spread of the honest ones.

    .. math:: \bar g - z\, \operatorname{std}(g) \quad\text{in each coordinate}

    Parameters
    ----------
    f : liars in a cohort >= 0
    aggregator : the rule under attack
    z : standard deviations away from the honest mean

    Book: eq-little-is-enough

    Reference: Baruch, Baruch, Goldberg 2019, arXiv 1902.06156.

    Examples
    --------
    >>> U = np.array([[1.0], [3.0], [2.0]])
    >>> LittleIsEnough(1, z=1.0)(U, np.full(3, 1 / 3)).round(6)
    array([1.666667])
    """

    f: int
    aggregator: Aggregator = mean
    z: float = 1.5

    def __post_init__(self) -> None:
        count("f", self.f, least=0)
        real("z", self.z)

    def __call__(self, U: Array, a: Array) -> Array:
        """Return what the rule makes of the replies, lies included."""
        honest = len(U) - min(self.f, len(U) - 1)
        lie = U[:honest].mean(axis=0) - self.z * U[:honest].std(axis=0)  # (d,)
        lies = np.broadcast_to(lie, (len(U) - honest, U.shape[1]))
        return self.aggregator(np.concatenate([U[:honest], lies]).astype(U.dtype), a)


def flip_labels(shards: Shards, f: int, classes: int) -> Shards:
    r"""Return the shards with the labels of the last f clients turned round, C - 1 - y.

    Parameters
    ----------
    shards : labels 0 .. classes - 1
    f : liars among the K clients
    classes : C

    Book: eq-label-flip

    Reference: Tolpegin, Truex, Gursoy, Liu 2020, arXiv 2007.08432.

    Examples
    --------
    >>> shards = Shards(np.eye(3), [0, 1, 2], offsets=[0, 1, 3])
    >>> flip_labels(shards, f=1, classes=3).y
    array([0., 1., 0.])
    """
    count("f", f, least=0, most=shards.K)
    count("classes", classes, least=2)
    start = shards.offsets[shards.K - f]
    y = np.concatenate([shards.y[:start], classes - 1 - shards.y[start:]])
    return replace(shards, y=y)
