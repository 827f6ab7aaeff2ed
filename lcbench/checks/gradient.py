"""Analytic gradient compared with central differences of the loss, in float64.

A central difference (f(W + h) - f(W - h)) / 2h along one element of W differs from the slope of f for three reasons,
none of which is a mistake in the gradient:

rounding: each loss has an error up to the oracle's tolerance, so the difference has an error up to tolerance / h.
curvature: Taylor's remainder is h^2 / 6 times the third derivative. That of the hinge and of the penalty is 0. That of
    the cross-entropy is mean(x^3 p (1 - p) (1 - 2p)), the third cumulant of a Bernoulli variable with probability p.
    Its maximum is 1 / (6 sqrt 3), so for any W it is at most mean(|x|^3) / (6 sqrt 3).
kinks: the slope of the hinge jumps by J where a margin crosses 0. A kink at a distance t < h, on either side, adds
    J / 2 (1 - t / h).

A larger difference is a mistake: in the gradient, or in the loss, which has its kinks elsewhere if its margin is wrong.
The three errors depend on h in opposite ways. A coordinate that disagrees is therefore tested again with the step for
which their sum is smallest: a wrong gradient stays wrong, while kinks that explained the difference lie outside of this
step. Only a kink at W itself is inside of every step. There every slope between those of the two sides is right, as a
subgradient, and J / 2 is the distance of both sides from their mean.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from math import sqrt
from time import perf_counter
from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from lcbench.learn.objective import with_margin
from lcbench.losses import oracle
from lcbench.losses.implementation import Implementation, LossName

STEP = 1e-5
"""Default step of central differences. Their error is about STEP**2, plus 1e-16 / STEP for rounding."""

RIGHT = 1e-6
"""Maximum relative error without an explanation. On pixels, rounding and curvature at `STEP` stay below it."""

FLOOR = 1e-8
"""Minimum denominator of a relative error, as in the cs231n assignment: two smaller slopes count as 0."""

STEPS = np.geomspace(1e-2, 1e-9, 29)
"""Candidates for the step of the second test of a coordinate."""

Verdict = Literal["right", "kink", "wrong"]

Index = tuple[int, int]
"""Index (feature, class) of an element of W (D, C)."""


# Results


class Kink(msgspec.Struct, frozen=True):
    """Kink of a row of X and a wrong class. distance: how far the element of W is from it."""

    row: int
    wrong_class: int
    distance: float


class Coordinate(msgspec.Struct, frozen=True):
    """Comparison at one element of W.

    at: index in W. numerical: central difference with the requested step.
    verdict: "kink" means right, with a difference that kinks explain.
    because: explanation of a relative error above `RIGHT`, "rounding" or "curvature", or empty.
    kinks: number of kinks between W - h and W + h. nearest_kink: the nearest of these.
    """

    at: Index
    numerical: float
    analytic: float
    relative_error: float
    verdict: Verdict
    because: str = ""
    kinks: int = 0
    nearest_kink: Kink | None = None


class GradientMethod(msgspec.Struct, frozen=True):
    """Cost and error of one method to compute a gradient.

    seconds, evaluations: measured time, and evaluations of the loss in it.
    whole_seconds, whole_evaluations: extrapolated to all elements of W.
    worst_error: maximum relative error over the coordinates, compared with `against`.
    """

    name: str
    seconds: float
    evaluations: int
    whole_seconds: float
    whole_evaluations: int
    worst_error: float
    against: str


class GradientCheck(msgspec.Struct, frozen=True):
    """Result of a gradient check.

    ways: numerical gradient, analytic gradient, and both for a check.
    single_precision: the loss is computed in float32, so that its differences are too inexact for a verdict.
    """

    coordinates: list[Coordinate]
    ways: list[GradientMethod]
    single_precision: bool = False

    def count(self, verdict: Verdict) -> int:
        """Return the number of coordinates with this verdict."""
        return sum(each.verdict == verdict for each in self.coordinates)

    def worst_error(self, kinks: bool = True) -> float:
        """Return the maximum relative error over the coordinates; without those with verdict "kink" if not `kinks`."""
        return _worst(each.relative_error for each in self.coordinates if kinks or each.verdict != "kink")


# Check


def check(
    implementation: Implementation,
    problem: GradientProblem,
    coordinates: Sequence[Index],
    step: float = STEP,
    on_evaluation: Callable[[], None] = lambda: None,
) -> GradientCheck:
    """Compare the gradient of `implementation` with central differences of its own loss at `coordinates`.

    If all of them are right, the element with the largest distance from the oracle's gradient is tested, too, and added
    if it is wrong. This finds a mistake in one of thousands of elements.

    on_evaluation: callback before each evaluation of the loss.

    Raise ValueError if there is no coordinate or the step is not positive, and any exception of the implementation.
    """
    if not coordinates or not 0 < step < np.inf:
        raise ValueError(f"a gradient check needs a coordinate and a step above 0, not {len(coordinates)} and {step}")
    function = _Counting(problem.loss_of(implementation), on_evaluation)
    function(problem.W)  # warm-up, which may compile
    function.evaluations = 0

    start = perf_counter()
    loss, dW = function(problem.W)
    dW = np.array(dW)  # the implementation may reuse its array in the next call
    analytic_s = perf_counter() - start
    differences = [slope(function.loss, problem.W, index, step) for index in coordinates]
    numerical_s = perf_counter() - start - analytic_s
    compared = [
        _compare(function.loss, problem, index, step, difference, float(dW[index]))
        for index, difference in zip(coordinates, differences, strict=True)
    ]
    both_s = perf_counter() - start

    exact = [float(problem.right.dW[index]) for index in coordinates]
    analytic = [each.analytic for each in compared]
    found = [*compared, *_worst_if_wrong(function.loss, problem, step, dW)] if _all_right(compared) else compared
    share = len(compared) / problem.W.size
    rest_s, rest, numerical_evaluations = both_s - analytic_s, function.evaluations - 1, 2 * len(compared)
    return GradientCheck(
        found,
        [
            GradientMethod("numerical", numerical_s, numerical_evaluations, numerical_s / share,
                           round(numerical_evaluations / share), _worst(_errors(differences, exact)), "the oracle"),
            GradientMethod("analytic", analytic_s, 1, analytic_s, 1, _worst(_errors(analytic, exact)), "the oracle"),
            GradientMethod("both", both_s, 1 + rest, analytic_s + rest_s / share, 1 + round(rest / share),
                           _worst(_errors(differences, analytic)), "each other"),
        ],
        not _all_right(found) and problem.is_right_in_single_precision_only(loss, dW),
    )  # fmt: skip


def _all_right(compared: Sequence[Coordinate]) -> bool:
    return all(each.verdict != "wrong" for each in compared)


def _worst_if_wrong(
    loss: Callable[[NDArray[Any]], float], problem: GradientProblem, step: float, dW: NDArray[Any]
) -> Iterator[Coordinate]:
    """Yield the element of dW with the largest distance from the oracle's gradient, if it is wrong."""
    distance = np.nan_to_num(np.abs(dW - problem.right.dW), nan=np.inf)
    row, column = np.unravel_index(int(np.argmax(distance)), distance.shape)
    index = int(row), int(column)
    if relative_error(float(dW[index]), float(problem.right.dW[index])) > RIGHT:
        compared = _compare(loss, problem, index, step, slope(loss, problem.W, index, step), float(dW[index]))
        if compared.verdict == "wrong":
            yield compared


