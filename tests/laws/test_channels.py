"""Unbiased or a contraction, of the stated variance, in the stated bits."""

from dataclasses import replace

import numpy as np
import pytest

from fedcore import (
    QSGD,
    ErrorFeedback,
    RandomK,
    Rounding,
    Sign,
    TopK,
    distributed_gd,
    fedavg,
    from_functions,
    run,
)
from fedcore.shards import Shards

D = 1024
V = np.random.default_rng(0).normal(size=D)
TRIALS = 400


def sent(channel, v=V, trials=TRIALS):
    rng = np.random.default_rng(1)
    return np.stack([channel.send(v, 64 * v.size, rng, {})[0] for _ in range(trials)])


@pytest.mark.parametrize("channel", [QSGD(1), QSGD(16), Rounding(3), RandomK(100)], ids=repr)
def test_unbiased(channel):
    """The mean along a fixed direction is right within 4 standard errors."""
    for u in (V, np.random.default_rng(2).normal(size=D)):
        projections = sent(channel) @ u
        error = projections.std(ddof=1) / np.sqrt(TRIALS)
        assert abs(projections.mean() - V @ u) <= 4 * error


@pytest.mark.parametrize(("levels", "variance"), [(1, 24.5), (4, 5.39), (32, 0.163)])
def test_variance_of_qsgd(levels, variance):
    """d = 1024 Gaussian: sum of p (1 - p) over the coordinates, and the simulation."""
    exact = []
    for seed in range(50):
        v = np.random.default_rng(seed).normal(size=D)
        r = levels * np.abs(v) / np.linalg.norm(v)
        exact.append(((r - np.floor(r)) * (1 - r + np.floor(r))).sum() / levels**2)
    assert np.mean(exact) == pytest.approx(variance, rel=0.03)
    measured = ((sent(QSGD(levels)) - V) ** 2).sum(axis=1) / (V @ V)
    error = measured.std(ddof=1) / np.sqrt(TRIALS)
    assert abs(measured.mean() - exact[0]) <= 4 * error
    assert measured.mean() <= min(D / levels**2, np.sqrt(D) / levels)


def test_variance_of_random_k():
    measured = ((sent(RandomK(100)) - V) ** 2).sum(axis=1) / (V @ V)
    assert abs(measured.mean() - (D / 100 - 1)) <= 4 * measured.std(ddof=1) / np.sqrt(TRIALS)


def test_contractions():
    top = TopK(100).send(V, 0, None, {})[0]
    assert ((top - V) ** 2).sum() <= (1 - 100 / D) * (V @ V)
    sign = Sign().send(V, 0, None, {})[0]
    left = 1 - np.abs(V).sum() ** 2 / (D * (V @ V))
    assert ((sign - V) ** 2).sum() == pytest.approx(left * (V @ V))


@pytest.mark.parametrize(
    ("channel", "bits"),
    [
        (QSGD(1), 64 + D * 2),
        (QSGD(4), 64 + D * 4),
        (Rounding(3), 64 + D * 3),
        (Sign(), 64 + D),
        (TopK(10), 10 * (64 + 10)),
        (RandomK(10), 640),
        (ErrorFeedback(Sign()), 64 + D),
    ],
    ids=repr,
)
def test_bits(channel, bits):
    keep = {"e": np.zeros(D)} if channel.keeps else {}
    assert channel.send(V, 64 * D, np.random.default_rng(0), keep)[1] == bits


@pytest.mark.parametrize("channel", [QSGD(3), Rounding(4), Sign(), TopK(3), RandomK(3)], ids=repr)
def test_zero_stays_zero_and_float32_stays_float32(channel):
    rng = np.random.default_rng(0)
    assert not channel.send(np.zeros(8), 512, rng, {})[0].any()
    assert channel.send(V.astype(np.float32), 32 * D, rng, {})[0].dtype == np.float32


def test_top_k_of_everything_is_the_vector():
    for channel in (TopK(D), RandomK(D)):
        v, bits, _ = channel.send(V, 64 * D, np.random.default_rng(0), {})
        assert v.tobytes() == V.tobytes()
        assert bits == 64 * D


def test_error_feedback_loses_nothing():
    """What was sent and what is remembered add up to what came in."""
    channel, keep, total = ErrorFeedback(TopK(5)), {"e": np.zeros(D)}, np.zeros(D)
    for _ in range(20):
        v, _, keep = channel.send(V, 0, None, keep)
        total += v
    np.testing.assert_allclose(total + keep["e"], 20 * V, rtol=1e-12)


ROWS = np.array([[-3.0, 2.0, 2.0], [2.0, -3.0, 2.0], [2.0, 2.0, -3.0]])
TRIPLE = Shards(ROWS, np.zeros(3), np.arange(4))
# F_k(x) = <a_k, x>^2 + |x|^2 / 4, of Karimireddy et al. 2019
CUBE = from_functions(
    lambda w, X, y: float(((X @ w) ** 2).mean() + 0.25 * w @ w),
    lambda w, X, y: 2 * (X @ w) @ X / len(X) + 0.5 * w,
    d=3,
)


def test_top_1_without_memory_diverges_at_the_proved_factor():
    eta = 0.1
    algorithm = replace(distributed_gd(eta), channel=(TopK(1),))
    history = run(algorithm, CUBE, TRIPLE, rounds=8, w0=np.ones(3))
    growth = history["loss"][1:] / history["loss"][:-1]
    np.testing.assert_allclose(growth, (1 + 11 * eta / 6) ** 2, rtol=1e-9)
    cured = replace(distributed_gd(0.01), channel=(ErrorFeedback(TopK(1)),))
    assert np.abs(run(cured, CUBE, TRIPLE, rounds=4000, w0=np.ones(3)).w).max() < 1e-3


def test_rounding_to_the_nearest_stalls_and_at_random_does_not():
    from fedcore import Linear, make_quadratics

    shards = make_quadratics([[1.0, 1.0]] * 2, [[0.0, 0.02], [0.0, 0.02]])
    w0 = np.array([1.0, 0.0])
    ends = []
    for stochastic in (False, True):
        algorithm = replace(fedavg(0.01), channel=(Rounding(3, stochastic),))
        ends.append(run(algorithm, Linear(2), shards, rounds=30, w0=w0).w[1])
    assert ends[0] == 0  # a coordinate below half a step is lost in every round
    assert ends[1] > 0
