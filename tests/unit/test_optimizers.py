"""Optimizers and schedules: against Optax, and against the laws they are known for."""

import math
import pickle
import subprocess
import sys
from dataclasses import FrozenInstanceError, replace
from pathlib import Path

import numpy as np
import pytest

from fedcore.optimizers import (
    SGD,
    AdaGrad,
    Adam,
    AdamW,
    AMSGrad,
    Cosine,
    InverseSqrt,
    InverseTime,
    Momentum,
    Nesterov,
    RMSProp,
    StepDecay,
    Warmup,
    Yogi,
)

ALL = [SGD, Momentum, Nesterov, AdaGrad, RMSProp, Adam, AMSGrad, AdamW, Yogi]
ADAPTIVE = [AdaGrad, RMSProp, Adam, AMSGrad, AdamW, Yogi]
SCHEDULES = {
    "inverse-time": InverseTime(0.3, t0=7),
    "inverse-sqrt": InverseSqrt(0.3, t0=7),
    "step-decay": StepDecay(0.3, every=40, alpha=0.5),
    "cosine": Cosine(0.3, rounds=150),
    "warmup": Warmup(0.3, rounds=50),
}


def walk(optimizer, w, gradient, steps, advance=True):
    """Return every w on the way, (steps, ..., d), and the last state."""
    state, path = optimizer.init(w), []
    for t in range(steps):
        w, state = optimizer.step(w, gradient(w, t), state, t if advance else 0)
        path.append(w)
    return np.array(path), state


def ask_oracle(folder, name, **arrays):
    """Return the arrays that one function of oracle.py answers."""
    np.savez(folder / f"{name}-in.npz", **arrays)
    source, target = folder / f"{name}-in.npz", folder / f"{name}-out.npz"
    script = Path(__file__).with_name("oracle.py")
    subprocess.run([sys.executable, script, name, source, target], check=True, timeout=300)
    with np.load(target) as answers:
        return dict(answers)


# ---------------------------------------------------------------- an independent implementation

TWINS = {
    "sgd": SGD(0.1),
    "sgd-cosine": SGD(Cosine(0.1, 150)),
    "momentum": Momentum(0.05, beta=0.9),
    "momentum-cosine": Momentum(Cosine(0.1, 150), beta=0.8),
    "nesterov": Nesterov(0.05, beta=0.9),
    "nesterov-cosine": Nesterov(Cosine(0.1, 150), beta=0.8),
    # Optax keeps AdaGrad's epsilon inside the root: only epsilon -> 0 can be compared
    "adagrad": AdaGrad(0.3, epsilon=1e-30, v0=0.01),
    "rmsprop": RMSProp(0.02, beta=0.8, epsilon=1e-2),
    "adam": Adam(0.05, epsilon=1e-2),
    "adam-cosine": Adam(Cosine(0.1, 150), beta1=0.7, beta2=0.95),
    "adam-uncorrected": Adam(0.05, bias_correction=False),
    "fedadam": Adam(0.05, beta2=0.99, epsilon=1e-3, bias_correction=False, v0=1e-6),
    "amsgrad": AMSGrad(0.05, beta2=0.9),
    "amsgrad-corrected": AMSGrad(0.05, beta2=0.9, bias_correction=True),
    "adamw": AdamW(Cosine(0.1, 150), weight_decay=0.3),
    "yogi": Yogi(0.05),
    "yogi-corrected": Yogi(0.05, bias_correction=True),
    "fedyogi": Yogi(0.05, beta2=0.99, epsilon=1e-3, v0=1e-6),
}


@pytest.fixture(scope="module")
def problem():
    """A badly scaled quadratic with noisy gradients, 200 steps in 12 dimensions."""
    rng = np.random.default_rng(3)
    a, b, w0 = np.geomspace(0.1, 10, 12), rng.normal(size=12), 3 * rng.normal(size=12)
    return {"a": a, "b": b, "noise": rng.normal(size=(200, 12)), "w0": w0}


@pytest.fixture(scope="module")
def optax_paths(problem, tmp_path_factory):
    return ask_oracle(tmp_path_factory.mktemp("optax"), "optimizer_paths", **problem)


