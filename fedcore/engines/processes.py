"""Clients at work in several processes, with data and vectors in shared memory."""

from __future__ import annotations

import copy
import math
import multiprocessing as mp
import os
import signal
import threading
import time
import weakref
from dataclasses import dataclass, field, fields
from multiprocessing import connection
from types import SimpleNamespace
from typing import Any, NoReturn

import cloudpickle
import numpy as np

from fedcore.checks import count, one_of, real
from fedcore.data import Shards
from fedcore.engines.blas import one_blas_thread
from fedcore.engines.serial import fill_row, read_only, short_traceback
from fedcore.task import Task
from fedcore.types import Array, Replies, Vectors, WorkerError

PATIENCE = 0.1  # seconds between two looks whether a silent worker is still alive
GUARD = (
    '; in a script, the run must stand below `if __name__ == "__main__":`, because a worker '
    "imports the script"
)
BLOCK = 64 << 20  # bytes of shared memory for replies; a larger cohort comes in chunks


@dataclass(frozen=True)
class SharedArray:
    """An array that several processes see; its memory is freed with its last owner."""

    raw: Any
    shape: tuple[int, ...]
    dtype: np.dtype

    @classmethod
    def zeros(cls, context: Any, shape: tuple[int, ...], dtype: Any) -> SharedArray:
        """Allocate it."""
        dtype = np.dtype(dtype)
        size = int(math.prod(shape)) * dtype.itemsize
        return cls(context.RawArray("b", max(1, size)), shape, dtype)

    @classmethod
    def copy(cls, context: Any, a: Array) -> SharedArray:
        """Allocate it and copy ``a`` into it."""
        shared = cls.zeros(context, a.shape, a.dtype)
        shared.array()[...] = a
        return shared

    def array(self) -> Array:
        """Return the view of this process."""
        size = math.prod(self.shape)
        return np.frombuffer(self.raw, self.dtype, count=size).reshape(self.shape)


