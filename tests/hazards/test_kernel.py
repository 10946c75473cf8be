"""A real Jupyter kernel: what is defined in a cell, the interrupt button, kill -9."""

import time
from pathlib import Path

import psutil
import pytest
from jupyter_client import manager

SETUP = """
import multiprocessing, os, sys
multiprocessing.current_process()._config["semprefix"] = f"/mp-{os.getpid()}"
from dataclasses import dataclass, replace
import numpy as np
from fedcore import *
shards = make_quadratics([1.0, 2.0, 3.0], [0.0, 1.0, 2.0])
METHODS = ("spawn", "forkserver")
"""
CELL = """
scale = {scale}
twice = lambda g: 2 * scale * g

@dataclass(frozen=True)
class Scaled(Gradient):
    def update(self, model, down, data, rng, keep, t):
        up, keep = super().update(model, down, data, rng, keep, t)
        return {{"g": twice(up["g"])}}, keep

algorithm = replace(gd(0.01), client=Scaled())
serial = run(algorithm, Linear(1), shards, rounds=3).w
print(serial, *(run(algorithm, Linear(1), shards, rounds=3, engine=Processes(2, m)).w == serial
                for m in METHODS))
"""
ENDLESS = """
print("begun", flush=True)
run(gd(0.1), Linear(1), shards, rounds=10**9, every=50, engine=Processes(2))
"""
AFTER = """
last = sys.last_value
print(type(last).__name__, len(last.history) > 0, len(multiprocessing.active_children()),
      run(gd(0.1), Linear(1), shards, rounds=3, engine=Processes(2)).t[-1])
"""


class Notebook:
    """A kernel and its client."""

    def __init__(self):
        self.manager, self.client = manager.start_new_kernel(kernel_name="python3")
        self.pid = self.manager.provisioner.process.pid

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


@pytest.fixture(scope="module")
def notebook():
    notebook = Notebook()
    notebook.cell(SETUP)
    yield notebook
    notebook.client.stop_channels()
    notebook.manager.shutdown_kernel(now=True)
    notebook.manager.cleanup_resources()


@pytest.fixture(autouse=True)
def nothing_left():
    """The kernel's own channels outlive a test here."""


def test_functions_and_classes_of_a_cell_and_their_next_version(notebook):
    first = notebook.cell(CELL.format(scale=2.0))
    second = notebook.cell(CELL.format(scale=3.0))
    assert first.split()[1:] == second.split()[1:] == ["[", "True]"] * 0 + first.split()[1:]
    assert "False" not in first + second
    assert first.count("True") == second.count("True") == 2
    assert first.split()[0] != second.split()[0]


def test_the_interrupt_button_and_the_next_cell(notebook):
    notebook.begin(ENDLESS)
    time.sleep(1)
    began = time.monotonic()
    notebook.manager.interrupt_kernel()
    reply = notebook.client.get_shell_msg(timeout=60)["content"]
    assert time.monotonic() - began < 30
    assert reply["ename"] == "Interrupted"
    assert notebook.cell(AFTER).split() == ["Interrupted", "True", "0", "3"]


def test_a_kernel_that_is_killed_leaves_nothing(notebook, all_gone):
    """An idle crew in a global, another one at work, and kill -9."""
    notebook.cell(
        "idle = play(gd(0.1), Linear(1), shards, rounds=9, engine=Processes(2, 'spawn'))\n"
        "next(idle), next(idle)"
    )
    notebook.begin(ENDLESS)
    time.sleep(1)
    kernel = psutil.Process(notebook.pid)
    family = [p.pid for p in kernel.children(recursive=True)]
    assert len(family) >= 5
    kernel.kill()
    assert all_gone(family)
    assert list(Path("/dev/shm").glob(f"*mp-{notebook.pid}*")) == []
