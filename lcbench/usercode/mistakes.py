"""The small problems that a user's function is called with, and what it answers."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from lcbench.losses.implementation import LossName

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class TrialInputs:
    """W (D, C), X (N, D), y (N,) in [0, C) and the strength of the regularisation, as the losses take them."""

    W: FloatArray
    X: FloatArray
    y: NDArray[np.int64]
    reg: float

    @classmethod
    def small(cls) -> TrialInputs:
        """Rows, features and classes all differ, so that no wrong layout fits by chance. Ten classes, since files that
        have their number written into them have CIFAR-10's, and each among the labels, since others count those.
        `reg` makes the regularisation a large part of both losses."""
        return cls._random(231, rows=17, reg=0.3)

    @classmethod
    def other(cls) -> TrialInputs:
        """A second one: what fits both fits neither by chance. W is as large, for an answer that is an earlier one."""
        return cls._random(232, rows=23, reg=0.7)

    @classmethod
    def _random(cls, seed: int, rows: int, reg: float) -> TrialInputs:
        rng = np.random.default_rng(seed)
        features, classes = 13, 10
        return cls(
            rng.normal(scale=0.5, size=(features, classes)),
            rng.normal(size=(rows, features)),
            rng.permutation(np.arange(rows) % classes),
            reg,
        )


@dataclass(frozen=True)
class TrialResult:
    """What a call returned: the loss and dW (D, C), in float64.

    changed: the inputs that it wrote to, by name.
    dtype: of dW as it was returned.
    """

    loss: float
    gradient: FloatArray
    changed: str = ""
    dtype: str = "float64"


# Known mistakes in a loss and its gradient: what code that makes one returns, so that its answers tell which it is.
#
# A loss is a sum over rows, scaled, plus a regularisation. Each of the three may be wrong, in the loss, in the gradient
# or in both. So the tables are small and all combinations are tried; the one with the fewest mistakes is what is named.

TOLERANCE = 1e-5
"""Largest relative error (of a gradient: in the Euclidean norm) at which a mistake explains an answer: far above single
precision, and tighter than what counts as right, since many mistakes are tried."""

_LABELS_OFF_BY_ONE = "the labels are off by one"


@dataclass(frozen=True)
class NamedMistake:
    """The mistakes that explain an answer.

    words: one line.
    count: how many they are.
    loss, gradient: whether that part of the answer is explained; the other is wrong for reasons unknown.
    half_regularisation: whether the rest counts ``0.5 * reg * sum(W * W)``.
    """

    words: str
    count: int
    loss: bool
    gradient: bool
    half_regularisation: bool


def name_mistake(
    loss_name: LossName, problems: Sequence[TrialInputs], answers: Sequence[TrialResult]
) -> NamedMistake | None:
    """What is wrong with code that means `loss_name` and gave `answers` to `problems`; None where nothing known fits.

    An explanation fits all problems. Of those that do, the one with the fewest mistakes is told, in the current
    convention where it can be; where two have equally few, both.
    """
    with np.errstate(all="ignore"):
        losses = _that_fit([answer.loss for answer in answers], [_losses(loss_name, p) for p in problems])
        gradients = _that_fit([answer.gradient for answer in answers], [_gradients(loss_name, p) for p in problems])
    nothing: list[_Side | None] = [None]
    pairs = itertools.product(losses or nothing, gradients or nothing)
    named = [_together(loss, gradient) for loss, gradient in pairs]
    fewest = min(found.count for found in named)
    if fewest == 0:
        return None
    best = [found for found in named if found.count == fewest]
    best = [found for found in best if not found.half_regularisation] or best
    words = list(dict.fromkeys(found.words for found in best))
    return replace(best[0], words=" or: ".join(words[:2]))


# One side, the loss or the gradient


@dataclass(frozen=True)
class _Regularisation:
    """`factor` before sum(W W) where `words` is empty, which is right with 1 and 0.5; another term otherwise."""

    words: str
    factor: float
    loss: float
    gradient: FloatArray

    @property
    def right(self) -> bool:
        return not self.words and self.factor in (0.5, 1)


@dataclass(frozen=True)
class _Side:
    """One explanation of a loss, or of a gradient. `kinds` says the mistakes in words that hold for any problem."""

    kinds: tuple[str, ...]
    mistakes: tuple[str, ...]
    regularisation: _Regularisation
    value: float | FloatArray

    @property
    def key(self) -> tuple[tuple[str, ...], str, float]:
        return self.kinds, self.regularisation.words, self.regularisation.factor

    def fits(self, answer: float | FloatArray) -> bool:
        size = np.linalg.norm(self.value)
        return bool(size > 0 and np.linalg.norm(np.subtract(answer, self.value)) <= TOLERANCE * size)


def _that_fit(answers: Sequence[float | FloatArray], candidates: Sequence[Iterator[_Side]]) -> list[_Side]:
    """The candidates for the first problem that explain its answer, and whose like explain all the others."""
    first, *others = ([side for side in sides if side.fits(a)] for a, sides in zip(answers, candidates, strict=True))
    keys = [{side.key for side in other} for other in others]
    return [side for side in first if all(side.key in other for other in keys)]


def _losses(loss_name: LossName, problem: TrialInputs) -> Iterator[_Side]:
    regularisations = list(_regularisations(problem))
    for data in _data(loss_name, problem):
        if data.loss is not None:
            for reg in regularisations:
                value = data.loss + reg.loss
                yield _Side(data.kinds, data.mistakes, reg, value)
                if not data.kinds and reg.right:
                    for mistake, factor in _scales(problem):
                        words = (f"{mistake}, the regularisation too",)
                        yield _Side(words, words, reg, factor * value)


def _gradients(loss_name: LossName, problem: TrialInputs) -> Iterator[_Side]:
    shape = problem.W.shape
    regularisations = list(_regularisations(problem))
    for data in _data(loss_name, problem):
        if data.gradient is not None:
            for reg in regularisations:
                value = data.gradient + reg.gradient
                yield _Side(data.kinds, data.mistakes, reg, value)
                if not data.kinds and reg.right:
                    for mistake, spoilt in (
                        ("dW is cut to whole numbers", np.trunc(value)),
                        ("reshaped, not transposed", value.T.reshape(shape)),
                        ("the rows of dW are in the wrong order", value[::-1]),
                        *((f"{scale}, the regularisation too", factor * value) for scale, factor in _scales(problem)),
                    ):
                        yield _Side((mistake,), (mistake,), reg, spoilt)


# The regularisation


def _regularisations(problem: TrialInputs) -> Iterator[_Regularisation]:
    W, reg, rows = problem.W, problem.reg, len(problem.X)

    def squares(words: str, factor: float, scale: float = 1.0, kept: slice = slice(None)) -> _Regularisation:
        regularised = np.zeros_like(W)
        regularised[kept] = W[kept]
        strength = factor * scale * reg
        return _Regularisation(words, factor, strength * float(np.sum(regularised**2)), 2 * strength * regularised)

    for factor in (1.0, 0.5, 0.0, 2.0, 0.25):
        yield squares("", factor)
    for factor in (1.0, 0.5):
        yield squares("the regularisation is divided by the number of rows", factor, 1 / rows)
        yield squares("the regularisation is multiplied by the number of rows", factor, rows)
        yield squares("the regularisation is subtracted", factor, -1)
        yield squares("the last row of W (a bias?) is not regularised", factor, kept=slice(None, -1))
        yield squares("the first row of W (a bias?) is not regularised", factor, kept=slice(1, None))
    norm = float(np.linalg.norm(W))
    of_roots = "the regularisation takes the square root of sum(W W)"
    yield _Regularisation("the regularisation takes |W|, not W W", 1, reg * float(np.abs(W).sum()), reg * np.sign(W))
    yield _Regularisation("the regularisation takes W, not W W", 1, reg * float(W.sum()), reg * np.ones_like(W))
    yield _Regularisation(of_roots, 1, reg * norm, reg * W / norm)


# The data: the sum over the rows and its scale


@dataclass(frozen=True)
class _Data:
    """The loss without its regularisation, and its gradient; None where the mistake is not one of that side."""

    kinds: tuple[str, ...]
    mistakes: tuple[str, ...]
    loss: float | None
    gradient: FloatArray | None


@dataclass(frozen=True)
class _Rows:
    """Each row's loss (N,) and its gradient with respect to the scores (N, C), with the mistake `words`."""

    words: str
    losses: FloatArray | None
    dscores: FloatArray | None


