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
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import connection, resource_tracker
from typing import Any

import cloudpickle
import numpy as np

from fedcore.checks import count, one_of, real
from fedcore.data import Shards
from fedcore.engines.bells import heard
from fedcore.engines.cores import usable_cores
from fedcore.engines.interrupts import interrupts_wait
from fedcore.engines.shared import Desk
from fedcore.engines.worker import Post, deal, replies, serve
from fedcore.halves import in_halves
from fedcore.task import Task
from fedcore.types import Array, Replies, Vectors, WorkerError

PATIENCE = 0.1  # seconds between two looks whether a silent worker is still alive
START = 120.0  # seconds for a worker to import what it needs and to unpack the run
MOST = 256  # workers that may be asked for where there are not as many cores
GUARD = (
    '; in a script, the run must stand below `if __name__ == "__main__":`, because a worker '
    "imports the script from its file"
)


@dataclass(frozen=True)
class Worker:
    """The parent's side of a worker: its process, the two bells, the pipe of its words."""

    process: Any
    go: Any
    done: Any
    pipe: connection.Connection

    def rings(self, give_up: float) -> bool:
        """Wait for its bell; False where it died or is late."""
        while not heard(self.done, max(0.0, min(PATIENCE, give_up - time.monotonic()))):
            if not self.process.is_alive():
                return bool(self.done.acquire(False))  # it may have rung and died
            if time.monotonic() >= give_up:
                return False
        return True

    def ending(self) -> str:
        """Say how the process ended, or "" where it lives."""
        self.process.join(PATIENCE)
        code = self.process.exitcode
        if code is None or code >= 0:
            return "" if code is None else f"exit code {code}"
        name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
        return name + " (perhaps for lack of memory)" * (name == "SIGKILL")

    def end(self) -> None:
        """Kill the process and free what it held."""
        self.process.kill()
        self.process.join()
        self.process.close()
        self.pipe.close()


class ProcessCrew:
    """Worker processes that hold the data of one run.

    The clients of a worker that dies or is late have failed in this round; another worker takes
    its place before the next one.
    """

    def __init__(self, config: Processes, task: Task, broadcasts: Any, shards: Shards) -> None:
        self.config, self.n_k = config, shards.n_k
        self.context: Any = mp.get_context(config.method)
        self.blob = _pickled(task)
        try:
            self.shared = Desk.lay(task, broadcasts, shards, config.workers)
        except OSError as error:
            raise WorkerError(f"no shared memory for this run: {error}") from error
        self.desk = self.shared.arrays()
        self.workers: dict[int, Worker] = {}
        self.close = weakref.finalize(self, _stop, self.workers, self.desk.order, os.getpid())
        self._fill_posts(shards)

    def _fill_posts(self, shards: Shards | None = None) -> None:
        """Hire for every free post and wait until the new workers have unpacked the run.

        While the first ones start, their data are copied to where they will look for them.
        """
        free = [rank for rank in range(self.config.workers) if rank not in self.workers]
        try:
            with interrupts_wait():
                for rank in free:
                    self.workers[rank] = self._hire(rank)
            if shards is not None:
                self._lay_out(shards)
            for rank in free:
                self.workers[rank].go.release()
            began = time.monotonic()
            for rank in free:
                word, how = self._word(rank, "starting", START, began)
                if word or how:
                    raise WorkerError(how or f"a worker could not unpack the run:\n{word}")
        except (OSError, EOFError) as error:
            self.close()
            cause = error.with_traceback(None)  # its frames hold semaphores
            raise WorkerError(f"workers could not be started: {error}") from cause
        except BaseException:
            self.close()
            raise

    def _lay_out(self, shards: Shards) -> None:
        try:
            self.shared.fill(shards)
        except OSError as error:
            raise WorkerError(f"no shared memory for this run: {error}") from error

    def _hire(self, rank: int) -> Worker:
        if self.config.method == "fork" and threading.active_count() > 1:
            raise WorkerError(
                f"fork copies locks that {threading.active_count() - 1} other threads may hold; "
                "use method='forkserver' or 'spawn' here"
            )
        here, there = self.context.Pipe(duplex=False)
        go, done = self.context.Semaphore(0), self.context.Semaphore(0)
        config = self.config
        post = Post(rank, config.workers, config.vectorized, go, done, there)
        process = self.context.Process(
            target=serve, args=(post, self.blob, self.shared), name=f"fedcore-{rank}", daemon=True
        )
        try:
            process.start()
        except BaseException:
            here.close()
            raise
        finally:
            there.close()
        return Worker(process, go, done, here)

    def run(self, t: int, S: Array, down: Vectors, keep: Vectors) -> Replies:
        """Do one round; a cohort larger than the shared block comes in chunks."""
        if not self.close.alive:
            raise WorkerError("this crew is closed: start the engine again")
        for name, v in self.desk.down.items():
            in_halves(partial(_copy, down[name], v), len(v))
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
        lost = next((r.lost for r in parts if r.lost), "")
        return Replies(up, kept, np.concatenate([r.bits for r in parts]), failed, lost)

    def _chunk(self, t: int, S: Array, keep: Vectors) -> Replies:
        if len(self.workers) < self.config.workers:
            self._fill_posts()
        m = len(S)
        self.desk.order[:2] = t, m
        self.desk.S[:m] = S
        for name, v in keep.items():
            self.desk.keep_in[name][:m] = v
        for worker in self.workers.values():
            worker.go.release()
        out, limit = replies(self.desk, m), self.config.timeout or math.inf
        began = time.monotonic()
        for rank in range(self.config.workers):
            failed, how = self._word(rank, f"round {t + 1}", limit, began)
            if how:
                hand = deal(self.n_k[S], self.config.workers)[rank]
                failed, out.lost = dict.fromkeys(hand.tolist(), how), out.lost or how
            out.failed.update(failed)
        return out

    def _word(self, rank: int, where: str, limit: float, began: float) -> tuple[Any, str]:
        """Return what a worker has to say, and how it ended if it did; then its post is free."""
        worker = self.workers[rank]
        try:
            if worker.rings(began + limit):
                return (worker.pipe.recv() if self.desk.has_word[rank] else {}), ""
        except (EOFError, OSError):
            pass  # it died while it wrote
        who, how = f"worker {rank} (process {worker.process.pid})", worker.ending()
        late = f"{who} gave no answer within {limit:g} s in {where}"
        how = f"{who} died in {where}: {how}" + GUARD * (where == "starting") if how else late
        with interrupts_wait():
            worker.end()
            del self.workers[rank]
        return {}, how


