"""Shards, splits, synthetic problems and data sets."""

import pickle

import numpy as np
import pytest

from fedcore import data
from fedcore.data import (
    Shards,
    make_classification,
    make_quadratics,
    make_regression,
    split_by_label,
    split_dirichlet,
    split_feature,
    split_iid,
    split_quantity,
    split_test,
    synthetic,
)
from fedcore.models import Linear, Softmax

N, P = 600, 3


def labelled(n=N, classes=10):
    """Return rows that carry their own number in column 0, with balanced labels."""
    X = np.random.default_rng(0).standard_normal((n, P))
    X[:, 0] = np.arange(n)
    return X, np.arange(n) % classes


SPLITS = {
    "iid": split_iid,
    "label": split_by_label,
    "dirichlet": lambda X, y, K, **kw: split_dirichlet(X, y, K, alpha=0.3, **kw),
    "quantity": lambda X, y, K, **kw: split_quantity(X, y, K, alpha=0.3, **kw),
    "feature": lambda X, y, K, **kw: split_feature(X, y, K, sigma=0.0, **kw),
}
every_split = pytest.mark.parametrize("split", SPLITS.values(), ids=SPLITS)


# Shards


def test_shards_are_read_only_copies_of_what_was_given():
    X, y, offsets = np.ones((5, 2)), np.zeros(5), np.array([0, 2, 5])
    shards = Shards(X, y, offsets)
    assert X.flags.writeable
    X[:], y[:], offsets[:] = np.nan, np.nan, 0
    assert (shards.X == 1).all()
    assert (shards.y == 0).all()
    assert np.shares_memory(shards[1][0], shards.X)
    for a in (*shards[0], shards.X, shards.y, shards.offsets, shards.n_k, shards.p_k):
        assert not a.flags.writeable
        assert a.flags.c_contiguous
    assert (shards.K, shards.n, len(shards)) == (2, 5, 2)
    np.testing.assert_array_equal(shards.n_k, [2, 3])
    np.testing.assert_array_equal(shards.p_k, [0.4, 0.6])
    assert [len(y_k) for _, y_k in shards] == [2, 3]


@pytest.mark.parametrize(
    ("given", "kept"),
    [(t, np.float64) for t in ("?", "i1", "u8", "f2", ">f8", "g", "i8")]
    + [("f4", np.float32), (">f4", np.float32)],
)
def test_real_dtypes_become_native_floats(given, kept):
    X = np.array([[0, 1], [1, 1]]).astype(given)
    shards = Shards.one(X, [0, 1])
    for a in (shards.X, shards.y):
        assert a.dtype == kept
        assert a.dtype.isnative
    np.testing.assert_array_equal(shards.X, [[0, 1], [1, 1]])


def test_any_layout_becomes_c_order():
    X = np.arange(12.0).reshape(3, 4)
    backwards = np.ascontiguousarray(X[::-1, ::-1])[::-1, ::-1]
    assert backwards.strides == (-32, -8)
    for strange in (np.asfortranarray(X), backwards, np.repeat(X, 2, axis=1)[:, ::2], X.T.copy().T):
        shards = Shards.one(strange, np.zeros(3))
        assert shards.X.flags.c_contiguous
        np.testing.assert_array_equal(shards.X, X)


def test_overlapping_views_are_copied():
    line = np.arange(6.0)
    windows = np.lib.stride_tricks.sliding_window_view(line, 3)  # (4, 3), six numbers in memory
    shards = Shards.one(windows, np.broadcast_to(np.ones(1), 4))
    line[:] = 0
    np.testing.assert_array_equal(shards.X, [[0, 1, 2], [1, 2, 3], [2, 3, 4], [3, 4, 5]])


def test_memory_mapped_and_read_only_arrays_are_fine(tmp_path):
    np.save(tmp_path / "X.npy", np.ones((4, 2)))
    X = np.load(tmp_path / "X.npy", mmap_mode="r")
    shards = Shards.one(X, np.zeros(4))
    assert shards.X.sum() == 8
    assert np.shares_memory(shards.X, X)  # nobody can change it: no copy is made


def test_what_was_converted_is_no_longer_what_was_given():
    for dtype in (int, np.float16, np.longdouble, ">f8", bool, np.float32, float):
        X = np.ones((4, 2), dtype)
        shards = Shards.from_list([(X, X[:, 0]), (X, X[:, 1])])
        single = Shards.one(X, X[:, 0])
        X[:] = 0
        assert (shards.X == 1).all()
        assert (single.X == 1).all()