def _data(loss_name: LossName, problem: TrialInputs) -> Iterator[_Data]:
    W, X, y = problem.W, problem.X, problem.y
    row_step = _hinge if loss_name == "svm" else _cross_entropy
    rows = len(X)
    for step in row_step(X @ W, y):
        loss = None if step.losses is None else float(step.losses.sum()) / rows
        gradient = None if step.dscores is None else X.T @ step.dscores / rows
        for scale, factor in (("", 1.0), *_scales(problem)):
            words = tuple(word for word in (step.words, scale) if word)
            yield _Data(
                words,
                words,
                None if loss is None else factor * loss,
                None if gradient is None else factor * gradient,
            )
    right_losses = next(row_step(X @ W, y)).losses
    assert right_losses is not None
    again = ("divided by the number of rows inside the loop",)
    yield _Data(again, again, float(np.sum(right_losses / float(rows) ** np.arange(rows, 0, -1))), None)
    of_mean = ("the logarithm of the mean, not the mean of the logarithms",)
    if loss_name == "softmax":
        yield _Data(of_mean, of_mean, float(-np.log(np.exp(-right_losses).mean())), None)
    for mistake, inputs in _other_inputs(problem):
        right = next(row_step(inputs.X @ inputs.W, inputs.y))
        assert right.losses is not None
        assert right.dscores is not None
        yield _Data((mistake,), (mistake,), float(right.losses.mean()), inputs.X.T @ right.dscores / rows)
    yield from _some_rows(next(row_step(X @ W, y)), X)


