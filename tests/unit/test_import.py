"""Importing fedcore loads NumPy and no other library, and every public name is there."""

import subprocess
import sys

import fedcore

HEAVY = ("matplotlib", "ipywidgets", "sklearn", "scipy", "cloudpickle", "tqdm", "multiprocessing")


def test_import_is_light():
    check = f"import fedcore, sys; print([m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_name_is_there():
    assert all(hasattr(fedcore, name) for name in fedcore.__all__)
