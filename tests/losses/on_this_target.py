"""A program: computes the losses on the processor that NUMBA_CPU_NAME and NUMBA_CPU_FEATURES describe.

Its arguments are what to compute: in-order, by-index, pixels, descent. On stdout, as JSON: what was wrong, how much was
compared, and the machine code of one pass by dtype.
"""

import itertools
import json
import sys

import numpy as np

from lcbench.losses import jit, numba_parallel, numba_sgd, oracle

ROWS, FEATURES, REG = 601, 70, 0.1
CLASSES = (3, 10, 13)  # a narrow gradient tile, a wide one, one of each
LOSSES = ("svm", "softmax")


def main():
    numba_parallel.LEAST_FLOPS_A_THREAD = 1
    jit.thread_count = lambda: 2
    ways = sys.argv[1:]
    found = dict(comparison for dtype in ("float32", "float64") for comparison in comparisons(dtype, ways))
    assembly = {"float32": "", "float64": ""}
    for signature, code in numba_parallel._pass.inspect_asm().items():
        assembly[str(signature[3].dtype)] += code
    wrong = {name: mismatch for name, mismatch in found.items() if mismatch}
    print(json.dumps({"compared": len(found), "wrong": wrong, "assembly": assembly}))


def comparisons(dtype, ways):
    """Name and mismatch of every loss and of the descent, in one pass and by products."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (ROWS, FEATURES - 1), np.uint8)
    mean = pixels.mean(axis=0).astype(dtype)
    X = np.ones((ROWS, FEATURES), dtype)
    X[:, :-1] = pixels - mean
    rows = rng.integers(0, ROWS, 333)
    batches = rng.integers(0, ROWS, (5, 40))
    arguments = {"in-order": (X, {}), "by-index": (X, {"rows": rows}), "pixels": (pixels, {"mean": mean})}
    for classes, loss in itertools.product(CLASSES, LOSSES):
        W = (0.01 * rng.standard_normal((FEATURES, classes))).astype(dtype)
        y = rng.integers(0, classes, ROWS)
        for way in set(ways) & set(arguments):
            data, keywords = arguments[way]
            chosen = keywords.get("rows", slice(None))
            right = oracle.expected(loss, W, X[chosen], y[chosen], REG)
            for by, answer in (("one pass", False), ("products", True)):
                numba_parallel.better_by_products = lambda rows, W, answer=answer: answer
                found = getattr(numba_parallel, f"{loss}_loss")(W, data, y, REG, **keywords)
                yield f"{loss}, {dtype}, {classes} classes, {way}, {by}", right.mismatch(*found)
        if "descent" in ways:
            yield (
                f"{loss}, {dtype}, {classes} classes, descent",
                mismatch_of_descent(loss, W, X, pixels, mean, y, batches),
            )


def mismatch_of_descent(loss, W, X, pixels, mean, y, batches):
    found = numba_sgd.descend(loss, W, pixels, y, batches, 1e-4, REG, mean=mean)
    weights, losses = W.astype(np.float64), []
    for rows in batches:
        right = oracle.expected(loss, weights, X[rows].astype(np.float64), y[rows], REG)
        losses.append(right.loss)
        weights -= 1e-4 * right.dW
    off = max(np.abs(found.losses / losses - 1).max(), np.abs(found.W - weights).max() / np.abs(weights).max())
    return None if off < 1e3 * np.finfo(W.dtype).eps else f"off by {off:.1e}"


if __name__ == "__main__":
    main()
