"""Absurd numbers and data: right, or refused by name before any work."""

import numpy as np
import pytest

from fedcore import (
    ClientError,
    Linear,
    Logistic,
    Processes,
    Serial,
    Shards,
    Softmax,
    UniformSample,
    Vectorized,
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


@pytest.mark.parametrize("timeout", [0, -1, np.nan, np.inf, True, "3", np.ones(2), 1j], ids=repr)
def test_a_timeout_is_a_positive_number(timeout):
    with pytest.raises((ValueError, TypeError), match=r"^timeout must be"):
        Processes(2, timeout=timeout)


@pytest.mark.parametrize("bad", [0.0 - 1, np.nan, np.inf, np.ones(2), "0.1", None], ids=repr)
def test_a_schedule_gives_a_rate_in_every_round(bad):
    """What it gives later is named when it comes, and the rounds before are kept."""
    for method, kinds in ((gd, (ValueError, TypeError)), (fedavg, ClientError)):
        with pytest.raises(kinds, match=r"eta\(t=2\) must be") as caught:
            run(method(lambda t: bad if t == 2 else 0.1), MODEL, SHARDS, rounds=5)
        assert caught.value.history.t.tolist() == [0, 1, 2]


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


ENGINES = [Serial(), Vectorized(), Processes(2)]


@pytest.mark.parametrize("engine", ENGINES, ids=str)
def test_new_data_are_used_and_old_ones_are_not_written_to(engine):
    X, y = np.ones((2, 1)), np.zeros(2)
    before = Shards.one(X, y)
    options = {"rounds": 2, "w0": np.ones(1), "engine": engine}
    assert run(gd(0.5), Linear(1), before, **options).w == 0.25
    assert run(gd(0.5), Linear(1), Shards.one(X, y + 4), **options).w == 3.25
    with pytest.raises(ValueError, match="read-only"):
        before.X[0, 0] = 7


@pytest.mark.parametrize("engine", ENGINES, ids=str)
def test_an_array_that_is_changed_in_place_changes_no_run(engine):
    """Neither one that is under way nor the next: shards hold what they were made of."""
    X, y = np.ones((2, 1)), np.zeros(2)
    shards = Shards.one(X, y)
    options = {"rounds": 2, "w0": np.ones(1), "engine": engine}
    for now in play(gd(0.5), Linear(1), shards, **options):
        X += now.t
        y[:] = 9
    assert now.w == 0.25
    assert run(gd(0.5), Linear(1), shards, **options).w == 0.25
    assert run(gd(0.5), Linear(1), Shards.one(X, y), **options).w != 0.25


def odd(kind, folder):
    """Return a 6 x 2 matrix of small whole numbers that lies oddly in memory."""
    X = np.arange(12.0).reshape(6, 2) % 5
    match kind:
        case "memory-mapped":
            np.save(folder / "X.npy", X)
            return np.load(folder / "X.npy", mmap_mode="r")
        case "read-only":
            X.flags.writeable = False
            return X
        case "negative strides":
            return np.ascontiguousarray(X[::-1, ::-1])[::-1, ::-1]
        case "Fortran order":
            return np.asfortranarray(X)
        case "every second":
            return np.repeat(X, 2, axis=1)[:, ::2]
        case "unaligned":
            raw = np.zeros(X.nbytes + 1, np.int8)
            view = raw[1:].view(float).reshape(X.shape)
            view[:] = X
            return view
        case _:
            return X.astype(kind)


KINDS = ["memory-mapped", "read-only", "negative strides", "Fortran order", "every second"]
KINDS += ["unaligned", ">f8", "<f8", "i1", "u8", "f2", "g"]


@pytest.mark.parametrize("kind", KINDS)
def test_odd_arrays_give_the_bits_of_plain_ones_in_every_engine(kind, tmp_path):
    y, offsets = np.arange(6.0), [0, 1, 6]
    method = fedavg(0.01, epochs=2, batch_size=2)
    for engine in ENGINES:
        plain, strange = (
            run(method, Linear(2), Shards(X, y, offsets), rounds=3, engine=engine).w
            for X in (odd("<f8", tmp_path), odd(kind, tmp_path))
        )
        assert strange.tobytes() == plain.tobytes()
