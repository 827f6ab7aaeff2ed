"""BLAS beside kernels with threads of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cache, partial
from time import monotonic
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController

from lcbench.datasets.rows import AHEAD, read_ahead
from lcbench.learn.objective import Memory, Objective, batches
from lcbench.learn.recipe import Recipe, ScheduleName, Solver
from lcbench.settings import defaults


@cache
def _pools() -> ThreadpoolController:
    return ThreadpoolController()


def one_blas_thread(look_again: bool = False) -> Any:
    """Context in which BLAS computes on the calling thread alone.

    Its own threads go on spinning for a tenth of a second after a product, on the cores that a kernel wants next.
    look_again: where a library with a BLAS of its own may have been imported since; to look takes a millisecond.
    """
    if look_again:
        _pools.cache_clear()
    return _pools().limit(limits=1, user_api="blas")


_STEP = defaults(Recipe)


def learning_rates(
    schedule: ScheduleName,
    first: float,
    iterations: int,
    decay: float = _STEP["decay"],
    decay_every: int = _STEP["decay_every"],
) -> NDArray[np.float64]:
    """The learning rate of each step: (iterations,) float64, `first` at the beginning.

    step: times `decay` after every `decay_every` steps. linear: down to nothing after the last step. cosine: the same
    along half a cosine (Loshchilov & Hutter, "SGDR", 2017, without restarts).
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


# The rows that the next steps of a descent need, brought to memory while the last ones are made use of.

BYTES_AT_ONCE = 6_000_000
"""Of rows that are read together, where a step does not need more: they are in the cache when they are used."""

BYTES_AT_ONCE_OF_CHUNKS = 32_000_000
"""Where HDF5 reads whole chunks: the more rows are wanted of each, the better."""


class RowsAhead:
    """Gives the batches of an objective together with their rows, a few at a time."""

    def __init__(self, objective: Objective) -> None:
        self.objective = objective
        self._memories = [Memory() for _ in range(AHEAD + 1)]

    def __call__(self, batches: NDArray[np.int64]) -> Iterator[tuple[Objective, NDArray[np.int64]]]:
        """The batches (S, B) in turn, some at a time, each time after the objective on rows in memory that they number.

        Rows in memory stay where they are: then it is the objective itself, and all batches at once. Rows on disk are
        read each once, in the order of the file, while the batches before them are in use; then their memory is used
        again.
        """
        if not self.objective.streamed:
            yield self.objective, batches
            return
        size = BYTES_AT_ONCE_OF_CHUNKS if self.objective.X.in_chunks else BYTES_AT_ONCE
        steps = max(1, size // (batches.shape[1] * self.objective.row_bytes))
        pieces = (batches[first : first + steps] for first in range(0, len(batches), steps))
        yield from read_ahead(
            partial(self._read, piece, self._memories[number % len(self._memories)])
            for number, piece in enumerate(pieces)
        )

    def _read(self, batches: NDArray[np.int64], memory: Memory) -> tuple[Objective, NDArray[np.int64]]:
        rows, places = np.unique(batches, return_inverse=True)
        return self.objective.among(rows, memory), places.reshape(batches.shape)


# From the first weights to the last: three ways to go down an objective, each telling where it is on its way.


@dataclass(frozen=True)
class Position:
    """Where a solver is after `step` steps: W (D + 1, C), and what it needs to go on.

    losses: of the steps since the position before. velocity (D + 1, C): of SGD. look: whether accuracies are due;
    otherwise the solver only offers to be stopped or kept here.
    """

    step: int
    W: NDArray[Any]
    losses: NDArray[np.float64]
    velocity: NDArray[Any] | None = None
    look: bool = True


Report = Callable[[Position], bool]
"""Told every position; answers whether to go on."""


STEPS_AT_ONCE = 1000
"""Of the compiled loop, which nothing can stop half-way: a tenth of a second of the assignment's protocol."""

SECONDS_AT_ONCE = 1.0
"""Of other loops, between two chances to be kept in a checkpoint."""


def first_weights(recipe: Recipe, shape: tuple[int, int]) -> NDArray[Any]:
    """W (D + 1, C) to begin with."""
    if recipe.solver == "lbfgs":
        return np.zeros(shape, recipe.dtype)
    drawn = np.random.default_rng([recipe.seed, 0]).standard_normal(shape)
    return (recipe.initial_scale * drawn).astype(recipe.dtype)


def stretches(first: int, last: int, length: int) -> list[tuple[int, int]]:
    """Steps first..last in stretches that end at whole multiples of `length`, and at `last`."""
    ends = [*range((first // length + 1) * length, last, length), last]
    return [(start, end) for start, end in zip([first, *ends[:-1]], ends, strict=True) if start < end]


def sgd(objective: Objective, start: Position, report: Report) -> None:
    """Stochastic gradient descent with momentum: v <- momentum * v - rate * dW; W <- W + v (Polyak, 1964)."""
    recipe = objective.recipe
    descend = _descend_compiled if objective.fused else _descend
    ahead = RowsAhead(objective)
    rates = learning_rates(
        recipe.schedule, recipe.learning_rate, recipe.iterations, recipe.decay, recipe.decay_every
    ).astype(recipe.dtype)
    step, W, velocity = start.step, start.W, np.zeros_like(start.W) if start.velocity is None else start.velocity
    for _, last in stretches(start.step, recipe.iterations, recipe.report_every):
        while step < last:
            stop = min(last, step + STEPS_AT_ONCE)
            rows = batches(recipe.sampling, len(objective), recipe.batch, step, stop, recipe.seed)
            W, velocity, losses = descend(ahead, W, velocity, rows, rates[step:stop])
            step += len(losses)
            if not report(Position(step, W, losses, velocity, look=step == last)):
                return


def _descend(
    ahead: RowsAhead, W: NDArray[Any], velocity: NDArray[Any], batches: NDArray[np.int64], rates: NDArray[Any]
) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.float64]]:
    """As many of the steps as `SECONDS_AT_ONCE` hold, one at least."""
    W, velocity, losses, until = W.copy(), velocity.copy(), list[float](), monotonic() + SECONDS_AT_ONCE
    momentum = W.dtype.type(ahead.objective.recipe.momentum)
    for objective, its_batches in ahead(batches):
        for rows in its_batches:
            loss, dW = objective(W, rows)
            velocity *= momentum
            velocity -= rates[len(losses)] * dW
            W += velocity
            losses.append(loss)
            if monotonic() > until:
                return W, velocity, np.array(losses)
    return W, velocity, np.array(losses)


def _descend_compiled(
    ahead: RowsAhead, W: NDArray[Any], velocity: NDArray[Any], batches: NDArray[np.int64], rates: NDArray[Any]
) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.float64]]:
    from lcbench.losses.numba_sgd import descend

    recipe = ahead.objective.recipe
    # The hinge with a margin m is m times the hinge with margin 1 at W / m: so is every step.
    margin = W.dtype.type(ahead.objective.margin)
    W, velocity, rates = W / margin, velocity / margin, rates / margin
    losses, step = np.empty(len(batches)), 0
    for objective, its_batches in ahead(batches):
        last = step + len(its_batches)
        found = descend(
            recipe.loss, W, objective.X, objective.y, its_batches, rates[step:last], recipe.reg * float(margin),
            momentum=recipe.momentum, velocity=velocity, mean=objective.mean,
        )  # fmt: skip
        W, velocity, losses[step:last], step = found.W, found.velocity, found.losses, last
    return W * margin, velocity * margin, losses * float(margin)


