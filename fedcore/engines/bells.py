"""How processes call each other: semaphores, looked at for a moment before one sleeps on them."""

from __future__ import annotations

import os
import time
from functools import partial
from typing import Any

AWAKE = 2e-4  # seconds of looking; to wake a sleeper takes a good part of that
pause: Any = getattr(os, "sched_yield", partial(time.sleep, 0))  # whoever computes goes first


def heard(bell: Any, timeout: float | None = None) -> bool:
    """Wait until the bell rings; False where it did not within the time."""
    asleep = time.perf_counter() + AWAKE
    while not bell.acquire(False):
        if time.perf_counter() > asleep:
            return bool(bell.acquire(timeout=timeout))
        pause()
    return True
