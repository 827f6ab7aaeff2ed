"""The analytic gradient held against the slope of the loss itself, in float64.

A centred difference (f(W + h) - f(W - h)) / 2h along one weight misses the slope of f for three reasons, none of which
is a mistake in the gradient:

rounding: each loss is right to within the oracle's tolerance of it only, so the difference to within tolerance / h.
curvature: Taylor's remainder is h^2 / 6 times the third derivative. That of the hinge and of the penalty is 0. That of
    the cross-entropy is mean(x^3 p (1 - p) (1 - 2p)), the third cumulant of a choice with probability p, which is
    largest at 1 / (6 sqrt 3): at most mean(|x|^3) / (6 sqrt 3), whatever W is.
kinks: the slope of the hinge jumps by J where a margin crosses 0. At a distance t < h, on either side, that adds
    J / 2 (1 - t / h).

What is left after these is a mistake: in the gradient, or in the loss, whose kinks lie elsewhere if its margin is
another. They depend on h in opposite ways. So a coordinate that disagrees is looked at once more, with the step at
which their sum is smallest: a wrong gradient stays wrong there, and the kinks that explained the difference lie
outside. Only from a kink at W itself no step leads away; there every slope between those of its two sides is right, as
a subgradient, and J / 2 is the distance from their middle to either.
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
"""Of the centred differences: their error is about STEP**2, and 1e-16 / STEP from rounding."""

RIGHT = 1e-6
"""Relative error that needs no explanation: on pixels, rounding and curvature at `STEP` stay below it."""

FLOOR = 1e-8
"""Least denominator of a relative error, as in the cs231n assignment: two slopes below it are both 0."""

STEPS = np.geomspace(1e-2, 1e-9, 29)
"""What a second look chooses from."""

Verdict = Literal["right", "kink", "wrong"]


def slope(
    loss: Callable[[NDArray[Any]], float], W: NDArray[np.float64], where: tuple[int, int], step: float = STEP
) -> float:
    """Centred difference of `loss` along the one weight `where` of W (D, C), in float64.

    Exact to about 1e-9 of the loss's size, but at a kink, where a hinge has no slope.
    """
    ahead, behind = W.copy(), W.copy()
    ahead[where] += step
    behind[where] -= step
    return (loss(ahead) - loss(behind)) / (2 * step)


def relative_error(a: float, b: float) -> float:
    """|a - b| / max(|a| + |b|, FLOOR), between 0 and 1."""
    return abs(a - b) / max(abs(a) + abs(b), FLOOR)


def random_coordinates(shape: tuple[int, int], count: int, rng: np.random.Generator) -> list[tuple[int, int]]:
    """`count` different coordinates of a W of `shape` (D, C), or all of them where it has no more."""
    chosen = rng.choice(shape[0] * shape[1], min(count, shape[0] * shape[1]), replace=False)
    return [(int(number) // shape[1], int(number) % shape[1]) for number in chosen]


@dataclass(frozen=True)
class Kinks:
    """Kinks of the SVM's loss along one weight, nearest first, all arrays (K,).

    rows, classes: whose hinge max(0, s_j - s_y + margin) it is: row of X, and the wrong class j.
    distances: how far the weight moves until that hinge begins or ends, at least 0.
    jumps: by how much the slope of the loss changes there, more than 0.
    """

    rows: NDArray[np.intp]
    classes: NDArray[np.intp]
    distances: NDArray[np.float64]
    jumps: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.rows)

    @classmethod
    def none(cls) -> Kinks:
        """Those of a smooth loss."""
        return cls(np.empty(0, np.intp), np.empty(0, np.intp), np.empty(0), np.empty(0))

    def within(self, step: float) -> Kinks:
        """Those between W - step and W + step."""
        near = slice(0, int(np.searchsorted(self.distances, step, side="right")))
        return Kinks(self.rows[near], self.classes[near], self.distances[near], self.jumps[near])

    def explain(self, step: float) -> float:
        """How far they may take a centred difference with `step` from the slope at W.

        A jump J at a distance t adds J (step - t) / (2 step), to one side or the other; at W itself that is the
        distance from the middle of its two slopes to either.
        """
        near = self.within(step)
        return float((near.jumps * (1 - near.distances / step)).sum()) / 2


class Hinges:
    """All hinges of a problem: W (D, C), X (N, D), y (N,) in [0, C), in float64."""

    def __init__(self, W: NDArray[Any], X: NDArray[Any], y: NDArray[Any], margin: float) -> None:
        self._X, self._y = X, np.asarray(y, np.intp)
        every = np.arange(len(X))
        scores = X @ W
        self._margins = scores - scores[every, self._y, None] + margin

    def kinks(self, feature: int, klass: int) -> Kinks:
        """The kinks on the line along which W[feature, klass] alone moves, however far away.

        A move by t changes the score of `klass` by t X[i, feature], and no other. So it moves one margin of each row
        with another label, and of a row with this label all of them, the other way.
        """
        x = self._X[:, feature]
        slopes = np.zeros_like(self._margins)
        slopes[:, klass] = x
        slopes[self._y == klass] = -x[self._y == klass, None]
        slopes[np.arange(len(x)), self._y] = 0  # the true class has no hinge
        rows, classes = np.nonzero(slopes)
        rates = np.abs(slopes[rows, classes])
        distances = np.abs(self._margins[rows, classes]) / rates
        nearest_first = np.argsort(distances, kind="stable")
        return Kinks(
            rows[nearest_first], classes[nearest_first], distances[nearest_first], rates[nearest_first] / len(x)
        )


@dataclass(frozen=True, eq=False)
class Problem:
    """Where a gradient is checked: W (D, C), X (N, D) float64, y (N,) in [0, C), and reg, of one loss with a margin.

    The margin of softmax, which has none, is 1.
    """

    loss: LossName
    W: NDArray[np.float64]
    X: NDArray[Any]
    y: NDArray[Any]
    reg: float
    margin: float = 1.0

    def loss_of(self, implementation: Implementation) -> Callable[[NDArray[Any]], tuple[float, NDArray[Any]]]:
        """W -> (loss, dW) of an implementation on this problem."""

        def at_margin_1(W: NDArray[Any]) -> tuple[float, NDArray[Any]]:
            return implementation.loss(self.loss, W, self.X, self.y, self.reg * self.margin)

        return with_margin(at_margin_1, self.margin)

    @cached_property
    def right(self) -> oracle.Expected:
        """The oracle's loss, at margin 1 as `with_margin` asks for it; its gradient is that at any margin."""
        return self._expected(np.float64)

    def is_right_in_single_precision_only(self, loss: float, dW: NDArray[Any]) -> bool:
        """Whether a result is further from the oracle's than float64 explains, and no further than float32 does."""
        loss /= self.margin
        return bool(self.right.mismatch(loss)) and not self._expected(np.float32).mismatch(loss, dW)

    def _expected(self, dtype: type) -> oracle.Expected:
        W: NDArray[Any] = (self.W / self.margin).astype(dtype)
        return oracle.expected(self.loss, W, self.X, self.y, self.reg * self.margin)

    @cached_property
    def _hinges(self) -> Hinges:
        return Hinges(self.W, self.X, self.y, self.margin)

    def kinks(self, where: tuple[int, int]) -> Kinks:
        """The kinks along one weight: none where the loss is smooth."""
        return self._hinges.kinks(*where) if self.loss == "svm" else Kinks.none()

    def rounding(self, step: float) -> float:
        """How far rounding may take a centred difference."""
        return self.margin * self.right.loss_tolerance / step

    def curvature(self, where: tuple[int, int], step: float) -> float:
        """How far a centred difference may be from the slope of a loss without kinks."""
        if self.loss == "svm":
            return 0.0
        largest_cumulant = 1 / (6 * sqrt(3))
        return step**2 / 6 * largest_cumulant * float((np.abs(self.X[:, where[0]]) ** 3).mean())


