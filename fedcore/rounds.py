"""One body of a round serves every method; `play` repeats it, `run` records it."""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass, field
from os import PathLike

import numpy as np

from fedcore.algorithms import Algorithm
from fedcore.arguments import cohort, start_vector
from fedcore.checks import count, one_of
from fedcore.data import Shards
from fedcore.engines.blas import one_blas_thread
from fedcore.engines.malloc import keep_freed_memory
from fedcore.engines.serial import Serial
from fedcore.failures import answered, blame, divergence, failures
from fedcore.history import History
from fedcore.logbook import Logbook, Metrics
from fedcore.progress import bar
from fedcore.rng import Purpose, choose_seed, stream
from fedcore.task import Task
from fedcore.types import (
    Array,
    Crew,
    Diverged,
    Engine,
    Interrupted,
    Model,
    Replies,
    State,
    Vectors,
)  # fmt: skip

Memory = dict[int, Vectors]  # client -> what it keeps between its rounds


@dataclass(frozen=True)
class Round:
    """Where a run stands after ``t`` rounds; sums count from the start.

    ``memory`` holds what each client that has answered so far keeps to itself: control vectors,
    what its channel left out, its own part of a model.
    """

    t: int
    state: State
    cohort: Array = field(default_factory=lambda: np.empty(0, int))  # (m,) who answered
    bits_up: int = 0
    bits_down: int = 0
    seconds: float = 0.0
    failed: dict[int, str] = field(default_factory=dict)  # client -> why
    memory: Memory = field(default_factory=dict, repr=False)

    @property
    def w(self) -> Array:
        """The iterate, (d,)."""
        return self.state["w"]


def one_round(
    algorithm: Algorithm, crew: Crew, task: Task, shards: Shards, now: Round,
    on_failure: str = "raise", on_divergence: str = "raise",
) -> Round:  # fmt: skip
    """Sample a cohort, broadcast, let it work, aggregate, update.

    Book: eq-round
    """
    began, t = time.perf_counter(), now.t
    S, a = cohort(algorithm, task.seed, shards, t)
    down, state, down_bits = broadcast(algorithm, task, now)
    replies = crew.run(t, S, down, recall(now.memory, S, task, down))
    failed = failures(t, S, replies, on_failure)
    S, a, replies = answered(S, a, replies, algorithm.always)
    if a.any() or algorithm.always:
        mean = aggregate(algorithm, task, replies, a, t)
        with np.errstate(over="ignore", invalid="ignore"):
            share = float(shards.p_k[S].sum() / a.sum()) if a.any() else 0.0
            state = state | algorithm.server.step(state, mean, t, share)
    if on_divergence == "raise" and not np.isfinite(state["w"]).all():
        raise Diverged(divergence(algorithm, t + 1, blame(S, replies)), t + 1)
    asked = len(S) + len(failed)
    return Round(
        t + 1, state, S,
        now.bits_up + int(replies.bits.sum()),
        now.bits_down + asked * down_bits,
        now.seconds + time.perf_counter() - began,
        failed,
        now.memory | kept(S, replies),
    )  # fmt: skip


def aggregate(algorithm: Algorithm, task: Task, replies: Replies, a: Array, t: int) -> Vectors:
    """Return the mean of the replies (0 if there is none) after the server half of the channel."""
    up = {n: U[:, : task.shared] for n, U in replies.up.items()}  # (m, shared)
    mean = {n: algorithm.aggregator(U, a) if len(a) else U.sum(0) for n, U in up.items()}
    if algorithm.channel:
        rng = stream(task.seed, Purpose.SERVER, t)
        for channel in reversed(algorithm.channel):
            mean = {name: channel.receive(v, a, rng) for name, v in mean.items()}
    return {name: task.whole(v) for name, v in mean.items()}


def broadcast(algorithm: Algorithm, task: Task, now: Round) -> tuple[Vectors, State, int]:
    """Return what goes down, the state, and the bits to one client.

    A downlink channel sends the change since the last broadcast, and everybody adds it to the
    copy they hold; the state keeps that copy.
    """
    state, bits = now.state, 0
    down = {name: state[name] for name in algorithm.server.broadcasts}
    if algorithm.downlink is None:
        return down, state, 8 * sum(v[: task.shared].nbytes for v in down.values())
    rng = stream(task.seed, Purpose.DOWNLINK, now.t)
    state = dict(state)
    for name, v in down.items():
        copy = state.get(f"copy of {name}", v - task.whole(v[: task.shared]))  # has the head only
        change = (v - copy)[: task.shared]
        change, cost, _ = algorithm.downlink.send(change, 8 * change.nbytes, rng, {})
        down[name] = state[f"copy of {name}"] = copy + task.whole(change)
        bits += cost
    return down, state, bits