@pytest.mark.parametrize("name", TWINS)
def test_optax_takes_the_same_200_steps(name, problem, optax_paths):
    a, b, noise = problem["a"], problem["b"], problem["noise"]
    path, _ = walk(TWINS[name], problem["w0"], lambda w, t: a * (w - b) + noise[t], 200)
    np.testing.assert_allclose(path, optax_paths[name], rtol=1e-12, atol=1e-12)


def test_every_optax_path_has_a_twin(optax_paths):
    assert set(optax_paths) == set(TWINS)


def test_schedules_agree_with_optax(tmp_path):
    t = np.arange(300)
    for name, expected in ask_oracle(tmp_path, "schedules", t=t).items():
        ours = [SCHEDULES[name](int(i)) for i in t]
        np.testing.assert_allclose(ours, expected, rtol=1e-13, atol=1e-16, err_msg=name)


@pytest.mark.parametrize("optimizer", ADAPTIVE)
def test_epsilon_stands_outside_the_root(optimizer):
    """With epsilon = 1 and v = 9, an inner epsilon would divide by sqrt(10), not by 4."""
    rule = optimizer(0.1, epsilon=1.0)
    w, g = np.array([0.0]), np.array([3.0])
    v = rule.step(w, g, rule.init(w), 0)[1]["v"]
    corrected = getattr(rule, "bias_correction", False)
    m, v = (3.0, 9.0) if corrected else (3.0 * (1 - getattr(rule, "beta1", 0.0)), v[0])
    assert rule.step(w, g, rule.init(w), 0)[0] == pytest.approx(-0.1 * m / (math.sqrt(v) + 1))


# ------------------------------------------------------------------------------------------ laws


def spectral_radius(optimizer, hessian):
    """Return the factor per step on a quadratic: a step is a linear map of (w, m)."""
    d = len(hessian)

    def one_step(z):
        state = {"m": z[d:]} if optimizer.init(z[:d]) else {}
        w, state = optimizer.step(z[:d], hessian @ z[:d], state, 0)
        return np.concatenate([w, state.get("m", 0 * w)])

    columns = [one_step(unit) for unit in np.eye(2 * d)]
    return abs(np.linalg.eigvals(np.transpose(columns))).max()


@pytest.fixture(scope="module")
def quadratic():
    """A rotated Hessian with mu = 1, L = 10 and two eigenvalues between."""
    axes = np.linalg.qr(np.random.default_rng(0).normal(size=(4, 4)))[0]
    return axes @ np.diag([1.0, 2.0, 5.0, 10.0]) @ axes.T


def heavy_ball(mu, L):
    r = (math.sqrt(L / mu) - 1) / (math.sqrt(L / mu) + 1)
    return Momentum(eta=4 / (math.sqrt(L) + math.sqrt(mu)) ** 2, beta=r**2)


def test_heavy_ball_contracts_by_the_root_of_beta_and_gradient_descent_does_not(quadratic):
    ball = heavy_ball(1, 10)
    assert spectral_radius(SGD(2 / 11), quadratic) == pytest.approx(0.818182, abs=1e-6)
    assert math.sqrt(ball.beta) == pytest.approx(0.519494, abs=1e-6)
    # at the optimum two eigenvalues meet: the computed radius is exact to the root of rounding
    assert spectral_radius(ball, quadratic) == pytest.approx(0.519494, abs=1e-6)


def test_the_measured_decay_is_the_promised_one(quadratic):
    w = np.random.default_rng(1).normal(size=4)
    for optimizer, factor in [(heavy_ball(1, 10), 0.519494), (SGD(2 / 11), 0.818182)]:
        size = np.linalg.norm(walk(optimizer, w, lambda w, t: quadratic @ w, 200)[0], axis=1)
        assert (size[199] / size[99]) ** 0.01 == pytest.approx(factor, rel=0.01)


def test_nesterov_contracts_by_one_minus_the_root_of_one_over_kappa(quadratic):
    beta = (math.sqrt(10) - 1) / (math.sqrt(10) + 1)
    radius = spectral_radius(Nesterov(0.1, beta=beta), quadratic)
    assert radius == pytest.approx(1 - 1 / math.sqrt(10), abs=1e-6)


