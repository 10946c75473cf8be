"""A run on disk: taken up again bit for bit, and never lost to a bad file or a full disk."""

import hashlib
import json
import os
import resource
import shutil
import stat
import subprocess
import sys
import textwrap
from dataclasses import dataclass, replace

import numpy as np
import pytest

from fedcore import (
    Descend,
    History,
    Interrupted,
    Linear,
    Processes,
    fedavg,
    gd,
    make_quadratics,
    run,
    scaffold,
)
from fedcore.checkpoint import load, save
from fedcore.types import CheckpointError, Diverged

SHARDS = make_quadratics([1.0, 2.0, 3.0], [0.0, 1.0, 2.0])
MODEL = Linear(1)
METHOD = scaffold(0.1, steps=2, cohort=2)


def go(path, rounds=6, **more):
    return run(METHOD, MODEL, SHARDS, rounds=rounds, checkpoint=path, **more)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run é.checkpoint"


@pytest.fixture
def small_disk(tmp_path):
    """Mount a file system of a few pages and return its folder."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=32k", "tmpfs", folder]
    if not shutil.which("mount") or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("this user may not mount a file system")
    yield folder
    subprocess.run(["umount", folder], check=True)


def same(a: History, b: History) -> bool:
    columns = set(a.columns) - {"seconds"}
    return a.w.tobytes() == b.w.tobytes() and all(a.columns[n] == b.columns[n] for n in columns)


@pytest.mark.parametrize("every", [1, 2, 5])
def test_resumed_is_uninterrupted(path, every):
    whole = run(METHOD, MODEL, SHARDS, rounds=10, every=every)
    for rounds in (every, 2 * every, 10):
        last = go(path, rounds, resume=True, every=every)
    assert same(last, whole)


def test_another_engine_may_go_on(path):
    whole = run(METHOD, MODEL, SHARDS, rounds=9)
    for rounds, engine in ((3, Processes(2)), (6, None), (9, Processes(3))):
        last = go(path, rounds, resume=True, engine=engine)
    assert same(last, whole)
    assert last.about["engine"].startswith("3 processes")


def test_a_finished_run_comes_back_at_once(path):
    first = go(path)
    again = go(path, resume=True, engine=Processes(2), metrics=None)
    assert same(first, again)


def test_who_failed_is_remembered(path):
    @dataclass(frozen=True)
    class Absent(type(METHOD.client)):
        def update(self, model, down, data, rng, keep, t):
            if t == 1:
                raise RuntimeError("battery empty")
            return super().update(model, down, data, rng, keep, t)

    method = replace(METHOD, client=Absent(METHOD.client.optimizer, METHOD.client.batches))
    options = {"checkpoint": path, "resume": True, "on_failure": "drop"}
    whole = run(method, MODEL, SHARDS, rounds=4, on_failure="drop")
    run(method, MODEL, SHARDS, rounds=2, **options)
    last = run(method, MODEL, SHARDS, rounds=4, **options)
    assert last.failed == whole.failed
    assert len(whole.failed[2]) == 2


def test_a_seed_that_was_chosen_is_kept(path):
    go(path, 3, seed=None)
    first = load(path)["run"]["seed"]
    assert go(path, 6, seed=None, resume=True).about["seed"] == first


def test_ctrl_c_loses_nothing_that_was_written(path):
    presses = iter([0, 0, 0, 1])

    def press(w):
        if next(presses, 0):
            raise KeyboardInterrupt
        return 0.0

    with pytest.raises(Interrupted):
        go(path, metrics={"press": press})
    last = go(path, resume=True, metrics={"press": press})
    assert last.w.tobytes() == run(METHOD, MODEL, SHARDS, rounds=6).w.tobytes()


def test_divergence_leaves_the_last_finite_round(path):
    start = np.array([1e300])
    with pytest.raises(Diverged) as caught:
        run(gd(50.0), MODEL, SHARDS, rounds=999, w0=start, checkpoint=path)
    assert load(path)["now"]["t"] == caught.value.history.t[-1] == caught.value.t - 1


def test_only_the_owner_may_read_and_nothing_else_stays(path):
    rest = path.with_name(f".{path.name}.abc.part")
    rest.write_bytes(b"a run was killed while it wrote")
    go(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [p.name for p in path.parent.iterdir()] == [path.name]


KILLED = """
    import os, random, resource, signal, sys, time, warnings
    from pathlib import Path
    from fedcore import *
    from fedcore.checkpoint import load

    warnings.simplefilter("ignore")
    path, shards = Path(sys.argv[1]), make_quadratics([1.0, 2.0, 3.0], [0.0, 1.0, 2.0])
    method, chance, deaths = scaffold(0.1, steps=2, cohort=2), random.Random(0), 0

    def go(rounds, **more):
        return run(method, Linear(1), shards, rounds=rounds, every=3, **more)

    def mark():
        return path.exists() and (path.stat().st_ino, path.stat().st_mtime_ns)

    def child(at):
        pid = os.fork()
        if pid == 0:
            if at is not None:  # the kernel kills it when it writes this byte
                signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
                resource.setrlimit(resource.RLIMIT_FSIZE, (at, at))
            go(10**6, checkpoint=path, resume=True)
        if at is None:
            for _ in range(chance.randrange(6)):  # so many checkpoints later
                before = mark()
                while mark() == before:
                    time.sleep(0.0001)
            time.sleep(chance.uniform(0, 0.003))
            os.kill(pid, signal.SIGKILL)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    seen = []
    for i in range(16):
        at = chance.randrange(1000) if i % 2 else None
        deaths += child(at) in (-signal.SIGKILL, -signal.SIGXFSZ)
        if path.exists():
            seen.append(load(path)["now"]["t"])
    assert seen == sorted(seen), seen
    end = seen[-1] + 4
    last, whole = go(end, checkpoint=path, resume=True), go(end)
    right = last.w.tobytes() == whole.w.tobytes(), last["loss"].tolist() == whole["loss"].tolist()
    print(deaths, *right, len(os.listdir(path.parent)))
