"""What others on this machine see of a run: no port, no shared memory, no secret in a list."""

import multiprocessing as mp
import os
import stat
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import psutil
import pytest

from fedcore import Gradient, Linear, Processes, gd, make_quadratics, play

SHARDS = make_quadratics([1.0, 2.0], [0.0, 1.0])
SECRET = "attack at dawn"

SILENT = """
    import socket, sys

    def watch(event, arguments):
        if event == "socket.__new__" and arguments[1] != socket.AF_UNIX:
            print("a socket:", arguments, flush=True)
        if event in ("socket.connect", "socket.bind") and arguments[0].family != socket.AF_UNIX:
            print(event, arguments, flush=True)

    sys.addaudithook(watch)
    import psutil
    from fedcore import *
    shards = make_quadratics([1.0, 2.0], [0.0, 1.0])
    engines = [Serial(), Vectorized(), *(Processes(2, m) for m in ("fork", "forkserver", "spawn"))]
    if __name__ == "__main__":
        for engine in engines:
            states = play(gd(0.1), Linear(1), shards, rounds=9, engine=engine)
            next(states), next(states)
            family = [psutil.Process(), *psutil.Process().children(recursive=True)]
            print(sum(len(p.net_connections("inet")) for p in family), flush=True)
            states.close()
"""


def test_no_engine_opens_a_socket_of_the_network(script):
    """The fork server listens on a Unix socket of its owner, and that is all."""
    done = subprocess.run(script(SILENT), capture_output=True, text=True, timeout=120)
    assert done.stdout.split() == ["0"] * 5, done.stderr


@dataclass(frozen=True)
class Keeper(Gradient):
    secret: str = SECRET


@pytest.fixture(
    params=[m for m in ("fork", "forkserver", "spawn") if m in mp.get_all_start_methods()]
)
def family(request):
    """The processes of a run that is under way, its parent first."""
    algorithm = replace(gd(0.1), client=Keeper())
    states = play(algorithm, Linear(1), SHARDS, rounds=9, engine=Processes(2, request.param))
    next(states), next(states)
    yield [psutil.Process(), *psutil.Process().children(recursive=True)]
    states.close()


def test_shared_memory_belongs_to_its_owner_alone(family):
    """Every shared file of every process; it has no name any more, either."""
    seen = 0
    for process in family:
        for link in Path(f"/proc/{process.pid}/fd").iterdir():
            target = str(link.readlink()) if link.is_symlink() else ""
            if "pym-" in target or "/mp-" in target:
                mode = link.stat().st_mode
                assert stat.S_IMODE(mode) & 0o077 == 0, (target, oct(mode))
                assert (
                    target.endswith("(deleted)") or Path(target).parent.stat().st_mode & 0o077 == 0
                )
                seen += 1
    assert seen >= 1
    assert [
        p for p in Path("/dev/shm").glob(f"*-{os.getpid()}-*") if p.stat().st_mode & 0o077
    ] == []


def test_no_secret_is_in_a_list_of_processes(family):
    for process in family:
        words = [*process.cmdline(), *process.environ().values(), process.name()]
        assert not any(SECRET in word for word in words), words
        assert max(len(word) for word in process.cmdline()) < 4000


def test_a_run_logs_nothing(caplog, capfd):
    caplog.set_level(0)
    states = play(gd(0.1), Linear(1), SHARDS, rounds=3, engine=Processes(2), w0=np.ones(1))
    assert len(list(states)) == 4
    assert [r for r in caplog.records if r.name.startswith("fedcore")] == []
    assert capfd.readouterr() == ("", "")
