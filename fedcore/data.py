"""All data of the book: shards, splits, synthetic problems, and scikit-learn's data sets."""

from __future__ import annotations

import numpy as np

from fedcore.checks import real
from fedcore.problems import (
    Problem,
    make_classification,
    make_quadratics,
    make_regression,
    synthetic,
)
from fedcore.rng import Purpose, stream
from fedcore.shards import Shards
from fedcore.splits import (
    split_by_label,
    split_dirichlet,
    split_feature,
    split_iid,
    split_quantity,
)
from fedcore.types import Array

__all__ = [
    "Problem",
    "Shards",
    "breast_cancer",
    "diabetes",
    "digits",
    "make_classification",
    "make_quadratics",
    "make_regression",
    "split_by_label",
    "split_dirichlet",
    "split_feature",
    "split_iid",
    "split_quantity",
    "split_test",
    "synthetic",
]

Four = tuple[Array, Array, Array, Array]  # X_train, y_train, X_test, y_test


def split_test(X: Array, y: Array, *, test: float = 0.2, seed: int = 0) -> Four:
    """Return X_train, y_train, X_test, y_test: a random fraction ``test`` of the rows is held out.

    Parameters
    ----------
    X : (n, p)
    y : (n,)
    test : float, 0 < test < 1; at least one row stays on either side
    seed : int

    Raises
    ------
    ValueError, TypeError : if test is not a fraction, a side would be empty, or y does not fit X

    Examples
    --------
    >>> X, y = np.arange(10.0)[:, None], np.arange(10)
    >>> [len(a) for a in split_test(X, y, test=0.3)]
    [7, 7, 3, 3]
    """
    real("test", test, above=0, below=1)
    if len(X) != len(y):
        raise ValueError(f"y must have one value a row of X, {len(X)}, got {len(y)}")
    m = round(test * len(X))
    if not 0 < m < len(X):
        raise ValueError(f"test = {test} of {len(X)} rows leaves one side without rows")
    order = stream(seed, Purpose.SPLIT).permutation(len(X))
    train, held = np.sort(order[m:]), np.sort(order[:m])
    return X[train], y[train], X[held], y[held]


def digits(*, test: float = 0.2, seed: int = 0) -> Four:
    """Return scikit-learn's 1,797 digits of 8 x 8 pixels in [0, 1], labels 0 .. 9, test held out.

    >>> X_train, y_train, X_test, y_test = digits()
    >>> X_train.shape, X_test.shape
    ((1438, 64), (359, 64))
    """
    X, y = _from_sklearn("load_digits")
    return split_test(X / 16, y, test=test, seed=seed)


def breast_cancer(*, test: float = 0.2, seed: int = 0) -> Four:
    """Return 569 tumours, 30 standardised features and a column of ones; label 1 is benign.

    >>> breast_cancer()[0].shape
    (455, 31)
    """
    return _standardised(*split_test(*_from_sklearn("load_breast_cancer"), test=test, seed=seed))


def diabetes(*, test: float = 0.2, seed: int = 0) -> Four:
    """Return 442 patients, 10 standardised features and a column of ones; y is a score, 25 to 346.

    >>> diabetes()[0].shape
    (354, 11)
    """
    return _standardised(*split_test(*_from_sklearn("load_diabetes"), test=test, seed=seed))


def _from_sklearn(name: str) -> tuple[Array, Array]:
    from sklearn import datasets  # takes a second to import, ships the data

    X, y = getattr(datasets, name)(return_X_y=True)
    return X, y


def _standardised(X_train: Array, y_train: Array, X_test: Array, y_test: Array) -> Four:
    """Scale by the training rows' means and deviations, and add the column of ones."""
    mean, deviation = X_train.mean(0), X_train.std(0)
    X_train, X_test = (
        np.column_stack([(X - mean) / deviation, np.ones(len(X))]) for X in (X_train, X_test)
    )
    return X_train, y_train, X_test, y_test
