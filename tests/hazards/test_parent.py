"""What can happen to the program: Ctrl-C, signals, unhandled errors, threads, scripts."""

import gc
import multiprocessing as mp
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import psutil
import pytest
from threadpoolctl import ThreadpoolController, threadpool_info

from fedcore import (
    Gradient,
    Interrupted,
    Linear,
    Processes,
    Serial,
    WorkerError,
    gd,
    make_quadratics,
    play,
    run,
)
from fedcore.engines import cores

SHARDS = make_quadratics([1.0, 2.0, 3.0], [0.0, 1.0, 2.0])
MODEL = Linear(1)


@dataclass(frozen=True)
class Busy(Gradient):
    """A client that never comes back from its second round."""

    def update(self, model, down, data, rng, keep, t):
        while t == 1:
            pass
        return super().update(model, down, data, rng, keep, t)


BUSY = replace(gd(0.1), client=Busy())


def press(times, after=1.0, pause=0.05):
    """Press Ctrl-C several times, a moment from now."""

    def presses():
        time.sleep(after)
        for _ in range(times):
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(pause)

    thread = threading.Thread(target=presses)
    thread.start()
    return thread


@pytest.fixture
def interruptible():
    """Let Ctrl-C interrupt a run, however often it is pressed, and nothing but the run."""
    armed = []

    def pressed(*_):
        if armed:
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, pressed)
    yield armed
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize("busy", [True, False])
def test_ctrl_c_once_and_three_times(times, busy, interruptible):
    """Nothing is left (see conftest), what was recorded is there, the next run works."""
    method, caught, fingers = BUSY if busy else gd(0.1), [], press(times, pause=0.03)
    interruptible.append("now")
    try:
        try:
            run(method, MODEL, SHARDS, rounds=10**9, every=100, engine=Processes(2))
        except KeyboardInterrupt as stop:
            caught.append(stop)
            interruptible.clear()
    except KeyboardInterrupt as stop:  # pressed between the last two lines
        caught.append(stop)
    interruptible.clear()
    fingers.join()
    if times == 1:
        assert isinstance(caught[0], Interrupted)
        assert caught[0].history.t[0] == 0
    assert caught
    assert run(gd(0.1), MODEL, SHARDS, rounds=3, engine=Processes(2)).t[-1] == 3


ANY_MOMENT = """
    import multiprocessing, os, random, signal, subprocess, sys
    from pathlib import Path
    from fedcore import *
    from fedcore.checkpoint import load

    shards, path = make_quadratics([1.0, 2.0], [0.0, 1.0]), Path(sys.argv[1])
    armed, chance = [], random.Random(int(sys.argv[2]))

    def pressed(*_):
        if armed:  # so that it falls into the run and nothing else
            raise KeyboardInterrupt

    def go(rounds, **more):
        return run(gd(0.1), Linear(1), shards, rounds=rounds, every=5, **more)

    def interrupted(moment, times, method):
        press = f"kill -INT {os.getpid()}; sleep 0.01; " * times
        with subprocess.Popen(["sh", "-c", f"sleep {moment}; {press}"]):
            try:
                try:
                    armed.append(1)
                    for i in range(10**6):  # workers start, compute and stop again and again
                        go(10 + 5 * i, engine=Processes(2, method), checkpoint=path, resume=True)
                finally:
                    armed.clear()
            except KeyboardInterrupt:
                armed.clear()

    if __name__ == "__main__":
        signal.signal(signal.SIGINT, pressed)
        for i in range(20):
            path.unlink(missing_ok=True)
            interrupted(chance.uniform(0, 0.4), 1 + 2 * (i // 2 % 2), ("forkserver", "fork")[i % 2])
            left = [c.name for c in multiprocessing.active_children()]
            parts = [p.name for p in path.parent.iterdir() if p != path]
            assert (left, parts) == ([], []), (i, left, parts)
            if path.exists():
                rounds = load(path)["now"]["t"] + 5
                assert go(rounds, checkpoint=path, resume=True).w == go(rounds).w
        print("done")
"""


def test_ctrl_c_at_any_moment(script, tmp_path):
    """While workers start or stop, while a checkpoint is written: nothing is left or lost."""
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    done = subprocess.run(
        [*script(ANY_MOMENT), folder / "run", "0"], capture_output=True, text=True, timeout=300
    )
    assert done.stdout == "done\n", done.stderr


