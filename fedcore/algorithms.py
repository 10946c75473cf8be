"""The named methods: each is a composition of five slots."""

from __future__ import annotations

from dataclasses import dataclass, field

from fedcore.aggregators import mean
from fedcore.batches import Batches
from fedcore.clients import FedProx, Gradient, LocalSGD, Scaffold
from fedcore.optimizers import SGD
from fedcore.samplers import Everyone, UniformSample
from fedcore.servers import ControlledDescend, Descend
from fedcore.types import (
    Aggregator,
    Channel,
    ClientUpdate,
    Optimizer,
    Sampler,
    Schedule,
    ServerUpdate,
)  # fmt: skip


@dataclass(frozen=True)
class Algorithm:
    """A method of distributed or federated optimisation.

    Parameters
    ----------
    client : what one client does in a round
    server : what the server does with the aggregate
    sampler : who takes part, and with what weight
    channel : what happens to a vector on its way up; the client halves run in the order written,
        the server halves in reverse
    aggregator : (U (m, d), a (m,)) -> (d,)
    downlink : a channel without memory for what goes down; None sends it whole. It compresses the
        change since the last broadcast: what was left out is still in the next change
    name : for tables and plots

    Examples
    --------
    >>> gd(0.1).server
    Descend(optimizer=SGD(eta=0.1))
    """

    client: ClientUpdate
    server: ServerUpdate = field(default_factory=Descend)
    sampler: Sampler = field(default_factory=Everyone)
    channel: tuple[Channel, ...] = ()
    aggregator: Aggregator = mean
    name: str = ""
    downlink: Channel | None = None

    def __post_init__(self) -> None:
        if self.downlink is not None and self.downlink.keeps:
            raise TypeError(f"downlink must be a channel without memory, got {self.downlink!r}")

    @property
    def always(self) -> bool:
        """Whether a channel acts in rounds without replies, as noise for privacy must."""
        return any(getattr(channel, "always", False) for channel in self.channel)

    def table(self, d: int, bits: int = 64) -> dict[str, dict[str, int]]:
        """Return the bits of every vector that is broadcast, sent and kept, before any channel.

        Of a client that keeps its head to itself only the rest is broadcast and sent.

        Parameters
        ----------
        d : length of w
        bits : of one number

        Examples
        --------
        >>> scaffold(0.1).table(d=10)
        {'broadcasts': {'w': 640, 'c': 640}, 'sends': {'g': 640, 'c': 640}, 'keeps': {'c': 640}}
        """
        names = {
            "broadcasts": self.server.broadcasts,
            "sends": self.client.sends,
            "keeps": self.client.keeps,
        }
        shared = d - getattr(self.client, "head", 0)
        length = {"broadcasts": shared, "sends": shared, "keeps": d}
        return {side: dict.fromkeys(names[side], bits * length[side]) for side in names}


def gd(eta: float | Schedule) -> Algorithm:
    r"""Gradient descent.

    .. math:: w_{t+1} = w_t - \eta\, \nabla F(w_t)

    Parameters
    ----------
    eta : step size > 0, or a schedule

    Book: alg-gd

    Reference: Cauchy 1847; Nesterov 2018, *Lectures on Convex Optimization*, section 2.1.5.

    Examples
    --------
    >>> from fedcore import Linear, make_quadratics, run
    >>> run(gd(0.5), Linear(1), make_quadratics([1.0], [4.0]), rounds=2).w
    array([3.])
    """
    return Algorithm(Gradient(), Descend(SGD(eta)), name="GD")


def distributed_gd(eta: float | Schedule) -> Algorithm:
    r"""Distributed gradient descent: each worker sends the gradient of its own rows.

    .. math:: w_{t+1} = w_t - \eta \sum_{k=1}^{K} \frac{n_k}{n}\, \nabla F_k(w_t)

    The composition is that of :func:`gd`; only the data are cut into shards. That is the point.

    Parameters
    ----------
    eta : step size > 0, or a schedule

    Book: alg-distributed-gd

    Examples
    --------
    >>> from fedcore import Linear, make_quadratics, run
    >>> run(distributed_gd(0.5), Linear(1), make_quadratics([1, 1], [0, 4]), rounds=1).w
    array([1.])
    """
    return Algorithm(Gradient(), Descend(SGD(eta)), name="distributed GD")


def sgd(
    eta: float | Schedule, batch_size: int = 1, *, steps: int | None = 1, epochs: int = 1,
    replace: bool = False,
) -> Algorithm:  # fmt: skip
    r"""Stochastic gradient descent: steps along the gradient of a batch.

    .. math:: w_{t+1} = w_t - \frac{\eta}{B} \sum_{i \in B_t} \nabla f_i(w_t)

    On K shards each makes the same steps from the same w, and the results are averaged: with one
    step a round that is a single step on the K batches together, shared by K workers.

    Parameters
    ----------
    eta : step size > 0, or a schedule of the round
    batch_size : rows in a batch, B
    steps : steps in a round; None means whole epochs
    epochs : passes in a round, where steps is None
    replace : draw every batch with replacement instead of reshuffling once a pass

    Book: alg-sgd

    Reference: Robbins, Monro 1951; Bottou, Curtis, Nocedal 2018, arXiv 1606.04838.

    Examples
    --------
    >>> from fedcore import Linear, make_quadratics, run
    >>> run(sgd(0.5), Linear(1), make_quadratics([1.0], [4.0]), rounds=2).w
    array([3.])
    """
    batches = Batches(batch_size, epochs, steps, replace)
    return Algorithm(LocalSGD(SGD(eta), batches), name="SGD")