def play(
    algorithm: Algorithm, model: Model, shards: Shards, *, rounds: int, seed: int | None = 0,
    engine: Engine | None = None, w0: Array | None = None, on_divergence: str = "raise",
    on_failure: str = "raise", start: Round | None = None,
) -> Generator[Round, None, None]:  # fmt: skip
    """Yield the start and then every round: stop with ``break``, look with ``for``.

    Parameters
    ----------
    algorithm : the method
    model : the loss; any object with ``d``, ``init``, ``loss``, ``grad``
    shards : the data, cut into K clients
    rounds : rounds to play >= 1, counted from the first of all
    seed : of every random number; None chooses one
    engine : how a round is executed; None means in this process
    w0 : (d,) the start; None means ``model.init``
    on_divergence : "raise" or "continue" where w leaves the finite numbers
    on_failure : "raise" or "drop" a client that raises, dies with its worker, is late, or answers
        with anything but a vector whose squared norm is finite
    start : a round to go on from in place of w0, as if nothing had come between

    Raises
    ------
    ValueError, TypeError : before any work, where an argument is not of this form
    Diverged : where w is no longer finite
    ClientError : where a client failed
    WorkerError : where a worker process died

    Examples
    --------
    >>> from fedcore import Linear, gd, make_quadratics
    >>> for now in play(gd(0.5), Linear(1), make_quadratics([1.0], [4.0]), rounds=100):
    ...     if abs(now.w[0] - 4) < 0.1:
    ...         break
    >>> now.t, now.w
    (6, array([3.9375]))
    """
    count("rounds", rounds, least=start.t if start and start.t else 1)
    one_of("on_divergence", on_divergence, ("raise", "continue"))
    one_of("on_failure", on_failure, ("raise", "drop"))
    seed = choose_seed(seed)
    w = start_vector(algorithm, model, shards, seed, w0)
    task = Task(model, algorithm.client, algorithm.channel, seed, model.d, w.dtype)
    engine = Serial() if engine is None else engine
    now = Round(0, algorithm.server.init(w)) if start is None else start
    cohort(algorithm, seed, shards, now.t)  # refuse a bad one before a process starts
    return _rounds(algorithm, task, shards, now, rounds, engine, on_divergence, on_failure)


def _rounds(
    algorithm: Algorithm, task: Task, shards: Shards, now: Round, rounds: int, engine: Engine,
    on_divergence: str, on_failure: str,
) -> Generator[Round, None, None]:  # fmt: skip
    yield now
    if now.t == rounds:
        return
    keep_freed_memory()
    with one_blas_thread():
        crew = engine.start(task, algorithm.server.broadcasts, shards)
        try:
            while now.t < rounds:
                now = one_round(algorithm, crew, task, shards, now, on_failure, on_divergence)
                yield now
        finally:
            crew.close()


def run(
    algorithm: Algorithm, model: Model, shards: Shards, *, rounds: int, seed: int | None = 0,
    engine: Engine | None = None, w0: Array | None = None, on_divergence: str = "raise",
    on_failure: str = "raise", on_interrupt: str = "raise", metrics: Metrics | None = None,
    every: int = 1, checkpoint: str | PathLike[str] | None = None, resume: bool = False,
    progress: bool | None = None,
) -> History:  # fmt: skip
    r"""Play all rounds and record them.

    Parameters
    ----------
    algorithm, model, shards, rounds, seed, engine, w0, on_divergence, on_failure : see :func:`play`
    on_interrupt : "raise" at Ctrl-C, or "return" the history so far
    metrics : name -> function of w, measured at the start and then every few rounds; None means
        ``{"loss": F}`` with :math:`F(w) = \sum_k p_k F_k(w)`; ``{}`` measures nothing
    every : rounds between two rows of the history; the last round always has one
    checkpoint : a new file, written whole after each row of the history
    resume : go on from that file where there is one, bit for bit, on any engine with these bits
    progress : show a bar; None shows one in a notebook when a run takes longer than a second

    Returns
    -------
    History : the rows and the last w

    Raises
    ------
    Interrupted : Ctrl-C; its ``history`` holds the rounds before
    Diverged, ClientError, WorkerError : see :func:`play`; ``history`` holds the rounds before
    CheckpointError : where the file cannot be written; the file before and ``history`` are kept
    ValueError, TypeError : see :func:`play`; and where the file is damaged or of another run
    Exception : what a metric raised, with a ``history`` of the rounds before, too

    Examples
    --------
    >>> from fedcore import Linear, gd, make_quadratics
    >>> history = run(gd(0.5), Linear(1), make_quadratics([1.0], [4.0]), rounds=20, every=10)
    >>> history.t
    array([ 0, 10, 20])
    """
    count("every", every)
    one_of("on_interrupt", on_interrupt, ("raise", "return"))
    if metrics is None:
        metrics = {"loss": lambda w: float(model.loss(w, shards.X, shards.y))}
    engine = engine or Serial()
    book = Logbook.open(algorithm, model, shards, seed, w0, engine, metrics, checkpoint, resume)
    history = book.history
    start = None if book.now is None else Round(**book.now)
    states = play(
        algorithm, model, shards, rounds=rounds, seed=book.seed, engine=engine, w0=w0,
        on_divergence=on_divergence, on_failure=on_failure, start=start,
    )  # fmt: skip
    try:
        with closing(states):
            for now in bar(states, rounds, progress, str(engine), start.t if start else 0):
                book.note(now, metrics, now.t % every == 0 or now.t == rounds)
    except Exception as error:
        vars(error)["history"] = history  # also of one that a metric raised
        raise
    except KeyboardInterrupt:
        if on_interrupt == "raise":
            raise Interrupted(history) from None
        history.about["stopped"] = "Ctrl-C"
    return history


def recall(memory: Memory, S: Array, task: Task, down: Vectors) -> Vectors:
    """Stack what the cohort's clients keep, (m, d) each."""
    fresh = task.fresh(down)
    rows = [memory.get(k, fresh) for k in S.tolist()]
    return {n: np.reshape([row[n] for row in rows], (len(S), task.d)) for n in task.keeps}


def kept(S: Array, replies: Replies) -> Memory:
    """Return what each client of the cohort keeps from now on."""
    clients = S.tolist() if replies.keep else []
    return {k: {n: v[i].copy() for n, v in replies.keep.items()} for i, k in enumerate(clients)}