class Kink(msgspec.Struct, frozen=True):
    """A hinge, of one row of X and one wrong class, and how far the weight moves until it begins or ends."""

    row: int
    wrong_class: int
    distance: float


class Coordinate(msgspec.Struct, frozen=True):
    """What was found along one weight.

    at: its row (the feature) and its class in W. numerical: the centred difference with the step asked for.
    verdict: "kink" is right, with a difference that kinks explain. because: what else explains a relative error above
    `RIGHT`, "rounding" or "curvature", or empty. kinks: how many lie between W - h and W + h. nearest_kink: of those.
    """

    at: tuple[int, int]
    numerical: float
    analytic: float
    relative_error: float
    verdict: Verdict
    because: str = ""
    kinks: int = 0
    nearest_kink: Kink | None = None


class Way(msgspec.Struct, frozen=True):
    """One way to a gradient, and what it costs.

    seconds: measured, and evaluations of the loss in that time. whole_seconds, whole_evaluations: extrapolated from
    there to all coordinates of W. worst_error: the largest relative error over the coordinates, `against` what.
    """

    name: str
    seconds: float
    evaluations: int
    whole_seconds: float
    whole_evaluations: int
    worst_error: float
    against: str


class GradientCheck(msgspec.Struct, frozen=True):
    """What a check has found.

    single_precision: the loss is computed in float32, so that its differences say nothing, and no verdict counts.
    """

    coordinates: list[Coordinate]
    ways: list[Way]
    single_precision: bool = False

    def count(self, verdict: Verdict) -> int:
        """How many coordinates have the verdict."""
        return sum(each.verdict == verdict for each in self.coordinates)

    def worst_error(self, kinks: bool = True) -> float:
        """The largest relative error over the coordinates, without those that are kinks where `kinks` is False."""
        return _worst(each.relative_error for each in self.coordinates if kinks or each.verdict != "kink")