def _copy(source: Array, target: Array, start: int, stop: int) -> None:
    target[start:stop] = source[start:stop]


def _pickled(task: Task) -> bytes:
    try:
        return cloudpickle.dumps(task)
    except Exception as error:
        raise TypeError(
            f"algorithm and model must be made of what pickle can send to a worker: {error}"
        ) from error


def _stop(workers: dict[int, Worker], order: Array, parent: int) -> None:
    """End the workers: idle ones are told to leave, busy ones are terminated."""
    if os.getpid() != parent:
        return  # a fork of the parent does not own them
    with interrupts_wait():
        order[2] = True
        for worker in workers.values():
            worker.go.release()
        for stop in ("", "terminate"):
            for worker in workers.values():
                if stop and worker.process.is_alive():
                    worker.process.terminate()
            give_up = time.monotonic() + 0.2
            for worker in workers.values():
                worker.process.join(max(0.0, give_up - time.monotonic()))
        for worker in workers.values():
            worker.end()
        workers.clear()  # a traceback that is kept must not keep their semaphores


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
    vectorized : each worker takes its clients as one more axis of the arrays; faster for many small
        clients, and equal to the rounding of :class:`fedcore.engines.vectorized.Vectorized` only

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
    vectorized: bool = False

    def __post_init__(self) -> None:
        methods = mp.get_all_start_methods()
        default = "forkserver" if "forkserver" in methods else "spawn"
        count("workers", self.workers, most=max(MOST, usable_cores()))
        object.__setattr__(self, "method", self.method or default)
        one_of("method", self.method, tuple(methods))
        one_of("vectorized", self.vectorized, (True, False))
        if self.timeout is not None:
            real("timeout", self.timeout, above=0)

    def start(self, task: Task, broadcasts: tuple[str, ...], shards: Shards) -> ProcessCrew:
        """Start the workers and ship what is constant."""
        if mp.current_process().daemon:
            raise WorkerError("a worker cannot start workers of its own; use Serial() inside it")
        if self.method != "fork" and os.name == "posix":
            resource_tracker.ensure_running()  # before the first semaphore, which it would free
        if self.method == "forkserver":
            mp.set_forkserver_preload(["fedcore.engines.preload"])
        return ProcessCrew(self, task, broadcasts, shards)

    def __str__(self) -> str:
        how = "vectorized, " * self.vectorized
        many = "process" if self.workers == 1 else "processes"
        return f"{how}{self.workers} {many} ({self.method}), 1 BLAS thread each"