def _compare(
    loss: Callable[[NDArray[Any]], float],
    problem: GradientProblem,
    index: Index,
    step: float,
    numerical: float,
    analytic: float,
) -> Coordinate:
    error = relative_error(numerical, analytic)
    kinks = problem.kinks(index).within(step)
    with_verdict = partial(Coordinate, index, numerical, analytic, error, kinks=len(kinks), nearest_kink=kinks.nearest)
    if error <= RIGHT:
        return with_verdict("right")
    if not _agrees_at_best_step(loss, problem, index, analytic):
        return with_verdict("wrong")
    if len(kinks):
        return with_verdict("kink")
    return with_verdict("right", "curvature" if problem.curvature(index, step) > problem.rounding(step) else "rounding")


def _agrees_at_best_step(
    loss: Callable[[NDArray[Any]], float], problem: GradientProblem, index: Index, analytic: float
) -> bool:
    """Return whether the gradient is the slope of the loss, at the step with the smallest expected error."""
    kinks = problem.kinks(index)

    def expected_error(step: float) -> float:
        return problem.rounding(step) + problem.curvature(index, step) + kinks.expected_error(step)

    best = min(STEPS.tolist(), key=expected_error)
    numerical = slope(loss, problem.W, index, best)
    return abs(numerical - analytic) <= expected_error(best) + RIGHT * (abs(numerical) + abs(analytic))


