"""What the models share: weighted examples, penalty, blocks of rows, the softmax loss.

Shapes: w (..., d) is flat, X (..., n, p), y (..., n), example weights s (..., n). The leading
axes are clients and broadcast. Arithmetic stays in the dtype of w and X.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import numpy as np

from fedcore.checks import count, real
from fedcore.types import Array

BLOCK = 2**20  # bytes of X read at a time: they stay in a core's cache for the second use
ROW = 400  # bytes of a row from which on a product row by row pays


class Penalised:
    r"""A mean loss over examples with an l2 penalty; a model adds the loss of the examples.

    .. math:: F(w) = \sum_{i=1}^n s_i f_i(w) + \frac{\lambda}{2}\|w\|^2,
       \qquad s_i = \tfrac1n \text{ unless given}

    A row of weight 0 may hold any finite numbers and changes nothing, so ``s`` is also the mask
    that pads clients to a common length.

    Book: eq-objective
    """

    p: int
    l2: float
    _loss: Callable[..., Array]  # (w, X, y, s) -> (...), the examples' part of F
    _grad: Callable[..., Array]  # (w, X, y, s) -> (..., d)

    def __post_init__(self) -> None:
        count("p", self.p)
        real("l2", self.l2, least=0)

    @property
    def d(self) -> int:
        """Length of w."""
        return self.p

    def init(self, rng: np.random.Generator) -> Array:
        """Return the start vector: zeros, (d,); nothing is drawn."""
        return np.zeros(self.d)

    def loss(self, w: Array, X: Array, y: Array, s: Array | None = None) -> Array:
        """Return F(w), (...)."""
        F = over_rows(self._loss, w, X, y, s)
        return F + 0.5 * self.l2 * np.vecdot(w, w) if self.l2 else F

    def grad(self, w: Array, X: Array, y: Array, s: Array | None = None) -> Array:
        """Return the gradient of F at w, (..., d)."""
        g = over_rows(self._grad, w, X, y, s)
        return g + self.l2 * w if self.l2 else g

    def check_data(self, X: Array, y: Array) -> None:
        """Raise unless X is (..., n, p) and y has one number for each row."""
        check_shapes(self.p, X, y)


class Classifier:
    """Labels 0 .. classes - 1, and how many are predicted."""

    p: int
    classes: int
    predict: Callable[..., Array]

    def accuracy(self, w: Array, X: Array, y: Array) -> Array:
        """Return the fraction of rows whose label is predicted, (...)."""
        return (self.predict(w, X) == y).mean(-1)

    def check_data(self, X: Array, y: Array) -> None:
        """Raise unless X is (..., n, p) and y has one of our labels for each row."""
        check_shapes(self.p, X, y)
        bad = ~((y >= 0) & (y < self.classes) & (y == np.floor(y)))  # NaN is bad, too
        if bad.any():
            hint = "; turn -1/+1 into 0/1 with (y + 1) / 2" if np.all(abs(y) == 1) else ""
            raise ValueError(
                f"y must hold whole labels from 0 to {self.classes - 1}, "
                f"got {y[bad][0]} at index {int(bad.argmax())}{hint}"
            )


def check_shapes(p: int, X: Array, y: Array) -> None:
    """Raise unless X is (..., n, p) and y (..., n)."""
    for name, a in (("X", X), ("y", y)):
        if not isinstance(a, np.ndarray) or a.dtype.kind not in "buif":
            raise TypeError(f"{name} must be an array of real numbers, got {_kind(a)}")
    if X.ndim < 2 or X.shape[-1] != p:
        raise ValueError(f"X must have p = {p} columns, shape (n, {p}), got shape {X.shape}")
    if y.shape != X.shape[:-1]:
        raise ValueError(
            f"y must have one value for each row of X, shape {X.shape[:-1]}, got shape {y.shape}"
        )


def _kind(a: Any) -> str:
    return f"dtype {a.dtype}" if isinstance(a, np.ndarray) else type(a).__name__


def over_rows(part: Callable[..., Array], w: Array, X: Array, y: Array, s: Array | None) -> Array:
    """Add up ``part(w, X, y, s)`` over blocks of rows; without ``s`` every row weighs 1/n.

    A gradient uses X twice (scores, then X^T r). Read in blocks, X is still in cache the second
    time, which halves the memory traffic of a full batch. The blocks depend on shape and dtype
    alone, so every engine adds in the same order.
    """
    if s is None:
        return _blocks(part, w, X, y, 1 / X.shape[-2])
    with np.errstate(over="ignore", invalid="ignore"):  # rows of weight 0 may be absurd
        return _blocks(part, w, X, y, s)


def _blocks(part: Callable[..., Array], w: Array, X: Array, y: Array, s: Any) -> Array:
    n, p = X.shape[-2:]
    rows = max(1, BLOCK // (p * X.itemsize))
    if n <= rows:
        return part(w, X, y, s)
    total: Any = 0
    for b in (slice(i, i + rows) for i in range(0, n, rows)):
        total = total + part(w, X[..., b, :], y[..., b], s if isinstance(s, float) else s[..., b])
    return total


def scores(w: Array, X: Array) -> Array:
    """Return X w (..., n), large blocks row by row.

    A block that comes from memory arrives twice as fast where it is read in order; a linear
    algebra library reads several rows at a time. Small or narrow X lie in cache or cost more calls
    than they save. Shape and dtype decide alone, so every engine computes alike.
    """
    if X.ndim == 2 and w.ndim == 1 and X.nbytes > BLOCK // 2 and X.shape[1] * X.itemsize >= ROW:
        return np.vecdot(X, w)
    return np.matvec(X, w)


def minus(z: Array, y: Array) -> Array:
    """Return z - y (..., n) in the dtype of z: integer labels do not widen float32."""
    return np.subtract(z, y, dtype=z.dtype)


def weigh(f: Array, s: Any) -> Array:
    """Return s_i f_i (..., n) where ``s`` is one float or (..., n); weight 0 is 0 whatever f."""
    if isinstance(s, float):
        return f * s
    return np.multiply(np.where(s == 0, 0, f), s, dtype=f.dtype)


def curvatures(X: Array) -> Array:
    """Return the eigenvalues of X^T X / n in ascending order, (..., p)."""
    return np.linalg.eigvalsh(X.mT @ X / X.shape[-2]).clip(min=0)


def layers(w: Array, sizes: tuple[int, ...]) -> Iterator[tuple[Array, Array]]:
    """Yield views W (..., a, b) and b (..., 1, b) of the layers flattened in w."""
    i = 0
    for a, b in pairwise(sizes):
        j = i + a * b
        yield w[..., i:j].reshape(*w.shape[:-1], a, b), w[..., None, j : j + b]
        i = j + b


def backpropagate(w: Array, sizes: tuple[int, ...], H: list[Array], R: Array) -> Array:
    r"""Return the gradient (..., d) of ReLU layers with inputs H and output slopes R (..., n, C).

    .. math:: G_j = H_{j-1}^\top R_j, \quad c_j = R_j^\top 1, \quad
       R_{j-1} = R_j W_j^\top \odot (H_{j-1} > 0)

    The products are written where they belong in the flat gradient: no copy is made of it.
    """
    g = np.empty((*R.shape[:-2], w.shape[-1]), R.dtype)
    slots = [*layers(g, sizes)]
    W = [W for W, _ in layers(w, sizes)] if len(H) > 1 else []
    for j in reversed(range(len(H))):
        np.matmul(H[j].mT, R, out=slots[j][0])  # (..., a, b)
        R.sum(-2, keepdims=True, out=slots[j][1])  # (..., 1, b)
        if j:
            R = (W[j] @ R.mT).mT * (H[j] > 0)  # (..., n, a); half the time of R @ W[j].mT
    return g


def softmax_loss(Z: Array, y: Array, s: Any) -> Array:
    """Return the weighted cross-entropy of the logits Z (..., n, C), (...)."""
    H, E = _shifted(Z)
    H_y = np.where(_one_hot(y, Z), H, 0).sum(-1)  # (..., n)
    return 2 * weigh(0.5 * np.log(E.sum(-1)) - H_y, s).sum(-1)


def softmax_slopes(Z: Array, y: Array, s: Any) -> Array:
    """Return its derivatives s_i (p_i - onehot(y_i)) with respect to Z, (..., n, C)."""
    _, R = _shifted(Z)
    R /= R.sum(-1, keepdims=True)
    R -= _one_hot(y, R)  # (..., n, C)
    return weigh(R, s if isinstance(s, float) else s[..., None])


def _shifted(Z: Array) -> tuple[Array, Array]:
    """Return H = (Z - max Z) / 2, halved lest 1e308 - (-1e308) overflow, and E = exp(2 H)."""
    H = 0.5 * Z
    H -= H.max(-1, keepdims=True)
    E = np.exp(H)
    E *= E
    return H, E


def _one_hot(y: Array, Z: Array) -> Array:
    return y[..., None] == np.arange(Z.shape[-1], dtype=y.dtype)  # (..., n, C)
