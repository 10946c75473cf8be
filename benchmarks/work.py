"""The five works: their data, their sizes, and what each of them must reach.

Every contestant gets the same arrays, the same start and the same step sizes. Batches are drawn
by each contestant in its own way, so the losses of W2 to W4 agree to a few per cent, no more;
those of W1 agree to rounding.
"""

import os
from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np

DATA = Path(os.environ.get("BENCH_DATA", ".")) / "data"
ETA, L2 = 0.1, 1e-3
CLASSES = 10


@dataclass(frozen=True)
class Case:
    """One line of the table: a work at one size."""

    work: str  # gd, sgd, fedavg or echo: the function of a peer that does it
    units: int  # measured iterations, epochs or rounds; one more comes first, as start-up
    n: int = 0  # rows
    p: int = 0  # columns
    K: int = 2  # clients, or workers that wait for work
    cohort: int = 0
    batch: int = 0
    hidden: tuple[int, ...] = ()  # of the network; () is softmax regression
    d: int = 0  # floats sent to each worker and back

    @property
    def sizes(self):
        """Widths of the layers."""
        return (self.p, *self.hidden, CLASSES)


def federated(K, cohort, hidden=(), n_k=600, units=5):
    return Case("fedavg", units, K * n_k, 784, K, cohort, 10, hidden)


NET = (200, 200)
CASES = {
    "W1": Case("gd", 100, 200_000, 100),
    "W2": Case("sgd", 7, 200_000, 100, batch=32),
    "W3 MLP, 10 of 100": federated(100, 10, NET, units=4),
    "W3 MLP, 100 of 100": federated(100, 100, NET, units=3),
    "W3 softmax, 10 of 100": federated(100, 10, units=10),
    "W3 softmax, 100 of 100": federated(100, 100, units=3),
    "W4 10 of 1,000": federated(1_000, 10, n_k=60, units=20),
    "W4 10 of 10,000": federated(10_000, 10, n_k=6, units=20),
    "W4 10 of 100,000": federated(100_000, 10, n_k=6, units=20),
    "W4 100 of 1,000": federated(1_000, 100, n_k=60, units=10),
    "W4 100 of 10,000": federated(10_000, 100, n_k=6, units=10),
    "W4 100 of 100,000": federated(100_000, 100, n_k=6, units=10),
    "W5 d = 1,000": Case("echo", 1000, d=1_000),
    "W5 d = 1,000,000": Case("echo", 200, d=1_000_000),
}


def quick(case):
    """Return a case that takes a moment, to try the machinery."""
    small = {"gd": {"n": 20_000, "units": 5}, "sgd": {"n": 20_000, "units": 2}}
    return replace(case, **small.get(case.work, {"units": min(case.units, 3)}))


@cache
def data(case):
    """Return X (n, p) and y (n,), read-only; float64 for W1 and W2, float32 for clients."""
    if not case.n:
        return None, None
    stem = DATA / f"{case.work}-{case.n}"
    if not stem.with_suffix(".X.npy").exists():
        stem.parent.mkdir(parents=True, exist_ok=True)
        X, y = make(case)
        np.save(stem.with_suffix(".X.npy"), X)
        np.save(stem.with_suffix(".y.npy"), y)
    X, y = (np.load(stem.with_suffix(f".{name}.npy")) for name in "Xy")
    X.flags.writeable = y.flags.writeable = False  # nobody has to copy them for safety
    return X, y


def make(case):
    rng = np.random.default_rng(0)
    if case.work == "fedavg":
        X = rng.random((case.n, case.p), dtype=np.float32) - np.float32(0.5)
        score = X @ rng.standard_normal((case.p, CLASSES), dtype=np.float32)
        return X, score.argmax(1).astype(np.float32)
    X = rng.standard_normal((case.n, case.p))
    return X, (rng.random(case.n) < 1 / (1 + np.exp(-X @ rng.standard_normal(case.p)))) * 1.0


def offsets(case):
    """Return where each client's rows begin, (K + 1,); all clients have the same number."""
    return np.arange(case.K + 1) * (case.n // case.K)


def start(case):
    """Return w0 (d,): zeros, or for the network the start of He et al."""
    if case.work != "fedavg":
        return np.zeros(case.p)
    rng = np.random.default_rng(1)
    parts = []
    for a, b in pairwise(case.sizes):
        scale = np.sqrt(2 / a) if case.hidden else 0
        parts += [scale * rng.standard_normal(a * b), np.zeros(b)]
    return np.concatenate(parts).astype(np.float32)


def layers(w, sizes):
    """Return the views (W, b) of each layer in the flat w."""
    views, i = [], 0
    for a, b in pairwise(sizes):
        views.append((w[i : i + a * b].reshape(a, b), w[i + a * b : i + (a + 1) * b]))
        i += (a + 1) * b
    return views


def loss(case, w):
    """Return the loss at w, of at most 20,000 rows, computed the same way for all."""
    if w is None or not case.n:
        return None
    X, y = (a[:20_000] for a in data(case))
    w = np.asarray(w)
    if case.work != "fedavg":
        z = X @ w
        return float(np.mean(np.logaddexp(0, z) - y * z) + L2 / 2 * w @ w)
    H = X
    *hidden, (W, b) = layers(w, case.sizes)
    for V, c in hidden:
        H = np.maximum(H @ V + c, 0)
    Z = H @ W + b
    Z = Z - Z.max(1, keepdims=True)
    return float(np.mean(np.log(np.exp(Z).sum(1)) - Z[np.arange(len(y)), y.astype(int)]))
