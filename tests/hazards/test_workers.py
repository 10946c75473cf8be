"""What workers and clients can do to a run: each fault is provoked for real."""

import multiprocessing as mp
import os
import resource
import signal
import sys
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from fedcore import (
    ClientError,
    Diverged,
    Everyone,
    Gradient,
    Linear,
    Processes,
    Serial,
    TrimmedMean,
    UniformSample,
    Vectorized,
    WorkerError,
    fedavg,
    gd,
    make_quadratics,
    play,
    run,
    scaffold,
)
from fedcore.engines import processes, shared
from fedcore.task import Task

MODEL = Linear(1)
TARGETS = [0.0, 1.0, 2.0, 30.0]
SHARDS = make_quadratics([1.0, 1.0, 1.0, 1.0], TARGETS)
W0 = np.array([9.0])


@dataclass(frozen=True)
class Faulty(Gradient):
    """A client that does something in round ``when``, where its target is ``who``."""

    fault: object = None
    when: int = 1
    who: float = 30.0

    def update(self, model, down, data, rng, keep, t):
        up, keep = super().update(model, down, data, rng, keep, t)
        if t == self.when and data.y[0] == self.who:
            return {"g": self.fault(up["g"], down["w"])}, keep
        return up, keep


def method(fault, when=1, who=30.0):
    return replace(gd(0.5), sampler=Everyone(), client=Faulty(fault=fault, when=when, who=who))


def die(signum):
    return lambda g, w: os.kill(os.getpid(), signum)


DEATHS = {
    "SIGKILL": die(signal.SIGKILL),
    "SIGSEGV": die(signal.SIGSEGV),
    "exit code 3": lambda g, w: os._exit(3),
}


@pytest.mark.parametrize("how", DEATHS)
def test_the_clients_of_a_dead_worker_are_left_out_and_it_is_replaced(how):
    """Two workers hold clients 0, 2 and 1, 3: the second dies, and w follows the other two."""
    history = run(
        method(DEATHS[how]), MODEL, SHARDS, rounds=3, w0=W0, engine=Processes(2), on_failure="drop"
    )
    w = W0
    for names in ([0, 1, 2, 3], [0, 2], [0, 1, 2, 3]):
        w = w - 0.5 * (w - np.mean([TARGETS[k] for k in names]))
    np.testing.assert_allclose(history.w, w, rtol=1e-14)
    assert history["clients"].tolist() == [0, 4, 2, 4]
    assert set(history.failed) == {2}
    assert set(history.failed[2]) == {1, 3}
    assert f"died in round 2: {how}" in history.failed[2][3]


def test_a_worker_that_dies_every_round_is_replaced_every_round():
    always = replace(method(DEATHS["SIGKILL"]), client=Persistent())
    history = run(always, MODEL, SHARDS, rounds=3, w0=W0, engine=Processes(4), on_failure="drop")
    assert history["clients"].tolist() == [0, 3, 3, 3]
    assert [set(who) for who in history.failed.values()] == [{3}, {3}, {3}]


@dataclass(frozen=True)
class Persistent(Gradient):
    def update(self, model, down, data, rng, keep, t):
        if data.y[0] == 30.0:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().update(model, down, data, rng, keep, t)


def test_when_every_worker_dies_w_stays_and_the_history_says_so():
    fatal = replace(gd(0.5), sampler=Everyone(), client=Everywhere())
    history = run(fatal, MODEL, SHARDS, rounds=2, w0=W0, engine=Processes(2), on_failure="drop")
    assert history["clients"].tolist() == [0, 4, 0]
    assert history["loss"][1] == history["loss"][2]
    assert set(history.failed[2]) == {0, 1, 2, 3}


@dataclass(frozen=True)
class Everywhere(Gradient):
    def update(self, model, down, data, rng, keep, t):
        if t == 1:
            os._exit(1)
        return super().update(model, down, data, rng, keep, t)