def test_momentum_is_polyaks_two_term_recursion(quadratic):
    w_old = w = np.array([1.0, -2.0, 3.0, 0.5])
    path, _ = walk(Momentum(0.05, beta=0.8), w, lambda w, t: quadratic @ w, 30)
    for t in range(30):
        w_old, w = w, w - 0.05 * quadratic @ w + 0.8 * (w - w_old)
        np.testing.assert_allclose(path[t], w, rtol=1e-11, atol=1e-13)


def test_nesterov_is_the_textbook_pair_of_sequences(quadratic):
    y = x = np.array([1.0, -2.0, 3.0, 0.5])
    path, _ = walk(Nesterov(0.05, beta=0.8), y, lambda w, t: quadratic @ w, 30)
    for t in range(30):
        x_old, x = x, y - 0.05 * quadratic @ y
        y = x + 0.8 * (x - x_old)
        np.testing.assert_allclose(path[t], y, rtol=1e-11, atol=1e-13)


def test_a_constant_gradient_ends_in_steps_of_eta_over_one_minus_beta():
    path, _ = walk(Momentum(0.1, beta=0.5), np.zeros(1), lambda w, t: np.ones(1), 60)
    assert path[-1] - path[-2] == pytest.approx(-0.2)


def test_bias_correction_makes_the_moments_of_a_constant_gradient_right_from_the_start():
    g, adam = np.array([3.0, -0.02, 0.0]), Adam(0.1)
    state = adam.init(g)
    for j in range(1, 50):
        m_hat, v_hat, state = adam.moments(g, state)
        np.testing.assert_allclose(m_hat, g, rtol=1e-12)
        np.testing.assert_allclose(v_hat, g**2, rtol=1e-12)
        np.testing.assert_allclose(state["m"], (1 - 0.9**j) * g, rtol=1e-12)


def test_bias_correction_makes_the_mean_of_the_moments_right():
    """20,000 noisy runs at once: E[m_hat] = E[g] and E[v_hat] = E[g^2] at every step."""
    rng, n, adam = np.random.default_rng(0), 20_000, Adam(0.1)
    state = adam.init(np.zeros(n))
    for _ in range(12):
        m_hat, v_hat, state = adam.moments(0.5 + rng.normal(size=n), state)
        # 4.5 standard errors: one false alarm in some 6,000 runs of these 24 comparisons
        assert abs(m_hat.mean() - 0.5) < 4.5 * m_hat.std() / math.sqrt(n)
        assert abs(v_hat.mean() - 1.25) < 4.5 * v_hat.std() / math.sqrt(n)


@pytest.mark.parametrize("optimizer", [Adam, AdaGrad])
def test_the_first_step_has_the_size_eta_whatever_the_gradient(optimizer):
    w, g = np.zeros(3), np.array([1e-3, -7.0, 1e5])
    step = optimizer(0.1, epsilon=1e-12).step(w, g, optimizer(0.1).init(w), 0)[0]
    np.testing.assert_allclose(step, -0.1 * np.sign(g), rtol=1e-8)


@pytest.mark.parametrize("optimizer", [RMSProp(0.1, beta=0.75), Adam(0.1, 0, 0.75, 1e-8, False)])
def test_without_the_correction_the_first_step_is_too_long(optimizer):
    w = np.zeros(2)
    step = optimizer.step(w, np.array([3.0, -4.0]), optimizer.init(w), 0)[0]
    np.testing.assert_allclose(step, [-0.2, 0.2], rtol=1e-7)


def test_adagrad_on_a_constant_gradient_steps_like_one_over_the_root_of_t():
    path, _ = walk(AdaGrad(0.1, epsilon=1e-12), np.zeros(1), lambda w, t: np.array([4.0]), 100)
    steps = -np.diff(path[:, 0], prepend=0.0)
    np.testing.assert_allclose(steps, 0.1 / np.sqrt(np.arange(1, 101)), rtol=1e-9)


@pytest.mark.parametrize("optimizer", ADAPTIVE)
def test_adaptive_steps_do_not_depend_on_the_unit_of_the_loss(optimizer):
    """A factor 2^10 is exact in binary, so the paths are equal to the last bit."""
    rule, rng = optimizer(0.1, epsilon=1e-100), np.random.default_rng(5)
    g = rng.normal(size=(50, 6))
    path, _ = walk(rule, np.ones(6), lambda w, t: g[t], 50)
    scaled, _ = walk(rule, np.ones(6), lambda w, t: 1024 * g[t], 50)
    assert np.array_equal(path, scaled)


