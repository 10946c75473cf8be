"""Conformance checks for what readers bring; an AssertionError says what is wrong and where."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fedcore.algorithms import Algorithm, distributed_gd, fedavg
from fedcore.models import Logistic
from fedcore.problems import make_classification
from fedcore.rounds import run
from fedcore.shards import Shards, examples
from fedcore.types import Array, Engine, Model


def check_model(model: Model, X: Any, y: Any) -> None:
    r"""Check that an object is a model: a loss of weighted examples and its gradient.

    .. math:: \frac{F(w + h e_j) - F(w - h e_j)}{2h} \approx (\nabla F(w))_j

    Checked are shapes and dtypes, the gradient against finite differences, that inputs are not
    written to and answers not reused, that weights s mean what they should (a sum over examples,
    1/n by default, nothing for 0) and that leading axes are clients.

    Parameters
    ----------
    model : an object with d, init, loss and grad
    X : (n, p) some examples, at least 2; a dozen is enough
    y : (n,) their targets

    Raises
    ------
    AssertionError : naming the first thing that is wrong
    ValueError, TypeError : if X and y are not finite numbers of these shapes

    Book: eq-finite-differences

    Examples
    --------
    >>> from fedcore.models import Logistic
    >>> X, y = np.array([[1.0, 2.0], [0.0, 1.0], [3.0, 1.0]]), np.array([0.0, 1.0, 1.0])
    >>> check_model(Logistic(2, l2=0.1), X, y)

    >>> class Doubled(Logistic):
    ...     def grad(self, w, X, y, s=None):
    ...         return 2 * super().grad(w, X, y, s)
    >>> check_model(Doubled(2), X, y)
    Traceback (most recent call last):
    ...
    AssertionError: grad(w, X, y)[0] is -0.656721 but finite differences of loss give -0.32836
    """
    X, y = examples(X, y)
    if len(X) < 2:
        raise ValueError("X must hold at least 2 examples for this check, got 1")
    rng = np.random.default_rng(0)
    w = _check_start(model, rng)
    _check_answers(model, w, X, y)
    _check_purity(model, w, X, y)
    _check_gradient(model, w, X, y, rng)
    _check_weights(model, w, X, y, rng)
    _check_clients(model, w, X, y, rng)


def check_algorithm(algorithm: Algorithm, model: Model, shards: Shards) -> None:
    """Check that a method keeps the promises of its slots.

    Checked are that the server's state holds what it broadcasts, that a run depends on its seed
    and on nothing else, and that worker processes and the vectorised engine give the same answer.

    Parameters
    ----------
    algorithm : the method
    model, shards : a small problem that it can solve; clients of unequal size find more

    Raises
    ------
    AssertionError : naming the first promise that is broken
    ClientError, WorkerError : where a client fails

    Examples
    --------
    >>> from fedcore import Linear, make_quadratics
    >>> check_algorithm(fedavg(0.1), Linear(1), make_quadratics([1, 2, 3], [0, 1, 2]))
    """
    from fedcore.engines.vectorized import Vectorized

    state = algorithm.server.init(np.zeros(model.d))
    for name in ("w", *algorithm.server.broadcasts):
        _require(name in state, f"server.init(w) must return a state with {name!r}")
    first = run(algorithm, model, shards, rounds=3)
    again = run(algorithm, model, shards, rounds=3)
    _require(
        first.w.tobytes() == again.w.tobytes(),
        f"two runs with one seed differ by {np.abs(first.w - again.w).max():.3g}: draw from the "
        "rng that update is given, and keep nothing in the object",
    )
    _check_process_bits(algorithm, model, shards, first.w)
    cohort = run(algorithm, model, shards, rounds=3, engine=Vectorized())
    _same("w from the vectorised engine", cohort.w, first.w, "the serial engine")


def _check_process_bits(algorithm: Algorithm, model: Model, shards: Shards, w: Array) -> None:
    from fedcore.engines.processes import Processes

    many = run(algorithm, model, shards, rounds=3, engine=Processes(2)).w
    _require(
        many.tobytes() == w.tobytes(),
        f"2 processes and 1 differ by {np.abs(many - w).max():.3g}: a client may use nothing but "
        "what update is given",
    )


def check_engine(engine: Engine) -> None:
    """Check that an engine gives the bits of the serial one, on clients of unequal size.

    Parameters
    ----------
    engine : anything with ``start(task, broadcasts, shards)``

    Raises
    ------
    AssertionError : naming the method whose bits differ

    Examples
    --------
    >>> from fedcore import Serial
    >>> check_engine(Serial())
    """
    problem = make_classification(60, 3, l2=0.1)
    model, shards = Logistic(3, l2=0.1), Shards(problem.X, problem.y, np.array([0, 5, 40, 60]))
    for algorithm in (distributed_gd(0.5), fedavg(0.2, epochs=2, batch_size=4, cohort=2)):
        serial = run(algorithm, model, shards, rounds=4)
        other = run(algorithm, model, shards, rounds=4, engine=engine)
        _require(
            other.w.tobytes() == serial.w.tobytes(),
            f"{engine} differs from the serial engine by "
            f"{np.abs(other.w - serial.w).max():.3g} on {algorithm.name}",
        )
        _require(
            (other["bits_up"] == serial["bits_up"]).all(), f"{engine} counts other bits than serial"
        )


def _check_start(model: Model, rng: np.random.Generator) -> Array:
    """Check d and init; return a point away from any symmetry of the start."""
    d = model.d
    _require(isinstance(d, (int, np.integer)) and d >= 1, f"d must be an int >= 1, got {d!r}")
    w = model.init(rng)
    _require(isinstance(w, np.ndarray), f"init(rng) must return an array, got {w!r}")
    _require(w.shape == (d,), f"init(rng) must return shape ({d},), got {w.shape}")
    _require(w.dtype == np.float64, f"init(rng) must return float64, got {w.dtype}")
    _require(bool(np.isfinite(w).all()), "init(rng) must return finite numbers")
    return w + 0.1 * rng.standard_normal(d)


def _check_answers(model: Model, w: Array, X: Array, y: Array) -> None:
    """Check shape, dtype and finiteness of loss and grad, in two precisions."""
    for dtype in (np.float64, np.float32):
        arrays = [a.astype(dtype) for a in (w, X, y)]
        for name, f, shape in (("loss", model.loss, ()), ("grad", model.grad, (model.d,))):
            value = np.asarray(f(*arrays))
            got = f"{name}(w, X, y) of {np.dtype(dtype)} arrays"
            _require(value.shape == shape, f"{got} must have shape {shape}, has {value.shape}")
            _require(value.dtype == dtype, f"{got} must be {np.dtype(dtype)}, is {value.dtype}")
            _require(bool(np.isfinite(value).all()), f"{got} is not finite")


def _check_purity(model: Model, w: Array, X: Array, y: Array) -> None:
    """Check that inputs stay as they are and that equal questions get equal answers."""
    given = {"w": w, "X": X, "y": y, "s": np.full(len(y), 1 / len(y))}
    for name, f in (("loss", model.loss), ("grad", model.grad)):
        copies = {key: a.copy() for key, a in given.items()}
        first = f(*copies.values())
        for key, a in copies.items():
            _require(np.array_equal(a, given[key]), f"{name} writes into its input {key}")
        kept = np.copy(first)
        f(w + 1, X, y)
        _require(np.array_equal(first, kept), f"{name} writes into the array it returned before")
        again = f(*given.values())
        _require(np.array_equal(again, kept), f"{name} answers the same question in two ways")


def _check_gradient(model: Model, w: Array, X: Array, y: Array, rng: Any) -> None:
    """Check up to 200 coordinates of the gradient against central differences."""
    g = model.grad(w, X, y)
    for j in np.sort(rng.permutation(model.d)[:200]):
        e = 1e-4 * max(1.0, abs(w[j])) / (1 + np.abs(X).max()) * np.eye(model.d)[j]
        slope, error = _difference(lambda w: float(model.loss(w, X, y)), w, e)
        _require(
            abs(g[j] - slope) <= error + 1e-6 * np.abs(g).max(),
            f"grad(w, X, y)[{j}] is {g[j]:.6g} but finite differences of loss give {slope:.6g}",
        )


def _difference(F: Callable[[Array], float], w: Array, e: Array) -> tuple[float, float]:
    """Return the slope of F along e by two central differences, and how far to trust it."""
    h = np.abs(e).max()
    wide, close = ((F(w + c * e) - F(w - c * e)) / (2 * c * h) for c in (1, 0.5))
    return (4 * close - wide) / 3, abs(close - wide) + 1e-14 * abs(F(w)) / h


def _check_weights(model: Model, w: Array, X: Array, y: Array, rng: Any) -> None:
    """Check that s weighs examples, is 1/n by default, and hides rows where it is 0."""
    n = min(len(X), 8)
    X, y = X[:n], y[:n]
    s = rng.dirichlet(np.ones(n))  # adds up to 1, so a penalty counts once
    hidden = np.where(np.arange(n) == 0, 0, 1 / (n - 1))
    for name, f in (("loss", model.loss), ("grad", model.grad)):
        rows = [np.asarray(f(w, X[i : i + 1], y[i : i + 1])) for i in range(n)]
        mean = np.mean(rows, axis=0)
        _same(f"{name}(w, X, y)", f(w, X, y), mean, "its mean over the rows")
        weighted = np.tensordot(s, rows, axes=1)
        _same(f"{name}(w, X, y, s)", f(w, X, y, s), weighted, "the sum of s_i times row i")
        rest = np.mean(rows[1:], axis=0)
        odd = np.where(np.arange(n)[:, None] == 0, 1e6, X)  # row 0 must not be seen
        _same(f"{name} with s[0] = 0", f(w, odd, y, hidden), rest, "its mean over the other rows")


def _check_clients(model: Model, w: Array, X: Array, y: Array, rng: Any) -> None:
    """Check that three clients in one call are three calls."""
    W = w + 0.1 * rng.standard_normal((3, model.d))  # (3, d)
    orders = [rng.permutation(len(X)) for _ in range(3)]
    Xs, ys = np.stack([X[i] for i in orders]), np.stack([y[i] for i in orders])  # (3, n, p)
    s = rng.dirichlet(np.ones(len(X)), size=3)  # (3, n)
    for name, f in (("loss", model.loss), ("grad", model.grad)):
        alone = np.stack([f(*client) for client in zip(W, Xs, ys, s)])
        try:
            together = f(W, Xs, ys, s)
        except Exception as error:
            raise AssertionError(
                f"{name} fails for w {W.shape}, X {Xs.shape}, y {ys.shape}: leading axes are "
                "clients; from_functions adds them to a model written for one client"
            ) from error
        _same(f"{name} of 3 clients at once", together, alone, "one call for each")


def _same(what: str, got: Any, expected: Array, of: str) -> None:
    """Check equality up to rounding, and name the worst entry."""
    got = np.asarray(got)
    shapes = f"{what} has shape {got.shape} instead of {expected.shape}, {of}"
    _require(got.shape == expected.shape, shapes)
    wrong = ~(np.abs(got - expected) <= 1e-9 * (1 + np.abs(expected).max()))
    if wrong.any():
        i = tuple(int(j) for j in np.argwhere(wrong)[0])
        where = str(list(i)) if i else ""
        raise AssertionError(f"{what}{where} is {got[i]:.6g} instead of {expected[i]:.6g}, {of}")


def _require(fact: bool, message: str) -> None:
    """Raise AssertionError unless ``fact``; an assert would vanish under ``python -O``."""
    if not fact:
        raise AssertionError(message)
