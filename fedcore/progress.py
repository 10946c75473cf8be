"""A bar for long runs: shown in a notebook, silent elsewhere unless asked for."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any, TypeVar

T = TypeVar("T")


def bar(states: Iterator[T], rounds: int, progress: bool | None) -> Iterator[T]:
    """Return the states, with a bar around them where it is wanted."""
    if not (bar_is_due() if progress is None else progress):
        return states
    from tqdm.auto import tqdm

    class Bar(tqdm):
        monitor_interval = 0  # else a thread stays behind

    asked: dict[str, Any] = {} if progress is None else {"disable": False, "delay": 0}
    return iter(Bar(states, **{"total": rounds + 1, "delay": 1, "leave": False} | asked))


def bar_is_due() -> bool:
    """In a notebook, unless TQDM_DISABLE is set: tqdm's bar for notebooks overlooks it."""
    try:
        from IPython import get_ipython
    except ImportError:
        return False
    return hasattr(get_ipython(), "kernel") and not os.environ.get("TQDM_DISABLE")
