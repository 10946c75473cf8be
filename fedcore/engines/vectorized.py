"""The cohort as an array axis: many small clients in one call."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fedcore.batches import Batches, Rows
from fedcore.data import Shards
from fedcore.engines.serial import empty_replies, fill_row, read_only
from fedcore.rng import Purpose, stream
from fedcore.task import Task
from fedcore.types import Array, Replies, Vectors

BLOCK = 2 << 20  # bytes of clients' vectors that are worked on at a time: they stay in cache
ROOM = 64 << 20  # bytes of their rows, which may all be copied


class CohortData:
    """The rows of several clients: what a client's code sees where a cohort is an axis.

    Clients of unequal size make unequal numbers of steps, with batches of unequal length. Short
    batches are padded with rows of weight 0, and who has finished is held where it is.
    """

    def __init__(self, shards: Shards, S: Array) -> None:
        self.shards = shards
        self.start, self.n_k = shards.offsets[S], shards.n_k[S]  # (m,), (m,)
        self.active: Array | None = None  # (m, 1), None while everyone makes steps

    def batches(
        self, plan: Batches, rngs: Sequence[np.random.Generator]
    ) -> Iterator[tuple[Array, Array, Array | None]]:
        """Yield X (m, B, p), y (m, B) and the weights s (m, B), or None where all are 1/B."""
        sizes = self.n_k.tolist()
        if all(plan.whole(n) for n in set(sizes)):  # every step sees the same rows
            yield from [self._gather([slice(None)] * len(sizes))] * plan.count(sizes[0])
            return
        turns = [plan.indices(n, rng) for n, rng in zip(sizes, rngs, strict=True)]
        for _ in range(int(self.steps(plan).max())):
            yield self._gather([next(turn, None) for turn in turns])

    def _gather(self, rows: list[Rows | None]) -> tuple[Array, Array, Array | None]:
        """Return the clients' next batches; who has none left is not active."""
        sizes = np.array([0 if r is None else _length(r, n) for r, n in zip(rows, self.n_k)])
        i = np.zeros((len(rows), sizes.max()), np.intp)  # (m, B)
        for j, r in enumerate(rows):
            if r is not None:
                i[j, : sizes[j]] = np.arange(sizes[j]) if isinstance(r, slice) else r
        i += self.start[:, None]
        full = bool((sizes == sizes.max()).all())
        self.active = None if full else (sizes > 0)[:, None]
        X, y = (a.take(i, axis=0) for a in (self.shards.X, self.shards.y))  # (m, B, p), (m, B)
        return X, y, None if full else self._weights(sizes)

    def _weights(self, sizes: Array) -> Array:
        mask = np.arange(sizes.max()) < sizes[:, None]
        return (mask / np.maximum(sizes, 1)[:, None]).astype(self.shards.X.dtype)  # (m, B)

    def steps(self, plan: Batches) -> Array:
        """Return the number of local steps of each client, (m, 1)."""
        return np.array([[plan.count(n)] for n in self.n_k.tolist()])

    def hold(self, new: Array, old: Array) -> Array:
        """Return ``old`` for the clients that have made all their steps."""
        return new if self.active is None else np.where(self.active, new, old)


class Streams(Sequence[np.random.Generator]):
    """The clients' streams of random numbers, made when they are first asked for."""

    def __init__(self, task: Task, t: int, ids: list[int]) -> None:
        self.task, self.t, self.ids = task, t, ids
        self.made: dict[int, np.random.Generator] = {}

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, i: Any) -> Any:
        """Return the generator of the i-th client."""
        if i not in self.made:
            self.made[i] = stream(self.task.seed, Purpose.CLIENT, self.t, self.ids[i])
        return self.made[i]


def _length(rows: Array | slice, n: int) -> int:
    return n if isinstance(rows, slice) else len(rows)