@pytest.mark.parametrize("fault", ["sleep", "stop", "loop"])
def test_a_late_worker_is_dropped_and_replaced(fault):
    faults = {
        "sleep": lambda g, w: time.sleep(60),
        "stop": die(signal.SIGSTOP),
        "loop": lambda g, w: [None for _ in iter(int, 1)],
    }
    history = run(
        method(faults[fault]), MODEL, SHARDS, rounds=3, w0=W0, on_failure="drop",
        engine=Processes(2, timeout=2.0),
    )  # fmt: skip
    assert history["clients"].tolist() == [0, 4, 2, 4]
    assert "gave no answer within 2 s in round 2" in history.failed[2][3]


def test_a_worker_killed_while_idle_costs_its_clients_one_round():
    states = play(
        method(None, when=99), MODEL, SHARDS, rounds=3, engine=Processes(2), on_failure="drop"
    )
    assert [next(states).t, next(states).t] == [0, 1]
    next(p for p in mp.active_children() if p.name == "fedcore-0").kill()
    second, third = states
    assert set(second.failed) == {0, 2}
    assert len(third.cohort) == 4


def test_the_memory_of_a_client_survives_the_death_of_its_worker():
    """What clients keep lies with the parent: after one lost round SCAFFOLD still converges."""
    slow = make_quadratics([1.0, 10.0], [0.0, 1.0])
    states = play(
        scaffold(0.05, steps=5), MODEL, slow, rounds=400, engine=Processes(2), on_failure="drop"
    )
    for now in states:
        if now.t == 20:
            mp.active_children()[0].kill()
    np.testing.assert_allclose(now.w, 10 / 11, rtol=1e-9)


@pytest.mark.parametrize("who", [[0], [0, 1]])
def test_a_worker_killed_before_its_first_task_costs_its_clients_one_round(who):
    task = Task(MODEL, Gradient(), (), 0, 1, np.dtype(float))
    crew = Processes(2).start(task, ("w",), SHARDS)
    for rank in who:
        crew.workers[rank].process.kill()
        crew.workers[rank].process.join()
    first, second = (crew.run(t, np.arange(4), {"w": W0}, {}) for t in (0, 1))
    assert set(first.failed) == ({0, 2} if who == [0] else {0, 1, 2, 3})
    assert "SIGKILL (perhaps for lack of memory)" in first.failed[0]
    assert second.failed == {}
    assert second.up["g"][:, 0].tolist() == [9.0, 8.0, 7.0, -21.0]
    crew.close()


def fatal(act, *arguments):
    """Return a method whose client does something while a worker unpacks it."""

    class Fatal(Gradient):
        def __reduce__(self):
            return act, arguments

    return replace(gd(0.5), client=Fatal())


def kill_me():
    os.kill(os.getpid(), signal.SIGKILL)


STARTS = {"exit code 7": (os._exit, 7), "exit code 8": (sys.exit, 8), "SIGKILL": (kill_me,)}


@pytest.mark.parametrize("on_failure", ["raise", "drop"])
@pytest.mark.parametrize("how", STARTS)
def test_a_worker_that_dies_while_starting_is_an_error(how, on_failure):
    with pytest.raises(WorkerError, match=f"died in starting: {how}"):
        run(
            fatal(*STARTS[how]), MODEL, SHARDS, rounds=1, engine=Processes(2), on_failure=on_failure
        )


def test_a_worker_that_does_not_start_is_given_up(monkeypatch):
    monkeypatch.setattr(processes, "START", 1.0)
    with pytest.raises(WorkerError, match="gave no answer within 1 s in starting"):
        run(fatal(time.sleep, 60), MODEL, SHARDS, rounds=1, engine=Processes(2))


@dataclass(frozen=True)
class Once(Gradient):
    """A client that takes its worker with it in round 2, and that no worker can unpack again."""

    mark: str = ""

    def __reduce__(self):
        return unpack_once, (self.mark,)

    def update(self, model, down, data, rng, keep, t):
        if t == 1:
            Path(self.mark).touch()
            os._exit(1)
        return super().update(model, down, data, rng, keep, t)


def unpack_once(mark):
    if Path(mark).exists():
        os._exit(9)
    return Once(mark=mark)


