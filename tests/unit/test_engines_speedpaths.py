"""The fast paths compute what the plain ones do."""

import threading
from dataclasses import dataclass, replace

import numpy as np
import pytest

from fedcore import (
    Batches,
    Gradient,
    Logistic,
    Processes,
    Purpose,
    Serial,
    Shards,
    Softmax,
    aggregators,
    fedavg,
    mean,
    run,
    scaffold,
    stream,
)
from fedcore import objective as obj
from fedcore.engines.bells import heard
from fedcore.engines.vectorized import CohortData, Streams, Vectorized
from fedcore.task import Task

RNG = np.random.default_rng(5)
UNEVEN = Shards(RNG.standard_normal((40, 3)), RNG.integers(0, 2, 40), [0, 1, 4, 20, 33, 40])


@pytest.mark.parametrize(
    ("n", "p", "by_row"), [(20_000, 60, True), (20_000, 40, False), (9, 60, False)]
)
def test_large_blocks_are_read_row_by_row(n, p, by_row, monkeypatch):
    X, w = RNG.standard_normal((n, p)), RNG.standard_normal(p)
    calls = []
    monkeypatch.setattr(np, "matvec", lambda X, w: calls.append(len(X)) or X @ w)
    np.testing.assert_allclose(obj.scores(w, X), X @ w, rtol=1e-12, atol=1e-12)
    assert bool(calls) is not by_row


def test_the_gradient_of_many_rows_is_that_of_the_formula():
    X, y, w = RNG.standard_normal((9_000, 60)), RNG.integers(0, 2, 9_000), RNG.standard_normal(60)
    prob = 1 / (1 + np.exp(-X @ w))
    expected = X.T @ (prob - y) / len(X) + 0.1 * w
    np.testing.assert_allclose(Logistic(60, l2=0.1).grad(w, X, y), expected, rtol=1e-10, atol=1e-13)


def test_the_gradient_of_a_cohort_is_that_of_each_client():
    model, w = Softmax(4, 3), RNG.standard_normal((5, 15))
    X, y = RNG.standard_normal((5, 7, 4)), RNG.integers(0, 3, (5, 7)).astype(float)
    each = [model.grad(*one) for one in zip(w, X, y)]
    np.testing.assert_allclose(model.grad(w, X, y), each, rtol=1e-13)
    shared = [model.grad(w[0], *one) for one in zip(X, y)]
    np.testing.assert_allclose(model.grad(w[0], X, y), shared, rtol=1e-13)


@pytest.mark.parametrize(
    ("plan", "n", "whole"),
    [(Batches(), 5, True), (Batches(8), 5, True), (Batches(4), 5, False),
     (Batches(8, replace=True), 5, False)],
)  # fmt: skip
def test_a_batch_that_is_the_whole_shard_draws_nothing(plan, n, whole):
    assert plan.whole(n) is whole
    rng = np.random.default_rng(0)
    before = rng.bit_generator.state
    list(plan.indices(n, rng))
    assert (rng.bit_generator.state == before) is whole


def test_streams_are_those_of_the_clients_and_made_on_demand():
    task = Task(Logistic(3), Gradient(), (), 7, 3, np.dtype(float))
    streams = Streams(task, 2, [4, 1])
    list(CohortData(UNEVEN, np.array([4, 1])).batches(Batches(), streams))
    assert not streams.made
    first = streams[0].random()
    assert first == stream(7, Purpose.CLIENT, 2, 4).random()
    assert streams[0].random() != first
    assert [rng.bit_generator.state for rng in streams][1] == (
        stream(7, Purpose.CLIENT, 2, 1).bit_generator.state
    )


@pytest.mark.parametrize(
    "algorithm",
    [fedavg(0.2, epochs=2, batch_size=4), fedavg(0.2, cohort=3), scaffold(0.1, batch_size=4)],
    ids=["batches", "cohort", "memory"],
)
def test_vectorized_workers_agree_to_rounding(algorithm):
    serial = run(algorithm, Logistic(3), UNEVEN, rounds=4)
    for engine in (Vectorized(), Processes(2, vectorized=True)):
        other = run(algorithm, Logistic(3), UNEVEN, rounds=4, engine=engine)
        np.testing.assert_allclose(other.w, serial.w, rtol=1e-12, atol=1e-14)
        np.testing.assert_array_equal(other["bits_up"], serial["bits_up"])


@dataclass(frozen=True)
class Picky(Gradient):
    """A client that cannot work where its shard has one row."""

    def update(self, model, down, data, rng, keep, t):
        """Raise for a single row."""
        up, keep = super().update(model, down, data, rng, keep, t)
        if np.min(getattr(data, "n_k", None) if hasattr(data, "n_k") else len(data.X)) == 1:
            raise RuntimeError("too little to learn from")
        return up, keep


def test_vectorized_workers_say_who_failed():
    algorithm = replace(fedavg(0.2), client=Picky())
    histories = [
        run(algorithm, Logistic(3), UNEVEN, rounds=1, engine=engine, on_failure="drop")
        for engine in (Serial(), Vectorized(), Processes(2, vectorized=True))
    ]
    for history in histories:
        assert list(history.failed[1]) == [0]
        np.testing.assert_allclose(history.w, histories[0].w, rtol=1e-12)


@pytest.mark.parametrize("seed", [0, 7, 2**32 - 1, 2**32, 2**100 + 3, 2**128, 2**200 + 1])
def test_a_stream_is_that_of_numpys_seed_sequence(seed):
    """What is written by hand for speed is SeedSequence's own recipe, also for a long seed."""
    there = np.random.SeedSequence(seed, spawn_key=(int(Purpose.CHANNEL), 12, 3_000_000))
    here = stream(seed, Purpose.CHANNEL, 12, 3_000_000)
    assert here.bit_generator.state == np.random.PCG64(there).state


@pytest.mark.parametrize("d", [1, 4, 5, 13])
def test_the_mean_adds_in_the_order_of_the_cohort(d, monkeypatch):
    monkeypatch.setattr(aggregators, "BLOCK", 4)
    U, a = RNG.standard_normal((3, d)), RNG.random(3)
    np.testing.assert_array_equal(mean(U, a), (a[0] * U[0] + a[1] * U[1]) + a[2] * U[2])


def test_a_bell_is_heard_at_once_later_or_not_at_all():
    bell = threading.Semaphore(1)
    assert heard(bell)
    assert not heard(bell, 0.01)
    threading.Timer(0.05, bell.release).start()
    assert heard(bell, 60)
