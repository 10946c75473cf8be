"""What the machine may refuse: descriptors, shared memory, semaphores; many programs at once."""

import errno
import multiprocessing as mp
import multiprocessing.heap
import os
import resource
import shutil
import subprocess
import sys
import textwrap
import time
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from fedcore import (
    Everyone,
    Gradient,
    Linear,
    Processes,
    WorkerError,
    gd,
    make_quadratics,
    play,
    run,
)

SHARDS = make_quadratics([1.0, 2.0], [0.0, 1.0])


def go(engine=None):
    return run(gd(0.1), Linear(1), SHARDS, rounds=3, engine=engine).w


def test_few_file_descriptors():
    """Whatever the limit, a run works or says what is missing, and the next one works."""
    expected, ends = go(Processes(2)), []
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(int(path.name) for path in Path("/proc/self/fd").iterdir())
    fillers = [os.dup(0) for _ in range(highest + 1 - len(list(Path("/proc/self/fd").iterdir())))]
    for spare in (1, 3, 5, 7, 10, 14, 19, 40):
        resource.setrlimit(resource.RLIMIT_NOFILE, (highest + spare, hard))
        try:
            ends.append(bool(go(Processes(2)) == expected))
        except WorkerError as error:
            ends.append(error)
            time.sleep(1)  # the fork server may die of it, and must be gone to be replaced
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    for number in fillers:
        os.close(number)
    errors = [end for end in ends if end is not True]
    assert errors
    assert any("Too many open files" in str(error) for error in errors), errors
    assert all(isinstance(error.__cause__, OSError | EOFError) for error in errors), errors
    assert ends[-1] is True
    assert go(Processes(2)) == expected


SMALL = """
    import multiprocessing, multiprocessing.heap, resource, sys
    import numpy as np
    from fedcore import *

    def attempt(n):
        X = np.ones((n, 10))
        shards, engine = Shards.one(X, np.ones(n)), Processes(2, "fork")
        return run(gd(0.1), Linear(10), shards, rounds=2, engine=engine)

    if sys.argv[1] == "files":
        resource.setrlimit(resource.RLIMIT_FSIZE, (6 << 20, 6 << 20))
    else:
        multiprocessing.heap.Arena._dir_candidates = [sys.argv[1]]
        multiprocessing.current_process()._config["tempdir"] = sys.argv[1]
    attempt(10)
    try:
        attempt(100_000)
    except WorkerError as error:
        print(type(error.__cause__).__name__, error)
    print(attempt(10))
"""


def attempt_too_much(where):
    """Return what a program says whose data do not fit, and whether it could go on."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(SMALL), where],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    first, second = done.stdout.splitlines() or [done.stderr, ""]
    return first, "2 rounds" in second


def test_shared_memory_that_may_not_grow_is_an_error_and_not_a_bus_error():
    """A limit on the size of files holds for shared memory, too, on any machine."""
    first, went_on = attempt_too_much("files")
    assert first == "OSError no shared memory for this run: [Errno 27] File too large"
    assert went_on


def test_shared_memory_that_is_too_small_is_an_error_and_not_a_bus_error(tmp_path):
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(tmp_path)]
    if not shutil.which("mount") or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("this user may not mount a file system; the test before needs none")
    try:
        first, went_on = attempt_too_much(str(tmp_path))
        assert list(tmp_path.iterdir()) == []
    finally:
        subprocess.run(["umount", tmp_path], check=True)
    assert first.startswith("OSError no shared memory for this run: [Errno 28]")
    assert went_on


def test_a_file_takes_the_place_of_shared_memory_that_is_too_small(monkeypatch):
    full = SimpleNamespace(f_bavail=0, f_frsize=4096)
    monkeypatch.setattr(os, "statvfs", lambda _: full)
    states = play(gd(0.1), Linear(1), SHARDS, rounds=3, engine=Processes(2))
    next(states), next(states)  # the start, a round
    opened = (fd.readlink() for fd in Path("/proc/self/fd").iterdir() if fd.is_symlink())
    (memory,) = {str(path) for path in opened if f"pym-{os.getpid()}-" in str(path)}
    assert not memory.startswith("/dev/shm")
    assert list(states)[-1].w == go()


def test_no_semaphores_to_be_had(monkeypatch):
    def none(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("multiprocessing.synchronize._multiprocessing.SemLock", none)
        with pytest.raises(WorkerError, match=r"could not be started.*No space left") as caught:
            go(Processes(2))
    assert isinstance(caught.value.__cause__, OSError)
    assert go(Processes(2)) == go()


def test_a_process_that_cannot_be_started(monkeypatch):
    def none():
        raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")

    with monkeypatch.context() as patch:
        patch.setattr("multiprocessing.popen_fork.os.fork", none)
        with pytest.raises(WorkerError, match="temporarily unavailable"):
            go(Processes(2, "fork"))


def test_a_fork_server_that_was_killed_is_started_again(all_gone):
    expected = go(Processes(2))
    servers = [p for p in psutil.Process().children() if "forkserver" in " ".join(p.cmdline())]
    for server in servers:
        server.kill()
        assert all_gone([server.pid])
    assert servers
    assert go(Processes(2)) == expected


MANY = """
    import sys
    from fedcore import *
    if __name__ == "__main__":
        shards = make_quadratics([1.0, 2.0], [0.0, 1.0])
        engine = Processes(2, sys.argv[1])
        print(run(gd(0.1), Linear(1), shards, rounds=20, engine=engine).w.tobytes().hex())