def test_a_worker_that_cannot_be_replaced_ends_the_run_and_loses_no_round(tmp_path):
    once = replace(gd(0.5), client=Once(mark=str(tmp_path / "mark")))
    with pytest.raises(WorkerError, match="died in starting: exit code 9") as caught:
        run(once, MODEL, SHARDS, rounds=5, engine=Processes(2), on_failure="drop")
    assert caught.value.history.t.tolist() == [0, 1, 2]
    assert "exit code 1" in caught.value.history.failed[2][0]


@pytest.mark.parametrize("vectorized", [False, True])
def test_a_worker_without_memory_fails_its_client_and_works_on(vectorized):
    """The limit is real: the system refuses more than a gigabyte of addresses."""

    def greedy(g, w):
        before = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (1 << 30, before[1]))
        try:
            return np.ones(1 << 28)
        finally:
            resource.setrlimit(resource.RLIMIT_AS, before)

    history = run(
        method(greedy), MODEL, SHARDS, rounds=3, w0=W0, on_failure="drop",
        engine=Processes(2, vectorized=vectorized),
    )  # fmt: skip
    assert history["clients"].tolist() == [0, 4, 3, 4]
    assert "Unable to allocate 2.00 GiB" in history.failed[2][3]


def test_a_worker_that_dies_while_it_writes_a_long_answer():
    """The bell has rung, and the pipe holds half of what it wanted to say."""

    def fault(g, w):
        signal.signal(signal.SIGALRM, lambda *_: os.kill(os.getpid(), signal.SIGKILL))
        signal.setitimer(signal.ITIMER_REAL, 0.3)
        raise RuntimeError("x" * 15_000)

    many = make_quadratics(np.ones(20), np.full(20, 30.0))

    def stalls(states):
        return run_with_a_slow_reader(states)

    history = stalls((method(fault, when=0), many))
    assert set(history.failed[1]) == set(range(20))
    assert "SIGKILL" in history.failed[1][0]


def run_with_a_slow_reader(case):
    from fedcore.engines.processes import Worker

    rings = Worker.rings
    try:
        Worker.rings = lambda self, give_up: [rings(self, give_up), time.sleep(1)][0]
        return run(*case[:1], MODEL, case[1], rounds=1, engine=Processes(1), on_failure="drop")
    finally:
        Worker.rings = rings


WRONG = {
    "None": lambda g, w: None,
    "complex": lambda g, w: g * 1j,
    "object": lambda g, w: np.array([g], dtype=object),
    "text": lambda g, w: np.array(["g"]),
    "shape": lambda g, w: np.zeros(3),
    "matrix": lambda g, w: g[None],
    "ragged": lambda g, w: [[1], [1, 2]],
}


ENGINES = [(wrong, engine) for wrong in WRONG for engine in (Serial(), Vectorized())]
ENGINES += [(wrong, Processes(2)) for wrong in ("None", "object")]  # one code reads all others


@pytest.mark.parametrize(("wrong", "engine"), ENGINES, ids=str)
def test_an_answer_that_is_no_vector_is_dropped_or_raised(wrong, engine):
    history = run(
        method(WRONG[wrong]), MODEL, SHARDS, rounds=2, w0=W0, engine=engine, on_failure="drop"
    )
    assert set(history.failed[2]) == {3}
    with pytest.raises(ClientError, match="client 3 failed in round 2") as caught:
        run(method(WRONG[wrong]), MODEL, SHARDS, rounds=2, w0=W0, engine=engine)
    assert caught.value.history.t.tolist() == [0, 1]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e300])
def test_nan_and_enormous_vectors_are_dropped_or_end_the_run(value):
    bad = method(lambda g, w: g * 0 + value)
    history = run(bad, MODEL, SHARDS, rounds=3, w0=W0, on_failure="drop")
    assert history["clients"].tolist() == [0, 4, 3, 4]
    assert "numbers too large to square" in history.failed[2][3]
    if value != 1e300:
        match = r"not finite after round 2 \(client 3 answered with NaN or Inf; 1 of 4 did\)"
        with pytest.raises(Diverged, match=match) as caught:
            run(bad, MODEL, SHARDS, rounds=3, w0=W0)
        assert caught.value.history.t.tolist() == [0, 1]


