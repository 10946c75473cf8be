"""After every test here: no process, no shared memory, no thread, no changed global."""

import gc
import multiprocessing as mp
import os
import signal
import sys
import textwrap
import threading
import time
import warnings
from pathlib import Path

import numpy as np
import psutil
import pytest
from threadpoolctl import threadpool_info


def workers():
    """The living workers of this process, also those of its fork server."""
    return [p for p in mp.active_children() if p.name.startswith("fedcore")]


def globals_now():
    """What a run may not change."""
    return {
        "random state": np.random.get_state()[1].tobytes(),  # noqa: NPY002
        "BLAS threads": [p["num_threads"] for p in threadpool_info() if p["user_api"] == "blas"],
        "signals": [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)],
        "warnings": list(warnings.filters),
        "environment": dict(os.environ, PYTEST_CURRENT_TEST=""),
        "folder": Path.cwd(),
        "errors": np.geterr(),
        "threads": threading.active_count(),
        "hooks": (sys.excepthook, threading.excepthook),
    }


@pytest.fixture(autouse=True)
def nothing_left():
    config = mp.current_process()._config
    prefix, config["semprefix"] = config["semprefix"], f"/mp-{os.getpid()}"  # to know our own
    fds, before = psutil.Process().num_fds(), globals_now()
    yield
    gc.collect()
    config["semprefix"] = prefix
    assert workers() == []
    assert list(Path("/dev/shm").glob(f"*mp-{os.getpid()}-*")) == []
    assert psutil.Process().num_fds() <= fds + 20  # the fork server, the heap
    assert globals_now() == before


@pytest.fixture
def script(tmp_path):
    """Write a script and return the command that runs it."""

    def write(body, name="script.py"):
        path = tmp_path / name
        path.write_text(textwrap.dedent(body), encoding="utf-8")
        return [sys.executable, str(path)]

    return write


def gone(pids, seconds=20):
    """Wait until no process of these lives; end those that would stay."""

    def living(pid):
        try:
            return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False

    give_up = time.monotonic() + seconds
    while any(map(living, pids)) and time.monotonic() < give_up:
        time.sleep(0.05)
    left = [pid for pid in pids if living(pid)]
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    return not left


@pytest.fixture
def all_gone():
    return gone
