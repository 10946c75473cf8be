"""Shared memory at addresses where huge pages fit."""

import gc
import os
import sys
from multiprocessing import heap
from pathlib import Path

import numpy as np
import pytest

from fedcore.engines.pages import HUGE, take, view

SIZES = [1, HUGE - 1, HUGE, HUGE + 1, 3 * HUGE + 5]


def maps() -> str:
    return Path("/proc/self/maps").read_text() if sys.platform == "linux" else ""


@pytest.mark.parametrize("size", SIZES)
def test_every_view_shows_the_same_bytes(size):
    arena = heap.Arena(size)
    one, other = view(arena), view(arena)
    take(arena, one, size)
    a, b = (np.frombuffer(memory, np.uint8) for memory in (one, other))
    assert len(a) == len(b) == size
    assert not b.any()
    a[:] = np.arange(size, dtype=np.uint8)
    assert np.array_equal(a, b)


@pytest.mark.parametrize("size", SIZES)
def test_large_memory_lies_where_huge_pages_fit(size):
    arena = heap.Arena(size)
    a = np.frombuffer(view(arena), np.uint8)
    moved = sys.platform == "linux" and size >= HUGE
    assert (a.ctypes.data != np.frombuffer(arena.buffer, np.uint8).ctypes.data) == moved
    assert not moved or a.ctypes.data % HUGE == 0


@pytest.mark.parametrize("size", SIZES)
def test_pages_are_taken(size):
    arena = heap.Arena(size)
    take(arena, view(arena), size)
    if hasattr(os, "posix_fallocate"):
        assert os.fstat(arena.fd).st_blocks * 512 >= size


def test_memory_goes_with_its_last_array():
    before, arena = maps().count("pym-"), heap.Arena(2 * HUGE)
    a = np.frombuffer(view(arena), np.uint8)[5:]
    del arena
    gc.collect()
    a[...] = 1  # the array owns it now
    del a
    gc.collect()
    assert maps().count("pym-") == before
