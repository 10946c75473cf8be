"""The package of this repository, through its public interface."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import work

import fedcore as fc
from fedcore.engines.malloc import keep_freed_memory
from fedcore.engines.serial import empty_replies, fill_row, read_only


@dataclass(frozen=True)
class ThreadCrew:
    """Two threads, each with every second client: what an engine of threads would be worth."""

    task: Any
    shards: fc.Shards
    pool: ThreadPoolExecutor

    def run(self, t, S, down, keep):
        """Do one round."""
        out, down, keep = empty_replies(self.task, len(S)), read_only(down), read_only(keep)

        def half(first):
            for i in range(first, len(S), 2):
                fill_row(self.task, self.shards, t, i, int(S[i]), down, keep, out)

        list(self.pool.map(half, (0, 1)))
        return out

    def close(self):
        """End the threads."""
        self.pool.shutdown()


class Threads:
    """The engine."""

    def start(self, task, broadcasts, shards):
        """Return the crew."""
        return ThreadCrew(task, shards, ThreadPoolExecutor(2))


ENGINES = {
    "threads": Threads,
    "serial": fc.Serial,
    "vectorized": lambda: fc.Vectorized(),
    "processes": lambda: fc.Processes(2),
    "both": lambda: fc.Processes(2, vectorized=True),
    "spawn": lambda: fc.Processes(2, method="spawn"),
}


def rounds(algorithm, model, shards, case, engine, w0):
    states = fc.play(
        algorithm, model, shards, rounds=case.units + 1, engine=ENGINES[engine](), w0=w0
    )
    next(states)  # the start
    for now in states:
        yield now.w


def gd(case, engine="serial"):
    X, y = work.data(case)
    half = case.n // 2
    shards = fc.Shards(X, y, [0, half, case.n])
    model = fc.Logistic(case.p, l2=work.L2)
    yield from rounds(fc.distributed_gd(work.ETA), model, shards, case, engine, work.start(case))


def sgd(case):
    X, y = work.data(case)
    shards, w = fc.Shards.one(X, y), work.start(case)
    model = fc.Logistic(case.p, l2=work.L2)
    algorithm = fc.sgd(work.ETA, case.batch, steps=None, epochs=1)
    for seed in range(case.units + 1):
        w = fc.run(algorithm, model, shards, rounds=1, seed=seed, w0=w, metrics={}).w
        yield w


def fedavg(case, engine="serial"):
    X, y = work.data(case)
    shards = fc.Shards(X, y, work.offsets(case))
    model = fc.MLP(case.p, case.hidden) if case.hidden else fc.Softmax(case.p, work.CLASSES)
    algorithm = fc.fedavg(work.ETA, epochs=1, batch_size=case.batch, cohort=case.cohort)
    yield from rounds(algorithm, model, shards, case, engine, work.start(case))


@dataclass(frozen=True)
class Echo:
    """A client that sends back what it got."""

    sends: ClassVar[tuple[str, ...]] = ("g",)
    keeps: ClassVar[tuple[str, ...]] = ()

    def update(self, model, down, data, rng, keep, t):
        """Return w."""
        return {"g": down["w"]}, keep


@dataclass(frozen=True)
class Nothing:
    """A model of d parameters that computes nothing."""

    d: int

    def init(self, rng):
        """Return zeros."""
        return np.zeros(self.d)

    def loss(self, w, X, y, s=None):
        """Return 0."""
        return 0.0

    def grad(self, w, X, y, s=None):
        """Return zeros."""
        return 0 * w


def echo(case, how="round"):
    """Measure whole rounds of `play`, or of an engine the part that peers do: send and sum."""
    shards = fc.Shards(np.zeros((2, 1)), np.zeros(2), [0, 1, 2])
    algorithm, model = fc.Algorithm(Echo()), Nothing(case.d)
    if how == "round":
        yield from rounds(algorithm, model, shards, case, "processes", np.zeros(case.d))
        return
    task = fc.rounds.Task(model, algorithm.client, (), 0, case.d, np.dtype(float))
    keep_freed_memory()  # as play does
    crew = fc.Processes(2).start(task, ("w",), shards)
    w, S, a = np.zeros(case.d), np.arange(2), np.ones(2)
    try:
        while True:
            yield fc.mean(crew.run(0, S, {"w": w}, {}).up["g"], a)
    finally:
        crew.close()
