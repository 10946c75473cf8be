"""One BLAS thread while a run computes, in this process too."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from fedcore.engines.interrupts import interrupts_wait

_lock = threading.Lock()
_depth = 0
_limit: Any = None


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Limit BLAS to one thread; the last of nested or interleaved users lifts the limit.

    The number of threads changes the order of additions inside a product, and so its last bits.
    """
    entered = False
    try:
        with interrupts_wait():
            _enter()
            entered = True
        yield
    finally:
        if entered:
            with interrupts_wait():
                _leave()


def _enter() -> None:
    global _depth, _limit
    from threadpoolctl import ThreadpoolController

    with _lock:
        if _depth == 0:
            _take_over()
            _limit = ThreadpoolController().limit(limits=1, user_api="blas")
        _depth += 1


def _leave() -> None:
    global _depth, _limit
    with _lock:
        _depth -= 1
        if _depth == 0 and _limit is not None:
            _take_over()
            _limit.restore_original_limits()
            _limit = None


def _take_over() -> None:
    """Let this thread set the limit; threadpoolctl ignores all but the first that ever did."""
    from threadpoolctl import OpenBLASController

    if hasattr(OpenBLASController, "clear_controlling_thread"):
        OpenBLASController.clear_controlling_thread(force=True)