"""


@dataclass(frozen=True)
class Slow(Gradient):
    """A client that takes its time after the first round."""

    def update(self, model, down, data, rng, keep, t):
        time.sleep(t)
        return super().update(model, down, data, rng, keep, t)


def test_a_fork_server_that_is_killed_in_a_round_takes_nobody_else_with_it(all_gone):
    """Whether a worker lives is its to say: the clients are dropped, and no worker is forgotten."""
    states = play(
        replace(gd(0.1), client=Slow(), sampler=Everyone()), Linear(1), SHARDS, rounds=2,
        engine=Processes(2), on_failure="drop",
    )  # fmt: skip
    next(states), next(states)
    pids = [p.pid for p in mp.active_children()]
    (server,) = (p for p in psutil.Process().children() if "forkserver" in " ".join(p.cmdline()))
    server.kill()
    (last,) = states
    assert set(last.failed) == {0, 1}
    assert all_gone(pids)
    assert go(Processes(2)) == go()


LETTERS = """
    import locale, os, sys
    from fedcore import *
    from pathlib import Path

    def grad(w, X, y):
        raise ValueError("Größe Ω passt nicht")

    if __name__ == "__main__":
        folder = Path(os.fsdecode("Übung Ω".encode()))
        folder.mkdir(exist_ok=True)
        os.chdir(folder)
        shards = make_quadratics([1.0, 2.0], [0.0, 1.0])
        more = {"engine": Processes(2, sys.argv[1]), "checkpoint": Path.cwd() / "Lauf"}
        history = run(gd(0.1), Linear(1), shards, rounds=3, **more)
        history.save(os.fsdecode("größe.npz".encode()))
        print(sys.getfilesystemencoding(), History.load(os.fsdecode("größe.npz".encode())))
"""


@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
def test_a_locale_that_has_no_letters_but_ascii(script, tmp_path, method):
    """Without UTF-8 anywhere, paths and sources of other letters still work."""
    plain = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = subprocess.run(
        [*script(LETTERS, "größe.py"), method], capture_output=True, timeout=120, cwd=tmp_path,
        env=os.environ | plain,
    )  # fmt: skip
    assert done.stdout.startswith(b"ascii GD, 3 rounds"), done.stderr


def test_eight_programs_side_by_side(script):
    command, methods = script(MANY), ["fork", "forkserver", "spawn", "fork"] * 2
    programs = [
        subprocess.Popen([*command, method], stdout=subprocess.PIPE, text=True)
        for method in methods
    ]
    answers = {program.communicate(timeout=120)[0].strip() for program in programs}
    assert len(answers) == 1
    assert answers != {""}
    assert all(program.returncode == 0 for program in programs)