def _scales(problem: TrialInputs) -> Sequence[tuple[str, float]]:
    (rows, features), classes = problem.X.shape, problem.W.shape[1]
    return (
        ("not averaged over the rows", rows),
        ("averaged over the rows twice", 1 / rows),
        ("divided by the number of classes", 1 / classes),
        ("divided by the number of wrong classes", 1 / (classes - 1)),
        ("divided by the number of features, not of rows", rows / features),
        ("divided by the number of classes, not of rows", rows / classes),
        ("the sign is wrong", -1),
        ("halved", 0.5),
        ("doubled", 2),
    )


def _other_inputs(problem: TrialInputs) -> Iterator[tuple[str, TrialInputs]]:
    """What code computes that is right, but for what it does to its inputs first."""
    classes = problem.W.shape[1]
    yield _LABELS_OFF_BY_ONE, replace(problem, y=(problem.y - 1) % classes)
    yield _LABELS_OFF_BY_ONE, replace(problem, y=(problem.y + 1) % classes)
    yield "X is cut to whole numbers", replace(problem, X=np.trunc(problem.X))
    yield "X is cut to bytes", replace(problem, X=problem.X.astype(np.int64).astype(np.uint8).astype(np.float64))
    yield "W is cut to whole numbers", replace(problem, W=np.trunc(problem.W))


def _some_rows(right: _Rows, X: FloatArray) -> Iterator[_Data]:
    """Sums that end early or begin late, divided by the number of all rows or of those used."""
    assert right.losses is not None
    assert right.dscores is not None
    rows = len(X)
    second = right.losses[::2], right.dscores[::2]
    words = ("only every second row is used",)
    for divisor in (rows, len(second[0])):
        yield _Data(words, words, second[0].sum() / divisor, X[::2].T @ second[1] / divisor)
    for end, order in (("first", slice(None)), ("last", slice(None, None, -1))):
        losses = np.cumsum(right.losses[order])
        gradients = np.cumsum(X[order, :, None] * right.dscores[order, None, :], axis=0)
        for used in range(1, rows):
            if used == rows - 1:
                left_out = "last" if end == "first" else "first"
                used_rows = f"the {left_out} row is left out"
            else:
                used_rows = f"only the {end} {'row is' if used == 1 else f'{used} rows of {rows} are'} used"
            for divisor in (rows, used):
                yield _Data(
                    (f"only the {end} rows",), (used_rows,), losses[used - 1] / divisor, gradients[used - 1] / divisor
                )


