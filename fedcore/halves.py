"""Two cores for one pass over large arrays; NumPy lets threads run side by side there."""

from __future__ import annotations

import _thread
from collections.abc import Callable
from contextvars import copy_context

LARGE = 1 << 19  # numbers; fewer are done before a thread has begun


def in_halves(work: Callable[[int, int], None], n: int, rows: int = 1) -> None:
    """Do ``work(start, stop)`` for all of range(n), the second half in a thread of a moment.

    A thread that stayed would have to be stopped before every fork. ``threading.Thread`` waits
    until its thread has begun, which here takes as long as a tenth of the work.

    Parameters
    ----------
    work : what may be done in pieces, in any order
    n : columns
    rows : numbers that a column holds

    Examples
    --------
    >>> import numpy as np
    >>> a = np.zeros(4)
    >>> def fill(start, stop):
    ...     a[start:stop] = stop - start
    >>> in_halves(fill, 4)
    >>> in_halves(fill, 4, rows=LARGE)
    >>> a
    array([2., 2., 2., 2.])
    """
    if n * rows < LARGE:
        work(0, n)
        return
    context, failed, done = copy_context(), [], _thread.allocate_lock()  # context: np.errstate

    def second() -> None:
        try:
            context.run(work, n // 2, n)
        except BaseException as error:
            failed.append(error)
        finally:
            done.release()

    done.acquire()
    try:
        _thread.start_new_thread(second, ())
    except RuntimeError:  # the system grants no more threads
        second()
    try:
        work(0, n // 2)
    finally:
        done.acquire()
    if failed:
        raise failed[0]
