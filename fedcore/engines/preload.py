"""What the fork server loads before it forks, and what it takes away when its program is gone."""

from __future__ import annotations

import atexit
import os
import sys
import time
from contextlib import suppress
from multiprocessing import forkserver
from pathlib import Path

import fedcore.engines.worker  # noqa: F401  (so that no worker has to)


def _sweep(server: int, parent: int) -> None:
    """Remove the socket at which the server listened: a program that was killed could not.

    A server that ends for a reason of its own leaves it to the program, which lives.
    """
    if os.getpid() != server or hasattr(sys, "last_type"):
        return
    give_up = time.monotonic() + 1
    while os.getppid() == parent and time.monotonic() < give_up:
        time.sleep(0.01)  # a program closes its files a moment before it is gone
    address = getattr(forkserver._forkserver, "_forkserver_address", None)
    if os.getppid() != parent and isinstance(address, str) and address:
        with suppress(OSError):
            Path(address).unlink(missing_ok=True)
            Path(address).parent.rmdir()


atexit.register(_sweep, os.getpid(), os.getppid())
