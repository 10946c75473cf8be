"""Step sizes: a positive number, or a schedule t -> eta_t that falls (or first rises) with time."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fedcore.checks import count, real
from fedcore.types import Schedule

Rate = float | Schedule


def rate(eta: Rate, t: int) -> float:
    r"""Return the step size :math:`\eta_t` of a number or of a schedule.

    Raises
    ------
    ValueError, TypeError : if a schedule answers anything but a finite number >= 0

    Examples
    --------
    >>> rate(0.1, t=5), rate(InverseTime(0.1, t0=5), t=5)
    (0.1, 0.05)
    """
    return real(f"eta(t={t})", eta(t), least=0) if callable(eta) else eta


def positive(name: str, value: Any) -> float:
    """Return a finite number > 0."""
    return real(name, value, above=0)


def nonnegative(name: str, value: Any) -> float:
    """Return a finite number >= 0."""
    return real(name, value, least=0)


def fraction(name: str, value: Any) -> float:
    """Return a number in [0, 1): a share of the past that fades in the end."""
    return real(name, value, least=0, below=1)


def flag(name: str, value: Any) -> bool:
    """Return True or False."""
    if not isinstance(value, bool):
        raise TypeError(f"{name} must be True or False, got {type(value).__name__} {value!r}")
    return value


def step_size(name: str, value: Any) -> Rate:
    """Return a positive number, or a schedule whose first value is valid."""
    if isinstance(value, type):
        raise TypeError(f"{name} must be a number or a schedule, got the class {value.__name__}")
    if not callable(value):
        return positive(name, value)
    real(f"{name}(t=0)", value(0), least=0)
    return value


def settle(record: Any, **checks: Callable[[str, Any], Any]) -> None:
    """Replace each named field of a frozen dataclass by its checked value.

    Plain floats, not NumPy's: ``np.float64(0.1) * w`` would turn a float32 ``w`` into float64.
    """
    for name, check in checks.items():
        object.__setattr__(record, name, check(name, getattr(record, name)))


@dataclass(frozen=True)
class InverseTime:
    r"""Fall like 1/t: what the noise of SGD needs to vanish on a strongly convex loss.

    .. math:: \eta_t = \frac{\eta}{1 + t/t_0}

    Parameters
    ----------
    eta : float > 0, the step size at t = 0
    t0 : float > 0, the time after which it has halved

    Raises
    ------
    ValueError, TypeError : if a parameter is out of its range or no number

    Book: eq-inverse-time

    Reference: H. Robbins and S. Monro, *A stochastic approximation method*, 1951.

    Examples
    --------
    >>> eta = InverseTime(0.5, t0=10)
    >>> [eta(t) for t in (0, 10, 40)]
    [0.5, 0.25, 0.1]
    """

    eta: float
    t0: float = 1.0

    def __post_init__(self) -> None:
        settle(self, eta=positive, t0=positive)

    def __call__(self, t: int) -> float:
        """Return the step size at t."""
        return self.eta / (1 + t / self.t0)


@dataclass(frozen=True)
class InverseSqrt:
    r"""Fall like one over the square root of t: the rate for convex losses without curvature.

    .. math:: \eta_t = \frac{\eta}{\sqrt{1 + t/t_0}}

    With :math:`t_0 = 1` this is :math:`\eta/\sqrt{t}` of the papers that count from 1.

    Parameters
    ----------
    eta : float > 0, the step size at t = 0
    t0 : float > 0, the time scale, in steps

    Raises
    ------
    ValueError, TypeError : if a parameter is out of its range or no number

    Book: eq-inverse-sqrt

    Reference: M. Zinkevich, *Online convex programming and generalized infinitesimal gradient
    ascent*, 2003.

    Examples
    --------
    >>> eta = InverseSqrt(0.5)
    >>> [eta(t) for t in (0, 3, 24)]
    [0.5, 0.25, 0.1]
    """

    eta: float
    t0: float = 1.0

    def __post_init__(self) -> None:
        settle(self, eta=positive, t0=positive)

    def __call__(self, t: int) -> float:
        """Return the step size at t."""
        return self.eta / math.sqrt(1 + t / self.t0)


@dataclass(frozen=True)
class StepDecay:
    r"""Stay constant for a while, then drop by a factor, again and again.

    .. math:: \eta_t = \eta\, \alpha^{\lfloor t/T \rfloor}

    Parameters
    ----------
    eta : float > 0, the step size of the first plateau
    every : int >= 1, the length T of a plateau, in steps
    alpha : float in (0, 1), the factor of each drop

    Raises
    ------
    ValueError, TypeError : if a parameter is out of its range or no number

    Book: eq-step-decay

    Examples
    --------
    >>> eta = StepDecay(0.8, every=10, alpha=0.5)
    >>> [eta(t) for t in (0, 9, 10, 20)]
    [0.8, 0.8, 0.4, 0.2]
    """

    eta: float
    every: int
    alpha: float = 0.1

    def __post_init__(self) -> None:
        settle(self, eta=positive, every=count, alpha=lambda n, x: real(n, x, above=0, below=1))

    def __call__(self, t: int) -> float:
        """Return the step size at t."""
        return self.eta * self.alpha ** (t // self.every)


@dataclass(frozen=True)
class Cosine:
    r"""Follow half a cosine from eta down to zero, and stay there.

    .. math:: \eta_t = \frac{\eta}{2} \Bigl(1 + \cos \frac{\pi \min(t, T)}{T}\Bigr)

    Parameters
    ----------
    eta : float > 0, the step size at t = 0
    rounds : int >= 1, the length T of the run

    Raises
    ------
    ValueError, TypeError : if a parameter is out of its range or no number

    Book: eq-cosine

    Reference: I. Loshchilov and F. Hutter, *SGDR*, 2017, arXiv:1608.03983, one period without
    restarts, down to zero.

    Examples
    --------
    >>> eta = Cosine(0.2, rounds=100)
    >>> [round(eta(t), 9) for t in (0, 50, 100, 1000)]
    [0.2, 0.1, 0.0, 0.0]
    """

    eta: float
    rounds: int

    def __post_init__(self) -> None:
        settle(self, eta=positive, rounds=count)

    def __call__(self, t: int) -> float:
        """Return the step size at t."""
        return self.eta / 2 * (1 + math.cos(math.pi * min(t, self.rounds) / self.rounds))


@dataclass(frozen=True)
class Warmup:
    r"""Rise linearly to a step size, then leave it alone.

    .. math:: \eta_t = \min\Bigl(1, \frac{t+1}{T}\Bigr)\, \eta'_t

    The clock of the wrapped schedule :math:`\eta'` runs during the warm-up too.

    Parameters
    ----------
    eta : float > 0 or a schedule, what to rise to
    rounds : int >= 1, the length T of the rise; the full step is first used at t = T - 1

    Raises
    ------
    ValueError, TypeError : if a parameter is out of its range or no number

    Book: eq-warmup

    Reference: P. Goyal et al., *Accurate, large minibatch SGD*, 2017, arXiv:1706.02677; there the
    rise starts at the step size of one worker, here at eta/T.

    Examples
    --------
    >>> eta = Warmup(Cosine(0.4, rounds=100), rounds=4)
    >>> [round(eta(t), 3) for t in (0, 1, 3, 50)]
    [0.1, 0.2, 0.399, 0.2]
    """

    eta: Rate
    rounds: int

    def __post_init__(self) -> None:
        settle(self, eta=step_size, rounds=count)

    def __call__(self, t: int) -> float:
        """Return the step size at t."""
        return min(1.0, (t + 1) / self.rounds) * rate(self.eta, t)
