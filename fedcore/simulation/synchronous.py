"""Servers on a simulated clock: what a run would take on devices that nobody has."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Protocol, cast

import numpy as np

from fedcore.algorithms import Algorithm
from fedcore.arguments import start_vector
from fedcore.checks import count, real
from fedcore.engines.blas import one_blas_thread
from fedcore.engines.serial import Serial
from fedcore.failures import blame, divergence, failures, sound
from fedcore.rng import choose_seed
from fedcore.rounds import Round, broadcast, one_round
from fedcore.shards import Shards
from fedcore.simulation.clock import Devices, examples_seen
from fedcore.simulation.population import Population
from fedcore.task import Task
from fedcore.types import Array, Crew, Diverged, Engine, Model, Replies, Vectors


def _nobody() -> Array:
    return np.empty(0, int)


@dataclass(frozen=True)
class Moment:
    """Where a simulated run stands after ``t`` updates of w; sums count from the start."""

    seconds: float
    t: int
    w: Array  # (d,)
    cohort: Array = field(default_factory=_nobody)  # (m,) whose answers made this update
    staleness: Array = field(default_factory=_nobody)  # (m,) updates since each began
    late: Array = field(default_factory=_nobody)  # clients that were asked and not waited for
    bits_up: int = 0
    bits_down: int = 0
    joules: float = 0.0  # of computing, all that was begun


@dataclass(frozen=True)
class Site:
    """A run in progress on simulated devices."""

    crew: Crew
    task: Task
    shards: Shards
    devices: Devices

    def times(self, t: int, S: Array, bits_down: int, bits_up: Array) -> tuple[Array, float]:
        """Return the seconds (m,) of each client of S in round t, and the joules of all."""
        rows = [examples_seen(self.task.client, n) for n in self.shards.n_k[S].tolist()]
        jobs = list(zip(S.tolist(), rows, (bits_up / 8).tolist()))
        seconds = [self.devices.seconds(t, k, r, bits_down / 8, up) for k, r, up in jobs]
        busy = sum(self.devices.compute(t, k, r) for k, r, _ in jobs)
        return np.array(seconds, float), self.devices.watts * busy


class TimedServer(Protocol):
    """A server whose updates take simulated time."""

    @property
    def algorithm(self) -> Algorithm:
        """What its clients do and how their answers change w."""

    def moments(self, site: Site, w: Array) -> Iterator[Moment]:
        """Yield the start and then every update of w, without end."""


def simulate(
    server: TimedServer, model: Model, shards: Shards | Population, devices: Devices, *,
    updates: int, seed: int | None = 0, engine: Engine | None = None, w0: Array | None = None,
) -> Iterator[Moment]:  # fmt: skip
    """Yield the start and then every update of w, with the simulated time.

    Parameters
    ----------
    server : :class:`Synchronous` or :class:`fedcore.simulation.asynchronous.Asynchronous`
    model, shards, seed, engine, w0 : see :func:`fedcore.rounds.play`
    devices : what computing and talking cost
    updates : of w to play >= 1

    Raises
    ------
    ValueError, TypeError : before any work, where an argument is not of this form
    Diverged : where w is no longer finite
    ClientError, WorkerError : where a client failed or a worker process died

    Examples
    --------
    >>> from fedcore import Linear, fedavg, make_quadratics
    >>> from fedcore.simulation.clock import Link
    >>> devices = Devices(down=Link(1.0, 8.0), up=Link(1.0, 8.0), cost=0.5)
    >>> shards = make_quadratics([1, 1], [0, 4])
    >>> for now in simulate(
    ...     Synchronous(fedavg(0.5, steps=2)), Linear(1), shards, devices, updates=2
    ... ):
    ...     print(now.seconds, now.w)
    0.0 [0.]
    5.0 [1.5]
    10.0 [1.875]
    """
    if not hasattr(server, "moments"):
        raise TypeError(f"server must be Synchronous(...) or Asynchronous(...), got {server!r}")
    count("updates", updates)
    seed = choose_seed(seed)
    data = cast(Shards, shards)  # Serial asks a Population for no more than shards have
    w = start_vector(server.algorithm, model, data, seed, w0)
    algorithm = server.algorithm
    task = Task(model, algorithm.client, algorithm.channel, seed, model.d, w.dtype)
    return _moments(server, task, data, devices, w, updates, Serial() if engine is None else engine)


def _moments(
    server: TimedServer, task: Task, shards: Shards, devices: Devices, w: Array, updates: int,
    engine: Engine,
) -> Iterator[Moment]:  # fmt: skip
    algorithm = server.algorithm
    with one_blas_thread():
        crew = engine.start(task, algorithm.server.broadcasts, shards)
        try:
            for now in islice(server.moments(Site(crew, task, shards, devices), w), updates + 1):
                if not np.isfinite(now.w).all():
                    raise Diverged(divergence(algorithm, now.t), now.t)
                yield now
        finally:
            crew.close()


@dataclass
class _Watch:
    """A crew whose late answers count as failures; it holds the last round's clock."""

    algorithm: Algorithm
    site: Site
    first: int | None
    deadline: float
    bits_down: int = 0
    seconds: float = 0.0
    joules: float = 0.0

    def run(self, t: int, S: Array, down: Vectors, keep: Vectors) -> Replies:
        """Let the cohort answer, and note whom nobody waits for."""
        replies = self.site.crew.run(t, S, down, keep)
        failures(t, S, replies, "raise")
        if not sound(replies).all():
            raise Diverged(divergence(self.algorithm, t + 1, blame(S, replies)), t + 1)
        times, self.joules = self.site.times(t, S, self.bits_down, replies.bits)  # (m,)
        order = np.argsort(times, kind="stable")
        wanted = order[: self.first]
        in_time = wanted[times[wanted] <= self.deadline]
        everybody = len(in_time) == len(wanted)
        self.seconds = float(times[in_time].max(initial=0.0)) if everybody else self.deadline
        for i in np.setdiff1d(order, in_time).tolist():
            replies.failed[i] = f"late: {times[i]:.3g} s"
        return replies

    def close(self) -> None:
        """The crew is the site's to close."""


