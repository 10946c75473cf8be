"""Clients at work in several processes, with data and vectors in shared memory."""

from __future__ import annotations

import contextlib
import math
import multiprocessing as mp
import os
import pickle
import signal
import struct
import threading
import time
import weakref
from dataclasses import dataclass, field
from multiprocessing import connection
from typing import Any, NoReturn

import cloudpickle
import numpy as np

from fedcore.checks import count, one_of, real
from fedcore.clients import Task
from fedcore.data import Shards
from fedcore.engines.blas import one_blas_thread
from fedcore.engines.serial import fill_row, read_only, short_traceback
from fedcore.types import Array, Replies, Vectors, WorkerError

HEADER = struct.Struct("qq")  # round, clients in this chunk of the cohort
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
        return cls(context.RawArray("b", max(1, math.prod(shape) * dtype.itemsize)), shape, dtype)

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
    S: SharedArray  # (c,) ids of the chunk's clients
    bits: SharedArray  # (c,)
    down: dict[str, SharedArray]  # (d,) each
    up: dict[str, SharedArray]  # (c, d) each
    keep_in: dict[str, SharedArray]  # (c, d) each
    keep_out: dict[str, SharedArray]  # (c, d) each

    @classmethod
    def lay(cls, context: Any, task: Task, broadcasts: tuple[str, ...], shards: Shards) -> Desk:
        """Lay out what the method declares that it broadcasts, sends and keeps."""
        rows = max(1, len(task.sends) + 2 * len(task.keeps)) * task.d * task.dtype.itemsize
        c = min(shards.K, max(1, BLOCK // rows))

        def table(names: tuple[str, ...], *shape: int) -> dict[str, SharedArray]:
            return {name: SharedArray.zeros(context, shape, task.dtype) for name in names}

        X, y, offsets = (SharedArray.copy(context, a) for a in (shards.X, shards.y, shards.offsets))
        return cls(
            X,
            y,
            offsets,
            SharedArray.zeros(context, (c,), np.int64),
            SharedArray.zeros(context, (c,), np.int64),
            table(broadcasts, task.d),
            table(task.sends, c, task.d),
            table(task.keeps, c, task.d),
            table(task.keeps, c, task.d),
        )

    def replies(self, m: int) -> Replies:
        """Return the first m rows of the answers."""
        up, keep = (
            {name: a.array()[:m] for name, a in side.items()} for side in (self.up, self.keep_out)
        )
        return Replies(up, keep, self.bits.array()[:m])


def serve(rank: int, workers: int, conn: connection.Connection, blob: bytes, desk: Desk) -> None:
    """Answer rounds until the parent closes the pipe; the body of a worker process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    threading.Thread(target=_follow_parent, daemon=True).start()
    try:
        task: Task = cloudpickle.loads(blob)
        arrays = (a.array() for a in (desk.X, desk.y, desk.offsets))
        shards = Shards(*arrays)
        down, keep = ({n: a.array() for n, a in side.items()} for side in (desk.down, desk.keep_in))
        down, keep = read_only(down), read_only(keep)
    except Exception:
        conn.send_bytes(pickle.dumps(short_traceback()))
        return
    conn.send_bytes(b"")
    with one_blas_thread(), contextlib.suppress(EOFError, ConnectionError):
        while True:
            t, m = HEADER.unpack(conn.recv_bytes())
            out = desk.replies(m)
            S = desk.S.array()[:m]
            for i in deal(shards.n_k[S], workers)[rank]:
                fill_row(task, shards, t, int(i), int(S[i]), down, keep, out, BaseException)
            conn.send_bytes(pickle.dumps(out.failed) if out.failed else b"")


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
        context = mp.get_context(config.method)
        self.config, self.task, self.n_k = config, task, shards.n_k
        self.desk = Desk.lay(context, task, broadcasts, shards)
        blob = cloudpickle.dumps(task)
        self.processes: list[Any] = []
        self.conns: list[connection.Connection] = []
        self.close = weakref.finalize(self, _stop, self.processes, self.conns)
        try:
            for rank in range(config.workers):
                self._hire(context, rank, blob)
            for error in self._collect("starting").values():
                raise WorkerError(f"a worker could not unpack the run:\n{error}")
        except BaseException:
            self.close()
            raise

    def _hire(self, context: Any, rank: int, blob: bytes) -> None:
        here, there = context.Pipe()
        args = (rank, self.config.workers, there, blob, self.desk)
        process = context.Process(target=serve, args=args, name=f"fedcore-{rank}", daemon=True)
        process.start()
        there.close()
        self.processes.append(process)
        self.conns.append(here)

    def run(self, t: int, S: Array, down: Vectors, keep: Vectors) -> Replies:
        """Do one round; a cohort larger than the shared block comes in chunks."""
        if not self.close.alive:
            raise WorkerError("this crew is closed: start the engine again")
        for name, shared in self.desk.down.items():
            shared.array()[...] = down[name]
        c = self.desk.S.shape[0]
        if len(S) <= c:
            return self._chunk(t, S, keep)
        parts = [
            self._copy(self._chunk(t, S[i : i + c], {n: v[i : i + c] for n, v in keep.items()}))
            for i in range(0, len(S), c)
        ]
        failed = {i * c + row: why for i, r in enumerate(parts) for row, why in r.failed.items()}
        up = {name: np.concatenate([r.up[name] for r in parts]) for name in self.desk.up}
        kept = {name: np.concatenate([r.keep[name] for r in parts]) for name in self.desk.keep_out}
        return Replies(up, kept, np.concatenate([r.bits for r in parts]), failed)

    def _chunk(self, t: int, S: Array, keep: Vectors) -> Replies:
        m = len(S)
        self.desk.S.array()[:m] = S
        for name, v in keep.items():
            self.desk.keep_in[name].array()[:m] = v
        for conn in self.conns:
            with contextlib.suppress(OSError):  # a dead worker is found when we wait for it
                conn.send_bytes(HEADER.pack(t, m))
        replies = self.desk.replies(m)
        for failed in self._collect(f"round {t}").values():
            replies.failed.update(failed)
        return replies

    @staticmethod
    def _copy(r: Replies) -> Replies:
        up, keep = ({n: v.copy() for n, v in side.items()} for side in (r.up, r.keep))
        return Replies(up, keep, r.bits.copy(), r.failed)

    def _collect(self, where: str) -> dict[int, Any]:
        """Wait for every worker's word, or for the end of any of them."""
        ranks: dict[Any, int] = {conn: rank for rank, conn in enumerate(self.conns)}
        ranks |= {p.sentinel: rank for rank, p in enumerate(self.processes)}
        waiting, said = set(range(len(self.conns))), {}
        give_up = time.monotonic() + (self.config.timeout or math.inf)
        while waiting:
            patience = None if give_up == math.inf else max(0.0, give_up - time.monotonic())
            watched = [source for source, rank in ranks.items() if rank in waiting]
            ready = connection.wait(watched, patience)
            if not ready:
                self._fail(
                    f"workers {sorted(waiting)} gave no answer within {self.config.timeout} s "
                    f"in {where}"
                )
            for rank in {ranks[source] for source in ready}:
                word = self._word(rank, where)
                waiting.remove(rank)
                if word:
                    said[rank] = pickle.loads(word)
        return said

    def _word(self, rank: int, where: str) -> bytes:
        """Read what a worker said, or tell how it ended."""
        with contextlib.suppress(EOFError, OSError):
            if self.conns[rank].poll():
                return self.conns[rank].recv_bytes()
        process = self.processes[rank]
        process.join(1)
        code = process.exitcode
        ended = signal.Signals(-code).name if code and code < 0 else f"exit code {code}"
        hint = (
            ""
            if where != "starting"
            else (
                '; in a script, the run must stand below `if __name__ == "__main__":`, because '
                "a worker imports the script"
            )
        )
        return self._fail(f"worker {rank} (process {process.pid}) died in {where}: {ended}{hint}")

    def _fail(self, message: str) -> NoReturn:
        """Close the crew: what is left of it cannot be trusted."""
        self.close()
        raise WorkerError(message)


def _stop(processes: list[Any], conns: list[connection.Connection]) -> None:
    """End the workers: idle ones see the pipe close, busy ones are terminated."""
    for conn in conns:
        conn.close()
    for stop in ("", "terminate", "kill"):
        for process in processes:
            if stop and process.is_alive():
                getattr(process, stop)()
        give_up = time.monotonic() + 0.2
        for process in processes:
            process.join(max(0.0, give_up - time.monotonic()))
    for process in processes:
        process.close()


def usable_cores() -> int:
    """Return the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@dataclass(frozen=True)
class Processes:
    """Several worker processes; their number changes the time a run takes, never its bits.

    Data and vectors lie in shared memory, so a round moves only a few bytes through pipes. Every
    worker uses one BLAS thread. Functions and classes defined in a notebook cell work.

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