@pytest.mark.parametrize(("optimizer", "end"), [(Adam, 1), (AMSGrad, -1)])
@pytest.mark.parametrize("bias_correction", [True, False])
def test_adam_goes_to_the_worst_point_and_amsgrad_to_the_best(optimizer, end, bias_correction):
    """Reddi, Kale and Kumar 2018: gradients C, -1, -1, C, ... on [-1, 1]; the best point is -1."""
    C, eta = 3.0, InverseSqrt(0.5)
    rule = optimizer(eta, beta1=0, beta2=1 / (1 + C**2), bias_correction=bias_correction)
    w, ends = np.zeros(1), []
    state = rule.init(w)
    for t in range(6000):
        w, state = rule.step(w, np.array([C if t % 3 == 0 else -1.0]), state, t)
        w = np.clip(w, -1, 1)
        ends.append(w[0])
    assert np.mean(ends[-3000:]) == pytest.approx(end, abs=0.02)


def test_amsgrad_never_lets_a_step_size_grow_and_adam_does():
    g = np.random.default_rng(0).normal(size=(300, 5)) * np.geomspace(10, 0.1, 300)[:, None]

    def growth(rule):
        state, previous, grown = rule.init(g[0]), np.zeros(5), False
        for row in g:
            _, v, state = rule.moments(row, state)
            grown, previous = grown or bool((v < previous).any()), v
        return grown

    assert growth(Adam(0.1, beta2=0.9, bias_correction=False))
    assert not growth(AMSGrad(0.1, beta2=0.9))


def test_yogi_moves_v_by_a_share_of_the_squared_gradient_either_way():
    yogi, g = Yogi(0.1, beta2=0.75), np.array([2.0, 2.0])
    np.testing.assert_allclose(yogi.second_moment(np.array([9.0, 1.0]), g), [8.0, 2.0])
    np.testing.assert_allclose(Adam(0.1, beta2=0.75).second_moment(np.array([9.0]), g[:1]), 7.75)


# ------------------------------------------------------------------------------------ identities


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (Momentum(0.1, beta=0), SGD(0.1)),
        (Nesterov(0.1, beta=0), SGD(0.1)),
        (AdamW(0.1, weight_decay=0), Adam(0.1)),
        (Adam(0.1, beta1=0, beta2=0.9, bias_correction=False), RMSProp(0.1, beta=0.9)),
    ],
    ids=lambda rule: type(rule).__name__,
)
def test_special_cases_are_equal_to_the_last_bit(left, right, problem):
    a, b, noise = problem["a"], problem["b"], problem["noise"]

    def gradient(w, t):
        return a * (w - b) + noise[t]

    paths = [walk(rule, problem["w0"], gradient, 200)[0] for rule in (left, right)]
    assert np.array_equal(*paths)


def test_weight_decay_shrinks_w_by_a_factor_that_no_gradient_rescales():
    path, _ = walk(AdamW(0.1, weight_decay=0.5), np.array([2.0]), lambda w, t: 0 * w, 10)
    np.testing.assert_allclose(path[:, 0], 2.0 * 0.95 ** np.arange(1, 11), rtol=1e-14)


# ------------------------------------------------------------------------------------- interface


@pytest.mark.parametrize("optimizer", ALL)
def test_leading_axes_are_a_loop_over_clients_bitwise(optimizer):
    rng = np.random.default_rng(2)
    w, g = rng.normal(size=(4, 3, 5)), rng.normal(size=(20, 4, 3, 5))
    path, _ = walk(optimizer(0.1), w, lambda w, t: g[t], 20)
    for k in np.ndindex(4, 3):
        alone, _ = walk(optimizer(0.1), w[k], lambda w, t, k=k: g[(t, *k)], 20)
        assert np.array_equal(path[(slice(None), *k)], alone)


