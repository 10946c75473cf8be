"""The models' losses and hand-written gradients, against automatic differentiation by JAX.

The losses are written once more in oracle.py, from the textbook, for one client and one example
at a time; JAX makes the gradients. Both are in float64.
"""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from fedcore.models import MLP, Linear, Logistic, Softmax

n, p, K = 23, 5, 3
MODELS = {
    "linear": Linear(p, l2=0.3),
    "logistic": Logistic(p, l2=0.3),
    "softmax": Softmax(p, classes=4, l2=0.3),
    "mlp-0": MLP(p, hidden=(), classes=4, l2=0.3),
    "mlp-1": MLP(p, hidden=(7,), classes=4, l2=0.3),
    "mlp-2": MLP(p, hidden=(7, 6), classes=4, l2=0.3),
}
SIZES = {"softmax": (p, 4), "mlp-0": (p, 4), "mlp-1": (p, 7, 4), "mlp-2": (p, 7, 6, 4)}


def case(name, scale, rng):
    """Return K clients' w, X, y, s: random weights, a tenth of them zero."""
    labels = {"linear": None, "logistic": 2}.get(name, 4)
    y = rng.normal(size=(K, n)) if labels is None else rng.integers(labels, size=(K, n)) * 1.0
    s = rng.random((K, n)) * (rng.random((K, n)) > 0.1)
    X, w = scale * rng.normal(size=(K, n, p)), rng.normal(size=(K, MODELS[name].d))
    return {"w": w, "X": X, "y": y, "s": s}


SCALES = {"usual": 1.0, "saturated": 300.0}  # logits beyond exp's range: log-sum-exp must hold
CASES = {
    f"{name}/{size}": case(name, scale, np.random.default_rng([i, j]))
    for i, name in enumerate(MODELS)
    for j, (size, scale) in enumerate(SCALES.items())
}


@pytest.fixture(scope="module")
def jax_answers(tmp_path_factory):
    folder = tmp_path_factory.mktemp("jax")
    arrays = {f"{key}/{part}": a for key, case in CASES.items() for part, a in case.items()}
    sizes = {f"{name}/sizes": np.array(sizes) for name, sizes in SIZES.items()}
    np.savez(folder / "in.npz", l2=0.3, **arrays, **sizes)
    script = Path(__file__).with_name("oracle.py")
    command = [sys.executable, script, "losses_and_gradients", folder / "in.npz"]
    subprocess.run([*command, folder / "out.npz"], check=True, timeout=300)
    with np.load(folder / "out.npz") as answers:
        return dict(answers)


def assert_close(ours, theirs):
    """Compare to 1e-12 of the largest entry of each client's answer."""
    scale = np.abs(theirs).max(axis=-1, keepdims=True)
    np.testing.assert_allclose(ours / scale, theirs / scale, rtol=0, atol=1e-12)


@pytest.mark.parametrize("key", CASES)
def test_loss_and_gradient_are_those_of_autodiff(key, jax_answers):
    model, data = MODELS[key.split("/")[0]], CASES[key]
    np.testing.assert_allclose(model.loss(**data), jax_answers[f"{key}/loss"], rtol=1e-12)
    assert_close(model.grad(**data), jax_answers[f"{key}/grad"])


@pytest.mark.parametrize("key", CASES)
def test_without_weights_every_row_weighs_one_over_n(key, jax_answers):
    model, data = MODELS[key.split("/")[0]], {**CASES[key], "s": None}
    np.testing.assert_allclose(model.loss(**data), jax_answers[f"{key}/mean-loss"], rtol=1e-12)
    assert_close(model.grad(**data), jax_answers[f"{key}/mean-grad"])


@pytest.mark.parametrize("name", ["linear", "logistic", "softmax"])
def test_the_hessian_lies_between_strong_convexity_and_smoothness(name, jax_answers):
    model, X = MODELS[name], CASES[f"{name}/usual"]["X"]
    L, mu = model.smoothness(X), model.strong_convexity(X)  # (K,)
    for at in ("hessian", "hessian-at-0"):
        curvature = np.linalg.eigvalsh(jax_answers[f"{name}/usual/{at}"])  # (K, d)
        assert (curvature[:, -1] <= L * (1 + 1e-12)).all()
        assert (curvature[:, 0] >= mu * (1 - 1e-12)).all()


@pytest.mark.parametrize("name", ["linear", "logistic"])
def test_smoothness_is_attained(name, jax_answers):
    """By Linear everywhere, by Logistic at w = 0, where every probability is 1/2."""
    curvature = np.linalg.eigvalsh(jax_answers[f"{name}/usual/hessian-at-0"])
    L = MODELS[name].smoothness(CASES[f"{name}/usual"]["X"])
    np.testing.assert_allclose(curvature[:, -1], L, rtol=1e-12)


def test_softmax_at_zero_uses_two_over_classes_of_its_bound(jax_answers):
    """There diag(p) - p p^T has the largest eigenvalue 1/C, and the bound on it is 1/2."""
    curvature = np.linalg.eigvalsh(jax_answers["softmax/usual/hessian-at-0"])
    L = MODELS["softmax"].smoothness(CASES["softmax/usual"]["X"])
    np.testing.assert_allclose(curvature[:, -1] - 0.3, (L - 0.3) * 2 / 4, rtol=1e-12)
