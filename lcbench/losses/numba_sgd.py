"""Stochastic gradient descent as one compiled loop: the weights stay transposed and every batch is read in place.

A step of 200 rows takes less time than Python needs to prepare one, so the whole loop is compiled. All threads run it,
each with its own share of every batch and of the weights. They wait for each other at two barriers in each step::

    share of the batch --> own Gt (C', D')  | barrier |  own columns of Wt -= learning rate * sum of all Gt  | barrier |

A batch is given by row indices, since gathering X[rows] first would take as long as the step itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lcbench.losses import jit, pixels, simd
from lcbench.losses.implementation import LOSSES, LossName
from lcbench.losses.numba_parallel import Workspace, add_up_rows, check_arrays, interleave
from lcbench.losses.threads import barrier, begin, leave, share, team

LEAST_ROWS = 8
"""Least number of rows of a batch of pixels for each thread."""


@dataclass(frozen=True)
class Descent:
    """Result of `descend`.

    W (D, C): weights after the last step. velocity (D, C): velocity after the last step. losses (steps,) float64: loss
    of each batch before its step, with regularisation.
    """

    W: NDArray[Any]
    velocity: NDArray[Any]
    losses: NDArray[np.float64]


def descend(
    loss: LossName,
    W: NDArray[Any],
    X: NDArray[Any],
    y: NDArray[Any],
    batches: NDArray[Any],
    learning_rate: ArrayLike,
    reg: float,
    *,
    momentum: float = 0.0,
    velocity: NDArray[Any] | None = None,
    mean: NDArray[Any] | None = None,
) -> Descent:
    """Return the weights after one step for each batch.

    A step is v <- momentum * v - learning_rate * dW; W <- W + v (Polyak, 1964).

    W (D, C), X (N, D), y (N,), `mean` and a bias are as in `numba_parallel.svm_loss`. No input is changed.
    batches (steps, B) integers: rows of each step.
    learning_rate: one number, or one for each step.
    velocity (D, C): velocity at the start, by default zeros.

    Raise ValueError if the shapes do not match or a label is not in [0, C), IndexError if a row is not in [0, N).
    Weights beyond the range of their dtype become inf or NaN, which then appear in the losses.
    """
    if loss not in LOSSES:
        raise ValueError(f"no loss {loss!r}: there are {' and '.join(LOSSES)}")
    X, reg, momentum = np.asarray(X), float(reg), float(momentum)
    batches = np.asarray(batches)
    if batches.ndim != 2 or batches.shape[1] < 1 or batches.dtype.kind not in "iu":
        raise ValueError(f"batches must be (steps, B) row indices, not {batches.shape} {batches.dtype}")
    steps, batch = batches.shape
    W = np.ascontiguousarray(W)
    velocity = np.zeros_like(W) if velocity is None else np.array(velocity, W.dtype, order="C")
    if velocity.shape != W.shape:
        raise ValueError(f"velocity {velocity.shape} must have W's shape {W.shape}")
    rates = np.asarray(learning_rate, W.dtype)
    if rates.shape not in ((), (steps,)):
        raise ValueError(f"learning_rate {rates.shape} must be one number, or one for each of {steps} steps")
    rates = np.broadcast_to(rates, steps)
    check_arrays(W, X, y, None, mean)
    y = np.ascontiguousarray(y, np.int64)
    mean = None if mean is None else np.ascontiguousarray(mean, W.dtype)
    if batches.size and (batches.min() < 0 or batches.max() >= len(X)):
        raise IndexError(f"batches name rows {batches.min()}..{batches.max()}, X has 0..{len(X) - 1}")
    if y.min() < 0 or y.max() >= W.shape[1]:
        raise ValueError(f"labels go from {y.min()} to {y.max()}, classes from 0 to {W.shape[1] - 1}")

    if pixels.suits(W, X):
        return _descend_on_pixels(loss == "svm", W, X, y, batches, rates, reg, momentum, velocity, mean)
    work = Workspace(W, X, batch, mean)
    mean = np.zeros(X.shape[1], W.dtype) if mean is None else mean
    orders = _orders(batches, work.threads)
    plain = work.Gt.shape[1:]
    weights, Vt = simd.aligned(plain, W.dtype), simd.aligned(plain, W.dtype)
    result, sums = np.empty_like(W), np.empty((steps, work.threads, 2))
    threads, crew = work.threads, team(work.threads)
    words = crew.words

    def part(thread: int) -> None:
        _descend(
            thread, threads, words, loss == "svm", W, X, y, orders[thread], batch, rates, reg, momentum, velocity, mean,
            weights, Vt, work.Wt, work.scores, work.labels, work.parts, work.panels, work.packed, work.Gt, work.totals,
            sums, result,
        )  # fmt: skip

    crew.run(part)
    return Descent(result, velocity, sums[:, :, 0].sum(axis=1) / batch + reg * sums[:, :, 1].sum(axis=1))


def _orders(batches: NDArray[Any], threads: int) -> list[NDArray[np.int64]]:
    """Return the rows of each thread, its shares of all batches.

    They are contiguous, so that at the end of a step a thread can prefetch the rows of the next one.
    """
    steps, batch = batches.shape
    shares = [share(thread, threads, batch) for thread in range(threads)]
    return [np.array(batches[:, start:stop], np.int64).reshape(steps * (stop - start)) for start, stop in shares]


@jit.compiled
def _descend(
    thread: int, threads: int, words: NDArray[Any], hinge: bool, W: NDArray[Any], X: NDArray[Any], y: NDArray[Any],
    order: NDArray[Any], batch: int, rates: NDArray[Any], reg: float, momentum: float, velocity: NDArray[Any],
    mean: NDArray[Any], weights: NDArray[Any], Vt: NDArray[Any], Wt: NDArray[Any], scores: NDArray[Any],
    labels: NDArray[Any], parts: NDArray[Any], panels: NDArray[Any], packed: Any, Gt: NDArray[Any],
    totals: NDArray[Any], sums: NDArray[Any], result: NDArray[Any],
) -> None:  # fmt: skip
    """Compute a thread's share of each batch, then of the weights.

    weights (C', D') and Vt (C', D'): W and velocity transposed. Wt: the weights as the scores read them.
    """
    begin(words, thread)
    features, classes = W.shape
    first, end = share(thread, threads, Gt.shape[2])
    last = min(end, features)
    pixels.transpose(W, features, first, end, weights)
    pixels.transpose(velocity, features, first, end, Vt)
    interleave(W, first, end, Wt)
    barrier(words, threads)
    steps = rates.size
    rows = order.size // max(1, steps)
    for step in range(steps):
        start, stop = step * rows, (step + 1) * rows
        add_up_rows(
            X, y, order, mean, start, stop, order.size - 1, Wt, classes, hinge, scores[thread], labels[thread],
            parts[thread], panels[thread], thread, packed, Gt[thread], totals[thread], sums[step, thread],
        )  # fmt: skip
        barrier(words, threads)
        sums[step, thread, 1] = _step(Gt, batch, rates[step], reg, momentum, classes, first, last, weights, Vt)
        interleave(weights.T, first, last, Wt)
        barrier(words, threads)
    for f in range(first, last):
        for c in range(classes):
            result[f, c] = weights[c, f]
            velocity[f, c] = Vt[c, f]
    leave(words, thread, threads)


@jit.internal
def _step(
    Gt: NDArray[Any], rows: int, rate: float, reg: float, momentum: float, classes: int, first: int, last: int,
    Wt: NDArray[Any], Vt: NDArray[Any],
) -> float:  # fmt: skip
    """Update columns first..last of Wt and Vt (C', D'). Return sum(W * W) of these columns before the update."""
    number = Wt.dtype.type
    mean, twice_reg, kept = number(1.0 / rows), number(2.0 * reg), number(momentum)
    squares = 0.0
    for c in range(classes):
        total, weights, velocity = Gt[0, c, first:last], Wt[c, first:last], Vt[c, first:last]
        for thread in range(1, Gt.shape[0]):
            addend = Gt[thread, c, first:last]
            for f in range(total.size):
                total[f] += addend[f]
        square = number(0)
        for f in range(total.size):
            square += weights[f] * weights[f]
            velocity[f] = kept * velocity[f] - rate * (total[f] * mean + twice_reg * weights[f])
            weights[f] += velocity[f]
        squares += square
    return squares


def _descend_on_pixels(
    hinge: bool, W: NDArray[Any], X: NDArray[Any], y: NDArray[Any], batches: NDArray[Any], rates: NDArray[Any],
    reg: float, momentum: float, velocity: NDArray[Any], mean: NDArray[Any] | None,
) -> Descent:  # fmt: skip
    """Return the descent on uint8 rows by products of bytes. The weights are cut into digits in each step."""
    steps, batch = batches.shape
    # The threads are awake, and share the work on the weights, too.
    work = pixels.Workspace(W, X, batch, hinge, threads=max(1, min(jit.thread_count(), batch // LEAST_ROWS)))
    orders = _orders(batches, work.threads)
    centre = np.zeros(X.shape[1], W.dtype) if mean is None else mean
    Vt, bias, result = np.zeros_like(work.Wt), W[X.shape[1] :].copy(), np.empty_like(W)
    sums = np.empty((steps, work.threads, 2))
    threads, crew = work.threads, team(work.threads)
    words = crew.words

    def part(thread: int) -> None:
        _pixel_steps(
            thread, threads, words, hinge, W, X, y, orders[thread], batch, rates, reg, momentum, velocity, centre,
            work.Wt, Vt, bias, work.digits, work.Wq, work.most, work.products, work.rows, work.quads, work.S, work.s,
            work.dq, work.G, work.exact, work.labels, work.counted, work.loss, sums, result,
        )  # fmt: skip

    crew.run(part)
    return Descent(result, velocity, sums[:, :, 0].sum(axis=1) / batch + reg * sums[:, :, 1].sum(axis=1))


@jit.compiled
def _pixel_steps(
    thread: int, threads: int, words: NDArray[Any], hinge: bool, W: NDArray[Any], X: NDArray[Any], y: NDArray[Any],
    order: NDArray[Any], batch: int, rates: NDArray[Any], reg: float, momentum: float, velocity: NDArray[Any],
    mean: NDArray[Any], Wt: NDArray[Any], Vt: NDArray[Any], bias: NDArray[Any], digits: NDArray[Any], Wq: NDArray[Any],
    most: NDArray[Any], products: NDArray[Any], block: NDArray[Any], quads: NDArray[Any],
    S: NDArray[Any], s: NDArray[Any], dq: NDArray[Any], G: NDArray[Any], exact: NDArray[Any], labels: NDArray[Any],
    counted: NDArray[Any], loss: NDArray[Any], sums: NDArray[Any], result: NDArray[Any],
) -> None:  # fmt: skip
    """Compute a thread's share of each batch, then of the weights."""
    begin(words, thread)
    features, classes = X.shape[1], W.shape[1]
    first, end = pixels.share_of_groups(thread, threads, Wt.shape[1])
    pixels.transpose(W, features, first, end, Wt)
    pixels.transpose(velocity, features, first, end, Vt)
    steps = rates.size
    rows = order.size // max(1, steps)
    for step in range(steps):
        pixels.measure(Wt, features, first, end, most[thread])
        barrier(words, threads)
        pixels.cut(Wt, mean, features, first, end, most, digits, Wq, products[thread])
        barrier(words, threads)
        pixels.add_up_rows(
            X, y, order, step * rows, (step + 1) * rows, order.size - 1, bias, hinge, Wq, most, products, block[thread],
            quads[thread], S[thread], s[thread], dq[thread], G[thread], exact[thread], labels[thread], counted[thread],
            loss[thread],
        )  # fmt: skip
        sums[step, thread, 0] = loss[thread, 0]
        barrier(words, threads)
        last = end == Wt.shape[1]
        sums[step, thread, 1] = _pixel_step(
            G, exact, counted, hinge, batch, rates[step], reg, momentum, mean, first, min(end, features), last, Wt, Vt,
            bias, velocity[features:],
        )  # fmt: skip
    barrier(words, threads)  # the last thread changes the bias, which all have read by now
    for f in range(first, min(end, features)):
        for c in range(classes):
            result[f, c] = Wt[c, f]
            velocity[f, c] = Vt[c, f]
    if thread == 0:
        for k in range(bias.shape[0]):
            for c in range(classes):
                result[features + k, c] = bias[k, c]
    leave(words, thread, threads)


