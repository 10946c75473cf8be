"""What one client does in a round."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fedcore.checks import count, one_of
from fedcore.optimizers import SGD
from fedcore.rng import Purpose, stream
from fedcore.types import Array, Channel, ClientUpdate, Model, Optimizer, Vectors

Rows = Array | slice
GATHER = 1 << 18  # bytes of rows gathered at a time: they stay in a core's cache


@dataclass(frozen=True)
class Batches:
    """The local steps of a round: which rows each of them sees.

    Parameters
    ----------
    size : rows in a batch, B; None means the whole shard
    epochs : passes over the shard, E
    steps : local steps instead of epochs, the last pass cut short
    replace : draw every batch anew, with replacement, instead of reshuffling once a pass

    Raises
    ------
    ValueError, TypeError : where a number is not a whole number >= 1

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> [rows.tolist() for rows in Batches(size=2, epochs=1).indices(5, rng)]
    [[2, 4], [3, 0], [1]]
    >>> Batches(size=2, epochs=3).count(5)
    9
    """

    size: int | None = None
    epochs: int = 1
    steps: int | None = None
    replace: bool = False

    def __post_init__(self) -> None:
        for name in ("size", "steps"):
            if getattr(self, name) is not None:
                count(name, getattr(self, name))
        count("epochs", self.epochs)
        one_of("replace", self.replace, (True, False))

    def count(self, n: int) -> int:
        """Return the number of local steps on a shard of n rows."""
        return self.steps or self.epochs * -(-n // min(self.size or n, n))

    def passes(self, n: int, rng: np.random.Generator) -> Iterator[Rows]:
        """Yield the order of the rows in each pass; a whole shard is a slice and draws nothing."""
        B, left = min(self.size or n, n), self.count(n)
        while left > 0:
            if self.replace:
                rows: Rows = rng.integers(n, size=left * B)
            elif B == n:
                rows = slice(None)
            else:
                rows = rng.permutation(n)[: left * B]
            yield rows
            left -= left if self.replace else -(-n // B)

    def indices(self, n: int, rng: np.random.Generator) -> Iterator[Rows]:
        """Yield the rows of each local step."""
        B = min(self.size or n, n)
        for rows in self.passes(n, rng):
            if isinstance(rows, slice):
                yield rows
            else:
                yield from (rows[i : i + B] for i in range(0, len(rows), B))


@dataclass(frozen=True)
class LocalData:
    """One client's own rows."""

    X: Array  # (n, p)
    y: Array  # (n,)

    def batches(
        self, plan: Batches, rng: np.random.Generator
    ) -> Iterator[tuple[Array, Array, None]]:
        """Yield the batch of each local step; rows are gathered for several steps at once."""
        n, p = self.X.shape
        B = min(plan.size or n, n)
        ahead = B * max(1, GATHER // (B * p * self.X.itemsize))
        for rows in plan.passes(n, rng):
            if isinstance(rows, slice):
                yield self.X, self.y, None
                continue
            for i in range(0, len(rows), ahead):
                X, y = (a.take(rows[i : i + ahead], axis=0) for a in (self.X, self.y))
                yield from ((X[j : j + B], y[j : j + B], None) for j in range(0, len(X), B))

    def steps(self, plan: Batches) -> int:
        """Return the number of local steps."""
        return plan.count(len(self.X))

    def hold(self, new: Array, old: Array) -> Array:
        """Return ``new``: a single client makes every step that it is asked for."""
        return new


@dataclass(frozen=True)
class Gradient:
    r"""Send the gradient of the client's loss, of all its rows or of one batch.

    .. math:: g_k = \nabla F_k(w)

    Parameters
    ----------
    batch_size : rows in the batch, B; None means the client's whole shard
    replace : draw the batch with replacement

    Raises
    ------
    ValueError, TypeError : where batch_size is not a whole number >= 1

    Book: alg-distributed-gd

    Examples
    --------
    >>> from fedcore import Linear
    >>> data = LocalData(np.eye(2), np.array([1.0, 2.0]))
    >>> up, keep = Gradient().update(Linear(2), {"w": np.zeros(2)}, data, None, {}, 0)
    >>> up["g"]
    array([-0.5, -1. ])
    """

    batch_size: int | None = None
    replace: bool = False
    sends = ("g",)
    keeps = ()

    def __post_init__(self) -> None:
        self.plan()

    def plan(self) -> Batches:
        """Return the single local step."""
        return Batches(self.batch_size, steps=1, replace=self.replace)

    def update(
        self, model: Model, down: Vectors, data: Any, rng: Any, keep: Vectors, t: int
    ) -> tuple[Vectors, Vectors]:
        """Return the gradient at the broadcast w."""
        X, y, s = next(iter(data.batches(self.plan(), rng)))
        return {"g": model.grad(down["w"], X, y, s)}, keep


@dataclass(frozen=True)
class LocalSGD:
    r"""Make several steps on the client's own rows and send how far they went.

    .. math:: w_k \leftarrow w, \qquad
              w_k \leftarrow w_k - \eta \nabla f_B(w_k) \text{ for each batch } B, \qquad
              g_k = w - w_k

    Parameters
    ----------
    optimizer : the local rule of descent; its state starts afresh each round
    batches : which rows each local step sees

    Book: alg-fedavg

    Reference: McMahan, Moore, Ramage, Hampson, Agüera y Arcas 2017, arXiv 1602.05629. There the
    client sends w_k; here it sends w - w_k, so that the server descends along every reply.

    Examples
    --------
    >>> from fedcore import Linear
    >>> data = LocalData(np.ones((1, 1)), np.array([1.0]))
    >>> client = LocalSGD(SGD(0.5), Batches(steps=2))
    >>> up, keep = client.update(Linear(1), {"w": np.zeros(1)}, data, None, {}, 0)
    >>> up["g"]
    array([-0.75])
    """

    optimizer: Optimizer = field(default_factory=lambda: SGD(0.1))
    batches: Batches = field(default_factory=Batches)
    sends = ("g",)
    keeps = ()

    def update(
        self, model: Model, down: Vectors, data: Any, rng: Any, keep: Vectors, t: int
    ) -> tuple[Vectors, Vectors]:
        """Return w - w_k."""
        w = down["w"]
        w_k, state = w, self.optimizer.init(w)
        for X, y, s in data.batches(self.batches, rng):
            g = model.grad(w_k, X, y, s)
            w_next, state = self.optimizer.step(w_k, g, state, t)
            w_k = data.hold(w_next, w_k)
        return {"g": w - w_k}, keep


@dataclass(frozen=True)
class Task:
    """All that a worker must know: what a client does, and how its answer travels."""

    model: Model
    client: ClientUpdate
    channel: tuple[Channel, ...]
    seed: int
    d: int
    dtype: np.dtype

    @property
    def sends(self) -> tuple[str, ...]:
        """Names of the vectors in an answer."""
        return tuple(self.client.sends)

    @property
    def keeps(self) -> tuple[str, ...]:
        """Names of the vectors that a client and its channels remember."""
        return (*self.client.keeps, *(key for *_, keys in self._memory() for key in keys.values()))

    def answer(
        self, t: int, k: int, data: Any, down: Vectors, keep: Vectors
    ) -> tuple[Vectors, Vectors, int]:
        """Return what client k sends, what it keeps, and the bits on the wire."""
        rng = stream(self.seed, Purpose.CLIENT, t, k)
        own = {name: keep[name] for name in self.client.keeps}
        with np.errstate(over="ignore", invalid="ignore"):  # divergence is judged by the server
            up, own = self.client.update(self.model, down, data, rng, own, t)
        up = {name: self._vector(name, up.get(name)) for name in self.sends}
        own = {name: self._vector(name, own.get(name)) for name in self.client.keeps}
        return self.transmit(t, k, up, keep | own)

    def transmit(self, t: int, k: int, up: Vectors, keep: Vectors) -> tuple[Vectors, Vectors, int]:
        """Pass client k's vectors through the client halves of the channel."""
        bits = dict.fromkeys(self.sends, self.d * self.dtype.itemsize * 8)
        if self.channel:
            rng = stream(self.seed, Purpose.CHANNEL, t, k)
            for name, channel, keys in self._memory():
                memory = {own: keep[key] for own, key in keys.items()}
                up[name], bits[name], memory = channel.send(up[name], bits[name], rng, memory)
                keep = keep | {key: memory[own] for own, key in keys.items()}
        return up, keep, sum(bits.values())

    def _memory(self) -> Iterator[tuple[str, Channel, dict[str, str]]]:
        """Yield each vector, each channel it passes, and the channel's own names in ``keep``."""
        for name in self.sends:
            for i, channel in enumerate(self.channel):
                yield name, channel, {own: f"{own}[{i}]:{name}" for own in channel.keeps}

    def _vector(self, name: str, v: Any) -> Array:
        """Refuse an answer that is not a real (d,) vector."""
        v = np.asarray(v)
        if v.dtype.kind not in "fiu" or v.shape != (self.d,):
            raise TypeError(
                f"{name} must be a real vector of shape ({self.d},), got "
                f"{v.dtype} of shape {v.shape} from {self.client!r}"
            )
        return v.astype(self.dtype, copy=False)
