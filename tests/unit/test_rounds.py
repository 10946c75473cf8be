"""play, run and the history: what they refuse, what they record, how they end."""

import re
import resource
from dataclasses import dataclass, replace
from types import SimpleNamespace

import numpy as np
import pytest

from fedcore import (
    ClientError,
    Diverged,
    History,
    Interrupted,
    Linear,
    LocalSGD,
    Logistic,
    Shards,
    distributed_gd,
    fedavg,
    from_functions,
    gd,
    make_quadratics,
    play,
    progress,
    run,
)

QUADRATICS = make_quadratics([1.0, 10.0], [0.0, 1.0])
MODEL = Linear(1)


def test_play_yields_the_start_and_every_round():
    states = list(play(gd(0.1), MODEL, QUADRATICS, rounds=3, w0=np.array([2.0])))
    assert [now.t for now in states] == [0, 1, 2, 3]
    assert states[0].w == 2.0


def test_history_has_a_row_for_the_start_for_every_few_rounds_and_for_the_last():
    history = run(gd(0.1), MODEL, QUADRATICS, rounds=7, every=3)
    assert history.t.tolist() == [0, 3, 6, 7]
    assert history["loss"][-1] == MODEL.loss(history.w, QUADRATICS.X, QUADRATICS.y)


def test_metrics_replace_the_loss():
    metrics = {"w": lambda w: w[0], "twice": lambda w: 2 * w[0]}
    history = run(gd(0.1), MODEL, QUADRATICS, rounds=2, metrics=metrics)
    assert "loss" not in history.columns
    np.testing.assert_array_equal(history["twice"], 2 * history["w"])


def test_bits_are_what_the_method_declares():
    history = run(fedavg(0.01, cohort=1), MODEL, QUADRATICS, rounds=3)
    assert history["bits_up"].tolist() == [0, 64, 128, 192]
    assert history["bits_down"].tolist() == [0, 64, 128, 192]


def test_the_seed_is_the_only_source_of_chance():
    X, y = np.random.default_rng(0).normal(size=(40, 2)), np.arange(40.0)
    shards = Shards.one(X, y)
    algorithm = fedavg(0.01, batch_size=4, epochs=2)
    np.random.seed(0)  # noqa: NPY002 - the global state must stay as it is
    before = np.random.get_state()[1].tobytes()  # noqa: NPY002
    a, b, c = (run(algorithm, Linear(2), shards, rounds=2, seed=s).w for s in (1, 1, 2))
    assert a.tobytes() == b.tobytes() != c.tobytes()
    assert np.random.get_state()[1].tobytes() == before  # noqa: NPY002


def test_no_seed_chooses_one_and_records_it():
    X, y = np.random.default_rng(0).normal(size=(40, 2)), np.arange(40.0)
    algorithm = fedavg(0.01, batch_size=4)
    first = run(algorithm, Linear(2), Shards.one(X, y), rounds=2, seed=None)
    again = run(algorithm, Linear(2), Shards.one(X, y), rounds=2, seed=first.about["seed"])
    assert first.w.tobytes() == again.w.tobytes()


def test_divergence_names_round_and_step_and_keeps_the_history():
    with pytest.raises(Diverged, match=r"after round \d+.*eta=50") as caught:
        run(gd(50.0), MODEL, QUADRATICS, rounds=1000, w0=np.array([1e300]))
    assert len(caught.value.history) == caught.value.t
    assert caught.value.history["loss"][0] > 0


def test_divergence_may_go_on():
    history = run(
        gd(50.0), MODEL, QUADRATICS, rounds=300, w0=np.array([1e300]), on_divergence="continue"
    )
    assert history.t[-1] == 300
    assert not np.isfinite(history.w).all()


@dataclass(frozen=True)
class Fragile(LocalSGD):
    """A client that fails where its loss at the start has a given value."""

    fault: str = "raise"

    def update(self, model, down, data, rng, keep, t):
        if data.y[0] > 3:
            if self.fault == "raise":
                raise RuntimeError("battery empty")
            size = 3 if self.fault == "shape" else 1
            return {"g": np.full(size, np.nan)}, keep
        return super().update(model, down, data, rng, keep, t)


