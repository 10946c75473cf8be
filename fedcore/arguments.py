"""What a run refuses, most of it before any work."""

from __future__ import annotations

import numpy as np

from fedcore.algorithms import Algorithm
from fedcore.rng import Purpose, stream
from fedcore.shards import Shards
from fedcore.simulation.population import Population
from fedcore.types import Array, Model


def start_vector(
    algorithm: Algorithm, model: Model, shards: Shards, seed: int, w0: Array | None
) -> Array:
    """Check what can be checked before any work and return the start vector."""
    if not isinstance(algorithm, Algorithm):
        raise TypeError(f"algorithm must be an Algorithm, fedavg(eta=0.1) say, got {algorithm!r}")
    if not isinstance(shards, Shards | Population):
        raise TypeError(
            "shards must be a Shards, for one machine Shards.one(X, y), "
            f"got {type(shards).__name__}"
        )
    for name in ("d", "init", "loss", "grad"):
        if not hasattr(model, name):
            raise TypeError(f"model must have d, init, loss and grad; {model!r} has no {name}")
    if hasattr(model, "check_data"):
        model.check_data(*(shards[0] if isinstance(shards, Population) else (shards.X, shards.y)))
    w = np.asarray(model.init(stream(seed, Purpose.INIT)) if w0 is None else w0)
    if w.shape != (model.d,) or w.dtype.kind not in "fiu" or not np.isfinite(w).all():
        raise ValueError(
            f"w0 must be a finite real vector of shape ({model.d},), "
            f"got {w.dtype} of shape {w.shape}"
        )
    X, y = shards[0]
    w = w.astype(X.dtype)
    g = np.asarray(model.grad(w, X[:1], y[:1]))
    if g.shape != w.shape:
        raise ValueError(f"model.grad must return shape {w.shape}, got {g.shape} from {model!r}")
    return w


def cohort(algorithm: Algorithm, seed: int, shards: Shards, t: int) -> tuple[Array, Array]:
    """Ask the sampler for round t's clients S (m,) and their weights a (m,), and check them.

    >>> from fedcore import gd, make_quadratics
    >>> cohort(gd(0.1), 0, make_quadratics([1.0, 1.0], [0.0, 4.0]), t=0)
    (array([0, 1]), array([0.5, 0.5]))
    """
    S, a = map(np.asarray, algorithm.sampler(stream(seed, Purpose.SAMPLE, t), shards, t))
    if S.shape == a.shape == (0,):
        return S.astype(int), a
    right = S.ndim == 1 and S.shape == a.shape and S.dtype.kind in "iu" and a.dtype.kind in "fiu"
    if not (right and 0 <= S.min() and S.max() < shards.K and 0 <= a.min() and a.max() < np.inf):
        raise ValueError(
            f"sampler must return clients from 0 to {shards.K - 1} and a finite weight >= 0 for "
            f"each, got {S} and {a} for round {t + 1}"
        )
    return S, a
