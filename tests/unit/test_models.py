"""The models: gradients, weights, the client axis, numbers at the edge, and oracles."""

import pickle
from functools import partial

import numpy as np
import pytest

from fedcore import objective
from fedcore.models import MLP, Linear, Logistic, Softmax, from_functions
from fedcore.testing import check_model

K, N, P, C = 3, 12, 5, 4


def absolute(w, X, y):
    return np.abs(X @ w - y).mean()


def absolute_grad(w, X, y):
    return X.T @ np.sign(X @ w - y) / len(y)


MODELS = [
    pytest.param(model, id=name)
    for name, model in {
        "linear": Linear(P),
        "linear-l2": Linear(P, l2=0.1),
        "logistic": Logistic(P),
        "logistic-l2": Logistic(P, l2=0.1),
        "softmax": Softmax(P, C, l2=0.1),
        "mlp": MLP(P, hidden=(6, 7), classes=C, l2=0.1),
        "mlp-0": MLP(P, hidden=(), classes=C),
        "functions": from_functions(absolute, absolute_grad, P),
    }.items()
]
every_model = pytest.mark.parametrize("model", MODELS)
our_model = pytest.mark.parametrize("model", MODELS[:-1])


def clients(model, lead=(K,), n=N, seed=0):
    """Return w (..., d), X (..., n, p), y (..., n), s (..., n) for some clients."""
    rng = np.random.default_rng(seed)
    labels = getattr(model, "classes", None)
    y = rng.integers(0, labels, (*lead, n)) if labels else rng.standard_normal((*lead, n))
    w = 0.5 * rng.standard_normal((*lead, model.d))
    return w, rng.standard_normal((*lead, n, P)), y.astype(float), rng.random((*lead, n))


def central_differences(F, w, h=1e-5):
    return np.array([(F(w + h * e) - F(w - h * e)) / (2 * h) for e in np.eye(len(w))])


@every_model
def test_gradient_agrees_with_finite_differences(model):
    w, X, y, s = clients(model, lead=())
    for weights in (None, s):
        slopes = central_differences(partial(model.loss, X=X, y=y, s=weights), w)
        np.testing.assert_allclose(model.grad(w, X, y, weights), slopes, rtol=1e-6, atol=1e-8)


@every_model
def test_models_pass_the_public_check(model):
    _, X, y, _ = clients(model, lead=())
    check_model(model, X, y)


@every_model
@pytest.mark.parametrize("lead", [(K,), (2, K)])
def test_client_axes_are_a_loop(model, lead):
    w, X, y, s = clients(model, lead)
    for weights in (None, s):
        F, g = model.loss(w, X, y, weights), model.grad(w, X, y, weights)
        assert F.shape == lead
        assert g.shape == (*lead, model.d)
        for k in np.ndindex(lead):
            s_k = None if weights is None else weights[k]
            np.testing.assert_allclose(F[k], model.loss(w[k], X[k], y[k], s_k), rtol=1e-13)
            g_k = model.grad(w[k], X[k], y[k], s_k)
            np.testing.assert_allclose(g[k], g_k, rtol=1e-12, atol=1e-14)


@every_model
def test_many_w_on_one_data_set_and_one_w_on_many(model):
    w, X, y, _ = clients(model)
    g = model.grad(w, X[0], y[0])
    np.testing.assert_allclose(g[1], model.grad(w[1], X[0], y[0]), rtol=1e-12, atol=1e-14)
    g = model.grad(w[0], X, y)
    np.testing.assert_allclose(g[1], model.grad(w[0], X[1], y[1]), rtol=1e-12, atol=1e-14)


@every_model
def test_weights_add_up_examples(model):
    w, X, y, s = clients(model, lead=())
    s /= s.sum()  # so that a penalty counts once
    for f in (model.loss, model.grad):
        rows = [f(w, X[i : i + 1], y[i : i + 1]) for i in range(N)]
        np.testing.assert_allclose(f(w, X, y), np.mean(rows, axis=0), rtol=1e-12, atol=1e-14)
        expected = np.tensordot(s, rows, axes=1)
        np.testing.assert_allclose(f(w, X, y, s), expected, rtol=1e-12, atol=1e-14)


@every_model
@pytest.mark.parametrize("junk", [0.0, -1.0, 1e300, -1e300])
def test_rows_of_weight_zero_may_hold_anything_finite(model, junk):
    w, X, y, _ = clients(model)
    s = np.full((K, N), 1 / (N - 4))
    s[:, -4:] = 0
    padded_X, padded_y = X.copy(), y.copy()
    padded_X[:, -4:], padded_y[:, -4:] = junk, junk
    for f in (model.loss, model.grad):
        expected = f(w, X[:, :-4], y[:, :-4])
        np.testing.assert_allclose(f(w, padded_X, padded_y, s), expected, rtol=1e-12, atol=1e-14)


