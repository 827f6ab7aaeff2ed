"""Known mistakes in a loss and its gradient, found by comparing outputs for small inputs with those of wrong code.

A loss is a sum over rows, scaled, plus a regularisation. Each of these parts may be wrong, in the loss, in the gradient
or in both. The tables below list the mistakes of each part; all combinations are tried, and the one with the fewest
mistakes is reported.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from lcbench.losses.implementation import LossName

FloatArray = NDArray[np.float64]

TOLERANCE = 1e-5
"""Maximum relative error (of a gradient: in the Frobenius norm) of an output that a mistake explains.

It is far above single precision, and smaller than the tolerance of recognition, since many mistakes are tried."""


EARLIER_RESULT = "returns the result of an earlier call"


@dataclass(frozen=True)
class TrialInputs:
    """W (D, C), X (N, D), y (N,) in [0, C) and the regularisation strength, as the losses take them."""

    W: FloatArray
    X: FloatArray
    y: NDArray[np.int64]
    reg: float

    @classmethod
    def small(cls) -> TrialInputs:
        """Return the first inputs.

        The numbers of rows, features and classes differ, so that a wrong layout does not fit by chance. There are ten
        classes, since some files assume those of CIFAR-10, and each occurs in y, since other files count the classes in
        y. `reg` makes the regularisation a large part of both losses.
        """
        return cls._random(231, rows=17, reg=0.3)

    @classmethod
    def other(cls) -> TrialInputs:
        """Return the second inputs, so that an explanation of both outputs does not fit by chance.

        W has the same shape as in the first, so that a result of an earlier call can be recognised.
        """
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
class TrialOutput:
    """Loss and gradient dW (D, C) that a call returned, in float64.

    changed: names of the inputs that the call changed. dtype: of dW as it was returned.
    """

    loss: float
    gradient: FloatArray
    changed: str = ""
    dtype: str = "float64"


@dataclass(frozen=True)
class KnownMistake:
    """Mistakes that explain an output.

    words: one line. count: number of mistakes.
    loss, gradient: whether this part of the output is explained. If not, it is wrong for an unknown reason.
    half_regularisation: whether the code is otherwise right with ``0.5 * reg * sum(W * W)``.
    """

    words: str
    count: int
    loss: bool
    gradient: bool
    half_regularisation: bool


def find_mistake(
    loss_name: LossName, inputs: Sequence[TrialInputs], outputs: Sequence[TrialOutput]
) -> KnownMistake | None:
    """Return the mistake in code for `loss_name` that returned `outputs` for `inputs`, or None if it is unknown.

    The mistake explains all outputs. Among several, the one with the fewest mistakes is returned, preferably in the
    current convention; of two that are equal, the words name both.
    """
    with np.errstate(all="ignore"):
        losses = _fitting([output.loss for output in outputs], [_losses(loss_name, each) for each in inputs])
        gradients = _fitting([output.gradient for output in outputs], [_gradients(loss_name, each) for each in inputs])
    unknown: list[_Explanation | None] = [None]
    pairs = itertools.product(losses or unknown, gradients or unknown)
    found = [_combine(loss, gradient) for loss, gradient in pairs]
    fewest = min(mistake.count for mistake in found)
    if fewest == 0:
        return None
    best = [mistake for mistake in found if mistake.count == fewest]
    best = [mistake for mistake in best if not mistake.half_regularisation] or best
    words = list(dict.fromkeys(mistake.words for mistake in best))
    return replace(best[0], words=" or: ".join(words[:2]))


def unrepeatable(compiled: bool) -> str:
    """Return in one line that two calls of a function, which Numba has `compiled` or not, gave different results."""
    return "two calls on the same arrays differ: " + ("a race in prange?" if compiled else "random numbers, or a race?")


# Explanations of a loss or of a gradient


@dataclass(frozen=True)
class _Regularisation:
    """Regularisation term of the loss and of the gradient, with the mistake `words`.

    factor: factor of sum(W W). Without a mistake, 1 and 0.5 are right.
    """

    words: str
    factor: float
    loss: float
    gradient: FloatArray

    @property
    def right(self) -> bool:
        return not self.words and self.factor in (0.5, 1)


@dataclass(frozen=True)
class _Explanation:
    """Explanation of a loss or of a gradient by mistakes.

    mistakes: in words. kinds: the same without numbers that depend on the inputs. value: loss or gradient.
    """

    kinds: tuple[str, ...]
    mistakes: tuple[str, ...]
    regularisation: _Regularisation
    value: float | FloatArray

    @property
    def key(self) -> tuple[tuple[str, ...], str, float]:
        return self.kinds, self.regularisation.words, self.regularisation.factor

    def fits(self, output: float | FloatArray) -> bool:
        """Return whether `output` is this loss or gradient, up to `TOLERANCE`."""
        norm = np.linalg.norm(self.value)
        return bool(norm > 0 and np.linalg.norm(np.subtract(output, self.value)) <= TOLERANCE * norm)


def _fitting(outputs: Sequence[float | FloatArray], candidates: Sequence[Iterator[_Explanation]]) -> list[_Explanation]:
    """Return the explanations of the first output that also explain all others."""
    first, *others = (
        [explanation for explanation in explanations if explanation.fits(output)]
        for output, explanations in zip(outputs, candidates, strict=True)
    )
    keys = [{explanation.key for explanation in other} for other in others]
    return [explanation for explanation in first if all(explanation.key in other for other in keys)]


def _losses(loss_name: LossName, inputs: TrialInputs) -> Iterator[_Explanation]:
    regularisations, rows = list(_regularisations(inputs)), len(inputs.X)
    for data in _data(loss_name, inputs):
        if data.loss is not None:
            for reg in regularisations:
                value = data.loss + reg.loss
                yield _Explanation(data.kinds, data.mistakes, reg, value)
                if not data.kinds and reg.right:
                    for mistake, factor in _scales(inputs):
                        words = (f"{mistake}, including the regularisation",)
                        yield _Explanation(words, words, reg, factor * value)
                    words = ("divided by N + reg sum(W W), not by N alone",)
                    yield _Explanation(words, words, reg, data.loss * rows / (rows + reg.loss))


def _gradients(loss_name: LossName, inputs: TrialInputs) -> Iterator[_Explanation]:
    shape, rows = inputs.W.shape, len(inputs.X)
    regularisations = list(_regularisations(inputs))
    for data in _data(loss_name, inputs):
        if data.gradient is not None:
            for reg in regularisations:
                value = data.gradient + reg.gradient
                yield _Explanation(data.kinds, data.mistakes, reg, value)
                if not data.kinds and reg.right:
                    for mistake, wrong_value in (
                        ("divided by N + reg W, not by N alone", data.gradient * rows / (rows + reg.gradient)),
                        ("dW is truncated to integers", np.trunc(value)),
                        ("reshaped, not transposed", value.T.reshape(shape)),
                        ("the rows of dW are in reverse order", value[::-1]),
                        *(
                            (f"{scale}, including the regularisation", factor * value)
                            for scale, factor in _scales(inputs)
                        ),
                    ):
                        yield _Explanation((mistake,), (mistake,), reg, wrong_value)


# Regularisation


def _regularisations(inputs: TrialInputs) -> Iterator[_Regularisation]:
    W, reg, rows = inputs.W, inputs.reg, len(inputs.X)

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
        yield squares("the regularisation is not multiplied by reg", factor, 1 / reg)
        yield squares("the last row of W (a bias?) is not regularised", factor, kept=slice(None, -1))
        yield squares("the first row of W (a bias?) is not regularised", factor, kept=slice(1, None))
    norm = float(np.linalg.norm(W))
    yield _Regularisation("the regularisation uses |W|, not W W", 1, reg * float(np.abs(W).sum()), reg * np.sign(W))
    yield _Regularisation("the regularisation uses W, not W W", 1, reg * float(W.sum()), reg * np.ones_like(W))
    yield _Regularisation("the regularisation uses the square root of sum(W W)", 1, reg * norm, reg * W / norm)
    for words, sums in (
        ("the regularisation is sum(W.dot(W.T)), not sum(W * W)", W.sum(axis=0, keepdims=True)),
        ("the regularisation is sum(W.T.dot(W)), not sum(W * W)", W.sum(axis=1, keepdims=True)),
        ("the regularisation is sum(W) squared, not sum(W * W)", W.sum(keepdims=True)),
    ):
        for factor in (1.0, 0.5):
            gradient = np.broadcast_to(2 * factor * reg * sums, W.shape)
            yield _Regularisation(words, factor, factor * reg * float((sums**2).sum()), gradient)
    square_sum = float(np.sum(W**2))
    yield _Regularisation("reg is added to sum(W W), not multiplied by it", 1, reg + square_sum, reg + 2 * W)
    for factor in (1.0, 0.5):
        yield _Regularisation("reg is added without W", factor, factor * reg, np.full_like(W, 2 * factor * reg))


# Data loss: the sum over the rows and its scale


@dataclass(frozen=True)
class _Data:
    """Loss without the regularisation, and its gradient; None if the mistake does not occur in this part.

    kind: the mistake without numbers that depend on the inputs, if it contains such numbers.
    """

    mistakes: tuple[str, ...]
    loss: float | None
    gradient: FloatArray | None
    kind: str = ""

    @property
    def kinds(self) -> tuple[str, ...]:
        """Mistakes in words that are the same for all inputs."""
        return (self.kind,) if self.kind else self.mistakes


@dataclass(frozen=True)
class _Rows:
    """Loss of each row (N,) and its gradient with respect to the scores (N, C), with the mistake `words`."""

    words: str
    losses: FloatArray | None
    dscores: FloatArray | None


def _data(loss_name: LossName, inputs: TrialInputs) -> Iterator[_Data]:
    W, X, y = inputs.W, inputs.X, inputs.y
    row_step = _hinge if loss_name == "svm" else _cross_entropy
    rows = len(X)
    for step in row_step(X @ W, y):
        loss = None if step.losses is None else float(step.losses.sum()) / rows
        gradient = None if step.dscores is None else X.T @ step.dscores / rows
        for scale, factor in (("", 1.0), *_scales(inputs)):
            words = tuple(word for word in (step.words, scale) if word)
            scaled_gradient = None if gradient is None else factor * gradient
            yield _Data(words, None if loss is None else factor * loss, scaled_gradient)
    right_losses = next(row_step(X @ W, y)).losses
    assert right_losses is not None
    divided_in_loop = float(np.sum(right_losses / float(rows) ** np.arange(rows, 0, -1)))
    yield _Data(("divided by the number of rows inside the loop",), divided_in_loop, None)
    if loss_name == "softmax":
        log_of_mean = float(-np.log(np.exp(-right_losses).mean()))
        yield _Data(("the logarithm of the mean, not the mean of the logarithms",), log_of_mean, None)
    for mistake, changed in _other_inputs(inputs):
        right = next(row_step(changed.X @ changed.W, changed.y))
        assert right.losses is not None
        assert right.dscores is not None
        yield _Data((mistake,), float(right.losses.mean()), changed.X.T @ right.dscores / rows)
    yield from _some_rows(next(row_step(X @ W, y)), X)


def _scales(inputs: TrialInputs) -> Sequence[tuple[str, float]]:
    (rows, features), classes = inputs.X.shape, inputs.W.shape[1]
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


def _other_inputs(inputs: TrialInputs) -> Iterator[tuple[str, TrialInputs]]:
    """Yield mistakes that change the inputs of right code, with the changed inputs."""
    classes = inputs.W.shape[1]
    yield "the labels are off by one", replace(inputs, y=(inputs.y - 1) % classes)
    yield "the labels are off by one", replace(inputs, y=(inputs.y + 1) % classes)
    yield "X is truncated to integers", replace(inputs, X=np.trunc(inputs.X))
    yield "X is converted to uint8", replace(inputs, X=inputs.X.astype(np.int64).astype(np.uint8).astype(np.float64))
    yield "W is truncated to integers", replace(inputs, W=np.trunc(inputs.W))


def _some_rows(right: _Rows, X: FloatArray) -> Iterator[_Data]:
    """Yield sums over a part of the rows, divided by the number of all rows or of those used."""
    assert right.losses is not None
    assert right.dscores is not None
    rows = len(X)
    second = right.losses[::2], right.dscores[::2]
    for divisor in (rows, len(second[0])):
        loss, gradient = second[0].sum() / divisor, X[::2].T @ second[1] / divisor
        yield _Data(("only every second row is used",), loss, gradient)
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
                loss, gradient = losses[used - 1] / divisor, gradients[used - 1] / divisor
                yield _Data((used_rows,), loss, gradient, kind=f"only the {end} rows")


def _hinge(scores: FloatArray, y: NDArray[np.int64]) -> Iterator[_Rows]:
    """Yield the multiclass hinge loss (Weston & Watkins, 1999), right first, then with each mistake."""
    rows, classes = scores.shape
    correct = np.eye(classes)[y]
    wrong = 1 - correct
    differences = scores - scores[np.arange(rows), y, None]
    margins = differences + 1

    def hinge(margins: FloatArray) -> tuple[FloatArray, FloatArray]:
        violated = (margins > 0) * wrong
        return (margins * violated).sum(axis=1), minus_correct(violated)

    def minus_correct(weights: FloatArray) -> FloatArray:
        return weights - correct * weights.sum(axis=1, keepdims=True)

    losses, dscores = hinge(margins)
    violated = (margins > 0) * wrong
    counted = violated.sum(axis=1, keepdims=True)
    largest = np.eye(classes)[np.where(wrong > 0, margins, -np.inf).argmax(axis=1)] * violated
    positive = margins * violated

    yield _Rows("", losses, dscores)
    yield _Rows("the correct class is included in the hinge sum", losses + 1, dscores - correct)
    yield _Rows("the correct class is included in the hinge sum", None, dscores + correct)
    yield _Rows(
        "the largest margin is used, not their sum (Crammer-Singer)",
        (margins * largest).sum(axis=1),
        minus_correct(largest),
    )
    yield _Rows("the hinge is squared", (positive**2).sum(axis=1), minus_correct(2 * positive))
    yield _Rows("margins are used where 0 or 1 is needed", None, minus_correct(positive))
    yield _Rows("negative margins are not set to 0", (margins * wrong).sum(axis=1), minus_correct(wrong))
    yield _Rows("the margin of 1 (delta) is missing", *hinge(differences))
    yield _Rows("all margins become 0: index [np.arange(N), y], not [:, y]", 0 * losses, 0 * dscores)
    yield _Rows("the margin of 1 (delta) is subtracted, not added", *hinge(differences - 1))
    before_correct = np.arange(classes) < y[:, None]
    until_first = np.cumsum(violated, axis=1) - violated < 1
    for words, counts in (
        ("classes after the correct one are left out (break?)", before_correct),
        ("only the first margin above 0 is counted (break?)", until_first),
        ("the last class is left out", np.arange(classes) < classes - 1),
        ("the first class is left out", np.arange(classes) > 0),
    ):
        yield _Rows(words, (positive * counts).sum(axis=1), minus_correct(violated * counts))
    reversed_losses, reversed_dscores = hinge(1 - differences)
    yield _Rows("margins use correct minus wrong score, not the reverse", reversed_losses, -reversed_dscores)
    yield _Rows("the term of the correct class is missing", None, violated)
    yield _Rows("X is subtracted once per row, not once per margin", None, violated - correct)
    yield _Rows("X is subtracted once per row, not once per margin", None, violated - correct * (counted > 0))
    yield _Rows("the term of the wrong classes is missing", None, -correct * counted)
    yield _Rows("the term of the correct class is added, not subtracted", None, violated + correct * counted)
    for other in (np.roll(correct, 1, axis=1), np.roll(correct, -1, axis=1), *_other_classes(scores)):
        yield _Rows("the term of the correct class is in the wrong column", None, violated - other * counted)


def _cross_entropy(scores: FloatArray, y: NDArray[np.int64]) -> Iterator[_Rows]:
    """Yield the softmax cross-entropy, right first, then with each mistake."""
    rows, classes = scores.shape
    correct = np.eye(classes)[y]
    shifted = scores - scores.max(axis=1, keepdims=True)
    p = np.exp(shifted) / np.exp(shifted).sum(axis=1, keepdims=True)
    losses = -np.log(p)[np.arange(rows), y]
    p_correct = p[np.arange(rows), y]

    yield _Rows("", losses, p - correct)

    twice = np.exp(p) / np.exp(p).sum(axis=1, keepdims=True)
    inner = twice - correct
    through_both = p * (inner - (inner * p).sum(axis=1, keepdims=True))
    yield _Rows("softmax is applied twice", -np.log(twice)[np.arange(rows), y], inner)
    yield _Rows("softmax is applied twice", None, through_both)

    without_logarithm = p * p_correct[:, None] - correct * p_correct[:, None]
    for constant in (0, 1):
        yield _Rows("the logarithm is missing", constant - p_correct, without_logarithm)
    yield _Rows("the logarithm is to base 10", losses / np.log(10), None)
    yield _Rows("the logarithm is to base 2", losses / np.log(2), None)
    yield _Rows("all classes are summed, not only the correct one", -np.log(p).sum(axis=1), classes * p - 1)

    for exponentials in (np.exp(scores), np.exp(shifted)):
        over_rows = exponentials / exponentials.sum(axis=0)
        over_all = exponentials / exponentials.sum()
        for words, weights in (
            ("normalised over the rows, not over the classes", over_rows),
            ("normalised over the whole array, not row by row", over_all),
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
    yield _Rows("1 is not subtracted at the correct class", None, p)
    yield _Rows("1 is added at the correct class, not subtracted", None, p + correct)
    yield _Rows("1 is subtracted at every class, not only the correct one", None, p - 1)
    for other in _other_classes(scores):
        yield _Rows("the term of the correct class is in the wrong column", None, p - other)


def _other_classes(scores: FloatArray) -> Iterator[FloatArray]:
    """Yield classes that wrong code uses for the correct one, one-hot (N, C): largest score, first, last."""
    one_hot = np.eye(scores.shape[1])
    yield one_hot[scores.argmax(axis=1)]
    yield np.broadcast_to(one_hot[0], scores.shape)
    yield np.broadcast_to(one_hot[-1], scores.shape)


# Loss and gradient together


def _combine(loss: _Explanation | None, gradient: _Explanation | None) -> KnownMistake:
    """Return the mistake of code whose loss and gradient have these explanations; None is an unknown one."""
    explanations = {part: each for part, each in (("loss", loss), ("gradient", gradient)) if each}
    mistakes = {part: _mistakes(each) for part, each in explanations.items()}
    clauses = []
    for mistake in dict.fromkeys(itertools.chain(*mistakes.values())):
        parts = [part for part in explanations if mistake in mistakes[part]]
        if len(parts) == 2:
            clauses.append(mistake)
        elif mistake.endswith("is missing"):
            clauses.append(f"{mistake} from the {parts[0]}")
        else:
            clauses.append(f"in the {parts[0]}, {mistake}")
    factors = {
        part: each.regularisation.factor
        for part, each in explanations.items()
        if not each.regularisation.words and each.regularisation.factor
    }
    clauses += _factor_mistake(factors.get("loss"), factors.get("gradient"))
    half = bool(factors) and set(factors.values()) == {0.5}
    return KnownMistake("; ".join(clauses), len(clauses), loss is not None, gradient is not None, half)


def _mistakes(explanation: _Explanation) -> list[str]:
    regularisation = explanation.regularisation
    words = regularisation.words or ("" if regularisation.factor else "the regularisation is missing")
    return [*explanation.mistakes, *([words] if words else [])]


def _factor_mistake(loss_factor: float | None, gradient_factor: float | None) -> Iterator[str]:
    """Yield a clause on the factors of the regularisation unless both are 1 or both are 0.5."""
    in_loss = loss_factor and f"loss adds {_reg_times(loss_factor)} sum(W W)"
    in_gradient = gradient_factor and f"dW adds {_reg_times(2 * gradient_factor)} W"
    if loss_factor and gradient_factor and loss_factor != gradient_factor:
        yield f"{in_loss}, whose gradient is {_reg_times(2 * loss_factor)} W; {in_gradient}"
    elif (loss_factor or gradient_factor or 1) not in (0.5, 1):
        yield in_loss or in_gradient or ""


def _reg_times(factor: float) -> str:
    return "reg" if factor == 1 else f"{factor:g} reg"
