"""Memory that several processes see: where a run's data and vectors lie."""

from __future__ import annotations

import math
from dataclasses import dataclass
from multiprocessing import heap
from types import SimpleNamespace
from typing import Any

import numpy as np

from fedcore.data import Shards
from fedcore.engines.pages import take, view
from fedcore.task import Task
from fedcore.types import Array

LINE = 64  # bytes of a cache line, which one core owns while it writes
BLOCK = 64 << 20  # bytes of shared memory for replies; a larger cohort comes in chunks

DATA = ("offsets", "y", "X")


@dataclass(frozen=True)
class Place:
    """Where an array lies in the memory of a run."""

    start: int
    shape: tuple[int, ...]
    dtype: np.dtype

    @property
    def stop(self) -> int:
        """The first byte after it."""
        return self.start + math.prod(self.shape) * self.dtype.itemsize

    def of(self, memory: Any) -> Array:
        """Return the array."""
        size = math.prod(self.shape)
        return np.frombuffer(memory, self.dtype, size, self.start).reshape(self.shape)


@dataclass
class Table:
    """Where arrays lie: one after another, none on the last cache line of another."""

    size: int = 0

    def place(self, shape: tuple[int, ...], dtype: Any) -> Place:
        """Find room for one more array."""
        there = Place(-(-self.size // LINE) * LINE, shape, np.dtype(dtype))
        self.size = there.stop
        return there


@dataclass(frozen=True)
class Desk:
    """The shared memory of a run; it is freed with its last owner.

    ========== =========== ==========================================================
    order      (3,)        what is asked: round, clients in this chunk, leave
    S, bits    (c,)        ids of the chunk's clients; what each sends
    has_word   (workers,)  whose pipe holds what went wrong
    offsets    (K+1,)
    y, X       (n,) (n, p) the rows of all clients
    down       (d,) each   what the method broadcasts
    up         (c, d) each what the clients send
    keep_in    (c, d) each what they kept from their last round
    keep_out   (c, d) each what they keep for the next
    ========== =========== ==========================================================
    """

    arena: Any
    places: dict[str, Any]

    @classmethod
    def lay(cls, task: Task, broadcasts: tuple[str, ...], shards: Shards, workers: int) -> Desk:
        """Find a place for everything, and take the pages of what starts and stops workers."""
        row = max(1, len(task.sends) + 2 * len(task.keeps)) * task.d * task.dtype.itemsize
        c = min(shards.K, max(1, BLOCK // row))
        table = Table()
        lengths = {"order": 3, "S": c, "bits": c, "has_word": workers}
        places: dict[str, Any] = {n: table.place((k,), np.int64) for n, k in lengths.items()}
        first = table.size
        for name in DATA:
            a = getattr(shards, name)
            places[name] = table.place(a.shape, a.dtype)
        for name, vectors, shape in (
            ("down", broadcasts, (task.d,)),
            ("up", task.sends, (c, task.d)),
            ("keep_in", task.keeps, (c, task.d)),
            ("keep_out", task.keeps, (c, task.d)),
        ):
            places[name] = {v: table.place(shape, task.dtype) for v in vectors}
        arena = heap.Arena(table.size)
        take(arena, arena.buffer, first)
        return cls(arena, places)

    def fill(self, shards: Shards) -> None:
        """Take all pages, and copy the data there."""
        memory = view(self.arena)
        take(self.arena, memory, self.arena.size)
        for name in DATA:
            self.places[name].of(memory)[...] = getattr(shards, name)

    def arrays(self) -> SimpleNamespace:
        """Return this process's views, under the same names."""
        memory = view(self.arena)

        def views(place: Any) -> Any:
            if isinstance(place, dict):
                return {name: p.of(memory) for name, p in place.items()}
            return place.of(memory)

        return SimpleNamespace(**{name: views(place) for name, place in self.places.items()})
