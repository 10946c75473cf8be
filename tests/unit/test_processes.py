"""Worker processes: how they fail, and that nothing is left of them."""

import gc
import multiprocessing as mp
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import psutil
import pytest

from fedcore import (
    ClientError,
    Gradient,
    Linear,
    Processes,
    WorkerError,
    fedavg,
    gd,
    make_quadratics,
    play,
    run,
)

SHARDS = make_quadratics([1.0, 2.0, 3.0], [0.0, 1.0, 2.0])
MODEL = Linear(1)
METHODS = [m for m in ("spawn", "forkserver") if m in mp.get_all_start_methods()]


def workers():
    """The living workers of this process, also those of its fork server."""
    names = (" ".join(p.cmdline()) for p in psutil.Process().children(recursive=True))
    return [p for p in mp.active_children() if p.name.startswith("fedcore")] or [
        n for n in names if "spawn_main" in n
    ]


@pytest.fixture(autouse=True)
def nothing_left():
    config = mp.current_process()._config
    prefix, config["semprefix"] = config["semprefix"], f"/mp-{os.getpid()}"  # to know our own
    fds = psutil.Process().num_fds()
    yield
    gc.collect()
    config["semprefix"] = prefix
    assert workers() == []
    assert list(Path("/dev/shm").glob(f"*mp-{os.getpid()}-*")) == []
    assert psutil.Process().num_fds() <= fds + 6  # the fork server and the tracker, once


@dataclass(frozen=True)
class Faulty(Gradient):
    """A client that does something bad in its second round."""

    fault: str = ""

    def update(self, model, down, data, rng, keep, t):
        if t == 1:
            FAULTS[self.fault]()
        return super().update(model, down, data, rng, keep, t)


class Unpicklable(Exception):
    def __reduce__(self):
        raise TypeError("no")

    def __repr__(self):
        raise ValueError("no")

    __str__ = __repr__


def throw(error):
    raise error


FAULTS = {
    "raise": lambda: throw(RuntimeError("battery empty")),
    "unpicklable": lambda: throw(Unpicklable("lock")),
    "sys.exit": lambda: sys.exit(3),
    "os._exit": lambda: os._exit(3),
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "segv": lambda: os.kill(os.getpid(), signal.SIGSEGV),
    "interrupt": lambda: throw(KeyboardInterrupt()),
    "memory": lambda: throw(MemoryError("too large")),
    "huge": lambda: throw(RuntimeError("x" * 100_000_000)),
    "sleep": lambda: time.sleep(60),
    "stop": lambda: os.kill(os.getpid(), signal.SIGSTOP),
}


def faulty(fault):
    return replace(gd(0.1), client=Faulty(fault=fault))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("raise", "battery empty"),
        ("unpicklable", "Unpicklable"),
        ("memory", "too large"),
        ("huge", "xxx"),
        ("sys.exit", "SystemExit"),
        ("interrupt", "KeyboardInterrupt"),
    ],
)
def test_a_client_that_raises_gives_its_traceback(fault, message, method):
    with pytest.raises(ClientError, match=rf"(?s)client 0 failed in round 2.*{message}") as caught:
        run(faulty(fault), MODEL, SHARDS, rounds=3, engine=Processes(2, method))
    assert len(str(caught.value)) < 30_000
    assert "test_processes.py" in str(caught.value)


@pytest.mark.parametrize(
    ("fault", "how"), [("os._exit", "exit code 3"), ("kill", "SIGKILL"), ("segv", "SIGSEGV")]
)
def test_a_worker_that_dies_is_an_error(fault, how):
    with pytest.raises(WorkerError, match=f"died in round 2: {how}"):
        run(faulty(fault), MODEL, SHARDS, rounds=3, engine=Processes(2))


@pytest.mark.parametrize("fault", ["sleep", "stop"])
def test_a_worker_that_is_late_is_given_up(fault):
    with pytest.raises(WorkerError, match=r"no answer within 0\.5 s"):
        run(faulty(fault), MODEL, SHARDS, rounds=3, engine=Processes(2, timeout=0.5))


def test_a_worker_killed_while_idle_is_an_error():
    states = play(gd(0.1), MODEL, SHARDS, rounds=9, engine=Processes(2))
    assert [next(states).t, next(states).t] == [0, 1]
    os.kill(mp.active_children()[0].pid, signal.SIGKILL)
    with pytest.raises(WorkerError, match="SIGKILL"):
        next(states)


def test_leaving_the_loop_ends_the_workers():
    for now in play(gd(0.1), MODEL, SHARDS, rounds=9, engine=Processes(2)):
        if now.t == 2:
            break
    assert workers() == []


def test_an_error_in_the_loop_ends_the_workers():
    def loop():
        for _ in play(gd(0.1), MODEL, SHARDS, rounds=9, engine=Processes(2)):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        loop()


def test_functions_of_a_notebook_cell_travel():
    """What is defined in __main__ or in a function is sent by value."""
    scale = 3.0

    @dataclass(frozen=True)
    class Scaled(Gradient):
        def update(self, model, down, data, rng, keep, t):
            up, keep = super().update(model, down, data, rng, keep, t)
            return {"g": scale * up["g"]}, keep

    algorithm = replace(gd(0.1), client=Scaled())
    for method in METHODS:
        many = run(algorithm, MODEL, SHARDS, rounds=3, engine=Processes(2, method)).w
        assert many == run(algorithm, MODEL, SHARDS, rounds=3).w


