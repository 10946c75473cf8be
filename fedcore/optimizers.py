r"""Optimizers: how to turn a gradient, or a pseudo-gradient, into a step.

The same objects serve clients and servers. Each is a frozen record of its hyper-parameters:
``init(w)`` makes the state before the first step, ``step(w, g, state, t)`` returns the next w and
the next state, and nothing that comes in is changed. Arrays are (..., d) and every formula is
elementwise, so leading axes are clients. :math:`\eta_t` is the step size at index t: a number, or
a schedule. Here are the rules with one step size for all coordinates; :mod:`fedcore.adaptive` has
those with one for each, :mod:`fedcore.schedules` the schedules.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fedcore.adaptive import AdaGrad, Adam, AdamW, AMSGrad, RMSProp, Yogi
from fedcore.schedules import (
    Cosine,
    InverseSqrt,
    InverseTime,
    Rate,
    StepDecay,
    Warmup,
    fraction,
    rate,
    settle,
    step_size,
)
from fedcore.types import Array, State

__all__ = [
    "SGD",
    "AMSGrad",
    "AdaGrad",
    "Adam",
    "AdamW",
    "Cosine",
    "InverseSqrt",
    "InverseTime",
    "Momentum",
    "Nesterov",
    "RMSProp",
    "StepDecay",
    "Warmup",
    "Yogi",
]


@dataclass(frozen=True)
class SGD:
    r"""Descend along the gradient, exact or stochastic.

    .. math:: w \leftarrow w - \eta_t\, g

    Parameters
    ----------
    eta : float > 0 or a schedule, the step size

    Raises
    ------
    ValueError, TypeError : if eta is not a finite number > 0 or a schedule

    Book: alg-sgd

    Reference: H. Robbins and S. Monro, *A stochastic approximation method*, 1951.

    Examples
    --------
    >>> optimizer, w = SGD(eta=0.1), np.array([1.0, -2.0])
    >>> optimizer.step(w, 10 * w, optimizer.init(w), t=0)
    (array([0., 0.]), {})
    """

    eta: Rate

    def __post_init__(self) -> None:
        settle(self, eta=step_size)

    def init(self, w: Array) -> State:
        """Return no state: plain descent remembers nothing."""
        return {}

    def step(self, w: Array, g: Array, state: State, t: int) -> tuple[Array, State]:
        """Return w after one step, (..., d), and the state."""
        return -rate(self.eta, t) * g + w, state  # w - eta g: the sum reuses the product's memory


@dataclass(frozen=True)
class Momentum:
    r"""Polyak's heavy ball: descend along a decaying sum of all gradients so far.

    .. math:: m \leftarrow \beta m + g, \qquad w \leftarrow w - \eta_t\, m

    With a constant step size this is :math:`w_{t+1} = w_t - \eta g_t + \beta (w_t - w_{t-1})`.

    Parameters
    ----------
    eta : float > 0 or a schedule, the step size
    beta : float in [0, 1), what is kept of the velocity; a constant g ends in steps
        :math:`\eta g/(1-\beta)`

    Raises
    ------
    ValueError, TypeError : if a parameter is out of its range or no number

    Book: eq-momentum

    Reference: B. T. Polyak, *Some methods of speeding up the convergence of iteration methods*,
    1964. A schedule scales the whole velocity, as in most libraries, not the newest g alone.

    Examples
    --------
    >>> optimizer, w = Momentum(eta=0.1, beta=0.5), np.array([1.0])
    >>> w, state = optimizer.step(w, np.array([1.0]), optimizer.init(w), t=0)
    >>> optimizer.step(w, np.array([1.0]), state, t=1)
    (array([0.75]), {'m': array([1.5])})
    """

    eta: Rate
    beta: float = 0.9

    def __post_init__(self) -> None:
        settle(self, eta=step_size, beta=fraction)

    def init(self, w: Array) -> State:
        """Return a ball at rest: m = 0, (..., d)."""
        return {"m": np.zeros_like(w)}

    def step(self, w: Array, g: Array, state: State, t: int) -> tuple[Array, State]:
        """Return w after one step, (..., d), and the new velocity."""
        m = self.beta * state["m"] + g
        return w - rate(self.eta, t) * m, {"m": m}


@dataclass(frozen=True)
class Nesterov(Momentum):
    r"""Nesterov's momentum: look ahead along the velocity before asking for the gradient.

    .. math:: m \leftarrow \beta m + g, \qquad w \leftarrow w - \eta_t\, (g + \beta m)

    Parameters
    ----------
    eta, beta : as in Momentum

    Raises
    ------
    ValueError, TypeError : if a parameter is out of its range or no number

    Book: eq-nesterov

    Reference: Y. Nesterov, 1983; I. Sutskever et al., *On the importance of initialization and
    momentum in deep learning*, 2013. Here w is the look-ahead point, where the gradient is taken:
    with a constant step size :math:`x_{t+1} = w_t - \eta g_t` is Nesterov's other sequence and
    :math:`w_{t+1} = x_{t+1} + \beta (x_{t+1} - x_t)`.

    Examples
    --------
    >>> optimizer, w = Nesterov(eta=0.1, beta=0.5), np.array([1.0])
    >>> optimizer.step(w, np.array([1.0]), optimizer.init(w), t=0)
    (array([0.85]), {'m': array([1.])})
    """

    def step(self, w: Array, g: Array, state: State, t: int) -> tuple[Array, State]:
        """Return w after one step, (..., d), and the new velocity."""
        m = self.beta * state["m"] + g
        return w - rate(self.eta, t) * (g + self.beta * m), {"m": m}
