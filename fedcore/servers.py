"""What the server does with the aggregate."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from fedcore.optimizers import SGD
from fedcore.types import Array, Optimizer, State, Vectors


@dataclass(frozen=True)
class Descend:
    r"""Descend along the mean of the replies.

    .. math:: w \leftarrow w - \eta \sum_{k \in S} a_k g_k

    With step 1 and :math:`g_k = w - w_k` this is the average of the clients' parameters. Any
    optimizer of fedcore may take the step.

    Parameters
    ----------
    optimizer : the server's rule of descent

    Book: alg-distributed-gd

    Examples
    --------
    >>> import numpy as np
    >>> server = Descend(SGD(0.5))
    >>> server.step(server.init(np.zeros(1)), {"g": np.ones(1)}, t=0, share=1.0)["w"]
    array([-0.5])
    """

    optimizer: Optimizer = field(default_factory=lambda: SGD(1.0))
    broadcasts: ClassVar[tuple[str, ...]] = ("w",)

    def init(self, w: Array) -> State:
        """Return the start vector and the optimizer's state."""
        return {"w": w, "optimizer": self.optimizer.init(w)}

    def step(self, state: State, mean: Vectors, t: int, share: float) -> State:
        """Return the state after one step along mean g."""
        w, inner = self.optimizer.step(state["w"], mean["g"], state["optimizer"], t)
        return {"w": w, "optimizer": inner}


@dataclass(frozen=True)
class ControlledDescend(Descend):
    r"""Descend, and follow the mean of the clients' control vectors.

    .. math:: w \leftarrow w - \eta \sum_{k \in S} a_k g_k, \qquad
              c \leftarrow c + \sum_{k \in S} p_k (c_k^+ - c_k)

    Parameters
    ----------
    optimizer : the server's rule of descent

    Book: alg-scaffold

    Reference: Karimireddy et al. 2020, arXiv 1910.06378, algorithm 1.

    Examples
    --------
    >>> import numpy as np
    >>> server, zero = ControlledDescend(), np.zeros(1)
    >>> state = server.step(server.init(zero), {"g": zero, "c": np.ones(1)}, t=0, share=0.25)
    >>> state["c"]
    array([0.25])
    """

    broadcasts: ClassVar[tuple[str, ...]] = ("w", "c")

    def init(self, w: Array) -> State:
        """Return the start vector, the optimizer's state and c = 0."""
        return super().init(w) | {"c": w * 0}

    def step(self, state: State, mean: Vectors, t: int, share: float) -> State:
        """Return the state after one step; ``share`` turns the weights a_k into p_k."""
        c = (state["c"] + share * mean["c"]).astype(state["c"].dtype, copy=False)
        return super().step(state, mean, t, share) | {"c": c}
