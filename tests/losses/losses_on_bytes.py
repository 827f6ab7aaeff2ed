"""Losses on pixels by the unit that LCBENCH_INT8 names, against the oracle.

python tests/losses/losses_on_bytes.py [few]

Print, as JSON, what is wrong in each case, and the number of cases. `few`: cases that are fast without the JIT.
"""

import json
import sys

import numpy as np

from lcbench.losses import int8, numba_sgd, oracle, pixels, vectorized

FEW = ((1, 1, 2), (13, 64, 3), (50, 65, 5))
ALL = (*FEW, (300, 75, 10), (200, 3072, 10), (130, 128, 64), (1000, 70, 12), (140, 260, 127))


def main() -> None:
    few = "few" in sys.argv
    pixels.MIN_PRODUCTS_PER_THREAD = 1
    wrong, count = {}, 0
    for rows, features, classes in FEW if few else ALL:
        for bias in (False, True):
            for centred in (False, True):
                for by_index in (False, True):
                    for fill in (None, 0, 255):
                        for loss in ("svm", "softmax"):
                            found = mismatch(loss, rows, features, classes, bias, centred, by_index, fill)
                            count += 1
                            if found:
                                wrong[str((loss, rows, features, classes, bias, centred, by_index, fill))] = found
    for loss in ("svm", "softmax"):
        for momentum in (0.0, 0.9):
            found = mismatch_of_descent(loss, momentum, 5 if few else 30)
            count += 1
            if found:
                wrong[f"descent, {loss}, momentum {momentum}"] = found
    if not few:
        # int32 sums over so many rows overflow unless they are flushed.
        for loss in ("svm", "softmax"):
            found = mismatch(loss, 1_000_000, 3, 2, True, True, False, 255)
            found = found or mismatch(loss, 1_000_000, 3, 2, False, False, False, 255)
            count += 1
            if found:
                wrong[f"{loss}, 1,000,000 rows of 255"] = found
            found = mismatch_of_descent(loss, 0.0, 3, features=3, batch=140_000, rate=1e-4)
            count += 1
            if found:
                wrong[f"descent, {loss}, batches of 140,000 rows"] = found
        wrong |= not_finite()
    print(json.dumps({"unit": int8.UNIT.name if int8.UNIT else "", "cases": count, "wrong": wrong}))


def problem(rows, features, classes, bias, fill=None):
    """Return W, X and y."""
    rng = np.random.default_rng(rows)
    X = rng.integers(0, 256, (rows, features), np.uint8) if fill is None else np.full((rows, features), fill, np.uint8)
    W = (0.002 * rng.normal(0, 1, (features + bias, classes))).astype(np.float32)
    W[:, -1] *= 1000  # each class has digits of its own size
    return W, X, rng.integers(0, classes, rows)


def mismatch(loss, rows, features, classes, bias, centred, by_index, fill):
    """Return what is wrong, or None."""
    W, X, y = problem(rows, features, classes, bias, fill)
    mean = X.mean(axis=0).astype(np.float32) if centred else None
    order = np.arange(rows - 1, -1, -2) if by_index else np.empty(0, np.int64)
    value, dW, bad = pixels.one_pass(W, X, y, 0.1, loss == "svm", order, mean)
    selected = X.astype(np.float64) - (0.0 if mean is None else mean.astype(np.float64))
    if bias:
        selected = np.hstack([selected, np.ones((rows, 1))])
    if order.size:
        selected, y = selected[order], y[order]
    return oracle.expected(loss, W, selected.astype(np.float32), y, 0.1).mismatch(value, dW) or (
        f"bad {bad}" if bad != -1 else None
    )


def mismatch_of_descent(loss, momentum, steps, features=70, batch=40, rate=1e-6):
    """Return in what SGD on pixels differs from SGD by NumPy in float64 on the pixels minus the mean, or None."""
    W, X, y = problem(max(200, batch), features, 7, True)
    mean = X.mean(axis=0).astype(np.float32)
    design = np.hstack([X - mean.astype(np.float64), np.ones((len(X), 1))])
    batches = np.random.default_rng(0).integers(0, len(X), (steps, batch))
    found = numba_sgd.descend(loss, W, X, y, batches, rate, 0.1, momentum=momentum, mean=mean)
    W, velocity, losses = W.astype(np.float64), np.zeros(W.shape), []
    for rows in batches:
        value, dW = getattr(vectorized, f"{loss}_loss")(W, design[rows], y[rows], 0.1)
        losses.append(value)
        velocity = momentum * velocity - rate * dW
        W += velocity
    for name, b in (("W", W), ("velocity", velocity), ("losses", np.array(losses))):
        a = getattr(found, name)
        if not np.abs(a - b).max() <= 2e-6 * np.abs(b).max():
            return name
    return None


def not_finite():
    """Return what is wrong with weights that are not finite, and with bad labels and rows."""
    wrong = {}
    for number in (np.nan, np.inf, -np.inf):
        W, X, y = problem(100, 75, 10, True)
        W[3, 4] = number
        bad = pixels.one_pass(W, X, y, 0.1, True, np.empty(0, np.int64), None)[2]
        if bad != pixels.NOT_FINITE:
            wrong[f"weight {number}"] = bad
    W, X, y = problem(500, 75, 10, True)
    y[77] = 10
    if pixels.one_pass(W, X, y, 0.1, False, np.empty(0, np.int64), None)[2] != 77:
        wrong["label"] = "not found"
    order = np.arange(500)
    order[400] = 500
    y[77] = 0
    if pixels.one_pass(W, X, y, 0.1, False, order, None)[2] != 400:
        wrong["row"] = "not found"
    return wrong


if __name__ == "__main__":
    main()
