"""Refuse bad numbers early: every message names the argument, what came and what is expected."""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np


def real(
    name: str, value: Any, *, above: float = -math.inf, least: float = -math.inf,
    below: float = math.inf, most: float = math.inf,
) -> float:  # fmt: skip
    """Return ``value`` as a float with above < value < below and least <= value <= most.

    >>> real("eta", 0.1, above=0)
    0.1
    >>> real("eta", -1, above=0)
    Traceback (most recent call last):
    ...
    ValueError: eta must be a finite number > 0, got -1
    """
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, float, np.number)):
        raise TypeError(f"{name} must be a number, got {_show(value)}")
    if isinstance(value, complex | np.complexfloating):
        raise TypeError(f"{name} must be a real number, got {_show(value)}")
    x = float(value)
    if not (math.isfinite(x) and above < x < below and least <= x <= most):
        bounds = [f"> {above:g}"] * (above > -math.inf) + [f">= {least:g}"] * (least > -math.inf)
        bounds += [f"< {below:g}"] * (below < math.inf) + [f"<= {most:g}"] * (most < math.inf)
        expected = " ".join(["a finite number", " and ".join(bounds)]).strip()
        raise ValueError(f"{name} must be {expected}, got {value}")
    return x


def count(name: str, value: Any, *, least: int = 1, most: float = math.inf) -> int:
    """Return ``value`` as an int between ``least`` and ``most``.

    >>> count("rounds", 0)
    Traceback (most recent call last):
    ...
    ValueError: rounds must be a whole number >= 1, got 0
    """
    expected = f"a whole number >= {least}" + (f" and <= {most}" if most < math.inf else "")
    if isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} must be {expected}, got {_show(value)}")
    try:
        i = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must be {expected}, got {_show(value)}") from None
    if not least <= i <= most:
        raise ValueError(f"{name} must be {expected}, got {i}")
    return i


def one_of(name: str, value: Any, allowed: tuple[Any, ...]) -> Any:
    """Return ``value`` if it is one of ``allowed``."""
    if not any(value is a or value == a for a in allowed):
        raise ValueError(f"{name} must be one of {', '.join(map(repr, allowed))}, got {value!r}")
    return value


def _show(value: Any) -> str:
    text = repr(value)
    return f"{type(value).__name__} {text if len(text) <= 80 else text[:77] + '...'}"
