"""Shared memory in huge pages.

A processor remembers where a few thousand pages lie. A product with a matrix of many more pages
waits for each of them to be looked up. NumPy asks for pages of 2 MiB for its own large arrays;
shared memory comes in pages of 4 KiB, of which Linux makes large ones when told to, from 6.1 on.
"""

import ctypes
import mmap
import os
import sys
from typing import Any

HUGE = 2 << 20  # bytes
COLLAPSE = 25  # MADV_COLLAPSE: make huge pages of these now
FIXED = 0x10  # MAP_FIXED: at this address and no other


def view(arena: Any) -> Any:
    """Return the memory of a `multiprocessing.heap.Arena`, where huge pages fit if it is large."""
    if sys.platform != "linux" or arena.size < HUGE:
        return arena.buffer
    room = mmap.mmap(-1, arena.size + HUGE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    begins = _address(room)
    start = -begins % HUGE
    place = ctypes.CDLL(None).mmap
    place.restype = ctypes.c_void_p
    place.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
    rights, flags = mmap.PROT_READ | mmap.PROT_WRITE, mmap.MAP_SHARED | FIXED
    if place(begins + start, arena.size, rights, flags, arena.fd, 0) != begins + start:
        return arena.buffer
    return memoryview(room)[start : start + arena.size]


def take(arena: Any, memory: Any, size: int) -> None:
    """Take the pages of the first bytes: an OSError now is better than a SIGBUS later."""
    fd = getattr(arena, "fd", -1)
    if fd < 0 or not hasattr(os, "posix_fallocate"):
        return
    if memory is not arena.buffer and size >= HUGE:
        for start in range(0, size - HUGE + 1, HUGE):  # a huge page grows around a small one
            os.posix_fallocate(fd, start, 1)
        first, length = ctypes.c_void_p(_address(memory)), ctypes.c_size_t(size - size % HUGE)
        ctypes.CDLL(None).madvise(first, length, COLLAPSE)  # where it fails, pages stay small
    os.posix_fallocate(fd, 0, size)


def _address(memory: Any) -> int:
    return ctypes.addressof(ctypes.c_char.from_buffer(memory))
