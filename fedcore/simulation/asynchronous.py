"""Servers that do not wait: every answer counts when it arrives, discounted by its age."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from fedcore.algorithms import Algorithm
from fedcore.checks import count, one_of, real
from fedcore.failures import failures
from fedcore.optimizers import SGD
from fedcore.rng import Purpose, stream
from fedcore.rounds import Memory, Round, aggregate, broadcast, kept, recall
from fedcore.servers import Descend
from fedcore.simulation.synchronous import Moment, Site
from fedcore.types import Array, Replies, State, Vectors

Discount = Callable[[Array], Array]  # staleness (m,) -> factor (m,), 1 at 0


@dataclass(frozen=True)
class Constant:
    r"""No discount: :math:`s(\tau) = 1`.

    Book: eq-staleness

    >>> Constant()(np.array([0, 3]))
    array([1., 1.])
    """

    def __call__(self, tau: Array) -> Array:
        """Return the factors."""
        return np.ones(len(tau))


@dataclass(frozen=True)
class Polynomial:
    r"""A discount by a power of the age: :math:`s(\tau) = (1 + \tau)^{-a}`.

    Parameters
    ----------
    a : exponent >= 0; 1/2 in FedBuff

    Book: eq-staleness

    Reference: Xie, Koyejo, Gupta 2019, arXiv 1903.03934.

    >>> Polynomial(0.5)(np.array([0, 3]))
    array([1. , 0.5])
    """

    a: float = 0.5

    def __post_init__(self) -> None:
        real("a", self.a, least=0)

    def __call__(self, tau: Array) -> Array:
        """Return the factors."""
        return (1.0 + tau) ** -self.a


@dataclass(frozen=True)
class Hinge:
    r"""No discount up to age b, then a hyperbola: :math:`s(\tau) = 1 / (1 + a \max(\tau - b, 0))`.

    Parameters
    ----------
    a : slope >= 0
    b : age >= 0 that is not discounted

    Book: eq-staleness

    Reference: Xie, Koyejo, Gupta 2019, arXiv 1903.03934.

    >>> Hinge(a=1.0, b=4)(np.array([4, 5, 7]))
    array([1.  , 0.5 , 0.25])
    """

    a: float = 10.0
    b: float = 4.0

    def __post_init__(self) -> None:
        real("a", self.a, least=0)
        real("b", self.b, least=0)

    def __call__(self, tau: Array) -> Array:
        """Return the factors."""
        return 1 / (1 + self.a * np.maximum(tau - self.b, 0))


@dataclass(frozen=True, order=True)
class Answer:
    """A client's answer on its way: events are ordered by arrival, then by client."""

    arrival: float
    k: int
    version: int = field(compare=False)  # updates of w before the download
    w: Array = field(compare=False)  # (d,) what was downloaded
    up: Vectors = field(compare=False)
    bits: int = field(compare=False)


def idle(rng: np.random.Generator, K: int, taken: set[int], m: int) -> Array:
    """Draw up to m of the clients 0 .. K - 1 that are not taken, in memory that K has no part in.

    >>> idle(np.random.default_rng(0), 5, taken={0, 2}, m=9)
    array([1, 3, 4])
    """
    busy = np.array(sorted(taken), int)  # (b,)
    free = K - len(busy)
    j = rng.choice(free, min(m, free), replace=False)  # the j-th of the free ones
    return np.sort(j + np.searchsorted(busy - np.arange(len(busy)), j, side="right"))