def _hinge(scores: FloatArray, y: NDArray[np.int64]) -> Iterator[_Rows]:
    """The multiclass hinge (Weston & Watkins, 1999), right first, then with each mistake."""
    rows, classes = scores.shape
    correct = np.eye(classes)[y]
    wrong = 1 - correct
    differences = scores - scores[np.arange(rows), y, None]
    margins = differences + 1

    def hinge(margins: FloatArray) -> tuple[FloatArray, FloatArray]:
        violated = (margins > 0) * wrong
        return (margins * violated).sum(axis=1), less_of_correct(violated)

    def less_of_correct(weights: FloatArray) -> FloatArray:
        return weights - correct * weights.sum(axis=1, keepdims=True)

    losses, dscores = hinge(margins)
    violated = (margins > 0) * wrong
    counted = violated.sum(axis=1, keepdims=True)
    largest = np.eye(classes)[np.where(wrong > 0, margins, -np.inf).argmax(axis=1)] * violated
    positive = margins * violated

    yield _Rows("", losses, dscores)
    yield _Rows("the correct class is counted in the hinge", losses + 1, dscores - correct)
    yield _Rows("the correct class is counted in the hinge", None, dscores + correct)
    yield _Rows(
        "the largest margin instead of their sum (Crammer-Singer)",
        (margins * largest).sum(axis=1),
        less_of_correct(largest),
    )
    yield _Rows("the hinge is squared", (positive**2).sum(axis=1), less_of_correct(2 * positive))
    yield _Rows("margins stand where 0 or 1 should", None, less_of_correct(positive))
    yield _Rows("margins below 0 are counted as well", (margins * wrong).sum(axis=1), less_of_correct(wrong))
    yield _Rows("the margin's 1 (delta) is missing", *hinge(differences))
    yield _Rows("all margins are set to 0: [:, y] is not [np.arange(N), y]", 0 * losses, 0 * dscores)
    yield _Rows("the margin's 1 (delta) is subtracted", *hinge(differences - 1))
    before_correct = np.arange(classes) < y[:, None]
    until_first = np.cumsum(violated, axis=1) - violated < 1
    for words, counts in (
        ("classes after the correct one are left out (break?)", before_correct),
        ("only the first margin above 0 is counted (break?)", until_first),
        ("the last class is left out", np.arange(classes) < classes - 1),
        ("the first class is left out", np.arange(classes) > 0),
    ):
        yield _Rows(words, (positive * counts).sum(axis=1), less_of_correct(violated * counts))
    reversed_losses, reversed_dscores = hinge(1 - differences)
    yield _Rows("correct minus wrong score where wrong minus correct belongs", reversed_losses, -reversed_dscores)
    yield _Rows("the correct class's part is missing", None, violated)
    yield _Rows("X is subtracted once a row, not once a margin", None, violated - correct)
    yield _Rows("X is subtracted once a row, not once a margin", None,
                violated - correct * (counted > 0))  # fmt: skip
    yield _Rows("the wrong classes' part is missing", None, -correct * counted)
    yield _Rows("the correct class's part is added, not subtracted", None, violated + correct * counted)
    for other in (np.roll(correct, 1, axis=1), np.roll(correct, -1, axis=1), *_other_classes(scores)):
        yield _Rows("the correct class's part is in another class's column", None, violated - other * counted)


