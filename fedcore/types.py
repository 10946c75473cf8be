"""The protocols and small records that the rest of fedcore shares."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:
    from fedcore.data import Shards
    from fedcore.history import History

Array = np.ndarray
Vectors = dict[str, Array]  # vectors named as in the book: "w", "g", "c", ...
State = dict[str, Any]  # what an optimizer or a server carries from step to step
Schedule = Callable[[int], float]  # t -> step size
Aggregator = Callable[[Array, Array], Array]  # (U (m, d), a (m,)) -> (d,)


class Model(Protocol):
    """A loss and its gradient; ``w`` is flat, and leading axes are clients."""

    @property
    def d(self) -> int:
        """Length of w."""

    def init(self, rng: np.random.Generator) -> Array:
        """Return a start vector, (d,)."""

    def loss(self, w: Array, X: Array, y: Array, s: Array | None = None) -> Array:
        """Return the weighted loss, (...); the weights ``s`` default to 1/n."""

    def grad(self, w: Array, X: Array, y: Array, s: Array | None = None) -> Array:
        """Return its gradient with respect to ``w``, (..., d)."""


class Optimizer(Protocol):
    """One step of descent along a gradient or a pseudo-gradient."""

    def init(self, w: Array) -> State:
        """Return the state before the first step."""

    def step(self, w: Array, g: Array, state: State, t: int) -> tuple[Array, State]:
        """Return the next w and the next state; ``t`` is where a schedule is evaluated."""


class Data(Protocol):
    """What a client sees in a round: its own rows, or a whole cohort's as one more axis."""

    def batches(self, plan: Any, rng: Any) -> Iterator[tuple[Array, Array, Array | None]]:
        """Yield (X, y, s) for each local step of the plan."""

    def steps(self, plan: Any) -> Any:
        """Return the number of local steps: a number, or (m, 1) for a cohort."""

    def hold(self, new: Array, old: Array) -> Array:
        """Return ``new`` where a client still has steps to make, ``old`` elsewhere."""


class ClientUpdate(Protocol):
    """What one client does in a round.

    It may also have ``head``, the number of coordinates at the end of w that never travel, and
    ``start(down)``, what it keeps before its first round; without them 0 and zeros.
    """

    @property
    def sends(self) -> tuple[str, ...]:
        """Names of the d-vectors that go up."""

    @property
    def keeps(self) -> tuple[str, ...]:
        """Names of the d-vectors that stay with the client until it is asked again."""

    def update(
        self, model: Model, down: Vectors, data: Any, rng: Any, keep: Vectors, t: int
    ) -> tuple[Vectors, Vectors]:
        """Return (up, keep)."""


class ServerUpdate(Protocol):
    """What the server does with the aggregate."""

    @property
    def broadcasts(self) -> tuple[str, ...]:
        """Names of the d-vectors that go down."""

    def init(self, w: Array) -> State:
        """Return the state before the first round; it holds every broadcast vector."""

    def step(self, state: State, mean: Vectors, t: int, share: float) -> State:
        """Return the next state; share times a_k is p_k, the share of all rows."""


class Sampler(Protocol):
    """Who takes part in a round, and with what weight."""

    def __call__(self, rng: np.random.Generator, shards: Shards, t: int = 0) -> tuple[Array, Array]:
        """Return the cohort S (m,) of round t and its weights a (m,)."""


class Channel(Protocol):
    """What happens to a vector between a client and the server.

    It may also have ``always``: True where its server half acts in rounds without replies and the
    weights stay as they are when a client fails, as noise for privacy needs.
    """

    @property
    def keeps(self) -> tuple[str, ...]:
        """Names of the d-vectors that the client half remembers for each vector sent."""

    def send(
        self, v: Array, bits: int, rng: np.random.Generator, keep: Vectors
    ) -> tuple[Array, int, Vectors]:
        """Client half: return the vector as the server will see it, its bits, the memory."""

    def receive(self, mean: Array, a: Array, rng: np.random.Generator) -> Array:
        """Server half, applied to the aggregate."""


@dataclass
class Replies:
    """The answers of a cohort, row i from the i-th client of S whoever computed it."""

    up: Vectors  # name -> (m, d)
    keep: Vectors  # name -> (m, d)
    bits: Array  # (m,) bits on the wire
    failed: dict[int, str] = field(default_factory=dict)  # row -> why
    lost: str = ""  # how a worker ended, and its clients' answers with it


class Crew(Protocol):
    """An engine at work: workers that hold the data of one run."""

    def run(self, t: int, S: Array, down: Vectors, keep: Vectors) -> Replies:
        """Do one round for the cohort S; ``keep`` holds a (m, d) array for each name."""

    def close(self) -> None:
        """Stop every worker and free its memory; a second call does nothing."""


class Engine(Protocol):
    """How a round is executed. It changes the time a run takes, never its numbers."""

    def start(self, task: Any, broadcasts: tuple[str, ...], shards: Shards) -> Crew:
        """Ship what is constant, once, and return the crew."""


class FedcoreError(RuntimeError):
    """A fault while a run was under way; ``history`` holds what ``run`` recorded before."""

    history: History | None = None


class ClientError(FedcoreError):
    """A client raised, or answered with something that is not its update."""


class WorkerError(FedcoreError):
    """A worker process died or did not answer in time."""


class CheckpointError(FedcoreError):
    """A checkpoint could not be written; the one before is kept."""


class Diverged(FedcoreError):
    """The iterate left the finite numbers in round ``t``."""

    def __init__(self, message: str, t: int) -> None:
        super().__init__(message)
        self.t = t


class Interrupted(KeyboardInterrupt):
    """Ctrl-C during a run; ``history`` holds the rounds that were finished."""

    def __init__(self, history: History) -> None:
        super().__init__(f"stopped after round {history.t[-1] if len(history) else 0}")
        self.history = history