@pytest.mark.parametrize(
    ("fault", "why"), [("raise", "battery empty"), ("shape", r"\(3,\)"), ("nan", "NaN")]
)
def test_a_failed_client_is_dropped_and_the_others_share_its_weight(fault, why):
    shards = make_quadratics([1, 1, 1], [0, 1, 5])
    algorithm = replace(fedavg(1.0), client=Fragile(fault=fault))
    history = run(algorithm, MODEL, shards, rounds=2, w0=np.array([9.0]), on_failure="drop")
    alone = run(
        replace(fedavg(1.0), client=LocalSGD()), MODEL, make_quadratics([1, 1], [0, 1]), rounds=2,
        w0=np.array([9.0]),
    )  # fmt: skip
    np.testing.assert_allclose(history.w, alone.w, rtol=1e-14)
    assert history["clients"].tolist() == [0, 2, 2]
    assert set(history.failed) == {1, 2}
    assert re.search(why, history.failed[1][2])


def test_nobody_answered_leaves_w_and_says_so():
    algorithm = replace(fedavg(1.0), client=Fragile())
    history = run(
        algorithm, MODEL, make_quadratics([1], [5]), rounds=2, w0=np.array([9.0]), on_failure="drop"
    )
    assert history.w == 9.0
    assert history["clients"].tolist() == [0, 0, 0]
    assert "battery empty" in history.failed[2][0]


def test_a_failed_client_raises_by_default():
    algorithm = replace(fedavg(1.0), client=Fragile())
    with pytest.raises(ClientError, match=r"(?s)client 2 failed in round 1.*battery empty"):
        run(algorithm, MODEL, make_quadratics([1, 1, 1], [0, 1, 5]), rounds=2)


def test_a_client_cannot_write_into_what_it_is_given():
    @dataclass(frozen=True)
    class Vandal(LocalSGD):
        def update(self, model, down, data, rng, keep, t):
            down["w"][:] = 7
            return {"g": down["w"]}, keep

    with pytest.raises(ClientError, match="read-only"):
        run(replace(gd(0.1), client=Vandal()), MODEL, QUADRATICS, rounds=1)


def test_ctrl_c_keeps_the_history():
    def press(w, seen=[]):  # noqa: B006
        seen.append(w)
        if len(seen) == 4:
            raise KeyboardInterrupt
        return 0.0

    with pytest.raises(Interrupted) as caught:
        run(gd(0.1), MODEL, QUADRATICS, rounds=100, metrics={"press": press})
    assert caught.value.history.t.tolist() == [0, 1, 2]


def test_a_history_survives_saving(tmp_path):
    history = run(fedavg(0.1, cohort=1), MODEL, QUADRATICS, rounds=4)
    history.save(tmp_path / "run.npz")
    again = History.load(tmp_path / "run.npz")
    assert again.w.tobytes() == history.w.tobytes()
    assert again.about == history.about
    assert again.columns == history.columns


