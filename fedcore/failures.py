"""Clients that do not answer with their update, and a w that leaves the finite numbers."""

from __future__ import annotations

import linecache
import re

import numpy as np

from fedcore.algorithms import Algorithm
from fedcore.types import Array, ClientError, Replies, WorkerError


def failures(t: int, S: Array, replies: Replies, on_failure: str) -> dict[int, str]:
    """Return client -> why, or raise for the first of them."""
    if on_failure == "drop":
        for i in np.flatnonzero(~sound(replies)).tolist():
            replies.failed.setdefault(i, "answered with NaN, Inf or numbers too large to square")
    elif replies.lost:
        raise WorkerError(replies.lost)
    elif replies.failed:
        i = min(replies.failed)
        raise ClientError(f"client {S[i]} failed in round {t + 1}:\n{quoted(replies.failed[i])}")
    return {int(S[i]): why.strip().splitlines()[-1] for i, why in sorted(replies.failed.items())}


def quoted(text: str) -> str:
    """Add to a worker's traceback the lines that it could not see: a cell's source is here."""

    def line(frame: re.Match[str]) -> str:
        source = linecache.getline(frame[1], int(frame[2])).strip()
        return f"{frame[0]}    {source}\n" if source else frame[0]

    return re.sub(r'^  File "(.+)", line (\d+), in .*\n(?!    )', line, text, flags=re.MULTILINE)


def sound(replies: Replies) -> Array:
    """Return whose vectors have a finite squared norm, (m,)."""
    with np.errstate(over="ignore", invalid="ignore"):
        norms = [np.vecdot(U, U) for side in (replies.up, replies.keep) for U in side.values()]
    return np.isfinite(np.array(norms)).all(axis=0)


def answered(S: Array, a: Array, replies: Replies, fixed: bool) -> tuple[Array, Array, Replies]:
    """Leave out the clients that failed; unless weights are fixed, the others share theirs."""
    if not replies.failed:
        return S, a, replies
    rows = np.setdiff1d(np.arange(len(S)), list(replies.failed))
    up, keep = ({n: v[rows] for n, v in side.items()} for side in (replies.up, replies.keep))
    a = a[rows] if fixed or not a[rows].any() else a[rows] * (a.sum() / a[rows].sum())
    return S[rows], a, Replies(up, keep, replies.bits[rows])


def blame(S: Array, replies: Replies) -> str:
    """Name a client whose answer was not finite, unless everybody's was."""
    bad = S[~sound(replies)].tolist()
    if not 0 < len(bad) < len(S):
        return ""
    return f" (client {bad[0]} answered with NaN or Inf; {len(bad)} of {len(S)} did)"


def divergence(algorithm: Algorithm, t: int, blame: str = "") -> str:
    """Say when w left the finite numbers and which step to change."""
    sides = {"client": algorithm.client, "server": algorithm.server}
    steps = [f"{n} {s.optimizer!r}" for n, s in sides.items() if hasattr(s, "optimizer")]
    return f"w is not finite after round {t}{blame}: take a smaller step than {', '.join(steps)}"