@pytest.mark.parametrize("optimizer", ALL)
def test_nothing_that_comes_in_is_changed(optimizer):
    rule, w, g = optimizer(InverseTime(0.1)), np.ones(3), np.array([1.0, -2.0, 0.0])
    _, state = rule.step(w, g, rule.init(w), 0)
    given = [w, g, *(v for v in state.values() if isinstance(v, np.ndarray))]
    before, keys = [v.copy() for v in given], dict(state)
    for v in given:
        v.flags.writeable = False
    first = rule.step(w, g, state, 1)
    again = rule.step(w, g, state, 1)
    assert all(np.array_equal(v, old) for v, old in zip(given, before))
    assert state.keys() == keys.keys()
    assert all(state[name] is keys[name] for name in keys)
    assert np.array_equal(first[0], again[0])
    assert first[1].keys() == state.keys() == rule.init(w).keys()
    assert not any(np.shares_memory(first[0], v) for v in given)


@pytest.mark.parametrize("eta", [0.1, np.float64(0.1), lambda t: np.float64(0.1)])
@pytest.mark.parametrize("optimizer", ALL)
def test_float32_stays_float32(optimizer, eta):
    w = np.ones(3, np.float32)
    path, state = walk(optimizer(eta), w, lambda w, t: w, 3)
    assert path.dtype == np.float32
    assert all(v.dtype == np.float32 for v in state.values() if isinstance(v, np.ndarray))


@pytest.mark.parametrize("optimizer", [Momentum, Adam])
def test_numpy_scalars_as_hyper_parameters_do_not_widen_float32(optimizer):
    names = [n for n in ("beta", "beta1", "beta2", "epsilon") if hasattr(optimizer(1), n)]
    rule = optimizer(np.float32(0.5), **dict.fromkeys(names, np.float64(0.5)))
    assert walk(rule, np.ones(2, np.float32), lambda w, t: w, 2)[0].dtype == np.float32


@pytest.mark.parametrize("optimizer", ALL)
def test_a_schedule_is_evaluated_at_t_and_not_at_the_number_of_steps(optimizer):
    g = np.random.default_rng(4).normal(size=(9, 3))
    held, _ = walk(optimizer(StepDecay(0.3, 1, 0.5)), np.ones(3), lambda w, t: g[t], 9, False)
    assert np.array_equal(held, walk(optimizer(0.3), np.ones(3), lambda w, t: g[t], 9)[0])
    rule, w = optimizer(StepDecay(0.3, 1, 0.5)), np.zeros(3)
    np.testing.assert_allclose(
        rule.step(w, g[0], rule.init(w), 2)[0], rule.step(w, g[0], rule.init(w), 0)[0] / 4
    )


@pytest.mark.parametrize("optimizer", ALL)
def test_zero_gradients_are_harmless(optimizer):
    path, _ = walk(optimizer(0.1), np.zeros(2), lambda w, t: np.zeros(2), 3)
    assert np.array_equal(path, np.zeros((3, 2)))


@pytest.mark.parametrize("rule", [*TWINS.values(), *SCHEDULES.values()], ids=repr)
def test_records_are_frozen_and_survive_pickle_and_repr(rule):
    assert pickle.loads(pickle.dumps(rule)) == rule
    assert eval(repr(rule)) == rule
    assert replace(rule, eta=0.25).eta == 0.25
    with pytest.raises(FrozenInstanceError):
        rule.eta = 1.0


# ------------------------------------------------------------------------------------- schedules


@pytest.mark.parametrize(
    ("schedule", "values"),
    [
        (InverseTime(0.6, t0=2), {0: 0.6, 2: 0.3, 4: 0.2, 58: 0.02}),
        (InverseSqrt(0.6), {0: 0.6, 3: 0.3, 8: 0.2, 899: 0.02}),
        (InverseSqrt(0.6, t0=5), {0: 0.6, 15: 0.3}),
        (StepDecay(0.8, every=3), {0: 0.8, 2: 0.8, 3: 0.08, 6: 0.008}),
        (Cosine(0.8, rounds=12), {0: 0.8, 4: 0.6, 6: 0.4, 8: 0.2, 12: 0, 13: 0, 10**6: 0}),
        (Warmup(0.8, rounds=4), {0: 0.2, 1: 0.4, 3: 0.8, 4: 0.8, 10**6: 0.8}),
        (Warmup(0.8, rounds=1), {0: 0.8}),
        (Warmup(StepDecay(0.8, every=2), rounds=4), {1: 0.4, 2: 0.06, 3: 0.08}),
    ],
    ids=repr,
)
def test_schedules_by_hand(schedule, values):
    assert {t: schedule(t) for t in values} == pytest.approx(values, abs=1e-15)


