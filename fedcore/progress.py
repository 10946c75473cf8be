"""A bar for long runs: shown in a notebook, silent elsewhere unless asked for."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import Any, TypeVar

T = TypeVar("T")


def bar(
    states: Iterator[T], rounds: int, progress: bool | None, engine: str = "", done: int = 0
) -> Iterator[T]:
    """Return the states, with a bar around them where it is wanted; it names the engine."""
    if not (bar_is_due() if progress is None else progress):
        return states
    from tqdm.auto import tqdm

    class Bar(tqdm):
        monitor_interval = 0  # else a thread stays behind

    shown: dict[str, Any] = {"total": rounds + 1, "initial": done, "desc": engine, "leave": False}
    return iter(Bar(states, **shown, **({"delay": 1} if progress is None else {"disable": False})))


def bar_is_due() -> bool:
    """In a notebook, unless TQDM_DISABLE is set: tqdm's bar for notebooks overlooks it."""
    ipython = sys.modules.get("IPython")  # a notebook has loaded it, and a script can do without
    shell = ipython.get_ipython() if ipython else None
    return hasattr(shell, "kernel") and not os.environ.get("TQDM_DISABLE")
