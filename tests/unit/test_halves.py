"""A pass in two halves: the same bits as in one, and the same errors."""

import threading
from typing import ClassVar

import numpy as np
import pytest

from fedcore import Algorithm, Linear, Processes, Serial, Shards, aggregators, play
from fedcore.halves import LARGE, in_halves

D = LARGE + 7


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("d", [0, 1, D // 3, D])
def test_mean_has_the_bits_of_one_pass(d, dtype):
    rng = np.random.default_rng(0)
    U, a = rng.standard_normal((3, d)).astype(dtype), np.array([0.5, 0.3, 0.2], dtype)
    np.testing.assert_array_equal(aggregators.mean(U, a), a[0] * U[0] + a[1] * U[1] + a[2] * U[2])


@pytest.mark.parametrize("size", [1, LARGE - 1, LARGE, D])
def test_every_column_is_visited_once(size):
    visits = np.zeros(size, int)

    def visit(start, stop):
        visits[start:stop] += 1

    in_halves(visit, size)
    assert (visits == 1).all()


def test_both_halves_are_done_at_once():
    meet = threading.Barrier(2)
    in_halves(lambda start, stop: meet.wait(30), LARGE)
    with pytest.raises(threading.BrokenBarrierError):
        in_halves(lambda start, stop: meet.wait(0.01), LARGE - 1)


@pytest.mark.parametrize("bad", [{0}, {D // 2}, {0, D // 2}])
def test_the_error_of_a_half_is_raised_once_both_have_ended(bad):
    ended = []

    def work(start, stop):
        try:
            if start in bad:
                raise ValueError(f"half from {start}")
        finally:
            ended.append(start)

    with pytest.raises(ValueError, match=f"half from {min(bad)}"):
        in_halves(work, D)
    assert sorted(ended) == [0, D // 2]


def test_where_no_thread_can_be_started_one_does_both(monkeypatch):
    def refuse(function, arguments):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr("_thread.start_new_thread", refuse)
    visited = []
    in_halves(lambda start, stop: visited.append((start, stop)), D)
    assert sorted(visited) == [(0, D // 2), (D // 2, D)]


@pytest.mark.parametrize("where", [0, -1])
def test_the_caller_says_what_becomes_of_an_overflow(where):
    U = np.zeros((2, D))
    U[:, where] = np.finfo(float).max
    with np.errstate(over="raise"), pytest.raises(FloatingPointError, match="overflow"):
        aggregators.mean(U, np.ones(2))
    with np.errstate(over="ignore"):
        assert aggregators.mean(U, np.ones(2))[where] == np.inf


class Echo:
    """A client that sends back what it got, and a bit of its own."""

    sends: ClassVar[tuple[str, ...]] = ("g",)
    keeps: ClassVar[tuple[str, ...]] = ()

    def update(self, model, down, data, rng, keep, t):
        return {"g": 0.5 * down["w"] + data.y[0] + rng.random()}, keep


@pytest.mark.parametrize("method", ["fork", "forkserver"])
def test_a_large_vector_goes_round(method):
    shards = Shards(np.zeros((2, D)), np.array([0.0, 1.0]), [0, 1, 2])

    def rounds(engine):
        states = play(Algorithm(Echo()), Linear(D), shards, rounds=2, w0=w0, engine=engine)
        return [now.w for now in states]

    w0 = np.linspace(0, 1, D)
    one, two = rounds(Serial()), rounds(Processes(2, method=method))
    np.testing.assert_array_equal(one, two)
    assert (one[2][:-1] != one[2][1:]).any()