def test_many_shards_cost_little():
    K = 100_000
    shards = Shards(np.ones((K, 1)), np.zeros(K), np.arange(K + 1))
    assert shards.p_k is shards.p_k
    assert shards.n_k is shards.n_k
    assert shards.p_k.sum() == pytest.approx(1, rel=1e-12)
    assert shards[K - 1][0].shape == (1, 1)


def test_shards_pickle():
    shards = pickle.loads(pickle.dumps(Shards.one(np.eye(2), [0, 1])))
    np.testing.assert_array_equal(shards.X, np.eye(2))
    assert repr(shards) == "Shards(K=1, n=2, p=2, n_k=2, float64)"


def test_from_list_is_concatenation():
    pairs = [(np.full((n, 2), n, dtype=np.float32), np.full(n, n)) for n in (1, 4, 2)]
    shards = Shards.from_list(pairs)
    assert shards.X.dtype == np.float32
    for (X, y), (X_k, y_k) in zip(pairs, shards, strict=True):
        np.testing.assert_array_equal(X, X_k)
        np.testing.assert_array_equal(y, y_k)


MASKED = np.ma.masked_array(np.ones((3, 2)), mask=np.eye(3, 2))
NAN, INF = np.ones((3, 2)), np.ones((3, 2))
NAN[1, 0], INF[2, 1] = np.nan, -np.inf


@pytest.mark.parametrize(
    ("X", "y", "error", "match"),
    [
        (1.0, 1.0, ValueError, r"X must have shape \(n, p\) .* got shape \(\)"),
        (np.ones(3), np.ones(3), ValueError, r"got shape \(3,\); one column is X\[:, None\]"),
        (np.ones((3, 2, 1)), np.ones(3), ValueError, r"got shape \(3, 2, 1\)"),
        (np.ones((0, 2)), np.ones(0), ValueError, r"with rows and columns, got shape \(0, 2\)"),
        (np.ones((3, 0)), np.ones(3), ValueError, r"got shape \(3, 0\)"),
        (np.ones((3, 2)), np.ones(2), ValueError, r"y must .* shape \(3,\), got shape \(2,\)"),
        (np.ones((3, 2)), np.ones((3, 1)), ValueError, r"flatten it with y.ravel\(\)"),
        (NAN, np.ones(3), ValueError, r"X must be finite, got nan at index \(1, 0\)"),
        (INF, np.ones(3), ValueError, r"X must be finite, got -inf at index \(2, 1\)"),
        (np.ones((3, 2)), [0, np.nan, 0], ValueError, r"y must be finite, got nan at index \(1,\)"),
        (np.full((3, 2), "4", "U1"), np.ones(3), TypeError, "X must hold real numbers, got .*<U1"),
        (
            np.full((3, 2), None),
            np.ones(3),
            TypeError,
            "X must hold real numbers, got dtype object",
        ),
        (np.ones((3, 2)) * 1j, np.ones(3), TypeError, "got dtype complex128"),
        (np.ones((3, 2)), ["a", "b", "c"], TypeError, "y must hold real numbers, got dtype <U1"),
        ([[1, 2], [3]], [0, 1], ValueError, "X must be a rectangular array of numbers"),
        (MASKED, np.ones(3), TypeError, "X must not be a masked array"),
        (np.ones((3, 2)), MASKED[:, 0], TypeError, "y must not be a masked array"),
        (np.ones((3, 2)), np.ones(3, "M8[s]"), TypeError, "got dtype datetime64"),
        (np.ones((3, 2)), np.zeros(3, "f8,f8"), TypeError, "y must hold real numbers"),
        (np.full((3, 2), 1e300, "g") ** 2, np.ones(3), ValueError, "X must be finite, got inf"),
    ],
)
def test_shards_refuse_arrays(X, y, error, match):
    with pytest.raises(error, match=match):
        Shards.one(X, y)
    with pytest.raises(error, match=match):
        split_iid(X, y, K=1)
    with pytest.raises(error, match=r"^[Xy] of client 0 must"):
        Shards.from_list([(X, y)])


@pytest.mark.parametrize(
    ("offsets", "match"),
    [
        ([0, 2, 4], "offsets must run from 0 to n = 5, got 0 to 4"),
        ([1, 5], "got 1 to 5"),
        ([0, 3, 3, 5], "shard 1 would hold 0 rows"),
        ([0, 4, 3, 5], "shard 1 would hold -1 rows"),
        ([0.0, 5.0], "offsets must be K \\+ 1 whole numbers, got dtype float64"),
        ([5], "whole numbers, got dtype int64 and shape \\(1,\\)"),
        ([[0, 5]], "shape \\(1, 2\\)"),
    ],
)
def test_shards_refuse_offsets(offsets, match):
    with pytest.raises(ValueError, match=match):
        Shards(np.ones((5, 2)), np.zeros(5), offsets)


