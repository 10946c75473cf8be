"""How one data set becomes many clients' data: even, or skewed in labels, sizes or features.

Every split draws an owner for each row from ``stream(seed, Purpose.SPLIT)``; the rows of a client
keep the order they had.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fedcore.checks import count, real
from fedcore.rng import Purpose, stream
from fedcore.shards import Shards, examples
from fedcore.types import Array


def split_iid(X: Any, y: Any, K: int, *, seed: int = 0) -> Shards:
    r"""Deal the rows at random to K clients, of sizes that differ by at most one.

    .. math:: n_k \in \{\lfloor n / K \rfloor, \lceil n / K \rceil\}

    Parameters
    ----------
    X : (n, p)
    y : (n,)
    K : int, clients, at most n
    seed : int

    Raises
    ------
    ValueError, TypeError : if X and y are not finite numbers of these shapes, or K > n

    Book: eq-split-iid

    Examples
    --------
    >>> split_iid(np.ones((10, 2)), np.zeros(10), K=4)
    Shards(K=4, n=10, p=2, n_k=2..3, float64)
    """
    X, y = examples(X, y)
    count("K", K, most=len(X))
    rng = stream(seed, Purpose.SPLIT)
    return Shards.by_owner(X, y, rng.permutation(len(X)) % K, K)


def split_by_label(X: Any, y: Any, K: int, *, labels: int = 2, seed: int = 0) -> Shards:
    r"""Sort the rows by label, cut them into ``labels * K`` pieces, deal each client ``labels``.

    So a client sees about ``labels`` different labels (a piece may straddle two). Rows of one
    label are shuffled first, so the label is the only difference between clients.

    Parameters
    ----------
    X : (n, p)
    y : (n,) labels; real targets are sorted, too
    K : int, clients
    labels : int, pieces a client gets; ``labels * K`` is at most n
    seed : int

    Raises
    ------
    ValueError, TypeError : if X and y are not finite numbers of these shapes, or K is too large

    Book: eq-split-by-label

    Reference: McMahan et al. (2017), Communication-efficient learning of deep networks from
    decentralized data, arXiv:1602.05629: 200 pieces of 300 digits for 100 clients.

    Examples
    --------
    >>> y = np.repeat(np.arange(4), 5)
    >>> shards = split_by_label(np.ones((20, 1)), y, K=4, labels=1)
    >>> [np.unique(y_k).size for _, y_k in shards]
    [1, 1, 1, 1]
    """
    X, y = examples(X, y)
    pieces = count("labels", labels) * count("K", K)
    count("labels * K", pieces, most=len(X))
    rng = stream(seed, Purpose.SPLIT)
    order = rng.permutation(len(X))
    order = order[np.argsort(y[order], kind="stable")]
    piece = np.arange(len(X)) * pieces // len(X)
    owner = np.empty(len(X), dtype=int)
    owner[order] = (rng.permutation(pieces) % K)[piece]
    return Shards.by_owner(X, y, owner, K)


def split_dirichlet(X: Any, y: Any, K: int, *, alpha: float, seed: int = 0) -> Shards:
    r"""Deal each label in its own random proportions: label skew, and sizes that differ.

    .. math:: q_c \sim \mathrm{Dirichlet}(\alpha, \ldots, \alpha) \in \Delta^{K}, \qquad
       \#\{i \text{ of client } k : y_i = c\} \approx q_{ck}\, n_c

    Large alpha is close to IID; as alpha goes to 0, each label goes to one client. No client stays
    empty: one that drew nothing gets a row of the client that has most at that moment.

    Parameters
    ----------
    X : (n, p)
    y : (n,) whole labels
    K : int, clients, at most n
    alpha : float > 0, the concentration
    seed : int

    Raises
    ------
    ValueError, TypeError : if X and y are not finite numbers of these shapes, y is not whole,
        K > n or alpha <= 0

    Book: eq-split-dirichlet

    Reference: Yurochkin et al. (2019), arXiv:1905.12022, and Li et al. (2022), arXiv:2102.02079,
    who draw again until nobody is empty. Hsu et al. (2019), arXiv:1909.06335, draw proportions of
    labels for each client instead, so that all sizes are equal.

    Examples
    --------
    >>> y = np.repeat(np.arange(10), 20)
    >>> split_dirichlet(np.ones((200, 1)), y, K=5, alpha=1000)
    Shards(K=5, n=200, p=1, n_k=40, float64)
    """
    X, y = examples(X, y)
    count("K", K, most=len(X))
    real("alpha", alpha, above=0, most=1e300)
    if (y != np.floor(y)).any():
        raise ValueError(f"y must hold whole labels, got {y[y != np.floor(y)][0]}")
    rng = stream(seed, Purpose.SPLIT)
    owner = np.empty(len(X), dtype=int)
    for c in np.unique(y):
        rows = rng.permutation(np.flatnonzero(y == c))
        edges = rng.dirichlet(np.full(K, alpha)).cumsum()[:-1]  # (K - 1,)
        owner[rows] = np.searchsorted(edges, (np.arange(len(rows)) + 0.5) / len(rows))
    return Shards.by_owner(X, y, _nobody_empty(owner, K), K)


def _nobody_empty(owner: Array, K: int) -> Array:
    """Give every empty client one row, taken where most are left; nobody gives the last one."""
    sizes = np.bincount(owner, minlength=K)  # (K,)
    order = np.argsort(owner, kind="stable")
    rank = np.empty(len(owner), dtype=int)  # row i is its owner's rank[i]-th
    rank[order] = np.arange(len(owner)) - (sizes.cumsum() - sizes)[owner[order]]
    empty = np.flatnonzero(sizes == 0)
    spare = np.argsort(-rank, kind="stable")[: len(empty)]
    owner[spare] = empty
    return owner


def split_quantity(X: Any, y: Any, K: int, *, alpha: float, seed: int = 0) -> Shards:
    r"""Deal the rows at random, but in random amounts: quantity skew.

    .. math:: q \sim \mathrm{Dirichlet}(\alpha, \ldots, \alpha), \qquad
       (n_k - 1)_k \sim \mathrm{Multinomial}(n - K, q)

    So every client holds at least one row; all rows come from the same distribution.

    Parameters
    ----------
    X : (n, p)
    y : (n,)
    K : int, clients, at most n
    alpha : float > 0: large for equal sizes, small for few large clients
    seed : int

    Raises
    ------
    ValueError, TypeError : if X and y are not finite numbers of these shapes, K > n or alpha <= 0

    Book: eq-split-quantity

    Reference: Li et al. (2022), Federated learning on non-IID data silos, arXiv:2102.02079, without
    the guaranteed row.

    Examples
    --------
    >>> shards = split_quantity(np.ones((100, 1)), np.zeros(100), K=5, alpha=0.5)
    >>> int(shards.n_k.sum()), bool(shards.n_k.min() >= 1)
    (100, True)
    """
    X, y = examples(X, y)
    n = len(X)
    count("K", K, most=n)
    rng = stream(seed, Purpose.SPLIT)
    q = rng.dirichlet(np.full(K, real("alpha", alpha, above=0, most=1e300)))
    n_k = 1 + rng.multinomial(n - K, q)
    return Shards.by_owner(X, y, rng.permutation(np.repeat(np.arange(K), n_k)), K)


def split_feature(X: Any, y: Any, K: int, *, sigma: float, seed: int = 0) -> Shards:
    r"""Deal the rows at random, then let client k look at them through noise: feature skew.

    .. math:: \tilde x_i = x_i + \sigma \frac{k + 1}{K}\, \xi_i, \qquad
       \xi_i \sim \mathcal N(0, I), \quad k = 0, \ldots, K - 1

    Labels and sizes stay balanced; the inputs of the last clients are the noisiest, like those of
    a bad camera. Pixels may leave [0, 1].

    Parameters
    ----------
    X : (n, p)
    y : (n,)
    K : int, clients, at most n
    sigma : float >= 0, standard deviation of the last client's noise, in the unit of X
    seed : int

    Raises
    ------
    ValueError, TypeError : if X and y are not finite numbers of these shapes, K > n or sigma < 0

    Book: eq-split-feature

    Reference: Li et al. (2022), Federated learning on non-IID data silos, arXiv:2102.02079. There
    sigma (k + 1) / K is the variance; here it is the standard deviation.

    Examples
    --------
    >>> shards = split_feature(np.zeros((4000, 1)), np.zeros(4000), K=2, sigma=1)
    >>> [round(float(X_k.std()), 1) for X_k, _ in shards]
    [0.5, 1.0]
    """
    X, y = examples(X, y)
    count("K", K, most=len(X))
    real("sigma", sigma, least=0)
    rng = stream(seed, Purpose.SPLIT)
    owner = rng.permutation(len(X)) % K
    level = (sigma * (owner + 1) / K).astype(X.dtype)  # (n,)
    noise = rng.standard_normal(X.shape, dtype=X.dtype)
    return Shards.by_owner(X + level[:, None] * noise, y, owner, K)