"""


def test_killed_at_any_moment_and_at_any_byte(path):
    """16 runs, half of them killed at a random moment, half while they write a random byte."""
    script = textwrap.dedent(KILLED)
    done = subprocess.run(
        [sys.executable, "-c", script, path], capture_output=True, text=True, timeout=300
    )
    assert done.stdout.split() == ["16", "True", "True", "1"], done.stderr


def test_a_file_that_may_not_grow_keeps_the_older_one(path):
    """A limit on the size of files stops the write in the middle, on any machine."""
    go(path, 2)
    before, (soft, hard) = path.read_bytes(), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before), hard))
    try:
        with pytest.raises(CheckpointError, match=r"one before is kept.*File too large") as caught:
            go(path, 6, resume=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == [path.name]
    assert caught.value.history.t.tolist() == [0, 1, 2, 3]
    assert isinstance(caught.value.__cause__, OSError)
    assert same(go(path, 6, resume=True), run(METHOD, MODEL, SHARDS, rounds=6))


def test_a_full_disk_keeps_the_older_one(small_disk):
    path = small_disk / "run.checkpoint"
    go(path, 2)
    before = path.read_bytes()
    filler = small_disk / "filler"
    filler.touch()
    free = os.statvfs(small_disk)
    with filler.open("r+b") as file:
        os.posix_fallocate(file.fileno(), 0, free.f_bavail * free.f_frsize)
    with pytest.raises(CheckpointError, match=r"No space left.*") as caught:
        go(path, 6, resume=True)
    assert path.read_bytes() == before
    assert sorted(p.name for p in small_disk.iterdir()) == ["filler", "run.checkpoint"]
    assert caught.value.history.t.tolist() == [0, 1, 2, 3]
    assert isinstance(caught.value.__cause__, OSError)
    filler.unlink()
    assert same(go(path, 6, resume=True), run(METHOD, MODEL, SHARDS, rounds=6))


def test_a_folder_in_which_nobody_may_write_is_an_error_before_any_work(monkeypatch):
    monkeypatch.setattr(Processes, "start", None)
    with pytest.raises(
        CheckpointError, match=r"Permission denied|Read-only|not permitted"
    ) as caught:
        go("/sys/run.checkpoint", engine=Processes(2))
    assert caught.value.history.t.tolist() == [0]


def test_a_read_only_folder_is_an_error_before_any_work(small_disk):
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    with pytest.raises(CheckpointError, match="Read-only") as caught:
        go(small_disk / "run.checkpoint", engine=Processes(2))
    assert caught.value.history.t.tolist() == [0]


def test_cut_off_anywhere_is_refused(path):
    go(path)
    data = path.read_bytes()
    for length in (*range(400), *range(400, len(data), 13), len(data) - 1):
        path.write_bytes(data[:length])
        with pytest.raises(ValueError, match="checkpoint"):
            load(path)
    path.write_bytes(data + b"\0")
    with pytest.raises(ValueError, match="damaged"):
        load(path)


def test_any_changed_byte_is_refused(path):
    go(path)
    data = bytearray(path.read_bytes())
    for i in range(len(data)):
        data[i] ^= 1 << i % 8
        path.write_bytes(data)
        with pytest.raises(ValueError, match="checkpoint"):
            load(path)
        data[i] ^= 1 << i % 8
    path.write_bytes(data)
    load(path)


def test_foreign_files_are_refused_and_kept(path):
    for content in (b"", b"w = 1\n", b"PK\x03\x04", os.urandom(2000)):
        path.write_bytes(content)
        with pytest.raises(ValueError, match="must be a file that a run of fedcore wrote"):
            go(path, resume=True)
        with pytest.raises(ValueError, match="exists"):
            go(path)
        assert path.read_bytes() == content


def forged(path, text, body=b""):
    """Write a file with a right digest: somebody made it on purpose."""
    rest = text + b"\n" + body
    first = f"fedcore checkpoint 1 {hashlib.sha256(rest).hexdigest()}\n".encode()
    path.write_bytes(first + rest)


def forged_array(dtype, shape, kind="array"):
    tree = {"dict": [["run", None], ["now", {kind: 0}], ["history", None]]}
    return json.dumps({"arrays": [[dtype, shape]], "tree": tree}).encode()


@pytest.mark.parametrize(
    "text",
    [
        forged_array("<f8", [10**12]),
        forged_array("<f8", [2**62, 2**62]),
        forged_array("<f8", "8"),
        forged_array("|O", [1]),
        forged_array("|V8", [1]),
        forged_array("(3,)f8", [1]),
        forged_array("(999999999,)f8", [1]),
        forged_array("<f8", [1], "eval"),
        b"[" * 200_000,
        b'{"arrays": [], "tree": ' + b"9" * 10_000 + b"}",
        b"{}",
    ],
)
def test_a_forged_file_is_refused(path, text):
    """No bomb, no object, no code; the same file with honest contents is read."""
    forged(path, forged_array("<f8", [8]), bytes(64))
    assert load(path)["now"].tolist() == [0] * 8
    forged(path, text, bytes(64))
    with pytest.raises(ValueError, match="does not hold a run"):
        load(path)


def test_a_newer_version_is_named(path):
    path.write_bytes(b"fedcore checkpoint 2 " + b"0" * 64 + b"\n{}")
    with pytest.raises(ValueError, match=r"must have version 1, .* has version 2"):
        go(path, resume=True)


OTHERS = [
    ("algorithm", lambda p: run(gd(0.1), MODEL, SHARDS, rounds=9, checkpoint=p, resume=True)),
    ("model", lambda p: run(METHOD, Linear(1, 0.1), SHARDS, rounds=9, checkpoint=p, resume=True)),
    (
        "data",
        lambda p: run(METHOD, MODEL, make_quadratics([1, 2, 3], [0, 1, 9]), rounds=9, checkpoint=p,
                      resume=True),
    ),
    ("seed", lambda p: go(p, 9, seed=1, resume=True)),
    ("start", lambda p: go(p, 9, w0=np.array([2.0]), resume=True)),
]  # fmt: skip


@pytest.mark.parametrize(("what", "other"), OTHERS)
def test_the_checkpoint_of_another_run_is_refused(path, what, other):
    go(path)
    before = path.read_bytes()
    with pytest.raises(ValueError, match=f"is of another run: {what} is"):
        other(path)
    assert path.read_bytes() == before


BAD = [
    (lambda p: go(p, 5, resume=True), ValueError, "rounds must be a whole number >= 6, got 5"),
    (lambda p: go(p, 9, resume=True, metrics={}), ValueError, r"metrics must be .*\['loss'\]"),
    (lambda p: go(p, 9), ValueError, "exists"),
    (lambda p: go(p.parent), ValueError, "no folder"),
    (lambda p: go(p / "below" / "it"), ValueError, "must lie in a folder that exists"),
    (lambda p: go(7), TypeError, "checkpoint must be a path, got 7"),
    (lambda p: go(p, resume="yes"), ValueError, "resume must be one of"),
    (lambda p: go(None, resume=True), ValueError, "resume needs checkpoint"),
]


@pytest.mark.parametrize(("call", "error", "message"), BAD)
def test_bad_arguments_are_named(path, call, error, message):
    go(path)
    with pytest.raises(error, match=message):
        call(path)


def test_a_link_or_a_pipe_is_refused(path, tmp_path):
    other = tmp_path / "precious"
    other.write_text("keep me")
    path.symlink_to(other)
    for resume in (True, False):
        with pytest.raises(ValueError, match="no link"):
            go(path, resume=resume)
    save(path, {"w": np.ones(2)})  # were it called, it would replace the link and not follow it
    assert other.read_text() == "keep me"
    assert not path.is_symlink()
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(ValueError, match="plain file"):
        go(path, resume=True)


def test_every_kind_of_state_survives(path):
    state = {
        "a": np.arange(6, dtype=">i4").reshape(2, 3)[:, ::-1], "zero": np.zeros((0, 3), "f4"),
        "scalar": np.float32(1.5), "plain": [1, 2.5, True, None, "é", (1, (2,))], 3: {"x": {}},
        "nan": np.array([np.nan, -0.0, np.inf]), "point": np.array(2.0), "big": 2**80,
        "inf": -np.inf,
    }  # fmt: skip
    save(path, {"run": {}, "now": state, "history": {}})
    again = load(path)["now"]
    assert list(again) == list(state)
    for name, value in state.items():
        if isinstance(value, np.ndarray | np.generic):
            assert type(again[name]) is type(value)
            assert again[name].dtype == value.dtype
            assert again[name].shape == value.shape
            assert again[name].tobytes() == value.tobytes()
        else:
            assert again[name] == value
            assert type(again[name]) is type(value)


def test_a_state_of_something_else_is_a_type_error(path):
    @dataclass(frozen=True)
    class Odd(Descend):
        def init(self, w):
            return super().init(w) | {"set": {1}}

    with pytest.raises(TypeError, match="the run's state has a set"):
        run(replace(fedavg(0.1), server=Odd()), MODEL, SHARDS, rounds=1, checkpoint=path)
    assert not list(path.parent.iterdir())
