"""Robust rules: equal to the mean where nothing is cut, right up to their breakdown point."""

import numpy as np
import pytest

from fedcore import (
    Bulyan,
    GeometricMedian,
    Krum,
    LittleIsEnough,
    SignFlip,
    TrimmedMean,
    flip_labels,
    mean,
    median,
    split_iid,
)

U = np.random.default_rng(0).normal(size=(11, 5))
A = np.full(11, 1 / 11)


def test_nothing_trimmed_is_the_mean():
    np.testing.assert_allclose(TrimmedMean(0)(U, A), mean(U, A), rtol=1e-12)


def test_multi_krum_of_everyone_is_the_mean():
    np.testing.assert_allclose(Krum(1, chosen=11)(U, A), mean(U, A), rtol=1e-12)


@pytest.mark.parametrize(
    "rule",
    [mean, median, TrimmedMean(2), Krum(2), Krum(2, 4), GeometricMedian(), Bulyan(2)],
    ids=str,
)
def test_equal_replies_are_returned_and_weights_scale(rule):
    same = np.tile(U[0], (11, 1))
    np.testing.assert_allclose(rule(same, A), U[0], rtol=1e-9)
    np.testing.assert_allclose(rule(U, 3 * A), 3 * rule(U, A), rtol=1e-7)
    if isinstance(rule, Bulyan):
        return  # two replies nearest to each other tie, and the first one is chosen
    order = np.random.default_rng(1).permutation(11)
    np.testing.assert_allclose(rule(U[order], A), rule(U, A), rtol=1e-7, atol=1e-12)


@pytest.mark.parametrize(
    "rule",
    [median, TrimmedMean(2), Krum(2), Krum(2, 4), GeometricMedian(), Bulyan(2)],
    ids=str,
)
def test_two_liars_of_eleven_cannot_move_a_robust_rule_far(rule):
    lies = U.copy()
    lies[-2:] = 1e9
    assert np.abs(rule(lies, A)).max() < 10
    assert np.abs(mean(lies, A)).max() > 1e8


def test_beyond_its_breakdown_point_a_rule_fails():
    lies = U.copy()
    lies[-3:] = 1e9
    assert np.abs(TrimmedMean(2)(lies, A)).max() > 1e6
    lies[-6:] = 1e9
    assert np.abs(median(lies, A)).max() > 1e6


def test_geometric_median_is_a_minimum():
    z = GeometricMedian()(U, A)

    def total(z):
        return np.linalg.norm(U - z, axis=1).sum()

    rng = np.random.default_rng(2)
    assert all(total(z) <= total(z + 1e-3 * rng.normal(size=5)) for _ in range(100))


def test_krum_returns_one_of_the_replies():
    chosen = Krum(2)(U, A)
    assert np.isclose(U, chosen).all(axis=1).any()


@pytest.mark.parametrize("rule", [TrimmedMean(6), Krum(5), Bulyan(3)], ids=repr)
def test_a_cohort_too_small_is_refused(rule):
    with pytest.raises(ValueError, match=r"needs a cohort of at least \d+ for f = \d, got 11"):
        rule(U, A)


def test_attacks():
    turned = SignFlip(3, scale=2.0)(U, A)
    np.testing.assert_allclose(turned, (U[:8].sum(0) - 2 * U[8:].sum(0)) / 11, rtol=1e-12)
    little = LittleIsEnough(3, z=1.0)(U, A)
    lie = U[:8].mean(0) - U[:8].std(0)
    np.testing.assert_allclose(little, (U[:8].sum(0) + 3 * lie) / 11, rtol=1e-12)


def test_flipped_labels_belong_to_the_last_clients():
    y = np.arange(30) % 3
    shards = split_iid(np.ones((30, 1)), y, 5)
    lied = flip_labels(shards, 2, classes=3)
    for k in range(5):
        honest, now = shards[k][1], lied[k][1]
        np.testing.assert_array_equal(now, honest if k < 3 else 2 - honest)
