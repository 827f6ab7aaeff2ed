"""Solvers: SGD, L-BFGS and random search on an objective. Each reports its positions and can stop at every one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cache, lru_cache, partial
from time import monotonic
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController

from lcbench.datasets.rows import READ_AHEAD, read_ahead
from lcbench.learn.objective import Buffers, Objective
from lcbench.learn.recipe import Recipe, Sampling, ScheduleName, Solver
from lcbench.settings import defaults

MAX_STEPS_PER_CALL = 1000
"""Steps per call of the compiled loop, which cannot be interrupted: 0.1 s of the assignment's protocol."""

SECONDS_PER_REPORT = 1.0
"""Time after which the other loops report, so that a checkpoint can be written."""


@dataclass(frozen=True)
class Position:
    """State of a solver after `step` steps: W (D + 1, C), and what it needs to continue."""

    step: int
    W: NDArray[Any]
    losses: NDArray[np.float64]
    """Losses of the steps since the previous position."""
    velocity: NDArray[Any] | None = None
    """Velocity of SGD, (D + 1, C)."""
    evaluate: bool = True
    """Whether the accuracies are to be evaluated here. Otherwise the caller may only checkpoint or stop."""


Report = Callable[[Position], bool]
"""Callback for each position; returns whether to continue."""


def first_weights(recipe: Recipe, shape: tuple[int, int]) -> NDArray[Any]:
    """Return the initial weights W (D + 1, C)."""
    if recipe.solver == "lbfgs":
        return np.zeros(shape, recipe.dtype)
    drawn = np.random.default_rng([recipe.seed, 0]).standard_normal(shape)
    return (recipe.initial_scale * drawn).astype(recipe.dtype)


def sgd(objective: Objective, start: Position, report: Report) -> None:
    """Run stochastic gradient descent with momentum: v <- momentum v - rate dW; W <- W + v (Polyak, 1964)."""
    recipe = objective.recipe
    descend = _descend_compiled if objective.fused else _descend
    reader = BatchReader(objective)
    rates = learning_rates(
        recipe.schedule, recipe.learning_rate, recipe.iterations, recipe.decay, recipe.decay_every
    ).astype(recipe.dtype)
    step, W, velocity = start.step, start.W, np.zeros_like(start.W) if start.velocity is None else start.velocity
    for _, last in step_ranges(start.step, recipe.iterations, recipe.report_every):
        while step < last:
            stop = min(last, step + MAX_STEPS_PER_CALL)
            batches = draw_batches(recipe.sampling, len(objective), recipe.batch, step, stop, recipe.seed)
            W, velocity, losses = descend(reader, W, velocity, batches, rates[step:stop])
            step += len(losses)
            if not report(Position(step, W, losses, velocity, evaluate=step == last)):
                return


def _descend(
    reader: BatchReader, W: NDArray[Any], velocity: NDArray[Any], batches: NDArray[np.int64], rates: NDArray[Any]
) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.float64]]:
    """Take steps for `SECONDS_PER_REPORT`, at least one; return W, the velocity and the losses."""
    W, velocity, losses, until = W.copy(), velocity.copy(), list[float](), monotonic() + SECONDS_PER_REPORT
    momentum = W.dtype.type(reader.objective.recipe.momentum)
    for objective, part in reader(batches):
        for rows in part:
            loss, dW = objective(W, rows)
            velocity *= momentum
            velocity -= rates[len(losses)] * dW
            W += velocity
            losses.append(loss)
            if monotonic() > until:
                return W, velocity, np.array(losses)
    return W, velocity, np.array(losses)


def _descend_compiled(
    reader: BatchReader, W: NDArray[Any], velocity: NDArray[Any], batches: NDArray[np.int64], rates: NDArray[Any]
) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.float64]]:
    """Take all steps in the compiled loop; return W, the velocity and the losses."""
    from lcbench.losses.numba_sgd import descend

    recipe = reader.objective.recipe
    # With V = W / m, loss_m(W) = m loss_1(V) and the gradients are equal (see `with_margin`). So a step of V is the
    # step of W divided by m.
    margin = W.dtype.type(reader.objective.margin)
    W, velocity, rates = W / margin, velocity / margin, rates / margin
    losses, step = np.empty(len(batches)), 0
    for objective, part in reader(batches):
        last = step + len(part)
        found = descend(
            recipe.loss, W, objective.X, objective.y, part, rates[step:last], recipe.reg * float(margin),
            momentum=recipe.momentum, velocity=velocity, mean=objective.mean,
        )  # fmt: skip
        W, velocity, losses[step:last], step = found.W, found.velocity, found.losses, last
    return W * margin, velocity * margin, losses * float(margin)