def test_from_list_names_the_client():
    good = (np.ones((2, 3)), np.zeros(2))
    with pytest.raises(ValueError, match="at least one"):
        Shards.from_list([])
    with pytest.raises(ValueError, match="X of client 1 must have 3 columns like client 0, got 2"):
        Shards.from_list([good, (np.ones((2, 2)), np.zeros(2))])
    with pytest.raises(ValueError, match=r"y of client 1 must have one value a row"):
        Shards.from_list([good, (np.ones((2, 3)), np.zeros(3))])
    with pytest.raises(ValueError, match=r"X of client 1 must have shape .* got shape \(0, 3\)"):
        Shards.from_list([good, (np.ones((0, 3)), np.zeros(0))])


def test_shards_know_their_clients_only():
    shards = Shards.one(np.eye(2), [0, 1])
    for k in (1, -1):
        with pytest.raises(IndexError, match=f"k must be a client from 0 to 0, got {k}"):
            shards[k]


# Splits


@every_split
@pytest.mark.parametrize("K", [1, 7, 60])
def test_every_row_goes_to_exactly_one_client(split, K):
    X, y = labelled()
    shards = split(X, y, K)
    assert K == shards.K
    np.testing.assert_array_equal(np.sort(shards.X[:, 0]), np.arange(N))
    np.testing.assert_array_equal(shards.y, shards.X[:, 0] % 10)  # with its label
    assert all((np.diff(X_k[:, 0]) > 0).all() for X_k, _ in shards)  # in the old order


@every_split
def test_splits_depend_on_the_seed_alone(split):
    X, y = labelled()
    np.random.seed(1)  # noqa: NPY002  the global state is nobody's business
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    a, b, c = split(X, y, 7, seed=3), split(X, y, 7, seed=3), split(X, y, 7, seed=4)
    np.testing.assert_array_equal(a.X, b.X)
    np.testing.assert_array_equal(a.offsets, b.offsets)
    assert not np.array_equal(a.X, c.X)
    np.testing.assert_array_equal(before, np.random.get_state()[1])  # noqa: NPY002


@every_split
@pytest.mark.parametrize(
    ("K", "error", "match"),
    [
        (0, ValueError, "K must be a whole number >= 1.*, got 0"),
        (N + 1, ValueError, "<= 600, got"),
        (2.0, TypeError, "K must be a whole number"),
        (True, TypeError, "K must be a whole number"),
    ],
)
def test_splits_refuse_K(split, K, error, match):
    with pytest.raises(error, match=match):
        split(*labelled(), K)


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (
            lambda X, y: split_by_label(X, y, 400),
            ValueError,
            r"labels \* K must be .* <= 600, got 800",
        ),
        (
            lambda X, y: split_by_label(X, y, 4, labels=0),
            ValueError,
            "labels must be .* >= 1, got 0",
        ),
        (
            lambda X, y: split_dirichlet(X, y, 4, alpha=0),
            ValueError,
            r"alpha must be .* > 0 and <= 1e\+300, got 0",
        ),
        (lambda X, y: split_dirichlet(X, y + 0.5, 4, alpha=1), ValueError, "whole labels, got 0.5"),
        (lambda X, y: split_quantity(X, y, 4, alpha=np.inf), ValueError, "alpha must be a finite"),
        (
            lambda X, y: split_feature(X, y, 4, sigma=-1),
            ValueError,
            "sigma must be .* >= 0, got -1",
        ),
        (lambda X, y: split_iid(X, y, 4, seed=-1), ValueError, "seed must be .* >= 0, got -1"),
        (lambda X, y: split_iid(X, y, 4, seed=None), TypeError, "seed must be a whole number"),
        (lambda X, y: split_test(X, y, test=1), ValueError, "test must be .* < 1, got 1"),
        (lambda X, y: split_test(X, y, test=1e-9), ValueError, "leaves one side without rows"),
        (lambda X, y: split_test(X, y[1:]), ValueError, "y must have one value a row"),
    ],
)
def test_splits_refuse(call, error, match):
    with pytest.raises(error, match=match):
        call(*labelled())