def check(
    implementation: Implementation,
    problem: Problem,
    coordinates: Sequence[tuple[int, int]],
    step: float = STEP,
    evaluated: Callable[[], None] = lambda: None,
) -> GradientCheck:
    """The gradient of `implementation` against centred differences of its own loss with `step`, at `coordinates`.

    Where all of them are right, the weight at which the gradient is farthest from the oracle's is looked at too, and
    added where it is wrong: so a mistake in one weight of thousands is found.

    evaluated: is called before each evaluation of the loss.

    Raises ValueError where there is no coordinate or the step is not above 0, and whatever the implementation raises.
    """
    if not coordinates or not 0 < step < np.inf:
        raise ValueError(f"a gradient check needs a coordinate and a step above 0, not {len(coordinates)} and {step}")
    function = _Counting(problem.loss_of(implementation), evaluated)
    function(problem.W)  # compiles, and wakes what sleeps
    function.evaluations = 0

    start = perf_counter()
    loss, dW = function(problem.W)
    dW = np.array(dW)  # the next call may write over it
    analytic_s = perf_counter() - start
    differences = [slope(function.loss, problem.W, where, step) for where in coordinates]
    numerical_s = perf_counter() - start - analytic_s
    judged = [
        _judged(function.loss, problem, where, step, difference, float(dW[where]))
        for where, difference in zip(coordinates, differences, strict=True)
    ]
    both_s = perf_counter() - start

    exact = [float(problem.right.dW[where]) for where in coordinates]
    analytic = [each.analytic for each in judged]
    found = [*judged, *_wrong_elsewhere(function.loss, problem, step, dW)] if _all_right(judged) else judged
    share = len(judged) / problem.W.size
    rest_s, rest, of_numerical = both_s - analytic_s, function.evaluations - 1, 2 * len(judged)
    return GradientCheck(
        found,
        [
            Way("numerical", numerical_s, of_numerical, numerical_s / share, round(of_numerical / share),
                _worst(_errors(differences, exact)), "the oracle"),
            Way("analytic", analytic_s, 1, analytic_s, 1, _worst(_errors(analytic, exact)), "the oracle"),
            Way("both", both_s, 1 + rest, analytic_s + rest_s / share, 1 + round(rest / share),
                _worst(_errors(differences, analytic)), "each other"),
        ],
        not _all_right(found) and problem.is_right_in_single_precision_only(loss, dW),
    )  # fmt: skip