@our_model
def test_all_weights_zero_leave_the_penalty(model):
    w, X, y, _ = clients(model)
    np.testing.assert_array_equal(model.grad(w, X, y, np.zeros((K, N))), model.l2 * w)


@every_model
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("labels", [np.int64, np.float32, np.float64])
def test_dtype_stays_that_of_w_and_X(model, dtype, labels):
    w, X, y, s = clients(model)
    w, X, y = w.astype(dtype), X.astype(dtype), y.astype(labels)
    for weights in (None, s):
        assert model.loss(w, X, y, weights).dtype == dtype
        assert model.grad(w, X, y, weights).dtype == dtype


@every_model
def test_inputs_may_be_read_only(model):
    given = clients(model)
    for a in given:
        a.flags.writeable = False
    model.loss(*given)
    model.grad(*given)


@our_model
def test_blocks_of_rows_change_nothing_but_rounding(model, monkeypatch):
    w, X, y, s = clients(model, n=50)
    whole = [f(w, X, y, v) for f in (model.loss, model.grad) for v in (None, s)]
    monkeypatch.setattr(objective, "BLOCK", 7 * P * 8)  # 7 rows: 8 blocks, the last of 1
    blocks = [f(w, X, y, v) for f in (model.loss, model.grad) for v in (None, s)]
    for a, b in zip(whole, blocks):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-13)


def test_a_large_batch_is_read_in_blocks_and_the_formula_holds():
    n, p = 3_000, 100  # 2.4 MB
    rng = np.random.default_rng(0)
    X, w = rng.standard_normal((n, p)), rng.standard_normal(p) / 10
    y = (rng.random(n) < 0.5).astype(float)
    sizes = []
    model = Logistic(p)
    part = model._grad
    object.__setattr__(
        model, "_grad", lambda w, X, y, s: [sizes.append(len(X)), part(w, X, y, s)][1]
    )
    g = model.grad(w, X, y)
    assert sum(sizes) == n
    assert max(sizes) * p * 8 <= objective.BLOCK
    np.testing.assert_allclose(g, X.T @ (1 / (1 + np.exp(-X @ w)) - y) / n, rtol=1e-11, atol=1e-15)


@our_model
@pytest.mark.parametrize("n", [1, 33, 40_000])
def test_bits_depend_neither_on_alignment_nor_on_other_clients(model, n):
    w, X, y, _ = clients(model, lead=(2,), n=n)
    g, F = model.grad(w, X, y), model.loss(w, X, y)
    for offset in (0, 8, 24, 40):
        moved = []
        for a in (w[1], X[1], y[1]):
            room = np.zeros(a.nbytes + 128, dtype=np.uint8)
            start = -room.ctypes.data % 64 + offset
            moved.append(room[start : start + a.nbytes].view(float).reshape(a.shape))
            moved[-1][...] = a
        np.testing.assert_array_equal(model.grad(*moved), g[1])
        np.testing.assert_array_equal(model.loss(*moved), F[1])


@every_model
def test_models_pickle_and_show_their_settings(model):
    assert pickle.loads(pickle.dumps(model)) == model
    assert f"{model.d}" in repr(model) or f"p={P}" in repr(model)


def test_convex_models_start_at_zero_and_the_network_does_not():
    rng = np.random.default_rng(0)
    for model in (Linear(P), Logistic(P), Softmax(P, C)):
        np.testing.assert_array_equal(model.init(rng), np.zeros(model.d))
    wide = MLP(400, hidden=(100,), classes=10)
    w = wide.init(rng)
    assert w.shape == (wide.d,) == (400 * 100 + 100 + 100 * 10 + 10,)
    W, b = w[:40_000], w[40_000:40_100]
    assert abs(W.var() * 400 / 2 - 1) < 4 * np.sqrt(2 / 40_000)  # 4 standard errors
    np.testing.assert_array_equal(b, np.zeros(100))


# By hand


def test_linear_by_hand():
    X, y, w = np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([1.0, 1.0]), np.array([1.0, -1.0])
    model = Linear(2, l2=0.5)  # residuals -2 and -2
    assert model.loss(w, X, y) == (4 / 2 + 4 / 2) / 2 + 0.5 / 2 * 2
    np.testing.assert_array_equal(model.grad(w, X, y), [-4 + 0.5, -6 - 0.5])
    np.testing.assert_array_equal(model.predict(w, X), [-1, -1])


