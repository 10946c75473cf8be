"""check_algorithm and check_engine find what they are for."""

from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from fedcore import Gradient, Linear, Processes, Serial, distributed_gd, make_quadratics
from fedcore.servers import Descend
from fedcore.testing import check_algorithm, check_engine

SHARDS = make_quadratics([1, 2, 3], [0, 1, 2])


def test_processes_pass():
    check_engine(Processes(2))


def test_an_engine_that_forgets_a_client_is_found():
    @dataclass(frozen=True)
    class Forgetful:
        def start(self, task, broadcasts, shards):
            crew = Serial().start(task, broadcasts, shards)
            honest = crew.run

            def run(t, S, down, keep):
                replies = honest(t, S, down, keep)
                replies.up["g"][0] = 0
                return replies

            object.__setattr__(crew, "run", run)
            return crew

    with pytest.raises(AssertionError, match="differs from the serial engine by"):
        check_engine(Forgetful())


@dataclass(frozen=True)
class Stateful(Gradient):
    """Remembers in the object what it should keep in ``keep``."""

    calls: list = field(default_factory=list)

    def update(self, model, down, data, rng, keep, t):
        self.calls.append(t)
        return {"g": down["w"] * 0 + len(self.calls)}, keep


def test_state_in_the_object_is_found():
    algorithm = replace(distributed_gd(0.1), client=Stateful())
    with pytest.raises(AssertionError, match="two runs with one seed differ"):
        check_algorithm(algorithm, Linear(1), SHARDS)


@dataclass(frozen=True)
class Personal(Gradient):
    """Writes the answer for one client only."""

    def update(self, model, down, data, rng, keep, t):
        g = model.grad(down["w"], data.X, data.y) if hasattr(data, "X") else np.zeros((3, 1))
        return {"g": g}, keep


def test_a_client_that_does_not_see_the_cohort_is_found():
    algorithm = replace(distributed_gd(0.1), client=Personal())
    with pytest.raises(AssertionError, match="w from the vectorised engine"):
        check_algorithm(algorithm, Linear(1), SHARDS)


def test_a_server_that_cannot_broadcast_is_found():
    @dataclass(frozen=True)
    class Silent(Descend):
        broadcasts = ("w", "c")

    with pytest.raises(AssertionError, match="a state with 'c'"):
        check_algorithm(replace(distributed_gd(0.1), server=Silent()), Linear(1), SHARDS)
