"""Every random number of the package comes from a stream named by what it is for."""

from __future__ import annotations

from enum import IntEnum
from functools import lru_cache

import numpy as np

from fedcore.checks import count


class Purpose(IntEnum):
    """What a stream is for; one more use of chance never disturbs the others."""

    INIT = 0
    SPLIT = 1
    SAMPLE = 2
    CLIENT = 3
    CHANNEL = 4
    SERVER = 5
    SECAGG = 6
    DATA = 7
    TIME = 8
    DOWNLINK = 9


def stream(seed: int, purpose: Purpose, t: int = 0, k: int = 0) -> np.random.Generator:
    r"""Return the generator that belongs to a purpose, a round and a client.

    The stream depends on *who* and *what*, never on the order of the work:

    .. math:: \text{stream} = \mathrm{PCG64}(\text{seed}; \text{purpose}, t, k).

    Parameters
    ----------
    seed : int >= 0, the run's seed
    purpose : what the numbers are for
    t : int, the round
    k : int, the client's identity in the population, not its position in the cohort

    Raises
    ------
    ValueError, TypeError : if the seed is not a whole number >= 0

    Examples
    --------
    >>> a = stream(1, Purpose.CLIENT, t=3, k=7).random()
    >>> b = stream(1, Purpose.CLIENT, t=3, k=7).random()
    >>> c = stream(1, Purpose.CLIENT, t=7, k=3).random()
    >>> a == b, a == c
    (True, False)
    """
    words = (*_words(count("seed", seed, least=0)), int(purpose), t, k)
    sequence = np.random.SeedSequence(np.array(words, np.uint32))
    return np.random.Generator(np.random.PCG64(sequence))


@lru_cache
def _words(seed: int) -> tuple[int, ...]:
    """Return the seed in words of 32 bits, four at least.

    Behind them, purpose, t and k are what ``SeedSequence(seed, spawn_key=(purpose, t, k))`` mixes
    in; it would take three times as long to make the same words of them.
    """
    words = max(4, -(-seed.bit_length() // 32))
    return tuple(seed >> 32 * i & 0xFFFFFFFF for i in range(words))


def choose_seed(seed: int | None) -> int:
    """Return ``seed``, or a fresh one to be recorded where it is None."""
    if seed is None:
        return int(np.random.SeedSequence().generate_state(1)[0])
    return count("seed", seed, least=0)