def test_more_workers_than_clients():
    many = run(gd(0.1), MODEL, SHARDS, rounds=3, engine=Processes(7)).w
    assert many == run(gd(0.1), MODEL, SHARDS, rounds=3).w


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system does not say")
@pytest.mark.parametrize("extra", [0, 1])
def test_as_many_workers_as_cores_take_one_each(extra):
    cores = os.sched_getaffinity(0)
    for _ in play(gd(0.1), MODEL, SHARDS, rounds=1, engine=Processes(len(cores) + extra)):
        taken = [set(psutil.Process(p.pid).cpu_affinity()) for p in mp.active_children()]
    everywhere = [cores] * len(taken)
    assert sorted(taken, key=min) == (everywhere if extra else [{c} for c in sorted(cores)])


def test_a_cohort_larger_than_the_shared_block_comes_in_chunks(monkeypatch):
    from fedcore.engines import shared

    monkeypatch.setattr(shared, "BLOCK", 16)
    algorithm = fedavg(0.1, steps=2)
    many = run(algorithm, MODEL, SHARDS, rounds=3, engine=Processes(2))
    assert many.w == run(algorithm, MODEL, SHARDS, rounds=3).w


def test_three_runs_in_three_threads():
    expected = run(gd(0.1), MODEL, SHARDS, rounds=5).w
    results = {}

    def one(i):
        results[i] = run(gd(0.1), MODEL, SHARDS, rounds=5, engine=Processes(2)).w

    threads = [threading.Thread(target=one, args=(i,)) for i in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert all(results[i] == expected for i in range(3))


def test_fork_beside_threads_is_refused():
    done = threading.Event()
    thread = threading.Thread(target=done.wait)
    thread.start()
    try:
        with pytest.raises(WorkerError, match="fork copies locks"):
            run(gd(0.1), MODEL, SHARDS, rounds=1, engine=Processes(2, "fork"))
    finally:
        done.set()
        thread.join()


def script(tmp_path: Path, body: str) -> Path:
    path = tmp_path / "script.py"
    path.write_text(textwrap.dedent(body))
    return path


PREAMBLE = """
    import os, signal, sys, time
    from fedcore import *
    shards = make_quadratics([1.0, 2.0], [0.0, 1.0])
    def start():
        states = play(gd(0.1), Linear(1), shards, rounds=10**9, engine=Processes(2))
        for _ in range(3):
            next(states)
        import multiprocessing
        print(*(p.pid for p in multiprocessing.active_children()), flush=True)
        return states
"""


@pytest.mark.parametrize(
    "ending", ["os._exit(0)", "os.kill(os.getpid(), signal.SIGKILL)", "sys.exit(1)", "1 / 0"]
)
def test_workers_leave_with_their_parent(tmp_path, ending):
    path = script(
        tmp_path,
        PREAMBLE
        + f"""
    if __name__ == "__main__":
        states = start()
        {ending}
    """,
    )
    done = subprocess.run([sys.executable, path], capture_output=True, text=True, timeout=60)
    pids = [int(pid) for pid in done.stdout.split()]
    assert len(pids) == 2, done.stderr
    deadline = time.monotonic() + 10
    while any(psutil.pid_exists(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(psutil.pid_exists(pid) for pid in pids)


def test_ctrl_c_keeps_the_rounds_done_and_the_next_run_works(tmp_path):
    path = script(
        tmp_path,
        """
        import multiprocessing, os, signal, threading
        from fedcore import *

        if __name__ == "__main__":
            shards = make_quadratics([1.0, 2.0], [0.0, 1.0])
            options = {"engine": Processes(2), "every": 10}
            threading.Timer(2, os.kill, (os.getpid(), signal.SIGINT)).start()
            try:
                run(gd(0.1), Linear(1), shards, rounds=10**9, **options)
            except KeyboardInterrupt as stop:
                print(len(stop.history) > 0, len(multiprocessing.active_children()))
            print(run(gd(0.1), Linear(1), shards, rounds=10, **options).t[-1])
        """,
    )
    done = subprocess.run([sys.executable, path], capture_output=True, text=True, timeout=60)
    assert done.stdout.split() == ["True", "0", "10"], done.stderr


def test_a_forgotten_run_is_swept_up():
    states = play(gd(0.1), MODEL, SHARDS, rounds=9, engine=Processes(2))
    next(states)
    next(states)
    assert workers()
    del states
    gc.collect()
    assert workers() == []


def test_a_script_without_a_guard_gets_an_explanation(tmp_path):
    path = script(tmp_path, PREAMBLE + "    start()\n")
    done = subprocess.run([sys.executable, path], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "__main__" in done.stderr


BAD = [
    (lambda: Processes(0), ValueError, "workers must be .* got 0"),
    (lambda: Processes(1.5), TypeError, "workers must be"),
    (lambda: Processes(2, "thread"), ValueError, "method must be one of"),
    (lambda: Processes(2, timeout=0), ValueError, "timeout must be"),
]


@pytest.mark.parametrize(("call", "error", "message"), BAD)
def test_bad_arguments_are_named(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_two_arrays_of_one_run_do_not_share_memory():
    """The reply of one round is not overwritten by the next one."""
    seen = [now.w for now in play(gd(0.1), MODEL, SHARDS, rounds=3, engine=Processes(2))]
    assert len(np.unique(seen)) == 4
