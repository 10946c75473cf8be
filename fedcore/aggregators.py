"""How the server makes one vector out of a cohort's replies."""

from __future__ import annotations

from fedcore.types import Array


def mean(U: Array, a: Array) -> Array:
    r"""Return the weighted mean of the replies, added up in the order of the cohort.

    .. math:: \sum_{k \in S} a_k\, g_k

    A fixed order makes the last bit independent of who answered first; ``a @ U`` would leave the
    order to the linear algebra library and to its number of threads.

    Parameters
    ----------
    U : (m, d) the replies, one a row
    a : (m,) their weights

    Book: eq-distributed-gradient

    Examples
    --------
    >>> import numpy as np
    >>> mean(np.array([[1.0, 0.0], [0.0, 4.0]]), np.array([0.5, 0.25]))
    array([0.5, 1. ])
    """
    a = a.astype(U.dtype, copy=False)
    total = a[0] * U[0]  # (d,)
    for a_k, g_k in zip(a[1:], U[1:], strict=True):
        total += a_k * g_k
    return total