@dataclass(frozen=True)
class Synchronous:
    r"""A server that waits: for all of its cohort, for the first few, or until a deadline.

    .. math:: T = \max_{k \in S} T_k, \qquad
              T = T_{(m)} \text{ (the first } m \text{ of } m + e \text{)}, \qquad
              T = \min(T_{(m)}, D)

    Without ``first`` and ``deadline`` the iterates are those of :func:`fedcore.rounds.run`, bit for
    bit. Late answers are thrown away, and the others share the whole weight; where the
    server adds noise, they count 0 and all weights stay. A round in which nobody answers before the
    deadline leaves w as it is, but for such noise.

    Parameters
    ----------
    algorithm : the method; its sampler asks, for over-selection m + e clients
    first : m, answers to wait for; None means all
    deadline : D, seconds after which a round ends; None means no limit

    Raises
    ------
    ValueError, TypeError : where a number is not of this form, or the first few are asked for
        noise that protects each of them

    Book: eq-round-time

    Reference: Bonawitz et al. 2019, arXiv 1902.01046, for over-selection.

    Examples
    --------
    >>> from fedcore import fedavg
    >>> Synchronous(fedavg(0.1, cohort=13), first=10, deadline=60.0).first
    10
    """

    algorithm: Algorithm
    first: int | None = None
    deadline: float | None = None

    def __post_init__(self) -> None:
        if self.first is not None:
            count("first", self.first)
            if self.algorithm.always:
                raise ValueError(
                    "first must be None where noise is added: one client more pushes another out, "
                    "and the sum moves twice as far as the noise allows for"
                )
        if self.deadline is not None:
            real("deadline", self.deadline, above=0)

    def moments(self, site: Site, w: Array) -> Iterator[Moment]:
        """Yield the start and then every round."""
        watch = _Watch(self.algorithm, site, self.first, self.deadline or math.inf)
        now, seconds, joules = Round(0, self.algorithm.server.init(w)), 0.0, 0.0
        yield Moment(seconds, 0, now.w)
        while True:
            watch.bits_down = broadcast(self.algorithm, site.task, now)[2]
            now = one_round(self.algorithm, watch, site.task, site.shards, now, "drop")
            seconds, joules = seconds + watch.seconds, joules + watch.joules
            yield Moment(
                seconds, now.t, now.w, now.cohort, np.zeros(len(now.cohort), int),
                np.array(list(now.failed), int), now.bits_up, now.bits_down, joules,
            )  # fmt: skip