def test_logistic_by_hand():
    X, y = np.array([[np.log(3.0)], [-np.log(3.0)]]), np.array([1.0, 1.0])
    w = np.ones(1)  # probabilities 3/4 and 1/4
    model = Logistic(1)
    assert model.loss(w, X, y) == pytest.approx(-(np.log(3 / 4) + np.log(1 / 4)) / 2, rel=1e-15)
    assert model.grad(w, X, y)[0] == pytest.approx(np.log(3) * (-1 / 4 + 3 / 4) / 2, rel=1e-15)
    np.testing.assert_array_equal(model.predict(w, X), [1, 0])
    assert model.accuracy(w, X, y) == 0.5


def test_softmax_by_hand():
    model = Softmax(p=1, classes=3)
    w = np.log([1.0, 2.0, 1.0, 1.0, 1.0, 2.0])  # W = log (1, 2, 1), b = log (1, 1, 2)
    X, y = np.array([[1.0]]), np.array([1])  # weights 1, 2, 2: probabilities 0.2, 0.4, 0.4
    assert model.loss(w, X, y) == pytest.approx(-np.log(0.4), rel=1e-15)
    expected = [0.2, -0.6, 0.4, 0.2, -0.6, 0.4]
    np.testing.assert_allclose(model.grad(w, X, y), expected, rtol=1e-15)
    assert Softmax(64, 10).d == 650


def test_network_by_hand():
    model = MLP(p=1, hidden=(2,), classes=2)
    w = np.array([1, -1, 0, 0, 2, 0, 0, 2, 0, 0.0])  # relu(x), relu(-x); logits twice those
    X, y = np.array([[3.0]]), np.array([1.0])  # logits 6, 0
    q = 1 / (1 + np.exp(6.0))  # probability of class 1
    assert model.loss(w, X, y) == pytest.approx(-np.log(q), rel=1e-14)
    r = 1 - q  # derivative with respect to the logits: (r, -r)
    expected = [3 * 2 * r, 0, 2 * r, 0, 3 * r, -3 * r, 0, 0, r, -r]
    np.testing.assert_allclose(model.grad(w, X, y), expected, rtol=1e-14)


def test_network_without_hidden_layer_is_softmax():
    w, X, y, s = clients(Softmax(P, C))
    for f, g in ((Softmax(P, C, 0.1), MLP(P, (), C, 0.1)),):
        np.testing.assert_array_equal(f.loss(w, X, y, s), g.loss(w, X, y, s))
        np.testing.assert_array_equal(f.grad(w, X, y, s), g.grad(w, X, y, s))
        np.testing.assert_array_equal(f.predict(w, X), g.predict(w, X))


# Numbers at the edge (a warning is an error in this suite)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_logistic_is_right_far_out(dtype):
    z = np.array([-1e4, -40, 0, 40, 1e4], dtype=dtype)
    for label, sign in ((0, 1), (1, -1)):
        for z_i in z:
            one = [np.array(v, dtype=dtype) for v in ([z_i], [[1.0]], [label])]
            m, eps = sign * float(z_i), float(np.finfo(dtype).eps)
            exact = np.log1p(np.exp(m)) if m < 700 else m
            assert float(Logistic(1).loss(*one)) == pytest.approx(exact, rel=4 * eps)
            slope = 1 / (1 + np.exp(-float(z_i))) if z_i > -700 else 0.0
            assert Logistic(1).grad(*one)[0] == pytest.approx(slope - label, abs=2 * eps)


def test_softmax_is_right_at_the_edge_of_the_floats():
    w = np.array([1e308, -1e308, 0, 0, 0, 0])  # logits 1e308, -1e308, 0 for x = 1
    X, model = np.array([[1.0], [-1.0], [1.0], [1.0]]), Softmax(1, 3)
    assert model.loss(w, X, np.array([0, 1, 0, 0])) == 0
    assert model.loss(w, X, np.array([0, 1, 2, 0])) == 1e308 / 4
    assert model.loss(w, X, np.array([1, 1, 0, 0])) == 2 * (1e308 / 4)  # f_1 alone overflows
    g = model.grad(w, X, np.array([0, 1, 2, 0]))
    np.testing.assert_array_equal(g, np.array([1, 0, -1, 1, 0, -1]) / 4)
    np.testing.assert_array_equal(model.predict(w, X), [0, 1, 0, 0])


# Curvature


def hessian(model, w, X, y, h=1e-5):
    return np.array(
        [
            (model.grad(w + h * e, X, y) - model.grad(w - h * e, X, y)) / (2 * h)
            for e in np.eye(len(w))
        ]
    )


