"""The accountant against dp-accounting, mpmath, exact curves and the order of its arguments."""

import math
import warnings

import mpmath as mp
import numpy as np
import pytest
from dp_accounting import get_epsilon_gaussian
from dp_accounting.pld import privacy_loss_distribution as pld
from dp_accounting.rdp import rdp_privacy_accountant as oracle
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.special import ndtr

from fedcore import epsilon_spent, gaussian_delta, gaussian_epsilon, gaussian_sigma, sigma_for
from fedcore.privacy.accountant import ORDERS, rdp_fixed_size, rdp_poisson, to_epsilon

WHOLE = [a for a in ORDERS if a % 1 == 0 and a <= 1024]


def test_published_numbers():
    exact = [round(gaussian_epsilon(sigma, 1e-5), 6) for sigma in (1.0, 2.0, 4.0)]
    assert exact == [4.377178, 1.993091, 0.926342]
    classic = epsilon_spent(0.01, 4.0, 10_000, 1e-5, conversion="classic")
    assert round(classic, 4) == 1.2586  # Abadi et al. 2016 print 1.26


@pytest.mark.parametrize("q", [1e-4, 0.01, 0.3, 0.99, 1.0])
@pytest.mark.parametrize("sigma", [0.3, 1.0, 5.0])
def test_poisson_of_whole_orders_is_that_of_dp_accounting(q, sigma):
    theirs = oracle._compute_rdp_poisson_subsampled_gaussian(q, sigma, WHOLE)
    ours = [rdp_poisson(q, sigma, alpha) for alpha in WHOLE]
    np.testing.assert_allclose(ours, theirs, rtol=1e-6)  # theirs loses digits where it is tiny


@pytest.mark.parametrize("conversion", ["classic", "improved"])
@pytest.mark.parametrize(("q", "sigma", "rounds"), [(0.01, 1.0, 1000), (0.2, 3.0, 50), (1, 9.0, 9)])
def test_epsilon_is_that_of_dp_accounting(q, sigma, rounds, conversion):
    rho = np.array([rdp_poisson(q, sigma, alpha) for alpha in WHOLE])
    theirs = oracle._compute_rdp_poisson_subsampled_gaussian(q, sigma, WHOLE)
    for delta in (1e-9, 1e-5, 1e-2):
        ours = to_epsilon(rounds * rho, WHOLE, delta, conversion)
        if conversion == "improved":
            other = oracle.compute_epsilon(WHOLE, rounds * theirs, delta)[0]
        else:
            other = min(rounds * theirs + math.log(1 / delta) / (np.array(WHOLE) - 1))
        assert ours == pytest.approx(other, rel=1e-6)
        assert epsilon_spent(q, sigma, rounds, delta, conversion=conversion) <= ours


def log_moment(q, sigma, alpha):
    """Return log A by mpmath's quadrature, with 25 digits."""
    with mp.workdps(25):
        q, s, a = (mp.mpf(str(v)) for v in (q, sigma, alpha))

        def f(z):
            u = q * mp.expm1((2 * z - 1) / (2 * s * s))
            return mp.npdf(z, 0, s) * ((1 + u) ** a - 1 - a * u)

        turn = 0.5 + s * s * mp.log(1 / q - 1)
        return mp.log1p(mp.quad(f, sorted({-30 * s, -3 * s, 0, 3 * s, turn, a, a + 30 * s})))


@pytest.mark.parametrize(
    ("q", "sigma", "alpha"),
    [(0.01, 4.0, 1.05), (0.01, 4.0, 9.9), (0.001, 0.5, 1.05), (0.9, 0.2, 2.5), (0.1, 30.0, 2.5)],
)
def test_poisson_of_other_orders_is_the_integral(q, sigma, alpha):
    exact = float(log_moment(q, sigma, alpha) / (alpha - 1))
    ours = rdp_poisson(q, sigma, alpha)
    assert exact <= ours <= exact * (1 + 1e-9) + 2e-14 / (alpha - 1)