# ------------------------------------------------------------------------------------- bad input

NOT_A_NUMBER = ["0.1", None, True, np.array([0.1, 0.2]), np.array(0.1), [0.1], 1j]
NOT_POSITIVE = [0, -0.1, math.nan, math.inf, -math.inf, np.float32("nan")]


@pytest.mark.parametrize("make", [*ALL, InverseTime, InverseSqrt], ids=lambda c: c.__name__)
@pytest.mark.parametrize("eta", [*NOT_A_NUMBER, *NOT_POSITIVE], ids=repr)
def test_a_bad_eta_is_refused_and_named(make, eta):
    error = TypeError if any(eta is bad for bad in NOT_A_NUMBER) else ValueError
    with pytest.raises(error, match=r"^eta must be a .*number.*, got "):
        make(eta)


@pytest.mark.parametrize(
    ("make", "names", "bad"),
    [
        (Momentum, ["beta"], [-0.1, 1, 1.5, math.nan]),
        (Nesterov, ["beta"], [-0.1, 1]),
        (RMSProp, ["beta"], [-0.1, 1]),
        (Adam, ["beta1", "beta2"], [-0.1, 1, math.inf]),
        (AdaGrad, ["epsilon"], [0, -1e-8, math.nan]),
        (RMSProp, ["epsilon"], [0]),
        (Yogi, ["epsilon"], [0]),
        (Adam, ["v0"], [-1, math.nan]),
        (AdaGrad, ["v0"], [-1]),
        (AdamW, ["weight_decay"], [-0.1, math.inf]),
        (InverseTime, ["t0"], [0, -1]),
        (InverseSqrt, ["t0"], [0]),
    ],
)
def test_other_bad_numbers_are_refused_and_named(make, names, bad):
    for name in names:
        for value in bad:
            with pytest.raises(ValueError, match=rf"^{name} must be a finite number .*, got "):
                make(0.1, **{name: value})
        for value in NOT_A_NUMBER:
            with pytest.raises(TypeError, match=rf"^{name} must be a .*number, got "):
                make(0.1, **{name: value})


@pytest.mark.parametrize("value", [1, 0, None, "yes", np.array([True, False])], ids=repr)
def test_a_flag_must_be_true_or_false(value):
    with pytest.raises(TypeError, match=r"^bias_correction must be True or False, got "):
        Adam(0.1, bias_correction=value)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Cosine(0.1, rounds=0), ValueError, "rounds must be a whole number >= 1, got 0"),
        (lambda: Cosine(0.1, rounds=2.5), TypeError, "rounds must be a whole number"),
        (lambda: Warmup(0.1, rounds=True), TypeError, "rounds must be a whole number"),
        (lambda: Warmup(-1, rounds=3), ValueError, "eta must be a finite number > 0, got -1"),
        (lambda: StepDecay(0.1, every=0), ValueError, "every must be a whole number >= 1, got 0"),
        (lambda: StepDecay(0.1, 5, alpha=1), ValueError, "alpha must be a finite number > 0 and"),
        (lambda: StepDecay(0.1, 5, alpha=0), ValueError, "alpha must be a finite number > 0 and"),
        (lambda: SGD(Cosine), TypeError, "eta must be a number or a schedule, got the class Cos"),
        (lambda: SGD(lambda t: -0.1), ValueError, r"eta\(t=0\) must be a finite number >= 0"),
        (lambda: SGD(lambda t: "x"), TypeError, r"eta\(t=0\) must be a number, got str 'x'"),
    ],
)
def test_bad_schedules_are_refused_when_they_are_given(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_a_schedule_that_turns_bad_is_named_with_its_time():
    rule, w = SGD(lambda t: 0.3 - 0.1 * t), np.ones(1)
    assert rule.step(w, w, {}, 2)[0] == pytest.approx(0.9)
    with pytest.raises(ValueError, match=r"eta\(t=4\) must be a finite number >= 0, got -0.1"):
        rule.step(w, w, {}, 4)
