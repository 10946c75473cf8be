"""A client that fails, on every engine: it is left out or raises, and the weights stay right."""

import sys
from dataclasses import dataclass, replace

import numpy as np
import pytest

from fedcore import (
    ClientError,
    Diverged,
    Everyone,
    Gradient,
    Linear,
    Processes,
    Serial,
    Vectorized,
    fedavg,
    gd,
    make_quadratics,
    run,
    scaffold,
)

MODEL = Linear(1)
TARGETS = [0.0, 1.0, 2.0, 30.0]
SHARDS = make_quadratics([1.0, 1.0, 1.0, 1.0], TARGETS)
W0 = np.array([9.0])
ENGINES = [Serial(), Vectorized(), Processes(2), Processes(2, vectorized=True)]
every_engine = pytest.mark.parametrize("engine", ENGINES, ids=str)


@dataclass(frozen=True)
class Cohort(Gradient):
    """A client that works on a cohort, too; what it answers in round 2 is ``fault`` of its g."""

    fault: object = None

    def update(self, model, down, data, rng, keep, t):
        up, keep = super().update(model, down, data, rng, keep, t)
        return {"g": self.fault(up["g"])} if t == 1 else up, keep


def method(fault):
    return replace(gd(0.5), sampler=Everyone(), client=Cohort(fault=fault))


def followed(*rounds):
    """Return w where the clients of each round answer."""
    w = W0
    for names in rounds:
        w = w - 0.5 * (w - np.mean([TARGETS[k] for k in names]))
    return w


EVERYBODY = [0, 1, 2, 3]
NO_VECTOR = {
    "complex": lambda g: g * 1j,
    "objects": lambda g: g.astype(object),
    "booleans": lambda g: g > 0,
    "numbers as text": lambda g: g.astype(str),
    "None": lambda g: None,
    "a number too few": lambda g: g[..., 1:],
    "a number too many": lambda g: np.concatenate([g, g], axis=-1),
    "raises": lambda g: 1 / 0,
    "sys.exit": lambda g: sys.exit(3),
}


@every_engine
@pytest.mark.parametrize("fault", NO_VECTOR)
def test_nobody_answers_with_a_vector(fault, engine):
    """w stays, the row says that there was nobody, and the history says why of everyone."""
    history = run(
        method(NO_VECTOR[fault]), MODEL, SHARDS, rounds=3, w0=W0, engine=engine, on_failure="drop"
    )
    np.testing.assert_allclose(history.w, followed(EVERYBODY, EVERYBODY), rtol=1e-14)
    assert history["clients"].tolist() == [0, 4, 0, 4]
    assert history["loss"][1] == history["loss"][2]
    assert {t: list(who) for t, who in history.failed.items()} == {2: EVERYBODY}
    with pytest.raises(ClientError, match="client 0 failed in round 2") as caught:
        run(method(NO_VECTOR[fault]), MODEL, SHARDS, rounds=3, w0=W0, engine=engine)
    assert caught.value.history.t.tolist() == [0, 1]


@every_engine
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e300])
def test_one_client_answers_with_absurd_numbers(value, engine):
    bad = method(lambda g: np.where(g < -20, value, g))  # the gradient of client 3 alone
    history = run(bad, MODEL, SHARDS, rounds=3, w0=W0, engine=engine, on_failure="drop")
    np.testing.assert_allclose(history.w, followed(EVERYBODY, [0, 1, 2], EVERYBODY), rtol=1e-14)
    assert list(history.failed[2]) == [3]
    if value == 1e300:  # a vector like any other
        assert abs(run(bad, MODEL, SHARDS, rounds=2, w0=W0, engine=engine).w) > 1e298
        return
    with pytest.raises(Diverged, match="client 3 answered with NaN or Inf; 1 of 4") as caught:
        run(bad, MODEL, SHARDS, rounds=3, w0=W0, engine=engine)
    assert caught.value.history.t.tolist() == [0, 1]