@pytest.mark.parametrize(("q", "sigma"), [(0.01, 2.0), (0.1, 6.0), (0.001, 16.0)])
def test_fixed_size_bounds_that_of_dp_accounting(q, sigma):
    """Theirs is the tighter theorem 27 up to order 256 and the theorem 9 of ours beyond."""
    for alpha in (2, 300, 1000, 2.5, 20):
        theirs = oracle._compute_rdp_sample_wor_gaussian_scalar(q, sigma / 2, alpha)
        theirs = min(theirs, alpha / (2 * (sigma / 2) ** 2))
        ours = rdp_fixed_size(q, sigma, alpha)
        if alpha in (2, 300, 1000):
            assert ours == pytest.approx(theirs, rel=1e-9)
        assert ours >= theirs * (1 - 1e-12)


@pytest.mark.parametrize("q", [0.05, 0.5, 1.0])
@pytest.mark.parametrize("sigma", [1.0, 3.0])
def test_fixed_size_covers_a_unit_replaced_by_its_opposite(q, sigma):
    """The noisy sum is a mixture of N(0, s^2) with N(1, s^2) before, with N(-1, s^2) after."""
    epsilon = epsilon_spent(q, sigma, 1, 1e-5, sampling="fixed size")
    edges = np.linspace(-12 * sigma - 1, 12 * sigma + 1, 200_001)
    before, after = (
        np.diff((1 - q) * ndtr(edges / sigma) + q * ndtr((edges - c) / sigma)) for c in (1, -1)
    )
    assert np.maximum(before - math.exp(epsilon) * after, 0).sum() <= 1e-5
    if q == 1:  # then it is exact but for the conversion
        assert epsilon <= 1.15 * gaussian_epsilon(sigma / 2, 1e-5)


@pytest.mark.parametrize(("q", "sigma", "rounds"), [(0.02, 1.0, 200), (0.3, 2.0, 20)])
def test_poisson_is_not_below_the_privacy_loss_distribution(q, sigma, rounds):
    loss = pld.from_gaussian_mechanism(
        sigma, sampling_prob=q, pessimistic_estimate=False, use_connect_dots=False,
        value_discretization_interval=1e-3,
    )  # fmt: skip
    least = loss.self_compose(rounds).get_epsilon_for_delta(1e-5)
    spent = epsilon_spent(q, sigma, rounds, 1e-5)
    assert least <= spent <= 1.3 * least


@pytest.mark.parametrize("sigma", [0.05, 0.7, 3.0, 50.0])
@pytest.mark.parametrize("delta", [1e-12, 1e-5, 0.1])
def test_exact_curve(sigma, delta):
    ours = gaussian_epsilon(sigma, delta)
    assert ours == pytest.approx(get_epsilon_gaussian(sigma, delta), rel=1e-6, abs=1e-9)
    with mp.workdps(50):
        s, e = mp.mpf(sigma), mp.mpf(ours)
        exact = mp.ncdf(1 / (2 * s) - e * s) - mp.exp(e) * mp.ncdf(-1 / (2 * s) - e * s)
        assert exact <= delta
    assert gaussian_delta(ours, sigma) == pytest.approx(float(exact), rel=1e-9)


@pytest.mark.parametrize("rounds", [1, 100])
def test_without_sampling_rounds_are_one_release_with_less_noise(rounds):
    for sigma in (0.5, 4.0, 40.0):
        exact = gaussian_epsilon(sigma / math.sqrt(rounds), 1e-5)
        improved = epsilon_spent(1.0, sigma, rounds, 1e-5)
        classic = epsilon_spent(1.0, sigma, rounds, 1e-5, conversion="classic")
        assert exact <= improved <= classic


@pytest.mark.parametrize("epsilon", [0.1, 3.0])
def test_calibration_is_the_edge(epsilon):
    options = {"q": 0.1, "rounds": 20}
    sigma = sigma_for(epsilon, 1e-5, **options)
    assert epsilon_spent(0.1, sigma, 20, 1e-5) <= epsilon
    assert epsilon_spent(0.1, sigma * (1 - 1e-6), 20, 1e-5) > epsilon
    exact = gaussian_sigma(epsilon, 1e-5)
    assert gaussian_epsilon(exact, 1e-5) <= epsilon < gaussian_epsilon(exact * (1 - 1e-6), 1e-5)