def fedavg(
    eta: float | Schedule, *, epochs: int = 1, batch_size: int | None = None,
    steps: int | None = None, cohort: int | None = None,
) -> Algorithm:  # fmt: skip
    r"""Federated averaging: clients train, parameters travel, the server averages.

    .. math:: w_{t+1} = w_t - \sum_{k \in S_t} a_k (w_t - w_k)
                      = \sum_{k \in S_t} a_k\, w_k,
              \qquad a_k = \frac{n_k}{\sum_{j \in S_t} n_j}

    Parameters
    ----------
    eta : the clients' step size > 0, or a schedule of the round
    epochs : local passes, E
    batch_size : rows in a local batch, B; None means the whole shard
    steps : local steps instead of epochs
    cohort : clients drawn each round, m; None means everyone

    Book: alg-fedavg

    Reference: McMahan et al. 2017, arXiv 1602.05629, algorithm 1, with weights normalised over the
    cohort as in the version of 2023 (the first one divided by the rows of all clients).

    Examples
    --------
    >>> from fedcore import Linear, make_quadratics, run
    >>> history = run(fedavg(0.05, steps=5), Linear(1), make_quadratics([1, 10], [0, 1]), rounds=80)
    >>> round(float(history.w[0]), 6)
    0.81069
    """
    client = LocalSGD(SGD(eta), Batches(batch_size, epochs, steps))
    return Algorithm(client, sampler=_cohort(cohort), name="FedAvg")


def fedprox(
    eta: float | Schedule, mu: float, *, epochs: int = 1, batch_size: int | None = None,
    steps: int | None = None, cohort: int | None = None,
) -> Algorithm:  # fmt: skip
    r"""FedAvg whose clients are pulled back to where the round began.

    .. math:: w_k \leftarrow w_k - \eta \left( \nabla f_B(w_k) + \mu (w_k - w) \right)

    Parameters
    ----------
    mu : strength of the pull >= 0
    eta, epochs, batch_size, steps, cohort : see :func:`fedavg`

    Book: alg-fedprox

    Reference: Li et al. 2020, arXiv 1812.06127.

    Examples
    --------
    >>> from fedcore import Linear, make_quadratics, run
    >>> algorithm, shards = fedprox(0.05, mu=1.0, steps=5), make_quadratics([1, 10], [0, 1])
    >>> round(float(run(algorithm, Linear(1), shards, rounds=90).w[0]), 6)
    0.813362
    """
    client = FedProx(SGD(eta), Batches(batch_size, epochs, steps), mu)
    return Algorithm(client, sampler=_cohort(cohort), name="FedProx")


def scaffold(
    eta: float, *, epochs: int = 1, batch_size: int | None = None, steps: int | None = None,
    cohort: int | None = None, option: int = 2,
) -> Algorithm:  # fmt: skip
    r"""FedAvg whose clients correct their drift by control vectors.

    .. math:: w_k \leftarrow w_k - \eta \left( \nabla f_B(w_k) + c - c_k \right)

    Parameters
    ----------
    option : 1 or 2, how :math:`c_k` is made, see :class:`fedcore.clients.Scaffold`
    eta, epochs, batch_size, steps, cohort : see :func:`fedavg`

    Book: alg-scaffold

    Reference: Karimireddy et al. 2020, arXiv 1910.06378.

    Examples
    --------
    >>> from fedcore import Linear, make_quadratics, run
    >>> algorithm, shards = scaffold(0.05, steps=5), make_quadratics([1, 10], [0, 1])
    >>> round(float(run(algorithm, Linear(1), shards, rounds=200).w[0]), 6)
    0.909091
    """
    client = Scaffold(SGD(eta), Batches(batch_size, epochs, steps), option)
    return Algorithm(client, ControlledDescend(), _cohort(cohort), name="SCAFFOLD")


def fedopt(
    eta: float | Schedule, server: Optimizer, *, epochs: int = 1, batch_size: int | None = None,
    steps: int | None = None, cohort: int | None = None,
) -> Algorithm:  # fmt: skip
    r"""FedAvg with an optimizer on the server that takes the mean of the replies as a gradient.

    .. math:: w_{t+1} = \text{server step}\Big(w_t,\; \sum_{k \in S_t} a_k (w_t - w_k)\Big)

    FedAvgM is ``server=Momentum(eta, beta)``, FedAdagrad ``AdaGrad``, FedAdam ``Adam``, FedYogi
    ``Yogi``. Published forms differ in the bias correction: Reddi et al. have none and start the
    second moment at tau squared, ``Adam(eta, 0.9, 0.99, tau, bias_correction=False,
    v0=tau**2)``; :class:`fedcore.adaptive.Adam` corrects unless told otherwise. Flower 1.41 starts
    all second moments at 0 and corrects FedAdam with exponents one round ahead: t + 2 where Adam
    has t + 1, so that with these two memories its first step is 0.742 of ours.

    Parameters
    ----------
    server : the server's optimizer
    eta, epochs, batch_size, steps, cohort : see :func:`fedavg`

    Book: alg-fedopt

    Reference: Reddi, Charles, Zaheer, Garrett, Rush, Konečný, Kumar, McMahan 2021,
    arXiv 2003.00295; Hsu, Qi, Brown 2019, arXiv 1909.06335 (FedAvgM).

    Examples
    --------
    >>> from fedcore import Momentum
    >>> fedopt(0.1, Momentum(1.0, beta=0.9)).server
    Descend(optimizer=Momentum(eta=1.0, beta=0.9))
    """
    client = LocalSGD(SGD(eta), Batches(batch_size, epochs, steps))
    return Algorithm(client, Descend(server), _cohort(cohort), name="FedOpt")


def _cohort(m: int | None) -> Everyone | UniformSample:
    return Everyone() if m is None else UniformSample(m)
