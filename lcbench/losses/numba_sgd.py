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

from lcbench.losses import int8, jit, pixels, simd
from lcbench.losses.implementation import LOSSES, LossName
from lcbench.losses.numba_parallel import Workspace, add_up_rows, check_arrays, interleave, readable
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
    X, source, mean = readable(W, X, mean)
    orders = _orders(batches, work.threads)
    weights, Vt = _transposed(W), _transposed(velocity)
    sums = np.empty((steps, work.threads, 2))
    threads, crew = work.threads, team(work.threads)
    words = crew.words

    def part(thread: int) -> None:
        _descend(
            thread, threads, words, loss == "svm", W, X, source, y, orders[thread], batch, rates, reg, momentum, mean,
            weights, Vt, work.Wt, work.scores, work.labels, work.later, work.parts, work.panels, work.packed, work.Gt,
            work.totals, sums,
        )  # fmt: skip

    crew.run(part)
    return Descent(
        np.ascontiguousarray(weights.T), np.ascontiguousarray(Vt.T),
        sums[:, :, 0].sum(axis=1) / batch + reg * sums[:, :, 1].sum(axis=1),
    )  # fmt: skip


def _transposed(W: NDArray[Any]) -> NDArray[Any]:
    """Return W (D, C) transposed, (C, D)."""
    Wt = simd.aligned(W.T.shape, W.dtype)
    Wt[:] = W.T
    return Wt


def _orders(batches: NDArray[Any], threads: int) -> list[NDArray[np.int64]]:
    """Return the rows of each thread, its shares of all batches.

    They are contiguous, so that at the end of a step a thread can prefetch the rows of the next one.
    """
    steps, batch = batches.shape
    shares = [share(thread, threads, batch) for thread in range(threads)]
    return [np.array(batches[:, start:stop], np.int64).reshape(steps * (stop - start)) for start, stop in shares]