def test_a_robust_rule_bears_an_enormous_vector():
    bad = replace(method(lambda g, w: g * 0 + 1e300), aggregator=TrimmedMean(1))
    assert abs(run(bad, MODEL, SHARDS, rounds=40, w0=W0).w[0] - 1.5) < 1e-9


def test_numbers_of_another_kind_are_taken():
    whole = method(lambda g, w: np.array([2]), who=0.0)
    half = method(lambda g, w: np.array([2], np.float16), who=0.0)
    assert run(whole, MODEL, SHARDS, rounds=2).w == run(half, MODEL, SHARDS, rounds=2).w


@pytest.mark.parametrize("engine", [Serial(), Processes(2)], ids=str)
def test_a_client_cannot_reach_what_others_see(engine):
    """A view of the input as an answer, and writing into rows, w or the answer afterwards."""
    kept = []

    def view(g, w):
        kept.append(g)
        for old in kept:
            old += 1000  # what was returned before is no longer ours
        return w

    def vandal(g, w):
        w += 1

    history = run(method(view), MODEL, SHARDS, rounds=2, w0=W0, engine=engine)
    expected = run(method(lambda g, w: w.copy()), MODEL, SHARDS, rounds=2, w0=W0)
    assert history.w.tobytes() == expected.w.tobytes()
    with pytest.raises(ClientError, match="read-only"):
        run(method(vandal), MODEL, SHARDS, rounds=2, w0=W0, engine=engine)


def test_the_rows_are_read_only_in_a_worker():
    class Vandal(Gradient):
        def update(self, model, down, data, rng, keep, t):
            for X, _, _ in data.batches(self.plan(), rng):
                X[:] = 0
            return super().update(model, down, data, rng, keep, t)

    for engine in (Serial(), Processes(2)):
        with pytest.raises(ClientError, match="read-only"):
            run(replace(gd(0.5), client=Vandal()), MODEL, SHARDS, rounds=1, engine=engine)


@dataclass(frozen=True)
class Split(Gradient):
    """A client that forks in round 2; its copy comes back first. In round 3 it takes its time."""

    def update(self, model, down, data, rng, keep, t):
        answer = super().update(model, down, data, rng, keep, t)
        if data.y[0] == 30.0 and ((t == 1 and os.fork()) or t == 2):
            time.sleep(0.3 * t)
        return answer


def test_a_client_that_forks_and_comes_back_twice_rings_once():
    """A second bell for round 2 would end round 3 before its answers are there."""
    split = replace(gd(0.5), sampler=Everyone(), client=Split())
    plain = run(method(lambda g, w: g), MODEL, SHARDS, rounds=4, w0=W0)
    many = run(split, MODEL, SHARDS, rounds=4, w0=W0, engine=Processes(2))
    assert many.w.tobytes() == plain.w.tobytes()


def noisy(g, w):
    """Everything a guest should not do, short of dying."""
    print("hello from a client")
    os.chdir("/")
    np.random.seed(1)  # noqa: NPY002
    threading.Thread(target=time.sleep, args=(60,)).start()  # not even a daemon
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.environ["SOMETHING"] = "else"
    np.seterr(all="ignore")
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    return g


def test_what_a_client_does_to_its_process_changes_no_bit_and_no_parent():
    plain = run(method(lambda g, w: g), MODEL, SHARDS, rounds=3, w0=W0)
    many = run(method(noisy), MODEL, SHARDS, rounds=3, w0=W0, engine=Processes(2))
    assert many.w.tobytes() == plain.w.tobytes()


def test_sys_exit_in_a_client_ends_nothing():
    for engine in (Serial(), Vectorized(), Processes(2)):
        history = run(
            method(lambda g, w: sys.exit(3)), MODEL, SHARDS, rounds=2, engine=engine,
            on_failure="drop",
        )  # fmt: skip
        assert history.failed[2] == {3: "SystemExit: 3"}


