"""How many cores this process may use."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
OURS = Path("/proc/self/cgroup")


def usable_cores() -> int:
    """Return the number of cores that affinity and control groups leave to this process.

    A container's share may be a fraction of a core; it is rounded up.
    """
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    return max(1, min([cores, *map(math.ceil, _quotas())]))


def _quotas() -> Iterator[float]:
    """Yield the limits of our control group and of those around it, in cores."""
    for name, files in _groups():
        for folder in (name, *name.parents):
            try:
                words = " ".join((folder / file).read_text() for file in files).split()
                quota, period = float(words[0]), float(words[1])
            except (OSError, ValueError, IndexError):
                continue  # no such group, or "max": no limit
            if quota > 0:  # version 1 says -1 where there is none
                yield quota / period


def _groups() -> Iterator[tuple[Path, tuple[str, ...]]]:
    """Yield the folders of our groups, and the files there that hold quota and period."""
    try:
        lines = OURS.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, kinds, path = line.split(":", 2)
        if not kinds:
            yield CGROUPS / path.lstrip("/"), ("cpu.max",)
        elif "cpu" in kinds.split(","):
            yield CGROUPS / "cpu" / path.lstrip("/"), ("cpu.cfs_quota_us", "cpu.cfs_period_us")