@dataclass(frozen=True)
class VectorizedCrew:
    """One process that works on a block of clients at a time."""

    task: Task
    shards: Shards

    def run(self, t: int, S: Array, down: Vectors, keep: Vectors) -> Replies:
        """Do one round."""
        out, down, keep = empty_replies(self.task, len(S)), read_only(down), read_only(keep)
        self.fill(t, S, np.arange(len(S)), down, keep, out)
        return out

    def fill(
        self, t: int, S: Array, rows: Array, down: Vectors, keep: Vectors, out: Replies,
        caught: Any = (Exception, SystemExit),
    ) -> None:  # fmt: skip
        """Compute the answers of some rows of the cohort, or note there who failed and why."""
        for block in self._blocks(S, rows):
            try:
                self._answer(t, S, block, down, keep, out)
            except caught:  # whose fault it is shows one by one
                for i in block.tolist():
                    fill_row(self.task, self.shards, t, i, int(S[i]), down, keep, out, caught)

    def _blocks(self, S: Array, rows: Array) -> Iterator[Array]:
        """Yield rows of clients of about the same size, so many that a block stays in cache."""
        order = rows[np.argsort(-self.shards.n_k[S[rows]], kind="stable")]
        X, vectors = self.shards.X, 4 + len(self.task.sends) + len(self.task.keeps)
        most = max(1, BLOCK // (vectors * self.task.d * X.itemsize))
        while len(order):
            largest = int(self.shards.n_k[S[order[0]]]) * X.shape[1] * X.itemsize
            m = max(1, min(most, ROOM // largest))
            yield order[:m]
            order = order[m:]

    def _answer(
        self, t: int, S: Array, block: Array, down: Vectors, keep: Vectors, out: Replies
    ) -> None:
        task, ids = self.task, S[block].tolist()
        rngs = Streams(task, t, ids)
        own = {name: keep[name][block] for name in task.client.keeps}
        with np.errstate(over="ignore", invalid="ignore"):
            data = CohortData(self.shards, S[block])
            up, own = task.client.update(task.model, down, data, rngs, own, t)
        shape = (len(ids), task.d)
        for side, names, rows in ((up, task.sends, out.up), (own, task.client.keeps, out.keep)):
            for name in names:
                answer = np.asarray(side[name])
                if answer.shape != shape or answer.dtype.kind not in "fiu":
                    raise TypeError(f"{name} must be real of shape {shape} for a block of clients")
                rows[name][block] = answer
        out.bits[block] = len(task.sends) * task.shared * task.dtype.itemsize * 8
        for i, k in zip(block.tolist(), ids) if task.channel else ():
            self._transmit(t, i, k, keep, out)

    def _transmit(self, t: int, i: int, k: int, keep: Vectors, out: Replies) -> None:
        task = self.task
        up = {name: out.up[name][i] for name in task.sends}
        memory = {name: keep[name][i] for name in task.keeps}
        memory |= {name: out.keep[name][i] for name in task.client.keeps}
        up, memory, out.bits[i] = task.transmit(t, k, up, memory)
        for name in task.sends if task.channel else ():
            out.up[name][i] = up[name]
        for name in task.keeps:
            out.keep[name][i] = memory[name]

    def close(self) -> None:
        """Nothing is held."""


@dataclass(frozen=True)
class Vectorized:
    """Many small clients at once: the cohort is an axis of the arrays.

    The results agree with :class:`fedcore.engines.serial.Serial` to rounding, not to the bit: a
    product over a whole block adds in another order. No model or client is written twice; what
    does not broadcast over the cohort is computed client by client.

    Examples
    --------
    >>> from fedcore import Linear, fedavg, make_quadratics, run
    >>> shards = make_quadratics([1, 10], [0, 1])
    >>> history = run(fedavg(0.05, steps=5), Linear(1), shards, rounds=80, engine=Vectorized())
    >>> round(float(history.w[0]), 6)
    0.81069
    """

    def start(self, task: Task, broadcasts: tuple[str, ...], shards: Shards) -> VectorizedCrew:
        """Return the crew."""
        return VectorizedCrew(task, shards)

    def __str__(self) -> str:
        return "vectorized, 1 process, 1 BLAS thread"