def test_a_target_out_of_reach_is_refused():
    with pytest.raises(ValueError, match="epsilon must be one that noise can reach, got 1e-09"):
        sigma_for(1e-9, 1e-12, q=0.5, rounds=10)


Q = st.floats(1e-9, 1)
SIGMA = st.floats(0.02, 1e4)
DELTA = st.floats(1e-30, 0.5)
ROUNDS = st.integers(1, 10**6)
GROWTH = st.floats(1, 100)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(Q, SIGMA, DELTA, ROUNDS, GROWTH, st.sampled_from(["poisson", "fixed size"]))
def test_monotone(q, sigma, delta, rounds, growth, sampling):
    """More rounds, more sampling, less noise, less delta: never less epsilon."""
    least = epsilon_spent(q, sigma, rounds, delta, sampling=sampling) * (1 - 1e-8)
    for worse in (
        (min(1, q * growth), sigma, rounds, delta),
        (q, sigma / growth, rounds, delta),
        (q, sigma, math.ceil(rounds * growth), delta),
        (q, sigma, rounds, delta / growth),
    ):
        assert epsilon_spent(*worse, sampling=sampling) >= least


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.floats(1e-3, 1e4), DELTA, GROWTH)
def test_exact_curve_is_monotone(sigma, delta, growth):
    epsilon = gaussian_epsilon(sigma, delta)
    assert gaussian_epsilon(sigma / growth, delta) >= epsilon * (1 - 1e-12)
    assert gaussian_epsilon(sigma, delta / growth) >= epsilon * (1 - 1e-12)
    assume(epsilon > 0)
    assert gaussian_delta(epsilon, sigma) <= delta


ANY = st.floats(allow_nan=True, allow_infinity=True)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(ANY, ANY, st.integers(-1, 10**30), ANY)
def test_extreme_arguments_give_a_number_or_a_refusal(q, sigma, rounds, delta):
    q, sigma, delta = abs(q) % 1, abs(sigma), abs(delta) % 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for sampling in ("poisson", "fixed size"):
            try:
                epsilon = epsilon_spent(q, sigma, rounds, delta, sampling=sampling)
            except ValueError:
                good = 0 < q <= 1 and 0 < sigma < math.inf and 0 < delta < 1
                assert not (good and 1 <= rounds <= 10**15)
                continue
            assert epsilon >= 0


@pytest.mark.parametrize("q", [5e-324, 1e-12, 1 - 1e-16, 1.0])
@pytest.mark.parametrize("sigma", [5e-324, 1e-160, 1e-3, 0.1, 1e160, 1e308])
def test_extreme_noise(q, sigma):
    for sampling in ("poisson", "fixed size"):
        for delta in (5e-324, 1e-5, 1 - 1e-16):
            assert epsilon_spent(q, sigma, 10**15, delta, sampling=sampling) >= 0
            assert gaussian_epsilon(sigma, delta) >= 0


def test_large_fractional_orders_are_bounded_by_the_next_whole_one():
    assert rdp_poisson(0.01, 2.0, 50.5) == rdp_poisson(0.01, 2.0, 51)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 1.0, 1, 1e-5), "q must be"),
        ((1.1, 1.0, 1, 1e-5), "q must be"),
        ((0.1, 0.0, 1, 1e-5), "sigma must be"),
        ((0.1, math.inf, 1, 1e-5), "sigma must be"),
        ((0.1, 1.0, 0, 1e-5), "rounds must be"),
        ((0.1, 1.0, 1, 0.0), "delta must be"),
        ((0.1, 1.0, 1, 1.0), "delta must be"),
    ],
)
def test_refusals(arguments, message):
    with pytest.raises(ValueError, match=message):
        epsilon_spent(*arguments)


def test_unknown_words_are_refused():
    with pytest.raises(ValueError, match="sampling must be one of 'poisson', 'fixed size'"):
        epsilon_spent(0.1, 1.0, 1, 1e-5, sampling="uniform")
    with pytest.raises(ValueError, match="conversion must be one of"):
        epsilon_spent(0.1, 1.0, 1, 1e-5, conversion="best")
    with pytest.raises(ValueError, match="alpha must be"):
        rdp_poisson(0.1, 1.0, 1.0)