@pytest.mark.parametrize("when", ["begins", "ends"])
def test_ctrl_c_while_blas_is_limited_or_freed(when, monkeypatch, interruptible):
    """BLAS is free again afterwards (see conftest)."""
    kind, name = {
        "begins": (ThreadpoolController, "limit"),
        "ends": (type(ThreadpoolController().limit(limits=None)), "restore_original_limits"),
    }[when]
    plain = getattr(kind, name)

    def pressed(self, **more):
        result = plain(self, **more)
        monkeypatch.undo()
        signal.raise_signal(signal.SIGINT)
        return result

    monkeypatch.setattr(kind, name, pressed)
    interruptible.append("now")
    with pytest.raises(Interrupted):
        run(gd(0.1), MODEL, SHARDS, rounds=3)
    interruptible.clear()


def test_ctrl_c_may_return_the_history():
    fingers = press(1)
    history = run(gd(0.1), MODEL, SHARDS, rounds=10**9, every=1000, on_interrupt="return")
    fingers.join()
    assert history.t[0] == 0
    assert len(set(map(len, history.columns.values()))) == 1
    assert "stopped by Ctrl-C" in repr(history)
    assert str(history).endswith("; serial, 1 process, 1 BLAS thread")


def test_ctrl_c_between_the_rounds_ends_the_workers_at_once():
    """The interrupt falls into the user's metric, and its traceback is kept, as a notebook does."""

    def measure(w):
        if len(mp.active_children()) == 2:
            raise KeyboardInterrupt
        return 0.0

    with pytest.raises(Interrupted) as kept:
        run(gd(0.1), MODEL, SHARDS, rounds=9, engine=Processes(2), metrics={"m": measure})
    assert mp.active_children() == []
    assert kept.value.history.t.tolist() == [0]


def test_an_error_in_a_metric_ends_the_workers_at_once_and_loses_no_row():
    def measure(w):
        return 1 / (2 - len(mp.active_children()))

    with pytest.raises(ZeroDivisionError) as kept:
        run(gd(0.1), MODEL, SHARDS, rounds=9, engine=Processes(2), metrics={"m": measure})
    assert mp.active_children() == []
    assert kept.tb is not None
    assert kept.value.history.t.tolist() == [0]


def test_a_signal_handler_of_the_program_stays_and_is_asked():
    seen = []
    before = signal.signal(signal.SIGINT, lambda *_: seen.append(1))
    try:
        fingers = press(2)
        states = play(gd(0.1), MODEL, SHARDS, rounds=10**9, engine=Processes(2))
        for _ in states:
            if len(seen) == 2:
                break
        states.close()
        fingers.join()
        assert signal.getsignal(signal.SIGINT) is not before
    finally:
        signal.signal(signal.SIGINT, before)


def test_close_twice_and_use_after_close():
    from fedcore.clients import Gradient as Client
    from fedcore.task import Task

    task = Task(MODEL, Client(), (), 0, 1, np.dtype(float))
    for engine in (Serial(), Processes(2)):
        crew = engine.start(task, ("w",), SHARDS)
        crew.run(0, np.arange(3), {"w": np.zeros(1)}, {})
        crew.close()
        crew.close()
    with pytest.raises(WorkerError, match="this crew is closed"):
        crew.run(1, np.arange(3), {"w": np.zeros(1)}, {})
    states = play(gd(0.1), MODEL, SHARDS, rounds=3, engine=Processes(2))
    next(states)
    next(states)
    states.close()
    states.close()
    assert list(states) == []


def test_a_run_in_a_reference_cycle_is_swept_up():
    class Holder:
        pass

    a, b = Holder(), Holder()
    a.b, b.a, a.states = b, a, play(gd(0.1), MODEL, SHARDS, rounds=9, engine=Processes(2))
    next(a.states)
    next(a.states)
    assert len(mp.active_children()) == 2
    del a, b
    gc.collect()
    assert mp.active_children() == []


def test_begun_in_one_thread_and_ended_in_another():
    states = play(gd(0.1), MODEL, SHARDS, rounds=6, engine=Processes(2))
    next(states)
    next(states)
    rest = []
    for step in (lambda: rest.append(next(states)), lambda: rest.extend(states)):
        thread = threading.Thread(target=step)
        thread.start()
        thread.join()
    assert rest[-1].w == run(gd(0.1), MODEL, SHARDS, rounds=6).w


def test_blas_is_limited_in_every_thread_and_free_again_afterwards():
    """threadpoolctl heeds only the first thread that ever set a limit."""

    def threads():
        return [p["num_threads"] for p in threadpool_info() if p["user_api"] == "blas"]

    def one():
        states = play(gd(0.1), MODEL, SHARDS, rounds=2)
        next(states)
        next(states)
        seen.append(threads())
        states.close()
        seen.append(threads())

    before, seen = threads(), []
    one()
    thread = threading.Thread(target=one)
    thread.start()
    thread.join()
    assert seen == [[1] * len(before), before] * 2