def _cross_entropy(scores: FloatArray, y: NDArray[np.int64]) -> Iterator[_Rows]:
    """Softmax cross-entropy, right first, then with each mistake."""
    rows, classes = scores.shape
    correct = np.eye(classes)[y]
    shifted = scores - scores.max(axis=1, keepdims=True)
    p = np.exp(shifted) / np.exp(shifted).sum(axis=1, keepdims=True)
    losses = -np.log(p)[np.arange(rows), y]
    of_correct = p[np.arange(rows), y]

    yield _Rows("", losses, p - correct)

    twice = np.exp(p) / np.exp(p).sum(axis=1, keepdims=True)
    inner = twice - correct
    through_both = p * (inner - (inner * p).sum(axis=1, keepdims=True))
    yield _Rows("softmax is applied twice", -np.log(twice)[np.arange(rows), y], inner)
    yield _Rows("softmax is applied twice", None, through_both)

    of_missing = p * of_correct[:, None] - correct * of_correct[:, None]
    for constant in (0, 1):
        yield _Rows("the logarithm is missing", constant - of_correct, of_missing)
    yield _Rows("the logarithm is to base 10", losses / np.log(10), None)
    yield _Rows("the logarithm is to base 2", losses / np.log(2), None)
    yield _Rows("all classes are counted, not the correct one alone", -np.log(p).sum(axis=1), classes * p - 1)

    for exponentials in (np.exp(scores), np.exp(shifted)):
        over_rows = exponentials / exponentials.sum(axis=0)
        over_all = exponentials / exponentials.sum()
        for words, weights in (
            ("normalised over the rows, not the classes", over_rows),
            ("normalised over everything, not row by row", over_all),
            ("the exponentials are not normalised", exponentials),
        ):
            yield _Rows(words, -np.log(weights)[np.arange(rows), y], weights - correct)
    yield _Rows(
        "the correct class is missing from the sum of exponentials",
        np.log((np.exp(scores) * (1 - correct)).sum(axis=1)) - scores[np.arange(rows), y],
        None,
    )
    yield _Rows(
        "the subtracted maximum is not added back",
        np.log(np.exp(shifted).sum(axis=1)) - scores[np.arange(rows), y],
        None,
    )
    yield _Rows("the correct class's 1 is not subtracted", None, p)
    yield _Rows("the correct class's 1 is added, not subtracted", None, p + correct)
    yield _Rows("1 is subtracted at every class", None, p - 1)
    for other in _other_classes(scores):
        yield _Rows("the correct class's part is in another class's column", None, p - other)


def _other_classes(scores: FloatArray) -> Iterator[FloatArray]:
    """Classes that are taken for the correct one: that of the largest score, the first, the last. One-hot, (N, C)."""
    one_hot = np.eye(scores.shape[1])
    yield one_hot[scores.argmax(axis=1)]
    yield np.broadcast_to(one_hot[0], scores.shape)
    yield np.broadcast_to(one_hot[-1], scores.shape)


# Both sides in words


def _together(loss: _Side | None, gradient: _Side | None) -> NamedMistake:
    """What is wrong with code that computes this loss and this gradient, or one of them and something unknown."""
    sides = {place: side for place, side in (("loss", loss), ("gradient", gradient)) if side}
    mistakes = {place: _mistakes(side) for place, side in sides.items()}
    clauses = []
    for mistake in dict.fromkeys(itertools.chain(*mistakes.values())):
        places = [place for place in sides if mistake in mistakes[place]]
        if len(places) == 2:
            clauses.append(mistake)
        else:
            lacks = mistake.endswith("is missing")
            clauses.append(f"{mistake} from the {places[0]}" if lacks else f"in the {places[0]}, {mistake}")
    factors = {
        place: side.regularisation.factor
        for place, side in sides.items()
        if not side.regularisation.words and side.regularisation.factor
    }
    clauses += _about_factors(factors.get("loss"), factors.get("gradient"))
    half = bool(factors) and set(factors.values()) == {0.5}
    return NamedMistake("; ".join(clauses), len(clauses), loss is not None, gradient is not None, half)


def _mistakes(side: _Side) -> list[str]:
    regularisation = side.regularisation
    words = regularisation.words or ("" if regularisation.factor else "the regularisation is missing")
    return [*side.mistakes, *([words] if words else [])]


def _about_factors(of_loss: float | None, of_gradient: float | None) -> Iterator[str]:
    """On the factors before the regularisation, where they are neither both 1 nor both 0.5."""
    in_loss = of_loss and f"loss adds {_times(of_loss)} sum(W W)"
    in_gradient = of_gradient and f"dW adds {_times(2 * of_gradient)} W"
    if of_loss and of_gradient and of_loss != of_gradient:
        yield f"{in_loss}, whose gradient is {_times(2 * of_loss)} W; {in_gradient}"
    elif (of_loss or of_gradient or 1) not in (0.5, 1):
        yield in_loss or in_gradient or ""


def _times(factor: float) -> str:
    return "reg" if factor == 1 else f"{factor:g} reg"
