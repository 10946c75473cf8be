"""The data of all clients: one pair of arrays, cut into row ranges."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from fedcore.types import Array


@dataclass(frozen=True, eq=False, repr=False)
class Shards:
    r"""K shards of one data set: shard k is rows offsets[k] to offsets[k + 1] of X and y.

    .. math:: F(w) = \sum_{k=1}^K p_k F_k(w), \qquad p_k = \frac{n_k}{n}

    X and y are copied: a later change to the arrays you gave changes no run, make new shards of
    them. A read-only array, memory-mapped say, is taken as it is where it is contiguous. float32
    stays float32, all other real numbers become float64, and y follows X.

    Parameters
    ----------
    X : (n, p) one example a row
    y : (n,) targets or labels
    offsets : (K + 1,) whole numbers, strictly increasing from 0 to n

    Raises
    ------
    TypeError : if X, y or offsets do not hold real numbers, or are masked
    ValueError : if a shape does not fit, a number is NaN or infinite, or a shard is empty

    Book: eq-global-objective

    Examples
    --------
    >>> shards = Shards(np.eye(3), [0, 1, 1], offsets=[0, 1, 3])
    >>> shards
    Shards(K=2, n=3, p=3, n_k=1..2, float64)
    >>> X_k, y_k = shards[1]
    >>> y_k
    array([1., 1.])
    >>> shards.p_k
    array([0.33333333, 0.66666667])
    """

    X: Array
    y: Array
    offsets: Array

    def __post_init__(self) -> None:
        X, y = examples(self.X, self.y)
        offsets = _offsets(self.offsets, len(X))
        for name, given, a in (("X", self.X, X), ("y", self.y, y), ("offsets", None, offsets)):
            shared = a.flags.writeable and isinstance(given, np.ndarray)
            a = a.copy() if shared and np.may_share_memory(a, given) else a
            object.__setattr__(self, name, locked(a))

    @classmethod
    def from_list(cls, pairs: Sequence[tuple[Any, Any]]) -> Shards:
        """Return the shards of a list of (X_k, y_k), one pair a client.

        >>> Shards.from_list([(np.ones((2, 3)), [0, 1]), (np.ones((5, 3)), np.zeros(5))])
        Shards(K=2, n=7, p=3, n_k=2..5, float64)
        """
        clean = [examples(*pair, f" of client {k}") for k, pair in enumerate(pairs)]
        if not clean:
            raise ValueError("pairs must hold at least one (X_k, y_k), got none")
        columns = [X.shape[1] for X, _ in clean]
        if len(set(columns)) > 1:
            k = next(k for k, p in enumerate(columns) if p != columns[0])
            raise ValueError(
                f"X of client {k} must have {columns[0]} columns like client 0, got {columns[k]}"
            )
        X, y = (locked(np.concatenate(arrays)) for arrays in zip(*clean))
        return cls(X, y, np.cumsum([0, *(len(X) for X, _ in clean)]))

    @classmethod
    def one(cls, X: Any, y: Any) -> Shards:
        """Return a single machine that holds everything: K = 1."""
        X, y = examples(X, y)
        return cls(X, y, np.array([0, len(X)]))

    @classmethod
    def by_owner(cls, X: Array, y: Array, owner: Array, K: int) -> Shards:
        """Return the shards in which row i belongs to client owner[i] of 0 .. K - 1."""
        order = np.argsort(owner, kind="stable")
        return cls(
            locked(X[order]), locked(y[order]), np.cumsum([0, *np.bincount(owner, minlength=K)])
        )

    @property
    def K(self) -> int:
        """Number of shards."""
        return len(self.offsets) - 1

    @property
    def n(self) -> int:
        """Number of examples in all shards."""
        return len(self.X)

    @cached_property
    def n_k(self) -> Array:
        """Number of examples in each shard, (K,)."""
        return locked(np.diff(self.offsets))

    @cached_property
    def p_k(self) -> Array:
        """Share of all examples in each shard, n_k / n, (K,)."""
        return locked(self.n_k / self.n)

    def __len__(self) -> int:
        return self.K

    def __getitem__(self, k: int) -> tuple[Array, Array]:
        """Return the examples (X_k (n_k, p), y_k (n_k,)) of client k, as read-only views."""
        if not 0 <= k < self.K:
            raise IndexError(f"k must be a client from 0 to {self.K - 1}, got {k}")
        i, j = self.offsets[k], self.offsets[k + 1]
        return self.X[i:j], self.y[i:j]

    def __repr__(self) -> str:
        a, b = self.n_k.min(), self.n_k.max()
        sizes = f"{a}" if a == b else f"{a}..{b}"
        return f"Shards(K={self.K}, n={self.n}, p={self.X.shape[1]}, n_k={sizes}, {self.X.dtype})"


def examples(X: Any, y: Any, whose: str = "") -> tuple[Array, Array]:
    """Return X (n, p) and y (n,) as contiguous, finite arrays of one float dtype, or raise."""
    X, y = _numbers("X" + whose, X), _numbers("y" + whose, y)
    if X.ndim != 2 or 0 in X.shape:
        hint = "; one column is X[:, None]" if X.ndim == 1 else ""
        raise ValueError(
            f"X{whose} must have shape (n, p) with rows and columns, got shape {X.shape}{hint}"
        )
    if y.shape != X.shape[:1]:
        hint = "; flatten it with y.ravel()" if y.size == len(X) else ""
        raise ValueError(
            f"y{whose} must have one value a row of X, shape ({len(X)},), got shape {y.shape}{hint}"
        )
    dtype = np.float32 if X.dtype.newbyteorder("=") == np.float32 else np.float64
    return _finite("X" + whose, X, dtype), _finite("y" + whose, y, dtype)


def _numbers(name: str, a: Any) -> Array:
    """Return ``a`` as an array of real numbers, its dtype kept."""
    if isinstance(a, np.ma.MaskedArray):
        raise TypeError(f"{name} must not be a masked array; drop or fill the masked entries")
    try:
        array = np.asarray(a)
    except ValueError as error:  # ragged
        raise ValueError(f"{name} must be a rectangular array of numbers: {error}") from None
    if array.dtype.kind not in "buif":
        raise TypeError(f"{name} must hold real numbers, got dtype {array.dtype}")
    return array


def _finite(name: str, a: Array, dtype: Any) -> Array:
    with np.errstate(over="ignore"):  # what does not fit becomes inf, and is refused
        a = np.ascontiguousarray(a, dtype=dtype)
    bad = ~np.isfinite(a)
    if bad.any():
        i = tuple(int(j) for j in np.argwhere(bad)[0])
        raise ValueError(f"{name} must be finite, got {a[i]} at index {i}")
    return a


def _offsets(offsets: Any, n: int) -> Array:
    a = _numbers("offsets", offsets)
    if a.dtype.kind not in "ui" or a.ndim != 1 or len(a) < 2:
        raise ValueError(
            f"offsets must be K + 1 whole numbers, got dtype {a.dtype} and shape {a.shape}"
        )
    a = a.astype(np.int64)
    if a[0] != 0 or a[-1] != n:
        raise ValueError(f"offsets must run from 0 to n = {n}, got {a[0]} to {a[-1]}")
    if (np.diff(a) <= 0).any():
        k = int((np.diff(a) <= 0).argmax())
        raise ValueError(f"offsets must increase: shard {k} would hold {a[k + 1] - a[k]} rows")
    return a


def locked(a: Array) -> Array:
    """Return a read-only view."""
    a = a.view()
    a.flags.writeable = False
    return a