def test_iid_sizes_differ_by_at_most_one():
    assert set(split_iid(*labelled(), 7).n_k.tolist()) == {85, 86}


@pytest.mark.parametrize("labels", [1, 2, 5])
def test_clients_see_few_labels(labels):
    shards = split_by_label(*labelled(), 10, labels=labels)  # pieces of 60 / labels, of one label
    assert all(np.unique(y_k).size <= labels for _, y_k in shards)
    assert set(shards.n_k.tolist()) == {60}


def test_by_label_mixes_the_rows_of_a_label():
    X, y = labelled(classes=2)
    for X_k, _ in split_by_label(X, y, 10, labels=1):
        assert X_k[:, 0].max() - X_k[:, 0].min() > N / 2  # not a run of neighbours


def total_variation(shards, classes=10):
    """Return the mean distance between the clients' and the global label frequencies."""
    everyone = np.bincount(shards.y.astype(int), minlength=classes) / shards.n
    each = [np.bincount(y_k.astype(int), minlength=classes) / len(y_k) for _, y_k in shards]
    return np.mean([abs(q - everyone).sum() / 2 for q in each])


def test_alpha_orders_the_label_skew():
    skew = [total_variation(split_dirichlet(*labelled(), 6, alpha=a)) for a in (0.01, 0.3, 3, 1e6)]
    assert skew == sorted(skew, reverse=True)
    assert skew[0] > 0.7
    assert skew[-1] < 1e-12  # 60 rows a label, 10 for each of 6 clients


def test_dirichlet_shares_have_the_stated_mean_and_variance():
    alpha, K = 0.5, 4
    X, y = np.zeros((2000, 1)), np.zeros(2000)
    q = np.array([split_dirichlet(X, y, K, alpha=alpha, seed=s).p_k[0] for s in range(400)])
    variance = (1 / K) * (1 - 1 / K) / (K * alpha + 1)
    assert abs(q.mean() - 1 / K) < 4 * np.sqrt(variance / 400)
    assert abs(q.var() / variance - 1) < 0.4  # 4 standard errors: kurtosis 2.4 or less


@pytest.mark.parametrize("alpha", [1e-300, 1e-8, 0.01, 1e300])
@pytest.mark.parametrize("K", [2, 59, 599, 600])
def test_no_client_stays_empty(alpha, K):
    X, y = labelled()
    for shards in (split_dirichlet(X, y, K, alpha=alpha), split_quantity(X, y, K, alpha=alpha)):
        assert shards.n_k.min() >= 1
        assert shards.n == N


def test_empty_clients_take_from_the_largest():
    from fedcore.splits import _nobody_empty

    owner = np.array([0] * 10 + [1] * 3)
    sizes = np.bincount(_nobody_empty(owner, 6))
    np.testing.assert_array_equal(sizes, [6, 3, 1, 1, 1, 1])


def test_quantity_skews_sizes_and_nothing_else():
    X, y = labelled(6000)
    small, large = split_quantity(X, y, 10, alpha=0.2), split_quantity(X, y, 10, alpha=1e6)
    assert small.n_k.std() > 5 * large.n_k.std()
    k = int(small.n_k.argmax())
    shares = np.bincount(small[k][1].astype(int), minlength=10) / small.n_k[k]
    assert abs(shares - 0.1).max() < 4 * np.sqrt(0.09 / small.n_k[k])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_feature_noise_grows_with_k(dtype):
    X, y = np.zeros((40_000, 2), dtype=dtype), np.zeros(40_000)
    shards = split_feature(X, y, 4, sigma=2.0)
    assert shards.X.dtype == dtype
    deviations = [float(X_k.std()) for X_k, _ in shards]
    np.testing.assert_allclose(deviations, [0.5, 1, 1.5, 2], rtol=4 / np.sqrt(2 * 20_000))


def test_split_test_keeps_every_row_once():
    X, y = labelled()
    X_train, y_train, X_test, y_test = split_test(X, y, test=0.25, seed=1)
    assert len(X_test) == 150
    rows = np.concatenate([X_train[:, 0], X_test[:, 0]])
    np.testing.assert_array_equal(np.sort(rows), np.arange(N))
    np.testing.assert_array_equal(np.concatenate([y_train, y_test]), rows % 10)


# Problems