@pytest.mark.parametrize("model", [Linear(P, 0.1), Logistic(P, 0.1), Softmax(P, C, 0.1)])
def test_hessian_lies_between_mu_and_L(model):
    w, X, y, _ = clients(model, lead=())
    curvature = np.linalg.eigvalsh(hessian(model, w, X, y))
    assert model.strong_convexity(X) - 1e-8 <= curvature[0]
    assert curvature[-1] <= model.smoothness(X) + 1e-8
    if isinstance(model, Linear):
        assert curvature[0] == pytest.approx(model.strong_convexity(X), rel=1e-7)
        assert curvature[-1] == pytest.approx(model.smoothness(X), rel=1e-7)


@pytest.mark.parametrize("model", [Logistic(P, 0.1), Softmax(P, 2, 0.1)])
def test_L_is_attained_at_zero(model):
    w, X, y, _ = clients(model, lead=())
    L = np.linalg.eigvalsh(hessian(model, 0 * w, X, y))[-1]
    assert pytest.approx(model.smoothness(X), rel=1e-7) == L


@pytest.mark.parametrize("model", [Linear(P, 0.1), Logistic(P, 0.1), Softmax(P, C, 0.1)])
def test_constants_of_many_clients_at_once(model):
    _, X, _, _ = clients(model)
    for f in (model.smoothness, model.strong_convexity):
        assert f(X).shape == (K,)
        np.testing.assert_allclose(f(X), [f(X_k) for X_k in X], rtol=1e-13)


def test_fewer_rows_than_columns_are_flat_not_negative():
    assert Linear(5).strong_convexity(np.ones((2, 5))) == 0


# Oracles


@pytest.fixture(scope="module")
def digits():
    from sklearn.datasets import load_digits

    X, y = load_digits(return_X_y=True)
    return X[:300] / 16, y[:300].astype(float)


def test_ridge_of_scikit_learn_is_our_minimum(digits):
    from sklearn.linear_model import Ridge

    X, y = digits
    w = Ridge(alpha=0.1 * len(X), fit_intercept=False, tol=1e-14).fit(X, y).coef_
    assert np.abs(Linear(64, l2=0.1).grad(w, X, y)).max() < 1e-12


def test_logistic_regression_of_scikit_learn_is_our_minimum(digits):
    from sklearn.linear_model import LogisticRegression

    X, y = digits[0], (digits[1] > 4).astype(float)
    model = Logistic(64, l2=0.01)
    oracle = LogisticRegression(
        C=1 / (0.01 * len(X)), fit_intercept=False, solver="newton-cholesky", tol=1e-12
    ).fit(X, y)
    w = oracle.coef_[0]
    assert np.abs(model.grad(w, X, y)).max() < 1e-10
    np.testing.assert_array_equal(model.predict(w, X), oracle.predict(X))


def test_multinomial_regression_of_scikit_learn_is_our_minimum(digits):
    from sklearn.linear_model import LogisticRegression

    X, y = digits
    model = Softmax(64, 10, l2=0.01)
    ones = np.column_stack([X, np.ones(len(X))])  # so that the intercepts are penalised, too
    oracle = LogisticRegression(
        C=1 / (0.01 * len(X)), fit_intercept=False, solver="newton-cholesky", tol=1e-12
    ).fit(ones, y)
    w = np.concatenate([oracle.coef_[:, :-1].T.ravel(), oracle.coef_[:, -1]])
    assert np.abs(model.grad(w, X, y)).max() < 1e-10
    assert model.accuracy(w, X, y) == oracle.score(ones, y)


# Refusals


@pytest.mark.parametrize(
    ("make", "error", "match"),
    [
        (lambda: Linear(0), ValueError, "p must be a whole number >= 1, got 0"),
        (lambda: Linear(2.0), TypeError, "p must be a whole number"),
        (lambda: Logistic(True), TypeError, "p must be a whole number"),
        (lambda: Logistic(2, l2=-1), ValueError, "l2 must be a finite number >= 0, got -1"),
        (lambda: Linear(2, l2=np.nan), ValueError, "l2 must be a finite number"),
        (lambda: Softmax(2, 1), ValueError, "classes must be a whole number >= 2, got 1"),
        (lambda: MLP(2, hidden=(3, 0)), ValueError, "hidden must be a whole number >= 1, got 0"),
        (lambda: MLP(2, hidden=8), TypeError, "hidden must be a tuple of widths, got 8"),
        (lambda: MLP(2, classes="a"), TypeError, "classes must be a whole number"),
        (
            lambda: from_functions(1, absolute_grad, 2),
            TypeError,
            "loss must be a function, got int",
        ),
        (lambda: from_functions(absolute, None, 2), TypeError, "grad must be a function"),
        (lambda: from_functions(absolute, absolute_grad, 2, init=0), TypeError, "init must be"),
        (
            lambda: from_functions(absolute, absolute_grad, 0),
            ValueError,
            "d must be a whole number",
        ),
    ],
)
def test_constructors_refuse(make, error, match):
    with pytest.raises(error, match=match):
        make()