def test_a_history_that_cannot_be_written_leaves_the_one_before(tmp_path):
    path = tmp_path / "run.npz"
    run(gd(0.1), MODEL, QUADRATICS, rounds=2).save(path)
    before, (soft, hard) = path.read_bytes(), resource.getrlimit(resource.RLIMIT_FSIZE)
    longer = run(gd(0.1), MODEL, QUADRATICS, rounds=50)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before), hard))
    try:
        with pytest.raises(OSError, match="File too large"):
            longer.save(path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_history_that_was_packed_is_not_unpacked(tmp_path):
    """A small file could hold more than the memory does."""
    history, path = run(gd(0.1), MODEL, QUADRATICS, rounds=2), tmp_path / "run.npz"
    history.save(path)
    with np.load(path) as file:
        np.savez_compressed(path, **dict(file))
    with pytest.raises(ValueError, match="path must name a history"):
        History.load(path)
    np.savez(path, w=np.ones(1), text=np.array("{}"))
    with pytest.raises(ValueError, match="path must name a history"):
        History.load(path)


def test_a_file_that_is_no_history_is_refused(tmp_path):
    path = tmp_path / "foreign.npz"
    path.write_bytes(b"not a zip file")
    with pytest.raises(ValueError, match="path must name a history"):
        History.load(path)
    with pytest.raises(FileNotFoundError):
        History.load(tmp_path / "nothing.npz")


def test_an_unknown_column_is_named():
    with pytest.raises(KeyError, match="no column 'acc'; there are"):
        run(gd(0.1), MODEL, QUADRATICS, rounds=1)["acc"]


BAD = [
    (lambda: run(gd(0.1), MODEL, QUADRATICS, rounds=0), ValueError, "rounds must be .* got 0"),
    (lambda: run(gd(0.1), MODEL, QUADRATICS, rounds=1.5), TypeError, "rounds must be .* 1.5"),
    (lambda: run(gd(0.1), MODEL, QUADRATICS, rounds=True), TypeError, "rounds must be .* True"),
    (lambda: run(gd(0.1), MODEL, QUADRATICS, rounds=2, seed=-1), ValueError, "seed must be"),
    (lambda: run(gd(0.1), MODEL, QUADRATICS, rounds=2, every=0), ValueError, "every must be"),
    (lambda: run("gd", MODEL, QUADRATICS, rounds=2), TypeError, "algorithm must be"),
    (lambda: run(gd(0.1), MODEL, (1, 2), rounds=2), TypeError, "shards must be .* got tuple"),
    (lambda: run(gd(0.1), object(), QUADRATICS, rounds=2), TypeError, "model must have d"),
    (lambda: run(gd(0.1), Linear(2), QUADRATICS, rounds=2), ValueError, "X"),
    (lambda: run(gd(0.1), Logistic(1), make_quadratics([1], [5]), rounds=2), ValueError, "y"),
    (lambda: run(gd(0.1), MODEL, QUADRATICS, rounds=2, w0=np.zeros(3)), ValueError, "w0 must"),
    (lambda: run(gd(0.1), MODEL, QUADRATICS, rounds=2, w0=[np.inf]), ValueError, "w0 must"),
    (lambda: gd(0), ValueError, "eta must be .* got 0"),
    (lambda: gd(np.nan), ValueError, "eta must be"),
    (lambda: gd(np.ones(2)), TypeError, "eta must be"),
    (lambda: fedavg(0.1, cohort=0), ValueError, "m must be"),
    (lambda: run(fedavg(0.1, cohort=3), MODEL, QUADRATICS, rounds=1), ValueError, "m must be .* 3"),
    (lambda: fedavg(0.1, epochs=0), ValueError, "epochs must be"),
    (lambda: fedavg(0.1, batch_size=-1), ValueError, "size must be"),
    (lambda: distributed_gd("fast"), TypeError, "eta must be"),
    (
        lambda: run(gd(0.1), MODEL, QUADRATICS, rounds=1, on_failure="ignore"),
        ValueError,
        "on_failure must be one of 'raise', 'drop', got 'ignore'",
    ),
]


@pytest.mark.parametrize(("call", "error", "message"), BAD)
def test_bad_input_is_named(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_a_gradient_of_the_wrong_shape_is_refused_before_any_work():
    model = from_functions(lambda w, X, y: 0.0, lambda w, X, y: np.zeros(3), d=2)
    with pytest.raises(ValueError, match=r"grad"):
        run(gd(0.1), model, Shards.one(np.ones((2, 1)), np.ones(2)), rounds=1)


@pytest.mark.parametrize("disabled", [True, False])
def test_tqdm_disable_silences_the_bar_of_a_notebook(
    monkeypatch: pytest.MonkeyPatch, disabled: bool
) -> None:
    pytest.importorskip("IPython")
    monkeypatch.setattr("IPython.get_ipython", lambda: SimpleNamespace(kernel=None))
    monkeypatch.delenv("TQDM_DISABLE", raising=False)
    if disabled:
        monkeypatch.setenv("TQDM_DISABLE", "1")
    assert progress.bar_is_due() is not disabled