@dataclass
class _Counting:
    """Loss that counts its evaluations."""

    function: Callable[[NDArray[Any]], tuple[float, NDArray[Any]]]
    on_evaluation: Callable[[], None]
    evaluations: int = 0

    def __call__(self, W: NDArray[Any]) -> tuple[float, NDArray[Any]]:
        self.on_evaluation()
        self.evaluations += 1
        return self.function(W)

    def loss(self, W: NDArray[Any]) -> float:
        """Return the loss alone."""
        return self(W)[0]


def slope(loss: Callable[[NDArray[Any]], float], W: NDArray[np.float64], index: Index, step: float = STEP) -> float:
    """Return the central difference of `loss` along the element `index` of W (D, C), in float64.

    Its error is about 1e-9 relative to the loss, except at a kink, where a hinge has no slope.
    """
    ahead, behind = W.copy(), W.copy()
    ahead[index] += step
    behind[index] -= step
    return (loss(ahead) - loss(behind)) / (2 * step)


def relative_error(a: float, b: float) -> float:
    """Return |a - b| / max(|a| + |b|, FLOOR), between 0 and 1."""
    return abs(a - b) / max(abs(a) + abs(b), FLOOR)


def _errors(found: Sequence[float], expected: Sequence[float]) -> list[float]:
    return [relative_error(*pair) for pair in zip(found, expected, strict=True)]


def _worst(errors: Iterable[float]) -> float:
    """Return the maximum; NaN if one is NaN, and 0 if there is none."""
    return float(np.max([*errors, 0.0]))


