"""What a worker process does: wait for the bell, answer for its clients, ring back."""

from __future__ import annotations

import multiprocessing as mp
import os
import signal
import sys
import threading
from dataclasses import dataclass
from multiprocessing import connection
from types import SimpleNamespace
from typing import Any

import cloudpickle
import numpy as np

from fedcore.data import Shards
from fedcore.engines.bells import heard
from fedcore.engines.blas import one_blas_thread
from fedcore.engines.malloc import keep_freed_memory
from fedcore.engines.serial import fill_row, read_only, short_traceback
from fedcore.engines.shared import Desk
from fedcore.engines.vectorized import VectorizedCrew
from fedcore.shards import locked
from fedcore.task import Task
from fedcore.types import Array, Replies


@dataclass(frozen=True)
class Post:
    """One worker's place: its rank, the bell that calls it, the bell it rings, its pipe."""

    rank: int
    workers: int
    vectorized: bool
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
    _follow_parent()
    me = os.getpid()
    desk = shared.arrays()
    heard(post.go)  # the data are there
    if desk.order[2]:
        return
    try:
        task: Task = cloudpickle.loads(blob)
        shards = Shards(locked(desk.X), locked(desk.y), desk.offsets)
        down, keep = read_only(desk.down), read_only(desk.keep_in)
    except Exception:
        post.say(desk, short_traceback())
        return
    post.say(desk, None)
    keep_freed_memory()
    _take_own_core(post)
    with one_blas_thread():
        while heard(post.go):
            t, m, leave = desk.order.tolist()
            if leave:
                return
            out, S = replies(desk, m), desk.S[:m]
            hand = deal(shards.n_k[S], post.workers)[post.rank]
            if post.vectorized:
                VectorizedCrew(task, shards).fill(t, S, hand, down, keep, out, BaseException)
            else:
                for i in hand.tolist():
                    fill_row(task, shards, t, i, int(S[i]), down, keep, out, BaseException)
            if os.getpid() != me:
                os._exit(0)  # a client forked, and its copy came back, too: one bell is enough
            post.say(desk, out.failed)


def _take_own_core(post: Post) -> None:
    """Stay on one core where there is one for each worker.

    The system likes to wake both of two workers where they last ran; if that is one core, they take
    turns there for many rounds, and the other core is idle.
    """
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        if len(cores) == post.workers:
            os.sched_setaffinity(0, {cores[post.rank]})


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
    """Leave when the parent is gone, also in the middle of a computation.

    A thread cannot leave while compiled code holds the interpreter, so on Linux the kernel is asked
    to end the process when the parent's end of the pipe closes.
    """
    parent = mp.parent_process()
    if parent is None:
        return
    if sys.platform == "linux":
        import fcntl

        fcntl.fcntl(parent.sentinel, fcntl.F_SETOWN, os.getpid())
        fcntl.fcntl(parent.sentinel, fcntl.F_SETSIG, signal.SIGKILL)
        flags = fcntl.fcntl(parent.sentinel, fcntl.F_GETFL)
        fcntl.fcntl(parent.sentinel, fcntl.F_SETFL, flags | os.O_ASYNC)
    threading.Thread(target=_leave_with, args=(parent.sentinel,), daemon=True).start()


def _leave_with(sentinel: int) -> None:
    connection.wait([sentinel])
    os._exit(1)
