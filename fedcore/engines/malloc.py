"""Memory that a step gives back is kept for the next one."""

import numpy as np

MOST = 31 << 20  # bytes; the C library of Linux follows arrays up to 32 MiB


def keep_freed_memory() -> None:
    """Free one large array: from now on the C library keeps what is smaller.

    It would hand large arrays back to the system and get them anew, page by page, in each step;
    for a million parameters that takes twice as long as to add two vectors.
    """
    np.empty(MOST, np.int8)
