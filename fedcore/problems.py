"""Synthetic problems whose minimiser, curvature or heterogeneity is known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from fedcore.checks import count, real
from fedcore.models import Linear, Logistic
from fedcore.rng import Purpose, stream
from fedcore.shards import Shards
from fedcore.types import Array


@dataclass(frozen=True, eq=False)
class Problem:
    """A data set, its model, and what is known about the minimum.

    Parameters
    ----------
    model : the loss
    X : (n, p)
    y : (n,)
    w_star : (d,) the minimiser
    F_star : the loss there
    mu, L : strong convexity and smoothness of the loss
    """

    model: Linear | Logistic
    X: Array
    y: Array
    w_star: Array
    F_star: float
    mu: float
    L: float

    @classmethod
    def at(cls, model: Linear | Logistic, X: Array, y: Array, w_star: Array) -> Problem:
        """Return the problem with everything that follows from its minimiser filled in."""
        F_star = float(model.loss(w_star, X, y))
        mu, L = float(model.strong_convexity(X)), float(model.smoothness(X))
        return cls(model, X, y, w_star, F_star, mu, L)

    @property
    def kappa(self) -> float:
        """Condition number L / mu."""
        return self.L / self.mu


def make_quadratics(a: Any, b: Any) -> Shards:
    r"""Return clients with parabolas for losses, as least squares for ``Linear(p)``.

    .. math:: F_k(w) = \tfrac12 \sum_{j=1}^p a_{kj} (w_j - b_{kj})^2

    Client k holds p rows, the j-th with :math:`\sqrt{p\,a_{kj}}` in column j and
    :math:`\sqrt{p\,a_{kj}}\,b_{kj}` as its target: one row where a and b are numbers.

    Parameters
    ----------
    a : (K,) or (K, p), curvatures >= 0 (a concave client is no least squares: `from_functions`)
    b : (K,) or (K, p), minimisers

    Raises
    ------
    ValueError, TypeError : if the shapes differ, or a curvature is negative or not finite

    Book: eq-quadratic-clients

    Examples
    --------
    >>> shards = make_quadratics(a=[1, 10], b=[0, 1])
    >>> model = Linear(1)
    >>> [round(float(model.loss(np.array([2.0]), *shard)), 12) for shard in shards]
    [2.0, 5.0]
    """
    a, b = np.asarray(a), np.asarray(b)
    for name, v in (("a", a), ("b", b)):
        if v.dtype.kind not in "buif":
            raise TypeError(f"{name} must hold real numbers, got dtype {v.dtype}")
        if v.ndim not in (1, 2) or v.size == 0 or v.shape != a.shape:
            raise ValueError(
                f"a and b must have one shape, (K,) or (K, p), got {a.shape} and {b.shape}"
            )
        if not np.isfinite(v).all():
            raise ValueError(f"{name} must be finite, got {v[~np.isfinite(v)][0]}")
    if (a < 0).any():
        raise ValueError(f"a must be >= 0, got {a.min()}; a concave client needs from_functions")
    a, b = (v.reshape(len(v), -1).astype(float) for v in (a, b))  # (K, p)
    K, p = a.shape
    root = np.sqrt(p * a)
    X = root[:, :, None] * np.eye(p)  # (K, p, p)
    return Shards(X.reshape(K * p, p), (root * b).ravel(), np.arange(0, K * p + 1, p))


def make_regression(
    n: int, p: int, *, kappa: float = 10.0, noise: float = 0.1, seed: int = 0
) -> Problem:
    r"""Return least squares with a chosen condition number and a known minimiser.

    .. math:: X = \sqrt n\, U \Lambda^{1/2} V^\top, \qquad y = X w_0 + \sigma \xi, \qquad
       w^\star = w_0 + \tfrac{\sigma}{\sqrt n} V \Lambda^{-1/2} U^\top \xi

    with orthonormal U and V, so that the Hessian :math:`X^\top X / n` has the eigenvalues
    :math:`\Lambda`: p numbers in geometric progression from :math:`\mu = 1/\kappa` to
    :math:`L = 1`.

    Parameters
    ----------
    n, p : int, rows and columns, n >= p
    kappa : float >= 1, the condition number L / mu (1 if p = 1)
    noise : float >= 0, the standard deviation :math:`\sigma` of the targets
    seed : int

    Raises
    ------
    ValueError, TypeError : if n < p, kappa < 1 or noise < 0

    Book: eq-known-regression

    Examples
    --------
    >>> problem = make_regression(n=50, p=3, kappa=100)
    >>> round(problem.mu, 12), round(problem.L, 12)
    (0.01, 1.0)
    >>> g = problem.model.grad(problem.w_star, problem.X, problem.y)
    >>> bool(np.abs(g).max() < 1e-15)
    True
    """
    sigma = real("noise", noise, least=0)
    rng = stream(seed, Purpose.DATA)
    U, root, V = _design(n, p, kappa, rng)
    X = np.sqrt(n) * (U * root) @ V.T  # (n, p)
    w_0, xi = rng.standard_normal(p), rng.standard_normal(n)
    w_star = w_0 + sigma / np.sqrt(n) * V @ (U.T @ xi / root)
    return Problem.at(Linear(p), X, X @ w_0 + sigma * xi, w_star)


def make_classification(
    n: int, p: int, *, kappa: float = 10.0, l2: float = 0.01, seed: int = 0
) -> Problem:
    r"""Return logistic regression with a known minimiser.

    .. math:: X = \sqrt n\, U \Lambda^{1/2} V^\top, \qquad
       y_i \sim \mathrm{Bernoulli}\bigl(\sigma(x_i^\top w_0)\bigr)

    X is that of `make_regression`; the logits :math:`x_i^\top w_0` have root mean square 3. The
    minimiser is found by Newton's method, which stops when rounding stops it.

    Parameters
    ----------
    n, p : int, rows and columns, n >= p
    kappa : float >= 1, the condition number of X^T X / n (1 if p = 1)
    l2 : float > 0, the penalty: without one, separable labels have no minimiser
    seed : int

    Raises
    ------
    ValueError, TypeError : if n < p, kappa < 1 or l2 <= 0

    Book: eq-known-classification

    Examples
    --------
    >>> problem = make_classification(n=50, p=3)
    >>> g = problem.model.grad(problem.w_star, problem.X, problem.y)
    >>> bool(np.abs(g).max() < 1e-15)
    True
    """
    real("l2", l2, above=0)
    rng = stream(seed, Purpose.DATA)
    U, root, V = _design(n, p, kappa, rng)
    X = np.sqrt(n) * (U * root) @ V.T  # (n, p)
    z = X @ rng.standard_normal(p)
    z *= 3 / np.sqrt(np.mean(z * z))
    y = (rng.random(n) < 1 / (1 + np.exp(-z))).astype(float)
    model = Logistic(p, l2=l2)
    return Problem.at(model, X, y, _newton(model, X, y))


def _design(n: int, p: int, kappa: float, rng: np.random.Generator) -> tuple[Array, Array, Array]:
    """Return U (n, p), the square roots of the eigenvalues (p,), and V (p, p)."""
    count("p", p)
    count("n", n, least=p)
    real("kappa", kappa, least=1, most=1 if p == 1 else np.inf)
    U, _ = np.linalg.qr(rng.standard_normal((n, p)))
    V, _ = np.linalg.qr(rng.standard_normal((p, p)))
    return U, np.geomspace(1 / kappa, 1, p) ** 0.5, V


def _newton(model: Logistic, X: Array, y: Array) -> Array:
    """Return the minimiser: Newton steps, halved where too long, until rounding stops them."""
    w = np.zeros(model.d)
    g = model.grad(w, X, y)
    while True:
        prob = 0.5 * np.tanh(0.5 * (X @ w)) + 0.5  # (n,)
        H = (X.T * (prob * (1 - prob))) @ X / len(X) + model.l2 * np.eye(model.d)  # (p, p)
        step = np.linalg.solve(H, g)
        for t in 0.5 ** np.arange(12):
            g_next = model.grad(w - t * step, X, y)
            if np.linalg.norm(g_next) < np.linalg.norm(g):
                w, g = w - t * step, g_next
                break
        else:
            return w


def synthetic(alpha: float, beta: float, K: int = 30, *, seed: int = 0) -> Shards:
    r"""Return the synthetic(alpha, beta) federation of Li et al., for ``Softmax(60, 10)``.

    .. math:: u_k \sim \mathcal N(0, \alpha^2), \quad (W_k)_{jc}, (b_k)_c \sim \mathcal N(u_k, 1),
       \qquad B_k \sim \mathcal N(0, \beta^2), \quad (v_k)_j \sim \mathcal N(B_k, 1)

    .. math:: x \sim \mathcal N(v_k, \Sigma), \quad \Sigma_{jj} = j^{-6/5}, \qquad
       y = \arg\max_c\, (W_k^\top x + b_k)_c

    Three traps. First, alpha does nothing: u_k adds :math:`u_k (1 + \sum_j x_j)` to *every* logit
    of an example, so the label stays. Second, synthetic(0, 0) is far from IID: each client still
    has its own W_k, hence its own labels. Third, the sizes 50 + lognormal(4, 2) have a heavy tail:
    of 30 clients, the largest typically holds 30 % of all rows.

    Parameters
    ----------
    alpha : float >= 0, spread of the clients' models (as published: without effect)
    beta : float >= 0, spread of the clients' inputs
    K : int, clients
    seed : int; a client's rows depend on the seed and on k, not on K

    Raises
    ------
    ValueError, TypeError : if alpha or beta is negative or K < 1

    Book: eq-synthetic

    Reference: Li et al. (2020), Federated optimization in heterogeneous networks,
    arXiv:1812.06127. alpha and beta are standard deviations, as in the authors' code.

    Examples
    --------
    >>> shards = synthetic(1, 1, K=5)
    >>> shards.K, shards.X.shape[1]
    (5, 60)
    >>> bool(np.all(synthetic(9, 1, K=5).y == shards.y))  # the first trap
    True
    """
    real("alpha", alpha, least=0)
    real("beta", beta, least=0)
    streams = [stream(seed, Purpose.DATA, k=k) for k in range(count("K", K))]
    return Shards.from_list([_device(alpha, beta, rng) for rng in streams])


def _device(alpha: float, beta: float, rng: np.random.Generator) -> tuple[Array, Array]:
    """Draw one client of `synthetic`."""
    n_k = 50 + int(rng.lognormal(4, 2))
    u, B = alpha * rng.standard_normal(), beta * rng.standard_normal()
    W, b = u + rng.standard_normal((60, 10)), u + rng.standard_normal(10)
    v = B + rng.standard_normal(60)
    X = v + rng.standard_normal((n_k, 60)) * np.arange(1, 61) ** -0.6  # (n_k, 60)
    return X, (X @ W + b).argmax(1)
