"""The number of processes and the way they are started are not part of the answer."""

import multiprocessing as mp

import numpy as np
import pytest
from registry import MODEL, REGISTRY, ROUNDS, UNEVEN, W0

from fedcore import Processes, Vectorized, fedavg, run

START = [
    pytest.param(workers, method, id=f"{workers}-{method}")
    for method in ("spawn", "forkserver", "fork")
    if method in mp.get_all_start_methods()
    for workers in ((1, 2, 3, 5) if method == "forkserver" else (2,))
]
FIRST = REGISTRY[:6]  # the four algorithms of Part I under every start; all others under one


@pytest.mark.parametrize(("workers", "method"), START)
@pytest.mark.parametrize("row", FIRST, ids=str)
def test_processes_give_the_bits_of_serial(row, workers, method):
    serial = run(row.algorithm, MODEL, row.shards, rounds=ROUNDS, w0=W0)
    engine = Processes(workers, method=method)
    many = run(row.algorithm, MODEL, row.shards, rounds=ROUNDS, w0=W0, engine=engine)
    assert many.w.tobytes() == serial.w.tobytes()
    np.testing.assert_array_equal(many["loss"], serial["loss"])
    np.testing.assert_array_equal(many["bits_up"], serial["bits_up"])


@pytest.mark.parametrize("row", REGISTRY[len(FIRST) :], ids=str)
def test_every_method_has_the_bits_of_serial(row):
    serial = run(row.algorithm, MODEL, row.shards, rounds=ROUNDS, w0=W0)
    many = run(row.algorithm, MODEL, row.shards, rounds=ROUNDS, w0=W0, engine=Processes(3))
    assert many.w.tobytes() == serial.w.tobytes()
    np.testing.assert_array_equal(many["bits_up"], serial["bits_up"])


@pytest.mark.parametrize("row", REGISTRY, ids=str)
def test_vectorized_agrees_to_rounding(row):
    serial = run(row.algorithm, MODEL, row.shards, rounds=ROUNDS, w0=W0)
    cohort = run(row.algorithm, MODEL, row.shards, rounds=ROUNDS, w0=W0, engine=Vectorized())
    np.testing.assert_allclose(cohort.w, serial.w, rtol=1e-12, atol=1e-14)
    np.testing.assert_array_equal(cohort["bits_up"], serial["bits_up"])


def test_vectorized_does_not_depend_on_its_blocks(monkeypatch):
    from fedcore.engines import vectorized

    algorithm = fedavg(0.2, epochs=2, batch_size=4)
    whole = run(algorithm, MODEL, UNEVEN, rounds=ROUNDS, engine=Vectorized())
    monkeypatch.setattr(vectorized, "BLOCK", 1)
    single = run(algorithm, MODEL, UNEVEN, rounds=ROUNDS, engine=Vectorized())
    np.testing.assert_allclose(whole.w, single.w, rtol=1e-12)