@dataclass(frozen=True)
class Desk:
    """The shared memory of a run: rows of data, the cohort, what goes down, what comes up."""

    X: SharedArray  # (n, p)
    y: SharedArray  # (n,)
    offsets: SharedArray  # (K+1,)
    order: SharedArray  # (3,) what is asked: round, clients in this chunk, leave
    S: SharedArray  # (c,) ids of the chunk's clients
    bits: SharedArray  # (c,)
    has_word: SharedArray  # (workers,) whose pipe holds what went wrong
    down: dict[str, SharedArray]  # (d,) each
    up: dict[str, SharedArray]  # (c, d) each
    keep_in: dict[str, SharedArray]  # (c, d) each
    keep_out: dict[str, SharedArray]  # (c, d) each

    @classmethod
    def lay(
        cls, context: Any, task: Task, broadcasts: tuple[str, ...], shards: Shards, workers: int
    ) -> Desk:
        """Lay out what the method declares that it broadcasts, sends and keeps."""
        row = max(1, len(task.sends) + 2 * len(task.keeps)) * task.d * task.dtype.itemsize
        c = min(shards.K, max(1, BLOCK // row))

        def table(names: tuple[str, ...], *shape: int) -> dict[str, SharedArray]:
            return {name: SharedArray.zeros(context, shape, task.dtype) for name in names}

        def integers(length: int) -> SharedArray:
            return SharedArray.zeros(context, (length,), np.int64)

        return cls(
            X=SharedArray.copy(context, shards.X),
            y=SharedArray.copy(context, shards.y),
            offsets=SharedArray.copy(context, shards.offsets),
            order=integers(3),
            S=integers(c),
            bits=integers(c),
            has_word=integers(workers),
            down=table(broadcasts, task.d),
            up=table(task.sends, c, task.d),
            keep_in=table(task.keeps, c, task.d),
            keep_out=table(task.keeps, c, task.d),
        )

    def arrays(self) -> SimpleNamespace:
        """Return this process's views, under the same names."""
        views = SimpleNamespace()
        for f in fields(self):
            a = getattr(self, f.name)
            view = {n: v.array() for n, v in a.items()} if isinstance(a, dict) else a.array()
            setattr(views, f.name, view)
        return views


@dataclass(frozen=True)
class Post:
    """One worker's place: its rank, the bell that calls it, the bell it rings, its pipe."""

    rank: int
    workers: int
    go: Any
    done: Any
    pipe: connection.Connection

    def say(self, desk: SimpleNamespace, word: Any) -> None:
        """Ring; what went wrong follows through the pipe, because it may be long."""
        desk.has_word[self.rank] = bool(word)
        self.done.release()
        if word:
            self.pipe.send(word)


def serve(post: Post, blob: bytes, shared: Desk) -> None:
    """Answer rounds until told to leave; the body of a worker process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    threading.Thread(target=_follow_parent, daemon=True).start()
    desk = shared.arrays()
    try:
        task: Task = cloudpickle.loads(blob)
        shards = Shards(desk.X, desk.y, desk.offsets)
        down, keep = read_only(desk.down), read_only(desk.keep_in)
    except Exception:
        post.say(desk, short_traceback())
        return
    post.say(desk, None)
    with one_blas_thread():
        while post.go.acquire():
            t, m, leave = desk.order.tolist()
            if leave:
                return
            out, S = replies(desk, m), desk.S[:m]
            for i in deal(shards.n_k[S], post.workers)[post.rank]:
                fill_row(task, shards, t, int(i), int(S[i]), down, keep, out, BaseException)
            post.say(desk, out.failed)


def replies(desk: SimpleNamespace, m: int) -> Replies:
    """Return the first m rows of the answers."""
    up, keep = ({n: a[:m] for n, a in side.items()} for side in (desk.up, desk.keep_out))
    return Replies(up, keep, desk.bits[:m])


def deal(n_k: Array, workers: int) -> list[Array]:
    """Deal the positions of a cohort to the workers, the largest shards first.

    >>> [hand.tolist() for hand in deal(np.array([5, 1, 9, 2]), 2)]
    [[2, 3], [0, 1]]
    """
    order = np.argsort(-n_k, kind="stable")
    return [order[rank::workers] for rank in range(workers)]


def _follow_parent() -> None:
    """Leave when the parent is gone, also in the middle of a computation."""
    parent = mp.parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)


class ProcessCrew:
    """Worker processes that hold the data of one run."""

    def __init__(self, config: Processes, task: Task, broadcasts: Any, shards: Shards) -> None:
        context: Any = mp.get_context(config.method)
        self.config = config
        shared = Desk.lay(context, task, broadcasts, shards, config.workers)
        self.desk = shared.arrays()
        self.done = context.Semaphore(0)
        self.processes: list[Any] = []
        self.pipes: list[connection.Connection] = []
        self.bells: list[Any] = []
        self.close = weakref.finalize(
            self, _stop, self.processes, self.pipes, self.bells, self.desk.order
        )
        blob = cloudpickle.dumps(task)
        try:
            for rank in range(config.workers):
                self._hire(context, rank, blob, shared)
            for error in self._collect("starting"):
                raise WorkerError(f"a worker could not unpack the run:\n{error}")
        except BaseException:
            self.close()
            raise

    def _hire(self, context: Any, rank: int, blob: bytes, shared: Desk) -> None:
        here, there = context.Pipe(duplex=False)
        go = context.Semaphore(0)
        post = Post(rank, self.config.workers, go, self.done, there)
        process = context.Process(
            target=serve, args=(post, blob, shared), name=f"fedcore-{rank}", daemon=True
        )
        process.start()
        there.close()
        self.processes.append(process)
        self.pipes.append(here)
        self.bells.append(go)

    def run(self, t: int, S: Array, down: Vectors, keep: Vectors) -> Replies:
        """Do one round; a cohort larger than the shared block comes in chunks."""
        if not self.close.alive:
            raise WorkerError("this crew is closed: start the engine again")
        for name, v in self.desk.down.items():
            v[...] = down[name]
        c = len(self.desk.S)
        if len(S) <= c:
            return self._chunk(t, S, keep)
        parts = [
            copy.deepcopy(self._chunk(t, S[i : i + c], {n: v[i : i + c] for n, v in keep.items()}))
            for i in range(0, len(S), c)
        ]
        failed = {i * c + row: why for i, r in enumerate(parts) for row, why in r.failed.items()}
        up = {name: np.concatenate([r.up[name] for r in parts]) for name in self.desk.up}
        kept = {name: np.concatenate([r.keep[name] for r in parts]) for name in self.desk.keep_out}
        return Replies(up, kept, np.concatenate([r.bits for r in parts]), failed)

    def _chunk(self, t: int, S: Array, keep: Vectors) -> Replies:
        m = len(S)
        self.desk.order[:2] = t, m
        self.desk.S[:m] = S
        for name, v in keep.items():
            self.desk.keep_in[name][:m] = v
        for go in self.bells:
            go.release()
        out = replies(self.desk, m)
        for failed in self._collect(f"round {t + 1}"):
            out.failed.update(failed)
        return out

    def _collect(self, where: str) -> list[Any]:
        """Wait until every worker has rung, and return what went wrong."""
        give_up = time.monotonic() + (self.config.timeout or math.inf)
        for _ in self.processes:
            while not self.done.acquire(
                timeout=max(0.0, min(PATIENCE, give_up - time.monotonic()))
            ):
                self._look_after(where, late=time.monotonic() >= give_up)
        try:
            return [pipe.recv() for i, pipe in enumerate(self.pipes) if self.desk.has_word[i]]
        except (EOFError, OSError):
            self._look_after(where, late=True)
            raise

    def _look_after(self, where: str, late: bool) -> None:
        """Tell how a worker ended, or that none came back in time."""
        for rank, process in enumerate(self.processes):
            if not process.is_alive():
                code = process.exitcode
                how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
                self._fail(
                    f"worker {rank} (process {process.pid}) died in {where}: {how}"
                    + GUARD * (where == "starting")
                )
        if late:
            self._fail(f"no answer within {self.config.timeout} s in {where}")

    def _fail(self, message: str) -> NoReturn:
        """Close the crew: what is left of it cannot be trusted."""
        self.close()
        raise WorkerError(message)


def _stop(processes: list[Any], pipes: list[Any], bells: list[Any], order: Array) -> None:
    """End the workers: idle ones are told to leave, busy ones are terminated."""
    order[2] = True
    for go in bells:
        go.release()
    for stop in ("", "terminate", "kill"):
        for process in processes:
            if stop and process.is_alive():
                getattr(process, stop)()
        give_up = time.monotonic() + 0.2
        for process in processes:
            process.join(max(0.0, give_up - time.monotonic()))
    for end in (*processes, *pipes):
        end.close()


def usable_cores() -> int:
    """Return the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@dataclass(frozen=True)
class Processes:
    """Several worker processes; their number changes the time a run takes, never its bits.

    Data and vectors lie in shared memory, and a round only rings semaphores. Every worker uses one
    BLAS thread. Functions and classes defined in a notebook cell work.

    Parameters
    ----------
    workers : processes, P; by default one for each core that this process may use
    method : "forkserver", "spawn" or "fork"; None means forkserver, or spawn where there is none
    timeout : seconds that a round may take before the run is given up; None means no limit

    Raises
    ------
    ValueError, TypeError : where an argument is not of this form
    WorkerError : at run time, where a worker dies or is late

    Examples
    --------
    >>> from fedcore import Linear, distributed_gd, make_quadratics, run
    >>> shards = make_quadratics([1, 1], [0, 4])
    >>> run(distributed_gd(0.5), Linear(1), shards, rounds=1, engine=Processes(2)).w
    array([1.])
    """

    workers: int = field(default_factory=usable_cores)
    method: str | None = None
    timeout: float | None = None

    def __post_init__(self) -> None:
        methods = mp.get_all_start_methods()
        default = "forkserver" if "forkserver" in methods else "spawn"
        count("workers", self.workers)
        object.__setattr__(self, "method", self.method or default)
        one_of("method", self.method, tuple(methods))
        if self.timeout is not None:
            real("timeout", self.timeout, above=0)

    def start(self, task: Task, broadcasts: tuple[str, ...], shards: Shards) -> ProcessCrew:
        """Start the workers and ship what is constant."""
        if mp.current_process().daemon:
            raise WorkerError("a worker cannot start workers of its own; use Serial() inside it")
        if self.method == "fork" and threading.active_count() > 1:
            raise WorkerError(
                f"fork copies locks that {threading.active_count() - 1} other threads may hold; "
                "use method='forkserver' or 'spawn' here"
            )
        if self.method == "forkserver":
            mp.set_forkserver_preload(["fedcore.engines.processes"])
        return ProcessCrew(self, task, broadcasts, shards)

    def __str__(self) -> str:
        return f"{self.workers} processes ({self.method}), 1 BLAS thread each"