def test_quadratics_are_the_parabolas_of_the_book():
    a, b = np.array([1.0, 10.0]), np.array([0.0, 1.0])
    shards, model = make_quadratics(a, b), Linear(1)
    for w in (-1.0, 0.5, 3.0):
        for k, (X, y) in enumerate(shards):
            loss, grad = model.loss(np.array([w]), X, y), model.grad(np.array([w]), X, y)
            assert loss == pytest.approx(a[k] / 2 * (w - b[k]) ** 2, rel=1e-13)
            assert grad[0] == pytest.approx(a[k] * (w - b[k]), rel=1e-13)
    w_star = np.linalg.lstsq(shards.X, shards.y)[0]
    assert w_star[0] == pytest.approx(0.909091, abs=5e-7)


def test_quadratics_in_many_dimensions():
    rng = np.random.default_rng(0)
    a, b, w = rng.random((4, 3)), rng.standard_normal((4, 3)), rng.standard_normal(3)
    shards, model = make_quadratics(a, b), Linear(3)
    assert set(shards.n_k.tolist()) == {3}
    for k, (X, y) in enumerate(shards):
        assert model.loss(w, X, y) == pytest.approx((a[k] * (w - b[k]) ** 2).sum() / 2, rel=1e-13)
        np.testing.assert_allclose(model.grad(w, X, y), a[k] * (w - b[k]), rtol=1e-12)


@pytest.mark.parametrize(
    ("a", "b", "error", "match"),
    [
        ([1, 2], [1], ValueError, r"one shape, \(K,\) or \(K, p\), got \(2,\) and \(1,\)"),
        ([], [], ValueError, r"got \(0,\)"),
        (1, 1, ValueError, r"got \(\) and \(\)"),
        ([-3, 1], [0, 0], ValueError, "a must be >= 0, got -3; a concave client needs"),
        ([1, np.nan], [0, 0], ValueError, "a must be finite, got nan"),
        ([1, 1], [0, np.inf], ValueError, "b must be finite, got inf"),
        (["x"], [0], TypeError, "a must hold real numbers"),
    ],
)
def test_quadratics_refuse(a, b, error, match):
    with pytest.raises(error, match=match):
        make_quadratics(a, b)


@pytest.mark.parametrize("kappa", [1, 10, 1e4])
@pytest.mark.parametrize(("n", "p"), [(5, 5), (200, 7)])
def test_regression_has_the_stated_minimum_and_condition(n, p, kappa):
    problem = make_regression(n, p, kappa=kappa, noise=0.5, seed=2)
    model, X, y, w_star = problem.model, problem.X, problem.y, problem.w_star
    assert pytest.approx(1, rel=1e-12) == problem.L
    assert problem.kappa == pytest.approx(kappa, rel=1e-9)
    np.testing.assert_allclose(w_star, np.linalg.lstsq(X, y)[0], rtol=1e-9, atol=1e-9)
    assert np.abs(model.grad(w_star, X, y)).max() < 1e-13
    assert model.loss(w_star, X, y) == problem.F_star


@pytest.mark.parametrize("kappa", [1, 100])
@pytest.mark.parametrize("l2", [1e-6, 1e-2, 10])
@pytest.mark.parametrize("seed", [0, 1])
def test_classification_has_the_stated_minimum(kappa, l2, seed):
    problem = make_classification(100, 8, kappa=kappa, l2=l2, seed=seed)
    model, X, y, w_star = problem.model, problem.X, problem.y, problem.w_star
    assert set(y) == {0, 1}
    assert np.abs(model.grad(w_star, X, y)).max() < 1e-15
    assert (problem.mu, problem.L) == (l2, pytest.approx(0.25 + l2, rel=1e-12))
    rng = np.random.default_rng(0)
    for _ in range(20):
        step = 1e-3 * rng.standard_normal(8)
        assert model.loss(w_star + step, X, y) > problem.F_star


def test_separable_classes_still_have_their_minimum():
    problem = make_classification(8, 8, l2=1e-8)  # n = p: every labelling is separable
    g = problem.model.grad(problem.w_star, problem.X, problem.y)
    assert np.abs(g).max() < 1e-15


@pytest.mark.parametrize("seed", [7, 20, 36])
def test_the_minimum_is_found_where_full_newton_steps_overshoot(seed):
    problem = make_classification(12, 6, kappa=100, l2=1e-6, seed=seed)
    g = problem.model.grad(problem.w_star, problem.X, problem.y)
    assert np.abs(g).max() < 1e-15


def test_minimum_agrees_with_scikit_learn():
    from sklearn.linear_model import LogisticRegression

    problem = make_classification(200, 5, l2=0.1)
    oracle = LogisticRegression(C=1 / (0.1 * 200), fit_intercept=False, tol=1e-12)
    w = oracle.set_params(solver="newton-cholesky").fit(problem.X, problem.y).coef_[0]
    np.testing.assert_allclose(problem.w_star, w, rtol=1e-9)