@dataclass(frozen=True)
class Asynchronous:
    r"""A server that moves as soon as its buffer of B answers is full.

    .. math:: w_{t+1} = w_t - \eta \sum_{i=1}^{B} a_i\, s(\tau_i)\, g_i, \qquad
              a_i = \frac{n_{k_i}}{\sum_j n_{k_j}}

    where answer i was computed from :math:`w_{t - \tau_i}`. With ``mix`` the server moves towards
    the client's parameters, :math:`g_i + (w_t - w_{t - \tau_i})` in the place of :math:`g_i`.

    A fixed number of clients work at any time. Whoever has answered is replaced by a client drawn
    from those that neither work nor have answered from the current w: a second answer from the same
    w would be the first one again. Answers that arrive at the same instant are all taken before
    anybody downloads, and a full buffer is added up in the order of the clients.

    Parameters
    ----------
    algorithm : the method: its client, server, channel and aggregator; its sampler is not asked
    buffer : answers in an update, 1 <= B <= K
    concurrency : clients at work, <= K; None means everyone
    discount : staleness (m,) -> factor (m,)
    mix : move towards the client's parameters

    Raises
    ------
    ValueError, TypeError : where an argument is not of this form; where the method broadcasts more
        than w or through a channel, because clients then hold versions that no round has in common;
        where it adds noise for privacy, because no accountant here covers who answers when

    Book: alg-fedbuff, alg-fedasync

    Reference: Nguyen et al. 2022, arXiv 2106.06639; Xie, Koyejo, Gupta 2019, arXiv 1903.03934.

    Examples
    --------
    >>> from fedcore import Linear, fedavg, make_quadratics
    >>> from fedcore.simulation.clock import Devices, Link
    >>> from fedcore.simulation.synchronous import simulate
    >>> devices = Devices(down=Link(1.0, 8.0), up=Link(1.0, 8.0), cost=0.5)
    >>> server = Asynchronous(fedavg(0.5, steps=2), buffer=1, concurrency=1)
    >>> for now in simulate(server, Linear(1), make_quadratics([1], [4]), devices, updates=2):
    ...     print(now.seconds, now.staleness, now.w)
    0.0 [] [0.]
    5.0 [0] [3.]
    10.0 [0] [3.75]
    """

    algorithm: Algorithm
    buffer: int = 10
    concurrency: int | None = None
    discount: Discount = field(default_factory=Polynomial)
    mix: bool = False

    def __post_init__(self) -> None:
        count("buffer", self.buffer)
        if self.concurrency is not None:
            count("concurrency", self.concurrency)
        one_of("mix", self.mix, (True, False))
        if self.algorithm.always:
            raise ValueError("algorithm must add no noise: it is not made for a buffer's weights")
        if self.algorithm.server.broadcasts != ("w",) or self.algorithm.downlink is not None:
            raise ValueError(
                f"algorithm must broadcast w alone and without a downlink, got {self.algorithm!r}"
            )

    def moments(self, site: Site, w: Array) -> Iterator[Moment]:
        """Yield the start and then every update of w."""
        K = site.shards.K
        count("buffer", self.buffer, most=K)
        places = count("concurrency", self.concurrency or K, most=K)
        rng = stream(site.task.seed, Purpose.SAMPLE)
        now, state, memory = Moment(0.0, 0, w), self.algorithm.server.init(w), Memory()
        queue: list[Answer] = []
        held: list[Answer] = []  # what the buffer holds
        yield now
        while True:
            taken = {a.k for a in queue} | {a.k for a in held if a.version == now.t}
            S = idle(rng, K, taken, places - len(queue))
            now = self._begin(site, now, S, state, memory, queue)
            now = replace(now, seconds=queue[0].arrival)
            while queue and queue[0].arrival == now.seconds:
                held.append(heapq.heappop(queue))
                now = replace(now, bits_up=now.bits_up + held[-1].bits)
                if len(held) == self.buffer:
                    now, state = self._update(site, now, held, state)
                    held = []
                    yield now

    def _begin(
        self, site: Site, now: Moment, S: Array, state: State, memory: Memory, queue: list[Answer]
    ) -> Moment:
        """Let the clients of S download w, and put their answers on the way."""
        down, _, bits = broadcast(self.algorithm, site.task, Round(now.t, state))
        replies = site.crew.run(now.t, S, down, recall(memory, S, site.task, down))
        failures(now.t, S, replies, "raise")
        memory.update(kept(S, replies))
        times, joules = site.times(now.t, S, bits, replies.bits)  # (m,)
        for i, k in enumerate(S.tolist()):
            up = {name: U[i].copy() for name, U in replies.up.items()}
            arrival, cost = now.seconds + float(times[i]), int(replies.bits[i])
            heapq.heappush(queue, Answer(arrival, k, now.t, down["w"], up, cost))
        return replace(now, bits_down=now.bits_down + len(S) * bits, joules=now.joules + joules)

    def _update(
        self, site: Site, now: Moment, held: list[Answer], state: State
    ) -> tuple[Moment, State]:
        """Descend along what the buffer holds, in the order of the clients."""
        held = sorted(held, key=lambda a: (a.k, a.version))
        S, tau = np.array([a.k for a in held]), now.t - np.array([a.version for a in held])
        up = {name: np.stack([a.up[name] for a in held]) for name in site.task.sends}  # (B, d)
        if self.mix:
            up["g"] = up["g"] + (state["w"] - np.stack([a.w for a in held]))
        n_k = site.shards.n_k[S]
        a = n_k / n_k.sum() * self.discount(tau)  # (B,)
        with np.errstate(over="ignore", invalid="ignore"):
            mean = aggregate(self.algorithm, site.task, Replies(up, {}, S), a, now.t)
            share = float(site.shards.p_k[S].sum())
            state = state | self.algorithm.server.step(state, mean, now.t, share)
        return replace(now, t=now.t + 1, w=state["w"], cohort=S, staleness=tau), state


def fedasync(
    algorithm: Algorithm, alpha: float = 0.6, *, discount: Discount | None = None,
    concurrency: int | None = None,
) -> Asynchronous:  # fmt: skip
    r"""FedAsync: mix every client's parameters into w as they arrive.

    .. math:: w_{t+1} = (1 - \alpha\, s(\tau))\, w_t + \alpha\, s(\tau)\, w_k

    Parameters
    ----------
    algorithm : the method whose clients train; ``fedprox`` in the paper
    alpha : weight of a fresh answer, 0 < alpha <= 1
    discount : of stale ones; None means ``Polynomial(0.5)``
    concurrency : clients at work; None means everyone

    Raises
    ------
    ValueError, TypeError : where an argument is not of this form

    Book: alg-fedasync

    Reference: Xie, Koyejo, Gupta 2019, arXiv 1903.03934, algorithm 1. Staleness counts the updates
    since the download here, so that a fresh answer has 0 and :math:`s(0) = 1`.

    Examples
    --------
    >>> from fedcore import fedprox
    >>> fedasync(fedprox(0.1, mu=0.5), alpha=0.9).algorithm.server
    Descend(optimizer=SGD(eta=0.9))
    """
    real("alpha", alpha, above=0, most=1)
    moved = replace(algorithm, server=Descend(SGD(alpha)), name="FedAsync")
    return Asynchronous(moved, 1, concurrency, discount or Polynomial(), mix=True)
