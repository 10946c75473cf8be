"""A real Jupyter kernel: what is defined in a cell, the interrupt button, kill -9."""

import time
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest
from jupyter_client import manager

SETUP = """
import itertools, multiprocessing, os, sys
multiprocessing.current_process()._config["semprefix"] = f"/mp-{os.getpid()}"
from dataclasses import dataclass, replace
import numpy as np
from fedcore import *
shards = make_quadratics([1.0, 2.0, 3.0], [0.0, 1.0, 2.0])
METHODS = ("spawn", "forkserver")

def compare():
    serial = run(algorithm, Linear(1), shards, rounds=3, progress=False).w
    many = [run(algorithm, Linear(1), shards, rounds=3, engine=Processes(2, m), progress=False)
            for m in METHODS]
    print(serial[0], *(bool(history.w == serial) for history in many))
"""
CELL = """
scale = 2.0
def times(factor):
    return lambda g: factor * scale * g
twice = times(2)

@dataclass(frozen=True)
class Scaled(Gradient):
    def update(self, model, down, data, rng, keep, t):
        up, keep = super().update(model, down, data, rng, keep, t)
        return {"g": twice(up["g"])}, keep

algorithm = replace(gd(0.01), client=Scaled())
compare()
"""
NEXT = {
    "the same again": "compare()",
    "a changed global": "scale = 3.0; compare()",
    "a redefined function": "twice = times(7); compare()",
    "other data": "shards = make_quadratics([1.0, 2.0, 3.0], [0.0, 1.0, 5.0]); compare()",
}
ENDLESS = """
def row(w, rows=itertools.count()):
    n = next(rows)
    if n == 1:
        print("begun", flush=True)  # the workers have started and played 50 rounds
    return n

run(gd(0.1), Linear(1), shards, rounds=10**9, every=50, engine=Processes(2), metrics={"row": row})
"""
AFTER = """
last = sys.last_value
print(type(last).__name__, len(last.history) > 0, len(multiprocessing.active_children()),
      run(gd(0.1), Linear(1), shards, rounds=3, engine=Processes(2)).t[-1])
"""
OWN_LINE = """
class Late(Gradient):
    def update(self, model, down, data, rng, keep, t):
        battery = {}
        return battery["charge"]  # my own line

for method in METHODS:
    try:
        run(replace(gd(0.1), client=Late()), Linear(1), shards, rounds=2,
            engine=Processes(2, method))
    except ClientError as error:
        print(str(error).count('return battery["charge"]  # my own line'), "KeyError" in str(error))
"""


class Notebook:
    """A kernel and its client."""

    def __init__(self):
        self.manager, self.client = manager.start_new_kernel(kernel_name="python3")
        self.pid = self.manager.provisioner.process.pid
        self.cell(SETUP)

    def begin(self, code):
        self.client.execute(code)
        while True:
            message = self.client.get_iopub_msg(timeout=60)
            if message["header"]["msg_type"] == "stream" and "begun" in message["content"]["text"]:
                return

    def cell(self, code):
        """Run a cell and return what it printed."""
        text = []

        def show(message):
            if message["header"]["msg_type"] == "stream":
                text.append(message["content"]["text"])

        reply = self.client.execute_interactive(code, timeout=120, output_hook=show)
        content = reply["content"]
        return "".join(text) if content["status"] == "ok" else content["ename"]

    def interrupt(self, times):
        for _ in range(times):
            self.manager.interrupt_kernel()
            time.sleep(0.05)

    def close(self):
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)
        self.manager.cleanup_resources()


@pytest.fixture(scope="module")
def notebook():
    notebook = Notebook()
    yield notebook
    notebook.close()


@pytest.fixture(autouse=True)
def nothing_left():
    """The kernel's own channels outlive a test here."""


def test_what_a_cell_defines_and_what_it_changes_afterwards(notebook):
    """A function, a lambda, a closure, a class; then one of them at a time is another."""
    seen = [notebook.cell(CELL), *map(notebook.cell, NEXT.values())]
    assert [answer.split()[1:] for answer in seen] == [["True", "True"]] * 5, seen
    values = [answer.split()[0] for answer in seen]
    assert values[0] == values[1]
    assert len(set(values)) == 4


def test_the_own_line_of_a_cell_is_shown(notebook):
    """A worker has no source of a cell; the kernel has."""
    assert notebook.cell(OWN_LINE).split() == ["1", "True"] * 2


@pytest.mark.parametrize("times", [1, 3])
def test_the_interrupt_button_and_the_next_cell(notebook, times):
    notebook.begin(ENDLESS)
    began = time.monotonic()
    notebook.interrupt(times)
    reply = notebook.client.get_shell_msg(timeout=60)["content"]
    assert time.monotonic() - began < 30
    assert reply["ename"] in ("Interrupted", "KeyboardInterrupt")[:times]
    if times == 1:
        assert notebook.cell(AFTER).split() == ["Interrupted", "True", "0", "3"]
    assert notebook.cell("print(len(multiprocessing.active_children()))") == "0\n"
    assert notebook.cell(CELL).split()[1:] == ["True", "True"]


def test_a_kernel_that_is_killed_leaves_nothing(notebook, all_gone):
    """An idle crew in a global, another one at work, and kill -9."""
    notebook.cell(
        "idle = play(gd(0.1), Linear(1), shards, rounds=9, engine=Processes(2, 'spawn'))\n"
        "next(idle), next(idle)"
    )
    notebook.begin(ENDLESS)
    kernel = psutil.Process(notebook.pid)
    family = [p.pid for p in kernel.children(recursive=True)]
    assert len(family) >= 5
    kernel.kill()
    assert all_gone(family)
    assert list(Path("/dev/shm").glob(f"*mp-{notebook.pid}*")) == []


def test_eight_kernels_side_by_side(all_gone):
    """All are at work at once; one of them is killed, which the others do not see."""
    code = CELL + 'print("begun", flush=True)\nfor _ in range(5): compare()'
    with ExitStack() as stack:
        kernels = [Notebook() for _ in range(8)]
        for kernel in kernels:
            stack.callback(kernel.close)
        for kernel in kernels[1:]:
            kernel.client.execute(code)
        kernels[0].begin(ENDLESS)
        victim = psutil.Process(kernels[0].pid)
        family = [p.pid for p in victim.children(recursive=True)]
        victim.kill()
        assert all_gone(family)
        for kernel in kernels[1:]:
            assert kernel.client.get_shell_msg(timeout=300)["content"]["status"] == "ok"
        answers = [kernel.cell("compare()") for kernel in kernels[1:]]
        assert set(answers) == {answers[0]}
        assert answers[0].split()[1:] == ["True", "True"]
        pids = [kernel.pid for kernel in kernels]
    assert all_gone(pids)
    assert [p for pid in pids for p in Path("/dev/shm").glob(f"*mp-{pid}*")] == []