def _all_right(judged: Sequence[Coordinate]) -> bool:
    return all(each.verdict != "wrong" for each in judged)


def _wrong_elsewhere(
    loss: Callable[[NDArray[Any]], float], problem: Problem, step: float, dW: NDArray[Any]
) -> Iterator[Coordinate]:
    """The weight at which dW is farthest from the oracle's gradient, where that is no slope of the loss."""
    difference = np.nan_to_num(np.abs(dW - problem.right.dW), nan=np.inf)
    row, column = np.unravel_index(int(np.argmax(difference)), difference.shape)
    where = int(row), int(column)
    if relative_error(float(dW[where]), float(problem.right.dW[where])) > RIGHT:
        found = _judged(loss, problem, where, step, slope(loss, problem.W, where, step), float(dW[where]))
        if found.verdict == "wrong":
            yield found


def _judged(
    loss: Callable[[NDArray[Any]], float],
    problem: Problem,
    where: tuple[int, int],
    step: float,
    numerical: float,
    analytic: float,
) -> Coordinate:
    error = relative_error(numerical, analytic)
    kinks = problem.kinks(where).within(step)
    found = partial(Coordinate, where, numerical, analytic, error, kinks=len(kinks), nearest_kink=_nearest(kinks))
    if error <= RIGHT:
        return found("right")
    if not _agrees_at_best_step(loss, problem, where, analytic):
        return found("wrong")
    if len(kinks):
        return found("kink")
    return found("right", "curvature" if problem.curvature(where, step) > problem.rounding(step) else "rounding")


def _agrees_at_best_step(
    loss: Callable[[NDArray[Any]], float], problem: Problem, where: tuple[int, int], analytic: float
) -> bool:
    """Whether the gradient is the slope of the loss, seen with the step at which a centred difference misses least."""
    kinks = problem.kinks(where)

    def missed(step: float) -> float:
        return problem.rounding(step) + problem.curvature(where, step) + kinks.explain(step)

    best = min(STEPS.tolist(), key=missed)
    numerical = slope(loss, problem.W, where, best)
    return abs(numerical - analytic) <= missed(best) + RIGHT * (abs(numerical) + abs(analytic))


def _nearest(kinks: Kinks) -> Kink | None:
    return Kink(int(kinks.rows[0]), int(kinks.classes[0]), float(kinks.distances[0])) if len(kinks) else None


def _errors(found: Sequence[float], expected: Sequence[float]) -> list[float]:
    return [relative_error(*pair) for pair in zip(found, expected, strict=True)]


def _worst(errors: Iterable[float]) -> float:
    """The largest; NaN where one is, since that is the worst; 0 of none."""
    return float(np.max([*errors, 0.0]))


@dataclass
class _Counting:
    """A loss that counts how often it is evaluated."""

    function: Callable[[NDArray[Any]], tuple[float, NDArray[Any]]]
    evaluated: Callable[[], None]
    evaluations: int = 0

    def __call__(self, W: NDArray[Any]) -> tuple[float, NDArray[Any]]:
        self.evaluated()
        self.evaluations += 1
        return self.function(W)

    def loss(self, W: NDArray[Any]) -> float:
        """The loss alone."""
        return self(W)[0]