@pytest.mark.parametrize(
    ("model", "X", "y", "error", "match"),
    [
        (Linear(3), np.ones((4, 2)), np.ones(4), ValueError, r"X must have p = 3 .* \(4, 2\)"),
        (Linear(2), np.ones(2), np.ones(2), ValueError, r"got shape \(2,\)"),
        (Linear(2), np.ones((4, 2)), np.ones(3), ValueError, r"y must have one value for each row"),
        (
            Linear(2),
            np.ones((4, 2)),
            np.ones((4, 1)),
            ValueError,
            r"shape \(4,\), got shape \(4, 1",
        ),
        (
            Linear(2),
            [[1, 2]],
            np.ones(1),
            TypeError,
            "X must be an array of real numbers, got list",
        ),
        (Linear(1), np.ones((1, 1)), np.array(["a"]), TypeError, "y must be .* got dtype <U1"),
        (Logistic(1), np.ones((2, 1)), np.array([-1, 1]), ValueError, r"got -1 .*\(y \+ 1\) / 2"),
        (
            Logistic(1),
            np.ones((2, 1)),
            np.array([0, 2]),
            ValueError,
            "from 0 to 1, got 2 at index 1",
        ),
        (Logistic(1), np.ones((2, 1)), np.array([0, 0.5]), ValueError, "got 0.5 at index 1"),
        (Softmax(1, 3), np.ones((2, 1)), np.array([0, 3.0]), ValueError, "from 0 to 2, got 3.0"),
        (MLP(1, (), 3), np.ones((2, 1)), np.array([np.nan, 0]), ValueError, "got nan at index 0"),
    ],
)
def test_check_data_refuses(model, X, y, error, match):
    with pytest.raises(error, match=match):
        model.check_data(X, y)


@our_model
def test_check_data_accepts(model):
    _, X, y, _ = clients(model)
    model.check_data(X, y)


# Bring your own


def test_functions_get_the_rows_of_positive_weight_only():
    seen = []
    model = from_functions(lambda w, X, y: seen.append(len(X)) or 1.0, absolute_grad, 2)
    X, y = np.ones((4, 2)), np.ones(4)
    assert model.loss(np.zeros(2), X, y, np.array([0.5, 0, 0.5, 0])) == 1
    assert model.loss(np.zeros(2), X, y, np.array([0.5, 0, 0, 0])) == 0.5
    assert model.loss(np.zeros(2), X, y, np.array([0.25, 0, 0.5, 0])) == 0.75
    assert model.loss(np.zeros(2), X, y, np.zeros(4)) == 0
    assert seen == [2, 1, 1, 1, 4]  # equal weights: one call; others: one call a row


def test_functions_may_start_anywhere():
    model = from_functions(absolute, absolute_grad, 2, init=lambda rng: rng.random(2))
    np.testing.assert_array_equal(
        model.init(np.random.default_rng(1)), np.random.default_rng(1).random(2)
    )
    assert (
        from_functions(absolute, absolute_grad, 2, init=lambda _: [1, 2]).init(None).dtype == float
    )


@pytest.mark.parametrize(
    ("loss", "grad", "error", "match"),
    [
        (lambda w, X, y: X @ w - y, absolute_grad, ValueError, r"loss must return shape \(\), got"),
        (lambda w, X, y: None, absolute_grad, TypeError, "loss must return real numbers, got None"),
        (
            absolute,
            lambda w, X, y: w[:, None],
            ValueError,
            r"grad must .* \(2,\), got shape \(2, 1\)",
        ),
        (absolute, lambda w, X, y: 1j * w, TypeError, "grad must return real numbers"),
    ],
)
def test_functions_are_told_what_they_return_wrongly(loss, grad, error, match):
    model = from_functions(loss, grad, 2)
    f = model.loss if loss is not absolute else model.grad
    for s in (None, np.full(4, 0.25)):
        with pytest.raises(error, match=match):
            f(np.zeros(2), np.ones((4, 2)), np.ones(4), s)
