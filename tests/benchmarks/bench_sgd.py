"""SGD with batches of 200 of 49,000 rows in CIFAR-10's shape: the compiled loop compared with a NumPy loop.

python tests/benchmarks/bench_sgd.py [ITERATIONS]

Both use the same batches and the same start. The loops alternate, and the median of the paired ratios is printed.
"""

from __future__ import annotations

import statistics
import sys
from time import perf_counter, sleep

import numpy as np

from lcbench.losses import vectorized
from lcbench.losses.numba_sgd import descend

ROUNDS = 7
BLAS_SPIN_S = 0.3
"""Pause after a product: the threads of OpenBLAS spin for about 0.1 s and would slow down the next measurement."""


def main() -> None:
    iterations = int(sys.argv[1]) if len(sys.argv) > 1 else 300
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (49_000, 3072), np.uint8)
    mean = pixels.mean(axis=0, dtype=np.float64).astype(np.float32)
    X = np.empty((49_000, 3073), np.float32)
    np.subtract(pixels, mean, out=X[:, :-1])
    X[:, -1] = 1
    y = rng.integers(0, 10, len(X))
    W = (1e-4 * rng.standard_normal((3073, 10))).astype(np.float32)
    batches = rng.integers(0, len(X), (iterations, 200))
    for loss, reg in (("svm", 2.5e4), ("softmax", 5e2)):
        expected = in_numpy(loss, W, X, y, batches[:20], reg)
        for name, arguments in (("float32", {"X": X}), ("uint8", {"X": pixels, "mean": mean})):
            found = descend(loss, W, y=y, batches=batches[:20], learning_rate=1e-7, reg=reg, **arguments).W
            difference = np.abs(found - expected).max() / np.abs(expected).max()
            assert difference < 1e-4, difference
            ratios, times = [], []
            for _ in range(ROUNDS):
                start = perf_counter()
                in_numpy(loss, W, X, y, batches, reg)
                numpy_seconds = perf_counter() - start
                sleep(BLAS_SPIN_S)
                start = perf_counter()
                descend(loss, W, y=y, batches=batches, learning_rate=1e-7, reg=reg, **arguments)
                seconds = perf_counter() - start
                ratios.append(numpy_seconds / seconds)
                times.append(seconds / iterations)
            spread = f"[{min(ratios):.2f}, {max(ratios):.2f}]"
            step, ratio = statistics.median(times) * 1e6, statistics.median(ratios)
            print(f"{loss:8} X {name:8} {step:6.0f} us per step   {ratio:.2f} {spread} times NumPy", flush=True)


def in_numpy(loss: str, W: np.ndarray, X: np.ndarray, y: np.ndarray, batches: np.ndarray, reg: float) -> np.ndarray:
    """Return the weights after the loop of the assignment."""
    step = getattr(vectorized, f"{loss}_loss")
    W = W.copy()
    for rows in batches:
        _, dW = step(W, X[rows], y[rows], reg)
        W -= np.float32(1e-7) * dW
    return W


if __name__ == "__main__":
    main()
