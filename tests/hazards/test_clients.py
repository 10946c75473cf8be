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
