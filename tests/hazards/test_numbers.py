"""Absurd numbers and data: right, or refused by name before any work."""

import numpy as np
import pytest

from fedcore import (
    Linear,
    Logistic,
    Processes,
    Shards,
    Softmax,
    UniformSample,
    fedavg,
    gd,
    make_quadratics,
    play,
    run,
)

SHARDS = make_quadratics([1.0, 2.0], [0.0, 1.0])
MODEL = Linear(1)
HUGE = 10**6

COUNTS = {
    "rounds": lambda v: run(gd(0.1), MODEL, SHARDS, rounds=v),
    "every": lambda v: run(gd(0.1), MODEL, SHARDS, rounds=1, every=v),
    "workers": Processes,
    "epochs": lambda v: fedavg(0.1, epochs=v),
    "steps": lambda v: fedavg(0.1, steps=v),
    "size": lambda v: fedavg(0.1, batch_size=v),
    "m": UniformSample,
}


@pytest.mark.parametrize("value", [0, -1, 0.5, 1.0, True, "3", np.nan, np.array([1, 2])], ids=repr)
@pytest.mark.parametrize("name", COUNTS)
def test_a_count_is_a_whole_number_of_at_least_1(name, value):
    with pytest.raises((ValueError, TypeError), match=f"^{name} must be"):
        COUNTS[name](value)


@pytest.mark.parametrize("seed", [-1, "1", 1.5, True, np.inf])
def test_a_seed_is_a_whole_number_from_0(seed):
    with pytest.raises((ValueError, TypeError), match=r"^seed must be"):
        run(gd(0.1), MODEL, SHARDS, rounds=1, seed=seed)


def test_a_million_workers_are_refused():
    """Each would be a process; more than the machine has cores are fine, within reason."""
    with pytest.raises(ValueError, match=r"^workers must be .* <= 256, got 1000000"):
        Processes(HUGE)
    assert Processes(256).workers == 256


def test_large_counts_are_taken():
    assert next(play(gd(0.1), MODEL, SHARDS, rounds=HUGE)).t == 0
    assert fedavg(0.1, batch_size=HUGE).client.batches.size == HUGE
    larger = run(fedavg(0.1, batch_size=HUGE), MODEL, SHARDS, rounds=2).w
    assert larger == run(fedavg(0.1), MODEL, SHARDS, rounds=2).w
    assert (
        run(gd(0.1), MODEL, SHARDS, rounds=2, seed=2**200).w
        == larger * 0 + run(gd(0.1), MODEL, SHARDS, rounds=2).w
    )


@pytest.mark.parametrize("eta", [0, -1, np.nan, np.inf, np.ones(2), "0.1", 1j, None])
def test_a_step_size_is_a_positive_number(eta):
    for method in (gd, fedavg):
        with pytest.raises((ValueError, TypeError), match="eta must be"):
            method(eta)


def test_constant_columns_duplicate_rows_and_overlapping_views():
    X = np.ones((8, 3))
    shards = Shards.from_list([(X[:5], np.ones(5)), (X[3:], np.ones(5))])  # rows 3 and 4 twice
    w = run(gd(0.3), Linear(3), shards, rounds=200).w
    np.testing.assert_allclose(w, 1 / 3, rtol=1e-12)
    np.testing.assert_array_equal(X, 1)


def test_a_separable_set_runs_on_without_a_warning():
    """Without a penalty w grows for ever, like log t; nothing overflows."""
    X, y = np.array([[-1.0], [1.0]]), np.array([0.0, 1.0])
    history = run(gd(100.0), Logistic(1), Shards.one(X, y), rounds=200)
    assert (np.diff(history["loss"]) <= 0).all()
    assert np.isfinite(history.w).all()


@pytest.mark.parametrize("scale", [1e4, -1e4])
def test_far_out_scores_are_right(scale):
    X, y = np.array([[1.0]]), np.array([1.0])
    w = np.array([scale])
    assert Logistic(1).loss(w, X, y) == max(0.0, -scale)
    assert Logistic(1).grad(w, X, y) == (0.0 if scale > 0 else -1.0)


def test_softmax_at_the_end_of_the_floats():
    model = Softmax(1, classes=2)
    w = np.zeros(model.d)
    w[:2] = 1e308, -1e308
    X = np.array([[1.0]])
    assert model.loss(w, X, np.array([0.0])) == 0
    assert np.isfinite(model.grad(w, X, np.array([1.0]))).all()


def test_float32_stays_float32_in_every_engine():
    X, y = np.ones((4, 2), np.float32), np.arange(4, dtype=np.float32)
    shards = Shards(X, y, [0, 1, 4])
    w = run(fedavg(0.1, steps=2), Linear(2), shards, rounds=3).w
    many = run(fedavg(0.1, steps=2), Linear(2), shards, rounds=3, engine=Processes(2)).w
    assert w.dtype == many.dtype == np.float32
    assert w.tobytes() == many.tobytes()


def test_new_data_are_used_and_old_ones_are_not_written_to():
    X, y = np.ones((2, 1)), np.zeros(2)
    before = Shards.one(X, y)
    first = run(gd(0.5), Linear(1), before, rounds=2, w0=np.ones(1), engine=Processes(2)).w
    second = run(
        gd(0.5), Linear(1), Shards.one(X, y + 4), rounds=2, w0=np.ones(1), engine=Processes(2)
    ).w
    assert first == 0.25
    assert second == 3.25
    with pytest.raises(ValueError, match="read-only"):
        before.X[0, 0] = 7
