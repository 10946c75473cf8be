"""Print what bounds this process: GB/s of a triad and of a sum, GFLOP/s of a float32 product."""

import time

import numpy as np

ROWS = 20_000  # doubles in a block: what lies between two operations stays in cache


def triad(a, b, c):
    for i in range(0, len(a), ROWS):
        np.multiply(c[i : i + ROWS], 3.0, out=a[i : i + ROWS])
        a[i : i + ROWS] += b[i : i + ROWS]


def best(work, amount):
    times = []
    for _ in range(10):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return amount / min(times) / 1e9


def main():
    a, b, c = (np.ones(20_000_000) for _ in range(3))
    A = np.ones((1500, 1500), np.float32)
    print(
        best(lambda: triad(a, b, c), 3 * a.nbytes),
        best(b.sum, b.nbytes),
        best(lambda: A @ A, 2 * len(A) ** 3),
    )


if __name__ == "__main__":
    main()
