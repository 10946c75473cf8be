"""What the fork server loads before it forks, and what it takes away when its program is gone."""

from __future__ import annotations

import atexit
import os
from contextlib import suppress
from multiprocessing import forkserver
from pathlib import Path

import fedcore.engines.worker  # noqa: F401  (so that no worker has to)


def _sweep(server: int) -> None:
    """Remove the socket at which the server listened: a program that was killed could not."""
    address = getattr(forkserver._forkserver, "_forkserver_address", None)
    if os.getpid() == server and isinstance(address, str) and address:
        with suppress(OSError):
            Path(address).unlink(missing_ok=True)
            Path(address).parent.rmdir()


atexit.register(_sweep, os.getpid())