@pytest.mark.parametrize("make", [make_regression, make_classification])
@pytest.mark.parametrize(
    ("n", "p", "more", "match"),
    [
        (3, 4, {}, "n must be a whole number >= 4, got 3"),
        (3, 0, {}, "p must be a whole number >= 1, got 0"),
        (9, 3, {"kappa": 0.5}, "kappa must be a finite number >= 1, got 0.5"),
        (9, 1, {"kappa": 2}, "kappa must be .* <= 1, got 2"),
        (9, 3, {"seed": -1}, "seed must be a whole number >= 0, got -1"),
    ],
)
def test_problems_refuse(make, n, p, more, match):
    with pytest.raises(ValueError, match=match):
        make(n, p, **more)


def test_problems_refuse_their_own():
    with pytest.raises(ValueError, match="noise must be a finite number >= 0, got -1"):
        make_regression(9, 3, noise=-1)
    with pytest.raises(ValueError, match="l2 must be a finite number > 0, got 0"):
        make_classification(9, 3, l2=0)


# synthetic(alpha, beta)


def test_synthetic_alpha_never_changes_a_label():
    for seed in range(3):
        one, two = synthetic(0, 1, K=20, seed=seed), synthetic(50, 1, K=20, seed=seed)
        np.testing.assert_array_equal(one.X, two.X)
        np.testing.assert_array_equal(one.y, two.y)


def test_synthetic_beta_moves_the_inputs():
    spread = [np.std([X_k.mean() for X_k, _ in synthetic(0, b, K=50)]) for b in (0, 1, 5)]
    assert spread[0] < 0.3 < spread[1] < 2 < spread[2]


def test_synthetic_is_not_iid_at_zero():
    shards = synthetic(0, 0, K=30)
    assert total_variation(shards) > 0.4
    Softmax(60, 10).check_data(shards.X, shards.y)


def test_synthetic_inputs_have_the_stated_variance():
    shards = synthetic(0, 0, K=30, seed=1)
    X, _ = shards[int(shards.n_k.argmax())]
    np.testing.assert_allclose(X.var(0), np.arange(1.0, 61) ** -1.2, rtol=5 * np.sqrt(2 / len(X)))


def test_synthetic_sizes_have_a_heavy_tail():
    largest = [synthetic(1, 1, K=30, seed=seed).p_k.max() for seed in range(9)]
    assert 0.2 < np.median(largest) < 0.4
    assert synthetic(1, 1, K=30).n_k.min() >= 50


def test_a_client_of_synthetic_does_not_depend_on_K():
    for (X_3, _), (X_5, _) in zip(synthetic(1, 1, K=3), synthetic(1, 1, K=5), strict=False):
        np.testing.assert_array_equal(X_3, X_5)


@pytest.mark.parametrize("kwargs", [{"alpha": -1, "beta": 1}, {"alpha": 1, "beta": np.nan}])
def test_synthetic_refuses(kwargs):
    with pytest.raises(ValueError, match=r"(alpha|beta) must be a finite number >= 0"):
        synthetic(**kwargs)
    with pytest.raises(ValueError, match="K must be a whole number >= 1, got 0"):
        synthetic(1, 1, 0)


# Data sets


def test_digits_are_pixels_between_0_and_1():
    X_train, y_train, X_test, y_test = data.digits(test=0.2, seed=0)
    assert len(X_train) + len(X_test) == 1797
    assert (X_train.min(), X_train.max()) == (0, 1)
    assert set(y_train) == set(y_test) == set(range(10))
    again = data.digits(test=0.2, seed=1)[0]
    assert not np.array_equal(X_train, again)


@pytest.mark.parametrize("load", [data.breast_cancer, data.diabetes])
def test_tables_are_standardised_by_their_training_rows(load):
    X_train, y_train, X_test, _ = load(test=0.25)
    np.testing.assert_allclose(X_train[:, :-1].mean(0), 0, atol=1e-12)
    np.testing.assert_allclose(X_train[:, :-1].std(0), 1, rtol=1e-12)
    np.testing.assert_array_equal(X_train[:, -1], 1)
    np.testing.assert_array_equal(X_test[:, -1], 1)
    assert 0 < np.abs(X_test[:, :-1].mean(0)).max() < 0.5
    assert X_train.shape[0] == len(y_train)
