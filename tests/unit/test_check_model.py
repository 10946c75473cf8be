"""check_model must find each way in which a reader's model can be wrong, and say where."""

import itertools

import numpy as np
import pytest

from fedcore.models import Linear, Logistic, from_functions
from fedcore.testing import check_model

rng = np.random.default_rng(0)
X, y = rng.standard_normal((6, 3)), np.array([0.0, 1.0, 1.0, 0.0, 1.0, 0.0])


class BadLength(Linear):
    d = 0


class BadStart(Linear):
    def init(self, rng):
        return np.zeros((3, 1))


class ListStart(Linear):
    def init(self, rng):
        return [0.0, 0.0, 0.0]


class SmallStart(Linear):
    def init(self, rng):
        return np.zeros(3, dtype=np.float32)


class LossPerRow(Linear):
    def loss(self, w, X, y, s=None):
        return X @ w - y


class ColumnGrad(Linear):
    def grad(self, w, X, y, s=None):
        return super().grad(w, X, y, s)[..., None]


class WideGrad(Linear):
    def grad(self, w, X, y, s=None):
        return super().grad(w, X, y, s).astype(np.float64)


class NanLoss(Linear):
    def loss(self, w, X, y, s=None):
        return super().loss(w, X, y, s) * np.nan


class WritesW(Linear):
    def grad(self, w, X, y, s=None):
        g = super().grad(w, X, y, s)
        w -= 1
        return g


class WritesY(Linear):
    def loss(self, w, X, y, s=None):
        y += 1
        return super().loss(w, X, y - 1, s)


class OneBuffer(Linear):
    buffer = np.zeros(3)

    def grad(self, w, X, y, s=None):
        if w.dtype == np.float32:
            return super().grad(w, X, y, s)
        self.buffer[:] = super().grad(w, X, y, s)
        return self.buffer


class Moody(Linear):
    calls = itertools.count(1)

    def loss(self, w, X, y, s=None):
        return super().loss(w, X, y, s) * np.asarray(next(self.calls), w.dtype)


class WrongSign(Logistic):
    def grad(self, w, X, y, s=None):
        return -super().grad(w, X, y, s)


class OneWrongEntry(Logistic):
    def grad(self, w, X, y, s=None):
        g = super().grad(w, X, y, s)
        g[..., 2] *= 1.001
        return g


class SumNotMean(Linear):
    def loss(self, w, X, y, s=None):
        return super().loss(w, X, y, s) * (X.shape[-2] if s is None else 1)

    def grad(self, w, X, y, s=None):
        return super().grad(w, X, y, s) * (X.shape[-2] if s is None else 1)


class IgnoresWeights(Linear):
    def grad(self, w, X, y, s=None):
        return super().grad(w, X, y)


class LooksAtHiddenRows(Linear):
    def loss(self, w, X, y, s=None):
        return super().loss(w, X, y, s) + (0 if s is None else 1e-6 * X.mean((-1, -2)))


class MixesClients(Linear):
    def grad(self, w, X, y, s=None):
        g = super().grad(w, X, y, s)
        return g - g.mean(0) if g.ndim > 1 else g


@pytest.mark.parametrize(
    ("model", "match"),
    [
        (BadLength(3), "^d must be an int >= 1, got 0"),
        (BadStart(3), r"^init\(rng\) must return shape \(3,\), got \(3, 1\)"),
        (ListStart(3), r"^init\(rng\) must return an array, got \[0.0"),
        (SmallStart(3), r"^init\(rng\) must return float64, got float32"),
        (LossPerRow(3), r"^loss\(w, X, y\) of float64 arrays must have shape \(\), has \(6,\)"),
        (ColumnGrad(3), r"^grad\(w, X, y\) .* must have shape \(3,\), has \(3, 1\)"),
        (WideGrad(3), r"^grad\(w, X, y\) of float32 arrays must be float32, is float64"),
        (NanLoss(3), r"^loss\(w, X, y\) of float64 arrays is not finite"),
        (WritesW(3), "^grad writes into its input w"),
        (WritesY(3), "^loss writes into its input y"),
        (OneBuffer(3), "^grad writes into the array it returned before"),
        (Moody(3), "^loss answers the same question in two ways"),
        (WrongSign(3), r"^grad\(w, X, y\)\[0\] is .* but finite differences of loss give"),
        (OneWrongEntry(3), r"^grad\(w, X, y\)\[2\] is .* but finite differences of loss give"),
        (SumNotMean(3), r"^loss\(w, X, y\) is .* instead of .*, its mean over the rows"),
        (IgnoresWeights(3), r"^grad\(w, X, y, s\)\[0\] is .* instead of .*, the sum of s_i"),
        (LooksAtHiddenRows(3), r"^loss\(w, X, y, s\) is|^loss with s\[0\] = 0 is"),
        (
            MixesClients(3),
            r"^grad of 3 clients at once\[0, 0\] is .* instead of .*, one call for each",
        ),
    ],
)
def test_every_fault_is_found_and_named(model, match):
    with pytest.raises(AssertionError, match=match):
        check_model(model, X, y)


def test_a_model_for_one_client_is_told_about_from_functions():
    def loss(w, X, y, s=None):
        s = np.full(len(y), 1 / len(y)) if s is None else s
        return ((X @ w - y) ** 2 / 2 * s).sum().astype(w.dtype)

    def grad(w, X, y, s=None):
        s = np.full(len(y), 1 / len(y)) if s is None else s
        return (X.T @ ((X @ w - y) * s)).astype(w.dtype)

    class Mine:
        d = 3

        def init(self, rng):
            return np.zeros(3)

    mine = Mine()
    mine.loss, mine.grad = loss, grad
    with pytest.raises(AssertionError, match=r"loss fails for w \(3, 3\).* from_functions adds"):
        check_model(mine, X, y)
    check_model(from_functions(loss, grad, 3), X, y)


def test_kinks_and_huge_features_are_no_faults():
    def loss(w, X, y):
        return np.abs(X @ w - y).mean()

    def grad(w, X, y):
        return X.T @ np.sign(X @ w - y) / len(y)

    for scale in (1e-6, 1, 1e3, 1e6):
        check_model(from_functions(loss, grad, 3), X * scale, y)
        check_model(Logistic(3, l2=0.1), X * scale, y)


def test_the_data_are_checked_first():
    with pytest.raises(ValueError, match="X must hold at least 2 examples"):
        check_model(Linear(3), X[:1], y[:1])
    with pytest.raises(ValueError, match="X must be finite"):
        check_model(Linear(3), X * np.nan, y)