def test_eight_runs_side_by_side():
    """Three engines in eight threads, and BLAS and all globals as before."""
    expected, results = run(gd(0.1), MODEL, SHARDS, rounds=9).w, {}
    engines = [Serial(), Processes(2), Processes(1), Serial()] * 2

    def one(i):
        results[i] = run(gd(0.1), MODEL, SHARDS, rounds=9, engine=engines[i]).w

    threads = [threading.Thread(target=one, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert [results[i] == expected for i in range(8)] == [True] * 8


def test_a_run_left_half_done_in_a_fork_stays_with_its_parent():
    """A child that was forked beside a run and ends the usual way does not stop the workers."""
    states = play(gd(0.1), MODEL, SHARDS, rounds=4, engine=Processes(2, "forkserver"))
    next(states)
    next(states)
    pid = os.fork()
    if pid == 0:
        states.close()
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert list(states)[-1].w == run(gd(0.1), MODEL, SHARDS, rounds=4).w


PARENT = """
    import multiprocessing, os, signal, sys, time, psutil
    from dataclasses import dataclass, replace
    from pathlib import Path
    from fedcore import *

    @dataclass(frozen=True)
    class Busy(Gradient):
        def update(self, model, down, data, rng, keep, t):
            while t == 1 and sys.argv[2] == "busy":
                pass
            if t == 1 and sys.argv[2] == "deaf":
                sum(iter(int, 1))  # compiled code that never lets another thread in
            return super().update(model, down, data, rng, keep, t)

    def begin(method):
        multiprocessing.current_process()._config["semprefix"] = f"/mp-{os.getpid()}"
        algorithm = replace(gd(0.1), client=Busy())
        states = play(algorithm, Linear(1), make_quadratics([1.0, 2.0], [0.0, 1.0]), rounds=10**9,
                      engine=Processes(2, method))
        next(states), next(states)
        print(os.getpid(), *(p.pid for p in psutil.Process().children(recursive=True)), flush=True)
        return states

    if __name__ == "__main__":
        signal.signal(signal.SIGHUP, signal.SIG_DFL)  # a test run may be told to ignore it
        states = begin(sys.argv[1])
        if sys.argv[2] != "idle":
            next(states)
        {ending}
        time.sleep(100)
"""


@pytest.mark.parametrize(
    ("ending", "method", "state"),
    [
        ("kill SIGTERM", "forkserver", "busy"),
        ("kill SIGHUP", "forkserver", "busy"),
        ("kill SIGKILL", "spawn", "busy"),
        ("kill SIGKILL", "fork", "busy"),
        ("kill SIGKILL", "forkserver", "deaf"),
        ("kill SIGTERM", "spawn", "deaf"),
        ("kill SIGKILL", "fork", "deaf"),
        ("kill SIGTERM", "spawn", "idle"),
        ("kill SIGHUP", "fork", "idle"),
        ("kill SIGKILL", "forkserver", "idle"),
        ("os._exit(0)", "spawn", "idle"),
        ("os._exit(0)", "fork", "idle"),
        ("sys.exit(1)", "forkserver", "idle"),
        ("1 / 0", "forkserver", "idle"),
        ("pass; keep = [states]; keep.append(keep); sys.exit(0)", "forkserver", "idle"),
    ],
)
def test_workers_memory_and_files_go_with_their_parent(
    script, all_gone, tmp_path, ending, method, state
):
    name, folder = ending.removeprefix("kill "), tmp_path / "temporary"
    folder.mkdir()
    body = PARENT.replace("{ending}", "pass" if name != ending else ending)
    program = subprocess.Popen(
        [*script(body), method, state], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=os.environ | {"TMPDIR": str(folder)},
    )  # fmt: skip
    pids = [int(pid) for pid in program.stdout.readline().split()]
    if name != ending:
        time.sleep(0.2)
        program.send_signal(getattr(signal, name))
    _, errors = program.communicate(timeout=60)
    assert len(pids) >= 3, errors
    assert all_gone(pids)
    assert list(Path("/dev/shm").glob(f"*mp-{pids[0]}*")) == []
    assert list(folder.iterdir()) == []


KILLED_EARLY = """
    import multiprocessing as mp, os, signal
    from multiprocessing import util
    from fedcore import *

    def spawn(*arguments):
        os.kill(os.getpid(), signal.SIGKILL)

    mp.current_process()._config["semprefix"] = f"/mp-{os.getpid()}"
    print(os.getpid(), flush=True)
    util.spawnv_passfds = spawn
    if __name__ == "__main__":
        engine = Processes(2, method="METHOD")
        run(gd(0.1), Linear(1), make_quadratics([1.0], [0.0]), rounds=2, engine=engine)
"""


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_nothing_to_free_is_there_before_who_frees_it(script, method):
    """The program is killed as it starts the tracker, which frees semaphores without an owner."""
    command = script(KILLED_EARLY.replace("METHOD", method))
    program = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert program.returncode == -signal.SIGKILL, program.stderr
    assert list(Path("/dev/shm").glob(f"*mp-{program.stdout.strip()}*")) == []


SCRIPT = """
    from fedcore import *
    shards = make_quadratics([1.0, 2.0], [0.0, 1.0])
    print(run(gd(0.1), Linear(1), shards, rounds=3, engine=Processes(2, "{method}")))
"""


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_a_script_without_a_guard_gets_one_explanation(script, method):
    command = script(SCRIPT.replace("{method}", method))
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert 'must stand below `if __name__ == "__main__":`' in done.stderr.splitlines()[-1]


def test_a_program_from_standard_input_gets_it_too():
    """There is no file that a worker could import."""
    code = SCRIPT.replace("\n    ", "\n").replace("{method}", "forkserver")
    done = subprocess.run(
        [sys.executable, "-"], input=code, capture_output=True, text=True, timeout=120
    )
    assert done.stderr.splitlines()[-1].endswith("imports the script from its file")


def test_a_folder_and_a_language_of_other_letters(tmp_path):
    folder = tmp_path / "Übungen und ćevapi"
    folder.mkdir()
    path = folder / "größe.py"
    body = "if __name__ == '__main__':\n" + SCRIPT.replace("{method}", "spawn")
    path.write_text(body, encoding="utf-8")
    environment = os.environ | {"LC_ALL": "C", "LANG": "C"}
    done = subprocess.run(
        [sys.executable, path], capture_output=True, text=True, timeout=120, env=environment
    )
    assert "3 rounds" in done.stdout, done.stderr


def test_a_clock_that_jumps_changes_nothing(monkeypatch):
    """Waiting uses the monotonic clock: a day forth and back in time.time() is not seen."""
    jumps = iter(range(10**6))
    monkeypatch.setattr(time, "time", lambda: (-1) ** next(jumps) * 86_400.0)
    history = run(gd(0.1), MODEL, SHARDS, rounds=5, engine=Processes(2, timeout=60.0))
    assert (np.diff(history["seconds"]) > 0).all()


def test_the_cores_of_this_process_are_the_default(monkeypatch):
    allowed = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(allowed)})
        assert Processes().workers == 1
    finally:
        os.sched_setaffinity(0, allowed)
    assert Processes().workers == min(len(allowed), cores.usable_cores())