def test_a_worker_may_not_hire_workers():
    def nested(g, w):
        return run(gd(0.5), Linear(1), SHARDS, rounds=1, engine=Processes(2)).w

    with pytest.raises(ClientError, match=r"use Serial\(\) inside it"):
        run(method(nested), MODEL, SHARDS, rounds=2, engine=Processes(2))


def test_a_worker_may_run_serially():
    def nested(g, w):
        return g + 0 * run(gd(0.5), Linear(1), make_quadratics([1.0], [1.0]), rounds=1).w

    many = run(method(nested), MODEL, SHARDS, rounds=2, w0=W0, engine=Processes(2)).w
    assert many == run(method(lambda g, w: g), MODEL, SHARDS, rounds=2, w0=W0).w


def daemon(pipe):
    try:
        run(gd(0.5), MODEL, SHARDS, rounds=1, engine=Processes(2, "fork"))
    except WorkerError as error:
        pipe.send(str(error))


def test_a_daemonic_process_is_told():
    context = mp.get_context("forkserver")
    here, there = context.Pipe()
    process = context.Process(target=daemon, args=(there,), daemon=True)
    process.start()
    assert "cannot start workers" in here.recv()
    process.join()
    for end in (here, there, process):
        end.close()


def test_what_cannot_be_pickled_is_refused_before_any_work():
    lock = threading.Lock()
    with pytest.raises(TypeError, match="algorithm and model must be made of what pickle can send"):
        run(method(lambda g, w: lock), MODEL, SHARDS, rounds=1, engine=Processes(2))


def test_a_client_without_an_answer_in_a_chunk(monkeypatch):
    """A worker that dies in the first of several chunks is back for the next one."""
    monkeypatch.setattr(shared, "BLOCK", 16)
    history = run(
        method(DEATHS["SIGKILL"], when=0, who=0.0), MODEL, SHARDS, rounds=2, w0=W0,
        engine=Processes(2), on_failure="drop",
    )  # fmt: skip
    assert history["clients"].tolist() == [0, 3, 4]
    assert set(history.failed[1]) == {0}


@pytest.mark.parametrize("scale", [1e-300, 1.0, 1e300])
def test_weights_of_any_scale_and_weight_0(scale):
    def everybody(rng, shards, t=0):
        return np.arange(4), np.array([1.0, 2.0, 0.0, 1.0]) * scale

    share = replace(method(lambda g, w: g), sampler=everybody)
    up = run(share, MODEL, SHARDS, rounds=1, on_failure="drop", on_divergence="continue").w
    np.testing.assert_allclose(up, 0.5 * scale * (0 + 2 * 1 + 30), rtol=1e-12)
    dropped = replace(share, client=Faulty(fault=lambda g, w: None, when=0))
    up = run(dropped, MODEL, SHARDS, rounds=1, on_failure="drop", on_divergence="continue").w
    np.testing.assert_allclose(up, 0.5 * scale * 4 * (0 + 2 * 1) / 3, rtol=1e-12)


@pytest.mark.parametrize("K", [10_000, 100_000])
def test_many_clients_of_which_a_few_answer(K):
    many = make_quadratics(np.ones(K), np.zeros(K))
    algorithm = replace(scaffold(0.1, steps=2), sampler=UniformSample(10))
    states = list(play(algorithm, MODEL, many, rounds=3, engine=Vectorized()))
    assert len(states[-1].memory) <= 30
    serial = run(algorithm, MODEL, many, rounds=3, metrics={}).w
    assert serial == run(algorithm, MODEL, many, rounds=3, metrics={}, engine=Processes(2)).w


def test_fedavg_agrees_whoever_dies_first():
    """After a death the run goes on with the bits of a run in which those clients were absent."""
    here = run(fedavg(0.1), MODEL, SHARDS, rounds=3).w
    assert run(fedavg(0.1), MODEL, SHARDS, rounds=3, engine=Processes(3)).w == here
