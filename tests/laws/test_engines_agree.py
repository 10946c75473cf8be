"""The number of processes and the way they are started are not part of the answer."""

import multiprocessing as mp

import numpy as np
import pytest
from registry import MODEL, REGISTRY, ROUNDS, W0

from fedcore import Processes, run

START = [
    pytest.param(workers, method, id=f"{workers}-{method}")
    for method in ("spawn", "forkserver", "fork")
    if method in mp.get_all_start_methods()
    for workers in ((1, 2, 3, 5) if method == "forkserver" else (2,))
]


@pytest.mark.parametrize(("workers", "method"), START)
@pytest.mark.parametrize("row", REGISTRY, ids=str)
def test_processes_give_the_bits_of_serial(row, workers, method):
    serial = run(row.algorithm, MODEL, row.shards, rounds=ROUNDS, w0=W0)
    engine = Processes(workers, method=method)
    many = run(row.algorithm, MODEL, row.shards, rounds=ROUNDS, w0=W0, engine=engine)
    assert many.w.tobytes() == serial.w.tobytes()
    np.testing.assert_array_equal(many["loss"], serial["loss"])
    np.testing.assert_array_equal(many["bits_up"], serial["bits_up"])