@jit.kernel
def _descend(
    thread: int, threads: int, words: NDArray[Any], hinge: bool, W: NDArray[Any], X: NDArray[Any],
    source: NDArray[Any], y: NDArray[Any], order: NDArray[Any], batch: int, rates: NDArray[Any], reg: float,
    momentum: float, mean: NDArray[Any], weights: NDArray[Any], Vt: NDArray[Any], Wt: NDArray[Any],
    scores: NDArray[Any], labels: NDArray[Any], later: NDArray[Any], parts: NDArray[Any], panels: NDArray[Any],
    packed: NDArray[Any], Gt: NDArray[Any], totals: NDArray[Any], sums: NDArray[Any],
) -> None:  # fmt: skip
    """Compute a thread's share of each batch, then of the weights.

    weights (C, D) and Vt (C, D): W and velocity transposed. Wt: the weights as the scores read them.
    """
    begin(words, thread)
    classes, features = weights.shape
    first, end = share(thread, threads, Gt.shape[2], simd.VECTOR_BYTES // W.itemsize)
    last = min(end, features)
    interleave(weights.T, first, end, Wt)
    barrier(words, threads)
    steps = rates.size
    rows = order.size // max(1, steps)
    for step in range(steps):
        start, stop = step * rows, (step + 1) * rows
        add_up_rows(
            X, source, y, order, mean, start, stop, order.size - 1, Wt, classes, hinge, scores[thread], labels[thread],
            later[thread], parts[thread], panels[thread], packed[thread], Gt[thread], totals[thread],
            sums[step, thread],
        )  # fmt: skip
        barrier(words, threads)
        sums[step, thread, 1] = _step(Gt, batch, rates[step], reg, momentum, first, last, weights, Vt)
        interleave(weights.T, first, end, Wt)
        barrier(words, threads)
    leave(words, thread, threads)


@jit.inlined
def _step(
    Gt: NDArray[Any], rows: int, rate: float, reg: float, momentum: float, first: int, last: int, Wt: NDArray[Any],
    Vt: NDArray[Any],
) -> float:  # fmt: skip
    """Update columns first..last of Wt and Vt (C, D). Return sum(W * W) of these columns before the update."""
    number = Wt.dtype.type
    mean, twice_reg, kept = number(1.0 / rows), number(2.0 * reg), number(momentum)
    squares = 0.0
    for c in range(Wt.shape[0]):
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
    orders, centre = _orders(batches, work.threads), pixels.ordered_mean(mean, work)
    features, wide = X.shape[1], work.Wt.shape[1]
    work.Wt[:], bias = pixels.in_gradient_order(W[:features].T, wide), W[features:].copy()
    Vt, bias_velocity = pixels.in_gradient_order(velocity[:features].T, wide), velocity[features:]
    sums = np.empty((steps, work.threads, 2))
    threads, crew = work.threads, team(work.threads)
    words = crew.words

    def part(thread: int) -> None:
        _pixel_steps(
            thread, threads, words, hinge, X, y, orders[thread], batch, rates, reg, momentum, centre, work.Wt, Vt,
            bias, bias_velocity, work.digits, work.Wq, work.most, work.products, work.constants, work.rows, work.quads,
            work.S, work.s, work.dq, work.G, work.exact, work.labels, work.counted, work.counts, work.sums, work.loss,
            sums,
        )  # fmt: skip

    crew.run(part)
    # The order of G is its own inverse.
    W, velocity = (
        np.concatenate((pixels.in_gradient_order(columns, wide)[:, :features].T, last))
        for columns, last in ((work.Wt, bias), (Vt, bias_velocity))
    )
    return Descent(W, velocity, sums[:, :, 0].sum(axis=1) / batch + reg * sums[:, :, 1].sum(axis=1))


@jit.kernel
def _pixel_steps(
    thread: int, threads: int, words: NDArray[Any], hinge: bool, X: NDArray[Any], y: NDArray[Any],
    order: NDArray[Any], batch: int, rates: NDArray[Any], reg: float, momentum: float, mean: NDArray[Any],
    Wt: NDArray[Any], Vt: NDArray[Any], bias: NDArray[Any], bias_velocity: NDArray[Any], digits: NDArray[Any],
    Wq: NDArray[Any], most: NDArray[Any], products: NDArray[Any], constants: NDArray[Any], block: NDArray[Any],
    quads: NDArray[Any], S: NDArray[Any], s: NDArray[Any], dq: NDArray[Any], G: NDArray[Any], exact: NDArray[Any],
    labels: NDArray[Any], counted: NDArray[Any], counts: NDArray[Any], gradient: NDArray[Any], loss: NDArray[Any],
    sums: NDArray[Any],
) -> None:  # fmt: skip
    """Compute a thread's share of each batch, then of the weights.

    Wt (C, F'), Vt (C, F') and mean (F',) are in the order of G; bias and its velocity are (0 or 1, C).
    """
    begin(words, thread)
    first, end = share(thread, threads, Wt.shape[1], int8.GROUP)
    steps = rates.size
    rows = order.size // max(1, steps)
    for step in range(steps):
        pixels.measure(Wt, first, end, most[thread])
        barrier(words, threads)
        pixels.cut(Wt, mean, first, end, most, digits, Wq, products[thread])
        barrier(words, threads)
        pixels.clear(dq[thread], G[thread], exact[thread], counted[thread])
        pixels.add_up_rows(
            X, y, order, step * rows, (step + 1) * rows, order.size - 1, 0, bias, hinge, Wq, most, products,
            constants[thread], block[thread], quads[thread], S[thread], s[thread], dq[thread], G[thread], exact[thread],
            labels[thread], counted[thread], loss[thread],
        )  # fmt: skip
        sums[step, thread, 0] = loss[thread, 0]
        barrier(words, threads)
        sums[step, thread, 1] = _pixel_step(
            G, exact, counted, hinge, batch, rates[step], reg, momentum, mean, first, end, counts[thread],
            gradient[thread], Wt, Vt,
        )  # fmt: skip
        if thread == 0:  # all have read the bias by now
            sums[step, thread, 1] += _bias_step(counts[0], batch, rates[step], reg, momentum, bias, bias_velocity)
    leave(words, thread, threads)


@jit.inlined
def _pixel_step(
    G: NDArray[Any], exact: NDArray[Any], counted: NDArray[Any], hinge: bool, rows: int, rate: float, reg: float,
    momentum: float, mean: NDArray[Any], first: int, end: int, counts: NDArray[Any], gradient: NDArray[Any],
    Wt: NDArray[Any], Vt: NDArray[Any],
) -> float:  # fmt: skip
    """Update columns first..end of Wt and Vt (C, F'). Return sum(W * W) of these columns before the update.

    counts (C,) becomes the sums of the gradient with respect to the scores. gradient (F',) is work memory.
    """
    number = Wt.dtype.type
    one_over_rows, twice_reg, kept = number(1.0 / rows), number(2.0 * reg), number(momentum)
    pixels.count(counted, hinge, counts)
    squares = 0.0
    for c in range(Wt.shape[0]):
        square = number(0)
        pixels.add_threads(G, exact, c, Wt.shape[0], first, end, hinge, gradient)
        weights, velocity, total, centre = Wt[c, first:end], Vt[c, first:end], gradient[first:end], mean[first:end]
        for p in range(weights.size):
            slope = number(total[p] - centre[p] * counts[c])
            square += weights[p] * weights[p]
            velocity[p] = kept * velocity[p] - rate * (slope * one_over_rows + twice_reg * weights[p])
            weights[p] += velocity[p]
        squares += square
    return squares


@jit.inlined
def _bias_step(
    counts: NDArray[Any], rows: int, rate: float, reg: float, momentum: float, bias: NDArray[Any],
    velocity: NDArray[Any],
) -> float:  # fmt: skip
    """Update bias and its velocity (0 or 1, C). Return the sum of the squares of the bias before the update."""
    squares = 0.0
    for k in range(bias.shape[0]):
        for c in range(bias.shape[1]):
            weight = bias[k, c]
            squares += weight * weight
            velocity[k, c] = momentum * velocity[k, c] - rate * (counts[c] / rows + 2 * reg * weight)
            bias[k, c] = weight + velocity[k, c]
    return squares
