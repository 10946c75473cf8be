"""A method with its extra switched off is the simpler method."""

import numpy as np
import pytest
from registry import MODEL, ONE, PROBLEM, UNEVEN, W0

from fedcore import (
    Linear,
    Shards,
    distributed_gd,
    fedavg,
    fedprox,
    gd,
    make_quadratics,
    make_regression,
    run,
    scaffold,
    sgd,
)


def final(algorithm, shards=UNEVEN, rounds=6, **options):
    return run(algorithm, MODEL, shards, rounds=rounds, w0=W0, **options).w


def test_splitting_the_data_changes_nothing():
    whole = final(gd(0.5), ONE, rounds=30)
    np.testing.assert_allclose(final(distributed_gd(0.5), rounds=30), whole, rtol=1e-13)


def test_fedavg_with_one_full_batch_step_is_distributed_gd():
    one_step = final(fedavg(0.5, epochs=1))
    np.testing.assert_allclose(one_step, final(distributed_gd(0.5)), rtol=1e-13)


def test_fedavg_with_one_client_is_sgd():
    federated = final(fedavg(0.1, epochs=2, batch_size=8), ONE)
    assert federated.tobytes() == final(sgd(0.1, 8, steps=None, epochs=2), ONE).tobytes()


def test_a_cohort_of_everyone_is_everyone():
    options = {"epochs": 2, "batch_size": 8}
    everyone, drawn = final(fedavg(0.1, **options)), final(fedavg(0.1, cohort=7, **options))
    np.testing.assert_allclose(drawn, everyone, rtol=1e-13)


@pytest.mark.parametrize(
    ("K", "fixed"), [(1, 0.909091), (2, 0.884956), (5, 0.810690), (10, 0.713442), (50, 0.520006)]
)
def test_fixed_point_of_fedavg(K, fixed):
    shards = make_quadratics([1, 10], [0, 1])
    w = run(fedavg(0.05, steps=K), Linear(1), shards, rounds=400).w
    assert w[0] == pytest.approx(fixed, abs=5e-7)


def test_weights_follow_the_rows_of_each_client():
    """An unweighted mean of unequal shards ends elsewhere; ours ends at the minimiser."""
    w = final(distributed_gd(1.0), rounds=2000)
    np.testing.assert_allclose(w, PROBLEM.w_star, atol=1e-10)


@pytest.mark.parametrize("kappa", [10.0, 100.0])
@pytest.mark.parametrize("step", ["1/L", "2/(L+mu)"])
def test_gradient_descent_obeys_its_bound(kappa, step):
    problem = make_regression(80, 5, kappa=kappa, noise=0.0, seed=3)
    L, mu = problem.L, problem.mu
    eta = 1 / L if step == "1/L" else 2 / (L + mu)
    rho = max(abs(1 - eta * L), abs(1 - eta * mu))
    distances = {"distance": lambda w: np.linalg.norm(w - problem.w_star)}
    history = run(
        gd(eta), Linear(5), Shards.one(problem.X, problem.y), rounds=60, metrics=distances
    )
    distance = history["distance"]
    assert (distance[1:] <= rho * distance[:-1] * (1 + 1e-9)).all()
    assert distance[-1] / distance[-2] == pytest.approx(rho, rel=0.05)


def test_fedprox_without_a_pull_is_fedavg():
    options = {"epochs": 2, "batch_size": 4, "cohort": 3}
    assert final(fedprox(0.2, mu=0, **options)).tobytes() == final(fedavg(0.2, **options)).tobytes()


@pytest.mark.parametrize("K", [1, 5, 10])
@pytest.mark.parametrize("option", [1, 2])
def test_scaffold_ends_at_the_minimiser(K, option):
    w = run(
        scaffold(0.02, steps=K, option=option),
        Linear(1),
        make_quadratics([1, 10], [0, 1]),
        rounds=2500,
    ).w
    assert w[0] == pytest.approx(10 / 11, abs=1e-9)


@pytest.mark.parametrize("option", [1, 2])
def test_scaffold_ends_at_the_minimiser_of_uneven_clients_that_are_sampled(option):
    w = final(scaffold(0.1, steps=5, cohort=3, option=option), rounds=3000)
    np.testing.assert_allclose(w, PROBLEM.w_star, atol=1e-9)
    biased = final(fedavg(0.1, steps=5), rounds=600)
    assert np.linalg.norm(biased - PROBLEM.w_star) > 1e-4


def test_fixed_point_of_fedprox():
    w = run(fedprox(0.05, 1.0, steps=5), Linear(1), make_quadratics([1, 10], [0, 1]), rounds=400).w
    assert w[0] == pytest.approx(0.813362, abs=5e-7)