@jit.internal
def _pixel_step(
    G: NDArray[Any], exact: NDArray[Any], counted: NDArray[Any], hinge: bool, rows: int, rate: float, reg: float,
    momentum: float, mean: NDArray[Any], first: int, end: int, last: bool, Wt: NDArray[Any], Vt: NDArray[Any],
    bias: NDArray[Any], bias_velocity: NDArray[Any],
) -> float:  # fmt: skip
    """Update columns first..end of Wt and Vt (C, F') and, if `last`, the bias. Return sum(W * W) before the update."""
    number, classes = Wt.dtype.type, Wt.shape[0]
    one_over_rows, twice_reg, kept = number(1.0 / rows), number(2.0 * reg), number(momentum)
    totals, gradient = np.empty((pixels.DIGITS, pixels.GROUP), np.int64), np.empty(pixels.GROUP)
    counts = np.empty(classes)
    pixels.count(counted, hinge, counts)
    squares = 0.0
    for c in range(classes):
        square = number(0)
        for group in range(first, end, pixels.GROUP):
            pixels.add_threads(G, exact, c, classes, group, hinge, totals, gradient)
            weights, velocity = Wt[c, group:end], Vt[c, group:end]
            for f in range(min(pixels.GROUP, end - group)):
                total = number(gradient[f] - mean[group + f] * counts[c])
                square += weights[f] * weights[f]
                velocity[f] = kept * velocity[f] - rate * (total * one_over_rows + twice_reg * weights[f])
                weights[f] += velocity[f]
        if last:
            for k in range(bias.shape[0]):
                weight = bias[k, c]
                square += weight * weight
                change = kept * bias_velocity[k, c] - rate * (number(counts[c]) * one_over_rows + twice_reg * weight)
                bias_velocity[k, c] = change
                bias[k, c] = weight + change
        squares += square
    return squares
