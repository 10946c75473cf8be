"""What the server does with the aggregate."""

from __future__ import annotations

from dataclasses import dataclass, field

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
    broadcasts = ("w",)

    def init(self, w: Array) -> State:
        """Return the start vector and the optimizer's state."""
        return {"w": w, "optimizer": self.optimizer.init(w)}

    def step(self, state: State, mean: Vectors, t: int, share: float) -> State:
        """Return the state after one step along mean g."""
        w, inner = self.optimizer.step(state["w"], mean["g"], state["optimizer"], t)
        return {"w": w, "optimizer": inner}