def random_coordinates(shape: tuple[int, int], count: int, rng: np.random.Generator) -> list[Index]:
    """Return `count` different random indices of a W of `shape` (D, C), or all if it has fewer elements."""
    chosen = rng.choice(shape[0] * shape[1], min(count, shape[0] * shape[1]), replace=False)
    return [(int(number) // shape[1], int(number) % shape[1]) for number in chosen]


# Expected errors of central differences


@dataclass(frozen=True, eq=False)
class GradientProblem:
    """Inputs of one gradient check: W (D, C) and X (N, D) float64, y (N,) in [0, C), reg, and the margin of the hinge.

    The margin of softmax is 1.
    """

    loss: LossName
    W: NDArray[np.float64]
    X: NDArray[Any]
    y: NDArray[Any]
    reg: float
    margin: float = 1.0

    def loss_of(self, implementation: Implementation) -> Callable[[NDArray[Any]], tuple[float, NDArray[Any]]]:
        """Return the function W -> (loss, dW) of an implementation for these inputs."""

        def with_margin_1(W: NDArray[Any]) -> tuple[float, NDArray[Any]]:
            return implementation.loss(self.loss, W, self.X, self.y, self.reg * self.margin)

        return with_margin(with_margin_1, self.margin)

    @cached_property
    def right(self) -> oracle.Expected:
        """Result of the oracle with margin 1, which `with_margin` asks for. Its gradient is right for any margin."""
        return self._expected(np.float64)

    def is_right_in_single_precision_only(self, loss: float, dW: NDArray[Any]) -> bool:
        """Return whether rounding in float32, but not in float64, explains the distance from the oracle."""
        loss /= self.margin
        return bool(self.right.mismatch(loss)) and not self._expected(np.float32).mismatch(loss, dW)

    def _expected(self, dtype: type) -> oracle.Expected:
        W: NDArray[Any] = (self.W / self.margin).astype(dtype)
        return oracle.expected(self.loss, W, self.X, self.y, self.reg * self.margin)

    def rounding(self, step: float) -> float:
        """Return the maximum error of a central difference due to rounding."""
        return self.margin * self.right.loss_tolerance / step

    def curvature(self, index: Index, step: float) -> float:
        """Return the maximum error of a central difference due to the third derivative."""
        if self.loss == "svm":
            return 0.0
        largest_cumulant = 1 / (6 * sqrt(3))
        return step**2 / 6 * largest_cumulant * float((np.abs(self.X[:, index[0]]) ** 3).mean())

    def kinks(self, index: Index) -> Kinks:
        """Return the kinks along one element of W; a smooth loss has none."""
        return self._hinges.kinks(*index) if self.loss == "svm" else Kinks.none()

    @cached_property
    def _hinges(self) -> Hinges:
        return Hinges(self.W, self.X, self.y, self.margin)


@dataclass(frozen=True)
class Kinks:
    """Kinks of the SVM's loss along one element of W, nearest first; all arrays are (K,).

    rows, classes: row of X and wrong class j of the hinge max(0, s_j - s_y + margin).
    distances: distance of the element from the kink, at least 0.
    jumps: change of the loss's slope at the kink, positive.
    """

    rows: NDArray[np.intp]
    classes: NDArray[np.intp]
    distances: NDArray[np.float64]
    jumps: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.rows)

    @classmethod
    def none(cls) -> Kinks:
        """Return the kinks of a smooth loss."""
        return cls(np.empty(0, np.intp), np.empty(0, np.intp), np.empty(0), np.empty(0))

    @property
    def nearest(self) -> Kink | None:
        """Nearest kink, or None."""
        return Kink(int(self.rows[0]), int(self.classes[0]), float(self.distances[0])) if len(self) else None

    def within(self, step: float) -> Kinks:
        """Return the kinks between W - step and W + step."""
        near = slice(0, int(np.searchsorted(self.distances, step, side="right")))
        return Kinks(self.rows[near], self.classes[near], self.distances[near], self.jumps[near])

    def expected_error(self, step: float) -> float:
        """Return the maximum error of a central difference with `step` due to kinks.

        A jump J at a distance t contributes J (step - t) / (2 step), with either sign. At t = 0 this is the distance of
        the slopes of both sides from their mean.
        """
        near = self.within(step)
        return float((near.jumps * (1 - near.distances / step)).sum()) / 2


class Hinges:
    """Hinges of W (D, C), X (N, D), y (N,) in [0, C), in float64."""

    def __init__(self, W: NDArray[Any], X: NDArray[Any], y: NDArray[Any], margin: float) -> None:
        self._X, self._y = X, np.asarray(y, np.intp)
        scores = X @ W
        self._margins = scores - scores[np.arange(len(X)), self._y, None] + margin

    def kinks(self, feature: int, klass: int) -> Kinks:
        """Return the kinks on the line along which W[feature, klass] alone changes, at any distance.

        A change by t adds t X[i, feature] to the score of `klass`, and changes no other score. This changes one margin
        of each row with another label, and all margins of a row with this label, with the opposite sign.
        """
        x = self._X[:, feature]
        slopes = np.zeros_like(self._margins)
        slopes[:, klass] = x
        slopes[self._y == klass] = -x[self._y == klass, None]
        slopes[np.arange(len(x)), self._y] = 0  # the correct class has no hinge
        rows, classes = np.nonzero(slopes)
        rates = np.abs(slopes[rows, classes])
        distances = np.abs(self._margins[rows, classes]) / rates
        order = np.argsort(distances, kind="stable")
        return Kinks(rows[order], classes[order], distances[order], rates[order] / len(x))