@every_engine
def test_what_a_client_keeps_stays_where_its_answer_was_not_used(engine):
    """SCAFFOLD's control vector of a client that failed is the one before."""

    @dataclass(frozen=True)
    class Absent(type(scaffold(0.1).client)):
        def update(self, model, down, data, rng, keep, t):
            up, keep = super().update(model, down, data, rng, keep, t)
            return {n: v * np.nan if t in (1, 2) else v for n, v in up.items()}, keep

    plain = scaffold(0.1, steps=2)
    bad = replace(plain, client=Absent(plain.client.optimizer, plain.client.batches))
    history = run(bad, MODEL, SHARDS, rounds=4, w0=W0, engine=engine, on_failure="drop")
    np.testing.assert_allclose(history.w, run(plain, MODEL, SHARDS, rounds=2, w0=W0).w, rtol=1e-14)
    assert history["clients"].tolist() == [0, 4, 0, 0, 4]


def weighed(weights, fault):
    """Everybody takes part with a given weight."""
    cohort = np.arange(4), np.array(weights)
    return replace(method(fault), sampler=lambda rng, shards, t=0: cohort)


@every_engine
@pytest.mark.parametrize("weights", [(0.0,) * 4, (0.0, 0.0, 0.0, 1.0)])
def test_where_nobody_with_a_weight_answers_w_stays(weights, engine):
    algorithm = weighed(weights, lambda g: np.where(g < -10, np.nan, g))  # client 3 in round 2
    one, two = (
        run(algorithm, MODEL, SHARDS, rounds=t, w0=W0, engine=engine, on_failure="drop").w
        for t in (1, 2)
    )
    assert one == (W0 if sum(weights) == 0 else followed([3]))
    assert two == one


COHORTS = {
    "nobody there": ([4], [1.0]),
    "below zero": ([-1], [1.0]),
    "a weight too few": ([0, 1], [1.0]),
    "a fraction": ([0.5], [1.0]),
    "a negative weight": ([0, 1], [1.0, -1.0]),
    "no number": ([0], [np.nan]),
    "no end": ([0], [np.inf]),
    "a table": ([[0]], [[1.0]]),
    "complex": ([0], [1j]),
}


@pytest.mark.parametrize("what", COHORTS)
def test_a_sampler_that_names_nobody_is_refused_before_a_process_starts(what, monkeypatch):
    monkeypatch.setattr(Processes, "start", None)
    algorithm = replace(method(None), sampler=lambda rng, shards, t=0: COHORTS[what])
    with pytest.raises(ValueError, match="sampler must return clients from 0 to 3"):
        run(algorithm, MODEL, SHARDS, rounds=3, engine=Processes(2))
    with pytest.raises(ValueError, match=r"m must be .* <= 4, got 5"):
        run(fedavg(0.1, cohort=5), MODEL, SHARDS, rounds=1, engine=Processes(2))


@every_engine
def test_a_sampler_that_names_nobody_later_costs_no_round(engine):
    def late(rng, shards, t=0):
        return ([0, 9 if t == 2 else 1], [0.5, 0.5])

    algorithm = replace(method(lambda g: g), sampler=late)
    with pytest.raises(ValueError, match="for round 3") as caught:
        run(algorithm, MODEL, SHARDS, rounds=5, engine=engine)
    assert caught.value.history.t.tolist() == [0, 1, 2]


@every_engine
def test_an_empty_cohort_changes_nothing(engine):
    algorithm = replace(method(lambda g: g), sampler=lambda rng, shards, t=0: ([], []))
    history = run(algorithm, MODEL, SHARDS, rounds=2, w0=W0, engine=engine)
    assert history.w == W0
    assert history["clients"].tolist() == [0, 0, 0]


@every_engine
def test_rows_that_a_client_writes_into_stay_as_they_are(engine):
    """It is refused, or it is a copy of the client's own."""

    class Vandal(Gradient):
        def update(self, model, down, data, rng, keep, t):
            for X, y, _ in data.batches(self.plan(), rng):
                X[:], y[:] = 0, 0
            return super().update(model, down, data, rng, keep, t)

    before = SHARDS.X.copy(), SHARDS.y.copy()
    algorithm = replace(gd(0.5), sampler=Everyone(), client=Vandal())
    history = run(algorithm, MODEL, SHARDS, rounds=2, w0=W0, engine=engine, on_failure="drop")
    assert history.failed or history.w == followed(EVERYBODY, EVERYBODY)
    np.testing.assert_array_equal(SHARDS.X, before[0])
    np.testing.assert_array_equal(SHARDS.y, before[1])
