"""Program that computes the losses for the processor given by NUMBA_CPU_NAME and NUMBA_CPU_FEATURES.

The arguments select what to compute: in-order, by-index, pixels, descent. Output, as JSON: number of comparisons,
mismatches, and the machine code of one pass by dtype.
"""

import itertools
import json
import sys

import numpy as np

from lcbench.losses import jit, numba_parallel, numba_sgd, oracle

ROWS, FEATURES, REG = 601, 70, 0.1
CLASSES = (3, 10, 13)  # a narrow gradient tile, a wide tile, one of each
LOSSES = ("svm", "softmax")


def main():
    numba_parallel.MIN_FLOPS_PER_THREAD = 1
    jit.thread_count = lambda: 2
    forms = sys.argv[1:]
    found = dict(comparison for dtype in ("float32", "float64") for comparison in comparisons(dtype, forms))
    assembly = {"float32": "", "float64": ""}
    for signature, code in numba_parallel._pass.inspect_asm().items():
        assembly[str(signature[3].dtype)] += code
    wrong = {name: mismatch for name, mismatch in found.items() if mismatch}
    print(json.dumps({"compared": len(found), "wrong": wrong, "assembly": assembly}))


def comparisons(dtype, forms):
    """Yield name and mismatch for every loss, by one pass and by two products, and for the descent."""
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
        for form in set(forms) & set(arguments):
            data, keywords = arguments[form]
            selected = keywords.get("rows", slice(None))
            expected = oracle.expected(loss, W, X[selected], y[selected], REG)
            for by, answer in (("one pass", False), ("products", True)):
                numba_parallel.prefer_two_products = lambda *_, answer=answer: answer
                found = getattr(numba_parallel, f"{loss}_loss")(W, data, y, REG, **keywords)
                yield f"{loss}, {dtype}, {classes} classes, {form}, {by}", expected.mismatch(*found)
        if "descent" in forms:
            yield (
                f"{loss}, {dtype}, {classes} classes, descent",
                mismatch_of_descent(loss, W, X, pixels, mean, y, batches),
            )


def mismatch_of_descent(loss, W, X, pixels, mean, y, batches):
    found = numba_sgd.descend(loss, W, pixels, y, batches, 1e-4, REG, mean=mean)
    weights, losses = W.astype(np.float64), []
    for rows in batches:
        expected = oracle.expected(loss, weights, X[rows].astype(np.float64), y[rows], REG)
        losses.append(expected.loss)
        weights -= 1e-4 * expected.dW
    error = max(np.abs(found.losses / losses - 1).max(), np.abs(found.W - weights).max() / np.abs(weights).max())
    return None if error < 1e3 * np.finfo(W.dtype).eps else f"off by {error:.1e}"


if __name__ == "__main__":
    main()
