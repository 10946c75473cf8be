"""Bring your own loss: a model made of two plain functions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from fedcore.checks import count
from fedcore.types import Array

Function = Callable[[Array, Array, Array], Any]  # (w (d,), X (n, p), y (n,)) -> number or (d,)


@dataclass(frozen=True)
class FromFunctions:
    """A model made of a reader's functions; `from_functions` makes it."""

    value: Function
    gradient: Function
    d: int
    start: Callable[[np.random.Generator], Any] | None = None

    def __post_init__(self) -> None:
        count("d", self.d)
        for name, f in (("loss", self.value), ("grad", self.gradient), ("init", self.start)):
            if not (callable(f) or (name == "init" and f is None)):
                raise TypeError(f"{name} must be a function, got {type(f).__name__} {f!r}")

    def init(self, rng: np.random.Generator) -> Array:
        """Return the start vector, (d,): zeros unless ``init`` was given."""
        w = np.zeros(self.d) if self.start is None else self.start(rng)
        return _checked("init", w, (self.d,)).astype(float)

    def loss(self, w: Array, X: Array, y: Array, s: Array | None = None) -> Array:
        """Return the weighted loss, (...)."""

        def f(w: Array, X: Array, y: Array) -> Array:
            return _checked("loss", self.value(w, X, y), ())

        return _over_clients(f, w, X, y, s)

    def grad(self, w: Array, X: Array, y: Array, s: Array | None = None) -> Array:
        """Return its gradient with respect to w, (..., d)."""

        def f(w: Array, X: Array, y: Array) -> Array:
            return _checked("grad", self.gradient(w, X, y), (self.d,))

        return _over_clients(f, w, X, y, s)


def from_functions(
    loss: Function,
    grad: Function,
    d: int,
    init: Callable[[np.random.Generator], Any] | None = None,
) -> FromFunctions:
    r"""Make a model of a loss and its gradient, both written for one client.

    .. math:: F(w) = \sum_{i=1}^n s_i f_i(w) \quad\text{from}\quad
       \texttt{loss}(w, X, y) = \tfrac1n \sum_{i=1}^n f_i(w)

    Rows of weight 0 are left out before your functions are called. Equal weights take one call;
    other weights take one call a row. A penalty inside your loss is kept whole if the weights
    add up to 1.

    Parameters
    ----------
    loss : function (w (d,), X (n, p), y (n,)) -> number, the *mean* over the rows of X
    grad : function (w, X, y) -> (d,), its gradient with respect to w
    d : int, length of w
    init : function (generator) -> (d,); zeros if None

    Raises
    ------
    ValueError, TypeError : if d is not a whole number >= 1, a function is not callable, or (when
        it is called) returns another shape or no numbers

    Book: eq-objective

    Examples
    --------
    >>> def loss(w, X, y):
    ...     return np.abs(X @ w - y).mean()
    >>> def grad(w, X, y):
    ...     return X.T @ np.sign(X @ w - y) / len(y)
    >>> model = from_functions(loss, grad, d=2)
    >>> X, y = np.array([[1.0, 0.0], [0.0, 2.0]]), np.array([1.0, 2.0])
    >>> float(model.loss(np.zeros(2), X, y)), model.grad(np.zeros(2), X, y)
    (1.5, array([-0.5, -1. ]))
    """
    return FromFunctions(loss, grad, d, init)


def _over_clients(f: Callable[..., Array], w: Array, X: Array, y: Array, s: Array | None) -> Array:
    """Call f once for each index of the leading axes."""
    if w.ndim == 1 and X.ndim == 2 and s is None:
        return f(w, X, y).astype(w.dtype, copy=False)
    lead = np.broadcast_shapes(w.shape[:-1], X.shape[:-2], y.shape[:-1])
    s = np.full(y.shape[-1:], 1 / y.shape[-1]) if s is None else s
    w, y, s = (np.broadcast_to(a, lead + a.shape[-1:]) for a in (w, y, s))
    X = np.broadcast_to(X, lead + X.shape[-2:])
    each = [_weighted(f, w[i], X[i], y[i], s[i]) for i in np.ndindex(lead)]
    return np.array(each, dtype=w.dtype).reshape(lead + each[0].shape)[()]


def _weighted(f: Callable[..., Array], w: Array, X: Array, y: Array, s: Array) -> Array:
    """Return the sum of s_i f_i(w) from the mean f of any rows."""
    rows = np.flatnonzero(s)
    if not len(rows):
        return 0 * f(w, X, y)
    if np.all(s[rows] == s[rows[0]]):
        return s[rows].sum() * f(w, X[rows], y[rows])
    return np.sum([s[i] * f(w, X[i : i + 1], y[i : i + 1]) for i in rows], axis=0)


def _checked(name: str, value: Any, shape: tuple[int, ...]) -> Array:
    a = np.asarray(value)
    if a.dtype.kind not in "biuf":
        raise TypeError(f"{name} must return real numbers, got {type(value).__name__} {value!r}")
    if a.shape != shape:
        raise ValueError(f"{name} must return shape {shape}, got shape {a.shape}")
    return a