def lbfgs(objective: Objective, start: Position, report: Report) -> None:
    """All rows at once, by SciPy's L-BFGS-B (Byrd, Lu, Nocedal & Zhu, 1995), for the best that a linear model can do.

    Its memory of past steps is its own: a resumed run begins again, and so comes to the same result.
    """
    from scipy.optimize import OptimizeResult, minimize

    recipe, shape = objective.recipe, start.W.shape
    losses: list[float] = []
    position = start

    def loss(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        value, dW = objective(flat.reshape(shape))
        return value, dW.ravel()

    def after_each_step(intermediate_result: OptimizeResult) -> None:
        nonlocal position
        losses.append(float(intermediate_result.fun))
        step = position.step + len(losses)
        if step % recipe.report_every == 0:
            W = intermediate_result.x.reshape(shape).astype(recipe.dtype)
            position = Position(step, W, np.array(losses))
            losses.clear()
            if not report(position):
                raise StopIteration

    with one_blas_thread(look_again=True) if objective.implementation.takes_rows else nullcontext():
        found = minimize(
            loss, start.W.astype(np.float64).ravel(), jac=True, method="L-BFGS-B", callback=after_each_step,
            options={"maxiter": recipe.iterations, "maxfun": 2 * recipe.iterations + 20, "maxcor": 20},
        )  # fmt: skip
    if losses:
        W = found.x.reshape(shape).astype(recipe.dtype)
        report(Position(position.step + len(losses), W, np.array(losses)))


def random_search(objective: Objective, start: Position, report: Report) -> None:
    """The best of random weights, each as wide as the first, by their loss on one fixed sample of rows."""
    recipe = objective.recipe
    size = min(recipe.batch, len(objective))
    sample = np.random.default_rng([recipe.seed, 3]).choice(len(objective), size, replace=False)
    objective, sample = objective.among(sample), np.arange(size)
    best, least = start.W, objective(start.W, sample)[0]
    step = start.step
    for _, last in stretches(start.step, recipe.iterations, recipe.report_every):
        while step < last:
            losses, until = list[float](), monotonic() + SECONDS_AT_ONCE
            while step < last:
                drawn = np.random.default_rng([recipe.seed, 4, step]).standard_normal(best.shape)
                W = (recipe.initial_scale * drawn).astype(recipe.dtype)
                loss = objective(W, sample)[0]
                if loss < least:
                    best, least = W, loss
                losses.append(least)
                step += 1
                if monotonic() > until:
                    break
            if not report(Position(step, best, np.array(losses), look=step == last)):
                return


def warm_up(objective: Objective, start: Position) -> None:
    """Calls once what the solver will call, without effect: what compiles has compiled before the first step."""
    recipe = objective.recipe
    if objective.streamed:
        objective = objective.among(np.arange(min(objective.rows_a_block, len(objective))))
    if recipe.solver == "lbfgs":
        objective(start.W.astype(np.float64))
    elif recipe.solver == "sgd" and objective.fused:
        nothing = np.empty((0, recipe.batch), np.int64)
        _descend_compiled(RowsAhead(objective), start.W, start.W, nothing, np.empty(0, recipe.dtype))
    else:
        objective(start.W, np.arange(recipe.batch) % len(objective))


SOLVERS: dict[Solver, Callable[[Objective, Position, Report], None]] = {
    "sgd": sgd,
    "lbfgs": lbfgs,
    "random": random_search,
}