GROUPS = {
    "version 2": ("0::/a/b\n", {"a/b/cpu.max": "150000 100000\n"}, 2),
    "version 2, a group around it": ("0::/a/b\n", {"a/cpu.max": "50000 100000\n"}, 1),
    "version 2, no limit": ("0::/a\n", {"a/cpu.max": "max 100000\n"}, 64),
    "version 2, another group": ("0::/a\n", {"b/cpu.max": "100000 100000\n"}, 64),
    "version 1": (
        "4:memory:/m\n1:cpu,cpuacct:/a\n",
        {"cpu/a/cpu.cfs_quota_us": "300000\n", "cpu/a/cpu.cfs_period_us": "100000\n"}, 3,
    ),
    "version 1, no limit": (
        "1:cpu:/\n", {"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, 64,
    ),
    "damaged": ("0::/a\n", {"a/cpu.max": "\n"}, 64),
    "nothing": ("", {}, 64),
}  # fmt: skip


@pytest.mark.parametrize("case", GROUPS)
def test_a_container_with_less_than_the_machine_gets_as_many_workers(case, tmp_path, monkeypatch):
    ours, files, expected = GROUPS[case]
    (tmp_path / "ours").write_text(ours)
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(cores, "CGROUPS", tmp_path)
    monkeypatch.setattr(cores, "OURS", tmp_path / "ours")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)))
    assert Processes().workers == expected
    monkeypatch.setattr(cores, "OURS", tmp_path / "not there")
    assert Processes().workers == 64


def test_every_worker_has_one_blas_thread():
    @dataclass(frozen=True)
    class Count(Gradient):
        def update(self, model, down, data, rng, keep, t):
            threads = max(p["num_threads"] for p in threadpool_info() if p["user_api"] == "blas")
            return {"g": np.array([float(threads)])}, keep

    count = replace(gd(1.0), client=Count())
    for engine in (Serial(), Processes(2), Processes(2, "spawn")):
        assert run(count, MODEL, SHARDS, rounds=1, engine=engine).w == -1.0


def test_no_process_but_ours_was_left():
    """The suite's own fork server and resource tracker are all that may live."""
    names = [" ".join(p.cmdline()) for p in psutil.Process().children(recursive=True)]
    assert [n for n in names if "spawn_main" in n] == []