def lbfgs(objective: Objective, start: Position, report: Report) -> None:
    """Run SciPy's L-BFGS-B (Byrd, Lu, Nocedal & Zhu, 1995) on all rows.

    SciPy does not give out the history that approximates the Hessian. A resumed training therefore starts again from
    the initial weights, and comes to the same result.
    """
    from scipy.optimize import OptimizeResult, minimize

    recipe, shape = objective.recipe, start.W.shape
    losses: list[float] = []
    position = start

    def loss(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        value, dW = objective(flat.reshape(shape))
        return value, dW.ravel()

    def after_step(intermediate_result: OptimizeResult) -> None:
        nonlocal position
        losses.append(float(intermediate_result.fun))
        step = position.step + len(losses)
        if step % recipe.report_every == 0:
            W = intermediate_result.x.reshape(shape).astype(recipe.dtype)
            position = Position(step, W, np.array(losses))
            losses.clear()
            if not report(position):
                raise StopIteration

    with one_blas_thread(refresh=True) if objective.implementation.takes_rows else nullcontext():
        found = minimize(
            loss, start.W.astype(np.float64).ravel(), jac=True, method="L-BFGS-B", callback=after_step,
            options={"maxiter": recipe.iterations, "maxfun": 2 * recipe.iterations + 20, "maxcor": 20},
        )  # fmt: skip
    if losses:
        W = found.x.reshape(shape).astype(recipe.dtype)
        report(Position(position.step + len(losses), W, np.array(losses)))


def random_search(objective: Objective, start: Position, report: Report) -> None:
    """Draw random weights with the scale of the initial ones; keep the best by the loss on one fixed sample of rows."""
    recipe = objective.recipe
    size = min(recipe.batch, len(objective))
    sample = np.random.default_rng([recipe.seed, 3]).choice(len(objective), size, replace=False)
    objective, rows = objective.subset(sample), np.arange(size)
    best, least = start.W, objective(start.W, rows)[0]
    step = start.step
    for _, last in step_ranges(start.step, recipe.iterations, recipe.report_every):
        while step < last:
            losses, until = list[float](), monotonic() + SECONDS_PER_REPORT
            while step < last:
                drawn = np.random.default_rng([recipe.seed, 4, step]).standard_normal(best.shape)
                W = (recipe.initial_scale * drawn).astype(recipe.dtype)
                loss = objective(W, rows)[0]
                if loss < least:
                    best, least = W, loss
                losses.append(least)
                step += 1
                if monotonic() > until:
                    break
            if not report(Position(step, best, np.array(losses), evaluate=step == last)):
                return


SOLVERS: dict[Solver, Callable[[Objective, Position, Report], None]] = {
    "sgd": sgd,
    "lbfgs": lbfgs,
    "random": random_search,
}


def warm_up(objective: Objective, start: Position) -> None:
    """Call once what the solver will call, without effect, so that it is compiled before the first step."""
    recipe = objective.recipe
    if objective.streamed:
        objective = objective.subset(np.arange(min(objective.block_rows, len(objective))))
    if recipe.solver == "lbfgs":
        objective(start.W.astype(np.float64))
    elif recipe.solver == "sgd" and objective.fused:
        no_steps = np.empty((0, recipe.batch), np.int64)
        _descend_compiled(BatchReader(objective), start.W, start.W, no_steps, np.empty(0, recipe.dtype))
    else:
        objective(start.W, np.arange(recipe.batch) % len(objective))


def learning_rates(
    schedule: ScheduleName,
    first: float,
    iterations: int,
    decay: float = defaults(Recipe)["decay"],
    decay_every: int = defaults(Recipe)["decay_every"],
) -> NDArray[np.float64]:
    """Return the learning rate of each step: (iterations,) float64, starting with `first`.

    step: multiplied by `decay` after every `decay_every` steps. linear: decreases linearly to 0 after the last step.
    cosine: decreases to 0 along half a period of the cosine (Loshchilov & Hutter, "SGDR", 2017, without restarts).
    """
    step = np.arange(iterations)
    if schedule == "step":
        return np.asarray(first * decay ** (step // decay_every), np.float64)
    done = step / iterations
    if schedule == "linear":
        return first * (1 - done)
    if schedule == "cosine":
        return first * (1 + np.cos(np.pi * done)) / 2
    return np.full(iterations, first, np.float64)


def step_ranges(first: int, last: int, length: int) -> list[tuple[int, int]]:
    """Return the steps first..last as consecutive ranges that end at multiples of `length`, and at `last`."""
    ends = [*range((first // length + 1) * length, last, length), last]
    return [(start, end) for start, end in zip([first, *ends[:-1]], ends, strict=True) if start < end]


# Batches: their rows depend on the seed and the step only, so that training can resume at any step.

STEPS_PER_STREAM = 50
"""Steps whose rows are drawn from one random generator, which has a seed of its own."""


def draw_batches(sampling: Sampling, rows: int, batch: int, start: int, stop: int, seed: int) -> NDArray[np.int64]:
    """Return the row numbers of the steps start..stop: (stop - start, batch) int64 in [0, rows).

    replacement: each row is drawn independently. shuffle: all rows in a random order, then all in another one; a batch
    may extend into the next epoch.
    """
    if sampling == "replacement":
        streams = range(start // STEPS_PER_STREAM, -(-stop // STEPS_PER_STREAM))
        drawn = [np.random.default_rng([seed, 1, k]).integers(0, rows, (STEPS_PER_STREAM, batch)) for k in streams]
        return np.concatenate(drawn)[start - streams.start * STEPS_PER_STREAM :][: stop - start]
    first, last = start * batch, stop * batch
    epochs = range(first // rows, -(-last // rows))
    parts = [_order(rows, epoch, seed)[max(0, first - epoch * rows) : max(0, last - epoch * rows)] for epoch in epochs]
    return np.concatenate(parts).reshape(stop - start, batch)


@lru_cache(2)
def _order(rows: int, epoch: int, seed: int) -> NDArray[np.int64]:
    """Return the order of the rows in an epoch. Cached, as shuffling millions of rows for every few steps is slow."""
    return np.random.default_rng([seed, 2, epoch]).permutation(rows)


READ_BYTES = 6_000_000
"""Bytes of rows to read at a time, if a step does not need more: small enough to stay in the cache until used."""

CHUNKED_READ_BYTES = 32_000_000
"""Bytes read at once from chunked files, where HDF5 reads whole chunks: a larger read uses more rows of each chunk."""


class BatchReader:
    """Reader of the rows of batches, a few batches at a time and ahead of their use."""

    def __init__(self, objective: Objective) -> None:
        self.objective = objective
        self._buffers = [Buffers() for _ in range(READ_AHEAD + 1)]

    def __call__(self, batches: NDArray[np.int64]) -> Iterator[tuple[Objective, NDArray[np.int64]]]:
        """Yield the batches (S, B) in parts, each with an objective in memory whose rows they number.

        For rows in memory, that is the objective itself with all batches at once. Rows on disk are read while the
        previous batches are in use: each row once per part, in the order of the file. Their memory is then reused.
        """
        if not self.objective.streamed:
            yield self.objective, batches
            return
        size = CHUNKED_READ_BYTES if getattr(self.objective.X, "in_chunks", False) else READ_BYTES
        steps = max(1, size // (batches.shape[1] * self.objective.row_bytes))
        parts = (batches[first : first + steps] for first in range(0, len(batches), steps))
        yield from read_ahead(
            partial(self._read, part, self._buffers[number % len(self._buffers)]) for number, part in enumerate(parts)
        )

    def _read(self, batches: NDArray[np.int64], buffers: Buffers) -> tuple[Objective, NDArray[np.int64]]:
        rows, places = np.unique(batches, return_inverse=True)
        return self.objective.subset(rows, buffers), places.reshape(batches.shape)


@cache
def _thread_pools() -> ThreadpoolController:
    return ThreadpoolController()


def one_blas_thread(refresh: bool = False) -> Any:
    """Return a context in which BLAS uses the calling thread only.

    The threads of a BLAS keep spinning for 0.1 s after a product, on cores that a compiled kernel needs next.
    refresh: find the BLAS libraries anew, as one may have been imported since; this takes a millisecond.
    """
    if refresh:
        _thread_pools.cache_clear()
    return _thread_pools().limit(limits=1, user_api="blas")
