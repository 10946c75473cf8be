"""What happens to a vector between a client and the server: fewer bits, and a memory of the rest.

Bits are those of the code stated in each docstring; a number costs the bits of its dtype.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from fedcore.checks import count
from fedcore.types import Array, Channel, Vectors


class Passing:
    """A channel without memory and without a server half."""

    keeps: ClassVar[tuple[str, ...]] = ()

    def receive(self, mean: Array, a: Array, rng: np.random.Generator) -> Array:
        """Return the aggregate as it is."""
        return mean


@dataclass(frozen=True)
class QSGD(Passing):
    r"""Round every coordinate at random to one of s levels of the norm, without bias.

    .. math:: Q(v)_i = \|v\|_2\, \operatorname{sign}(v_i)\, \frac{\xi_i}{s}, \qquad
              \xi_i = \Big\lfloor \frac{s |v_i|}{\|v\|_2} + u_i \Big\rfloor, \quad u_i \sim U[0, 1)

    :math:`\mathbb E\,Q(v) = v` and :math:`\mathbb E\|Q(v) - v\|^2 \le
    \min(d/s^2, \sqrt d/s)\,\|v\|^2`.

    The code: the norm, then a sign and a level of fixed width for each coordinate,
    :math:`\text{dtype} + d\,(1 + \lceil\log_2(s+1)\rceil)` bits. (The paper's Elias code is
    shorter where most levels are 0.)

    Parameters
    ----------
    levels : s >= 1

    Raises
    ------
    ValueError, TypeError : where levels is not a whole number >= 1

    Book: eq-qsgd

    Reference: Alistarh, Grubic, Li, Tomioka, Vojnovic 2017, arXiv 1610.02132.

    Examples
    --------
    >>> v, bits, _ = QSGD(levels=1).send(np.array([3.0, 4.0]), 128, np.random.default_rng(1), {})
    >>> v, bits
    (array([5., 5.]), 68)
    """

    levels: int

    def __post_init__(self) -> None:
        count("levels", self.levels)

    def send(
        self, v: Array, bits: int, rng: np.random.Generator, keep: Vectors
    ) -> tuple[Array, int, Vectors]:
        """Return the rounded vector and its bits."""
        norm, s = np.sqrt((v * v).sum()), self.levels
        cost = v.itemsize * 8 + v.size * (1 + _width(s + 1))
        return _round_at_random(v, norm / s, rng), cost, keep


@dataclass(frozen=True)
class Rounding(Passing):
    r"""Round every coordinate to a grid between plus and minus its largest size.

    .. math:: Q(v)_i = \Delta \Big\lfloor \frac{v_i}{\Delta} + u_i \Big\rfloor, \qquad
              \Delta = \frac{\max_j |v_j|}{2^{b-1} - 1}

    with :math:`u_i \sim U[0, 1)` (stochastic, unbiased) or :math:`u_i = 1/2` (nearest, biased: a
    coordinate below half a step is lost in every round).

    The code: the maximum, then b bits for each coordinate.

    Parameters
    ----------
    width : b >= 2, bits for a coordinate
    stochastic : round at random instead of to the nearest

    Raises
    ------
    ValueError, TypeError : where width is not a whole number from 2 to 32

    Book: eq-stochastic-rounding

    Reference: Gupta, Agrawal, Gopalakrishnan, Narayanan 2015, arXiv 1502.02551.

    Examples
    --------
    >>> v, bits, _ = Rounding(2, stochastic=False).send(np.array([0.4, -1.0]), 128, None, {})
    >>> v.tolist(), bits
    ([0.0, -1.0], 68)
    """

    width: int
    stochastic: bool = True

    def __post_init__(self) -> None:
        count("width", self.width, least=2, most=32)

    def send(
        self, v: Array, bits: int, rng: np.random.Generator, keep: Vectors
    ) -> tuple[Array, int, Vectors]:
        """Return the rounded vector and its bits."""
        step = np.abs(v).max() / (2 ** (self.width - 1) - 1)
        cost = v.itemsize * 8 + v.size * self.width
        if self.stochastic:
            return _round_at_random(v, step, rng), cost, keep
        return (np.floor(v / step + 0.5) * step if step else v), cost, keep


@dataclass(frozen=True)
class Sign(Passing):
    r"""Send the signs and the mean size.

    .. math:: Q(v) = \frac{\|v\|_1}{d} \operatorname{sign}(v), \qquad \operatorname{sign}(0) = 1

    Biased, and a contraction: :math:`\|Q(v) - v\|^2 = (1 - \|v\|_1^2 / (d \|v\|_2^2)) \|v\|^2`.
    The code: one number and d bits.

    Book: eq-scaled-sign

    Reference: Karimireddy, Rebjock, Stich, Jaggi 2019, arXiv 1901.09847.

    Examples
    --------
    >>> Sign().send(np.array([3.0, -1.0]), 128, None, {})
    (array([ 2., -2.]), 66, {})
    """

    def send(
        self, v: Array, bits: int, rng: np.random.Generator, keep: Vectors
    ) -> tuple[Array, int, Vectors]:
        """Return the scaled signs and their bits."""
        size = np.abs(v).mean()
        return np.where(v < 0, -size, size).astype(v.dtype), v.itemsize * 8 + v.size, keep


@dataclass(frozen=True)
class TopK(Passing):
    r"""Send the k coordinates of largest size.

    .. math:: \|Q(v) - v\|^2 \le (1 - k/d)\, \|v\|^2

    Biased. The code: k numbers, and k indices of :math:`\lceil\log_2 d\rceil` bits.

    Parameters
    ----------
    k : coordinates to send >= 1; d and more send the whole vector

    Raises
    ------
    ValueError, TypeError : where k is not a whole number >= 1

    Book: eq-top-k

    Reference: Stich, Cordonnier, Jaggi 2018, arXiv 1809.07599.

    Examples
    --------
    >>> TopK(1).send(np.array([3.0, -4.0]), 128, None, {})
    (array([ 0., -4.]), 65, {})
    """

    k: int

    def __post_init__(self) -> None:
        count("k", self.k)

    def send(
        self, v: Array, bits: int, rng: np.random.Generator, keep: Vectors
    ) -> tuple[Array, int, Vectors]:
        """Return the vector with k coordinates left, and their bits."""
        if self.k >= v.size:
            return v, bits, keep
        rows = np.argpartition(-np.abs(v), self.k - 1)[: self.k]
        return _only(v, rows), self.k * (v.itemsize * 8 + _width(v.size)), keep


@dataclass(frozen=True)
class RandomK(Passing):
    r"""Send k coordinates drawn at random, scaled so that there is no bias.

    .. math:: Q(v)_i = \frac dk\, v_i \text{ with probability } \frac kd, \text{ else } 0, \qquad
              \mathbb E\|Q(v) - v\|^2 = \left(\frac dk - 1\right) \|v\|^2

    The code: k numbers. The server draws the same indices from the same stream.

    Parameters
    ----------
    k : coordinates to send >= 1; d and more send the whole vector

    Raises
    ------
    ValueError, TypeError : where k is not a whole number >= 1

    Book: eq-random-k

    Reference: Stich, Cordonnier, Jaggi 2018, arXiv 1809.07599.

    Examples
    --------
    >>> RandomK(1).send(np.array([3.0, -4.0]), 128, np.random.default_rng(1), {})
    (array([6., 0.]), 64, {})
    """

    k: int

    def __post_init__(self) -> None:
        count("k", self.k)

    def send(
        self, v: Array, bits: int, rng: np.random.Generator, keep: Vectors
    ) -> tuple[Array, int, Vectors]:
        """Return the scaled vector with k coordinates left, and their bits."""
        if self.k >= v.size:
            return v, bits, keep
        rows = rng.choice(v.size, self.k, replace=False)
        return _only(v, rows) * v.dtype.type(v.size / self.k), self.k * v.itemsize * 8, keep


@dataclass(frozen=True)
class ErrorFeedback:
    r"""Remember what a channel left out, and add it to the next vector.

    .. math:: p = v + e_k, \qquad \text{send } Q(p), \qquad e_k \leftarrow p - Q(p)

    Parameters
    ----------
    channel : the channel Q, one without a memory of its own

    Raises
    ------
    TypeError : where the channel has a memory

    Book: eq-error-feedback

    Reference: Seide, Fu, Droppo, Li, Yu 2014; Karimireddy et al. 2019, arXiv 1901.09847.

    Examples
    --------
    >>> channel = ErrorFeedback(TopK(1))
    >>> v, bits, keep = channel.send(np.array([3.0, -4.0]), 128, None, {"e": np.zeros(2)})
    >>> v, keep["e"]
    (array([ 0., -4.]), array([3., 0.]))
    """

    channel: Channel
    keeps: ClassVar[tuple[str, ...]] = ("e",)

    def __post_init__(self) -> None:
        if self.channel.keeps:
            raise TypeError(f"channel must have no memory of its own, got {self.channel!r}")

    def send(
        self, v: Array, bits: int, rng: np.random.Generator, keep: Vectors
    ) -> tuple[Array, int, Vectors]:
        """Return what the channel makes of v + e, its bits, and what is left."""
        p = v + keep["e"]
        q, bits, _ = self.channel.send(p, bits, rng, {})
        return q, bits, {"e": p - q}

    def receive(self, mean: Array, a: Array, rng: np.random.Generator) -> Array:
        """Return what the channel's server half makes of the aggregate."""
        return self.channel.receive(mean, a, rng)


def _width(values: int) -> int:
    """Return the bits of a fixed-width code for so many values."""
    return math.ceil(math.log2(values))


def _only(v: Array, rows: Array) -> Array:
    """Return v with 0 everywhere but in the rows."""
    q = np.zeros_like(v)
    q[rows] = v[rows]
    return q


def _round_at_random(v: Array, step: float, rng: np.random.Generator) -> Array:
    """Return the multiples of ``step`` next to v, drawn so that their mean is v."""
    if step == 0:
        return v
    levels = np.floor(np.abs(v) / step + rng.random(v.size))
    return (np.sign(v) * levels * step).astype(v.dtype)
