"""Many runs in a row: nothing grows. `make soak` sets SOAK=1000."""

import gc
import multiprocessing as mp
import os
import threading
from dataclasses import dataclass, replace
from pathlib import Path

import psutil
import pytest

from fedcore import Gradient, Linear, Processes, WorkerError, gd, make_quadratics, play, run

SHARDS = make_quadratics([1.0, 2.0], [0.0, 1.0])
RUNS = int(os.environ.get("SOAK", "100"))
FEW = max(6, RUNS // 10)


@dataclass(frozen=True)
class Faulty(Gradient):
    """A client that takes its worker with it in round 2."""

    def update(self, model, down, data, rng, keep, t):
        if t == 1:
            os._exit(1)
        return super().update(model, down, data, rng, keep, t)


def counts():
    """What must not grow."""
    gc.collect()
    me = psutil.Process()
    return {
        "descriptors": me.num_fds(),
        "processes": len(me.children(recursive=True)),
        "threads": threading.active_count(),
        "segments": len(list(Path("/dev/shm").glob(f"*mp-{os.getpid()}-*"))),
        "maps": len(me.memory_maps(grouped=False)),
    }


def whole(engine):
    """Let a run end as it should."""
    assert run(gd(0.1), Linear(1), SHARDS, rounds=2, engine=engine).t[-1] == 2


def ended(engine):
    """Let a run end by the death of its workers, once with an error and once without."""
    faulty = replace(gd(0.1), client=Faulty())
    with pytest.raises(WorkerError):
        run(faulty, Linear(1), SHARDS, rounds=3, engine=engine)
    history = run(faulty, Linear(1), SHARDS, rounds=3, engine=engine, on_failure="drop")
    assert history["clients"].tolist() == [0, 2, 0, 2]


def forgotten(engine):
    """Leave a run in the middle, in a reference cycle."""
    states = play(gd(0.1), Linear(1), SHARDS, rounds=9, engine=engine)
    assert [next(states).t, next(states).t] == [0, 1]
    cycle = [states]
    cycle.append(cycle)
    del states, cycle
    gc.collect()


CASES = [
    (whole, "fork", RUNS), (whole, "forkserver", FEW), (whole, "spawn", FEW // 2),
    (ended, "fork", FEW), (ended, "forkserver", FEW // 2), (forgotten, "forkserver", FEW),
]  # fmt: skip


@pytest.mark.parametrize(("act", "method", "runs"), CASES)
def test_runs_in_a_row_leave_flat_counts(act, method, runs):
    def go():
        act(Processes(2, method))

    for _ in range(3):
        go()
    before, memory = counts(), psutil.Process().memory_info().rss
    for _ in range(runs):
        go()
    after, more = counts(), psutil.Process().memory_info().rss - memory
    print(
        f"\n{runs} runs, {act.__name__}, {method}: {before} -> {after}, memory {more / 1e6:+.1f} MB"
    )
    assert {k: after[k] for k in after if k != "maps"} == {
        k: before[k] for k in before if k != "maps"
    }
    assert after["maps"] <= before["maps"] + 5
    assert more < 10e6
    assert mp.active_children() == []
