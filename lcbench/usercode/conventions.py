"""Which loss a user's function computes, and in which convention, found by calling it on a small problem."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from lcbench.losses.implementation import LOSSES, Convention, Implementation, LossName
from lcbench.usercode import mistakes
from lcbench.usercode.discovery import UserFunction
from lcbench.usercode.loading import FaultKind, describe
from lcbench.usercode.mistakes import FloatArray, TrialInputs, TrialResult
from lcbench.usercode.source import underlying

RefusalKind = Literal["wrong", "cannot-load"] | FaultKind

RECOGNITION_TOLERANCE = 1e-4
"""Largest relative error (of the gradient: in the Euclidean norm) at which an answer still counts as the same loss.

Conventions differ by more than 10 % on the small problem; single precision or an epsilon inside a logarithm stay far
below this. Whether the digits suffice is a question for verification, not for recognition."""

HALF_PRECISION = 5e-3
"""Relative error that sums in float16 stay below, on the small problem."""


class Oracle(Protocol):
    """The two losses, computed right, in float64 and in the current convention."""

    def svm_loss(self, W: FloatArray, X: FloatArray, y: NDArray[Any], reg: float) -> tuple[Any, Any]: ...

    def softmax_loss(self, W: FloatArray, X: FloatArray, y: NDArray[Any], reg: float) -> tuple[Any, Any]: ...


@dataclass(frozen=True)
class Refusal:
    """Why a user's function is no implementation, in one line."""

    kind: RefusalKind
    reason: str

    def __str__(self) -> str:
        return self.reason


def recognise(user_function: UserFunction, oracle: Oracle) -> Implementation | Refusal:
    """The function as an implementation with the current signature, or why it cannot be one.

    It is called in each layout, (D, C) first, on copies of a small float64 problem; where its name does not say which
    loss it is, its answer is compared with both. Where that is not right, a second problem helps to tell which mistake
    was made. What it raises becomes a refusal. It may also print or never return: that is for the caller to contain.
    """
    if user_function.problem is not None:
        return Refusal("cannot-load", user_function.problem)
    losses = (user_function.loss,) if user_function.loss else LOSSES
    failures = []
    for columns in (False, True):
        candidate = _in_convention(user_function, losses[0], Convention(columns))
        trial = _Trial(
            losses, columns, oracle, TrialInputs.small(), _call(candidate, user_function, TrialInputs.small())
        )
        if isinstance(trial.answer, TrialResult) and not trial.answer.changed:
            right = next((each for each in trial.comparisons() if each.loss_fits and each.gradient_fits), None)
            if right:
                return _in_convention(user_function, right.loss_name, right.convention)
        if isinstance(trial.answer, TrialResult) or trial.answer.distance < _RAISED:
            again = replace(
                trial, problem=TrialInputs.other(), answer=_call(candidate, user_function, TrialInputs.other())
            )
            failures.append(_what_is_wrong(trial, again))
        else:
            failures.append(trial.answer)
    return min(failures, key=lambda failure: failure.distance).refusal


def recognise_by_loss(user_function: UserFunction, oracle: Oracle) -> Implementation | Refusal:
    """The function under the convention that its loss alone fits, whatever its gradient is worth.

    For a gradient check, which asks only for the slope of a function's own loss. Where the loss fits no convention, it
    is the one that the function's name says, in the layout that it accepts. A Refusal where even that is not known, or
    where the answer is no number and array of W's shape.
    """
    losses = (user_function.loss,) if user_function.loss else LOSSES
    accepted = []
    for columns in (False, True):
        candidate = _in_convention(user_function, losses[0], Convention(columns))
        trial = _Trial(
            losses, columns, oracle, TrialInputs.small(), _call(candidate, user_function, TrialInputs.small())
        )
        if not isinstance(trial.answer, TrialResult) or trial.answer.changed:
            continue
        fitting = next((each for each in trial.comparisons() if each.loss_fits), None)
        if fitting:
            return _in_convention(user_function, fitting.loss_name, fitting.convention)
        accepted.append(candidate)
    if accepted and user_function.loss:
        return accepted[0]
    recognised = recognise(user_function, oracle)
    assert isinstance(recognised, Refusal)  # what is right has a loss that fits
    return recognised


@dataclass(frozen=True)
class _Failure:
    """`distance` says in which layout the function came nearest to an answer: that is the failure worth telling."""

    refusal: Refusal
    distance: float


_NOT_FINITE, _UNUSABLE, _RAISED, _RAISED_OVER_SHAPES = 1e50, 1e100, 1e200, 1e300


@dataclass(frozen=True)
class _Comparison:
    """An answer beside the oracle's, under one convention."""

    loss_name: LossName
    convention: Convention
    loss_error: float
    gradient_error: float

    @property
    def loss_fits(self) -> bool:
        return self.loss_error <= RECOGNITION_TOLERANCE

    @property
    def gradient_fits(self) -> bool:
        return self.gradient_error <= RECOGNITION_TOLERANCE


def _call(candidate: Implementation, user_function: UserFunction, problem: TrialInputs) -> TrialResult | _Failure:
    """The answer to the small problem, or why there is none that could be compared."""
    inputs = {"W": problem.W.copy(), "X": problem.X.copy(), "y": problem.y.copy()}
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            prepared = dict(zip(inputs, candidate.prepare(*inputs.values()), strict=True))
            before = {name: _copy(array) for name, array in prepared.items()}
            [function] = candidate.functions.values()
            result: Any = function(prepared["W"], prepared["X"], prepared["y"], problem.reg)
    except (Exception, SystemExit) as error:
        code = getattr(underlying(user_function.function), "__code__", None)
        fault = describe(error, code.co_filename if code else "")
        over_shapes = isinstance(error, ValueError | IndexError)
        return _Failure(Refusal(fault.kind, str(fault)), _RAISED_OVER_SHAPES if over_shapes else _RAISED)

    def unusable(kind: RefusalKind, reason: str) -> _Failure:
        return _Failure(Refusal(kind, reason), _UNUSABLE)

    if result is None:
        return unusable("unfinished", "unfinished: returns nothing")
    if not isinstance(result, tuple | list) or len(result) != 2:
        what = f"{len(result)} values" if isinstance(result, tuple | list) else f"a {type(result).__name__}"
        return unusable("wrong", f"returns {what}, not (loss, dW)")
    for value, what in zip(result, ("loss", "gradient"), strict=True):
        if value is None:
            return unusable("unfinished", f"unfinished: returns None for the {what}")
    try:
        loss, dW = candidate.fetch(*result)
        dtype, dW = str(np.asarray(dW).dtype), np.asarray(dW, dtype=np.float64)
    except (Exception, SystemExit):
        return unusable("wrong", "returns something else than a number and an array for (loss, dW)")
    if dW.shape != problem.W.shape:
        returned, expected = (
            tuple(shape[::-1]) if candidate.convention.columns else shape for shape in (dW.shape, problem.W.shape)
        )
        transposed = "gradient is transposed: it" if dW.shape == problem.W.shape[::-1] else "gradient"
        return unusable("wrong", f"{transposed} has shape {returned}, W has {expected}")
    changed = [name for name, array in prepared.items() if not _same(array, before[name])]
    return TrialResult(loss, dW, ", ".join(changed), dtype)


def _comparisons(
    answer: TrialResult, problem: TrialInputs, losses: Iterable[LossName], columns: bool, oracle: Oracle
) -> Iterator[_Comparison]:
    for loss_name in losses:
        right = oracle.svm_loss if loss_name == "svm" else oracle.softmax_loss
        for half in (False, True):
            loss, dW = right(problem.W, problem.X, problem.y, problem.reg / 2 if half else problem.reg)
            yield _Comparison(
                loss_name,
                Convention(columns, half),
                _finite(abs(answer.loss - loss) / abs(loss)),
                _finite(float(np.linalg.norm(answer.gradient - dW) / np.linalg.norm(dW))),
            )


@dataclass(frozen=True)
class _Trial:
    """One call, in one layout, and what it may be compared with."""

    losses: tuple[LossName, ...]
    columns: bool
    oracle: Oracle
    problem: TrialInputs
    answer: TrialResult | _Failure

    def comparisons(self, losses: tuple[LossName, ...] = ()) -> list[_Comparison]:
        """The answer beside those of `losses`; of those that the function may be, where none are given."""
        assert isinstance(self.answer, TrialResult)
        return list(_comparisons(self.answer, self.problem, losses or self.losses, self.columns, self.oracle))


def _what_is_wrong(trial: _Trial, again: _Trial) -> _Failure:
    """What to say of an answer that fits no convention, told under the nearest one.

    again: the same function's answer to a second problem.
    """
    if isinstance(again.answer, TrialResult):
        of_the_first = replace(trial, answer=again.answer).comparisons()
        if any(each.loss_fits and each.gradient_fits for each in of_the_first):
            return _Failure(Refusal("wrong", "returns the result of an earlier call"), 0.0)
    answer = trial.answer
    if isinstance(answer, _Failure):
        return answer

    comparisons = trial.comparisons()
    fitting = [each for each in comparisons if each.loss_fits or each.gradient_fits]
    current = [each for each in comparisons if not each.convention.half_regularisation]
    nearest = min(fitting or current, key=lambda comparison: comparison.loss_error + comparison.gradient_error)
    distance = min(nearest.loss_error + nearest.gradient_error, _NOT_FINITE)
    under = _under(nearest.convention)
    loss, gradient = _in_words(nearest.loss_error), _in_words(nearest.gradient_error)

    no_loss, no_gradient = answer.loss == 0, not answer.gradient.any()
    if no_loss and no_gradient:
        refusal = Refusal("unfinished", "unfinished: returns zeros, as the assignment's starter code does")
    elif no_gradient:
        refusal = Refusal("unfinished", f"unfinished: the gradient is zeros; the loss is {loss}{under}")
    elif no_loss:
        refusal = Refusal("unfinished", f"unfinished: the loss is zero; the gradient is {gradient}{under}")
    elif answer.changed:
        refusal = Refusal("wrong", f"changes {answer.changed}; no input may be changed")
    elif named := _named(trial, again):
        refusal, distance = Refusal("wrong", named), 0.0
    elif len(trial.losses) > 1:
        refusal = Refusal("wrong", f"neither loss; as {nearest.loss_name}: loss {loss}; gradient {gradient}{under}")
    else:
        refusal = Refusal("wrong", f"loss {loss}; gradient {gradient}{under}")
    return _Failure(refusal, distance)


def _named(trial: _Trial, again: _Trial) -> str | None:
    """The known mistake that explains the answers, in one line."""
    answer, second = trial.answer, again.answer
    assert isinstance(answer, TrialResult)
    if np.dtype(answer.dtype).kind != "f":
        return f"gradient has dtype {answer.dtype}, not a floating-point one"
    if answer.dtype == "float16":
        return "gradient has dtype float16, which is too coarse"
    if (
        isinstance(second, TrialResult)
        and second.loss == answer.loss
        and np.array_equal(second.gradient, answer.gradient)
    ):
        return "returns the same for other inputs, as a cached result does"
    for each in trial.comparisons():
        if RECOGNITION_TOLERANCE / 10 < each.gradient_error < HALF_PRECISION and each.loss_error < HALF_PRECISION:
            return "right to three digits only, as in half precision (float16)" + _under(each.convention)
    for other in LOSSES:
        if other not in trial.losses:
            for each in trial.comparisons((other,)):
                if each.loss_fits and each.gradient_fits:
                    return f"computes the {other} loss, though its name says {trial.losses[0]}{_under(each.convention)}"

    problems, answers = [trial.problem], [answer]
    if isinstance(second, TrialResult):
        problems, answers = [*problems, again.problem], [*answers, second]
    found = [(mistakes.name_mistake(loss_name, problems, answers), loss_name) for loss_name in trial.losses]
    explained = [(named, loss_name) for named, loss_name in found if named]
    if len(trial.losses) > 1:  # half of an answer would explain either loss too easily
        explained = [(named, loss_name) for named, loss_name in explained if named.loss and named.gradient]
    if not explained:
        return None
    named, loss_name = min(explained, key=lambda each: each[0].count)
    words = named.words if len(trial.losses) == 1 else f"as {loss_name}: {named.words}"
    if not (named.loss and named.gradient):
        nearest = min(trial.comparisons((loss_name,)), key=lambda each: each.loss_error + each.gradient_error)
        unexplained = ("gradient", nearest.gradient_error) if named.loss else ("loss", nearest.loss_error)
        words += f"; {unexplained[0]} {_in_words(unexplained[1])}"
    return words + _under(Convention(trial.columns, named.half_regularisation))


def _under(convention: Convention) -> str:
    return f" (under the {convention})" if convention.differs else ""


def _in_words(error: float) -> str:
    if error <= RECOGNITION_TOLERANCE:
        return "right"
    return f"wrong, relative error {error:.2g}" if np.isfinite(error) else "not finite"


def _in_convention(user_function: UserFunction, loss_name: LossName, convention: Convention) -> Implementation:
    """The function with the current signature around it. Integer pixels reach it in W's dtype, as in the assignment."""
    function = user_function.function
    assert function is not None

    def prepare(W: Any, X: Any, y: Any) -> tuple[Any, Any, Any]:
        if X.dtype.kind in "ui":
            X = X.astype(W.dtype)
        if convention.columns:
            W, X = np.ascontiguousarray(W.T), np.ascontiguousarray(X.T)
        return user_function.prepare(W, X, y) if user_function.prepare else (W, X, y)

    def fetch(loss: Any, dW: Any) -> tuple[float, NDArray[Any]]:
        if user_function.fetch:
            loss, dW = user_function.fetch(loss, dW)
        elif not _holds_numbers(dW):
            raise TypeError(f"a {type(dW).__name__} is no array: it may be computed only when it is read")
        dW = np.asarray(dW)
        return np.asarray(loss, dtype=np.float64).item(), np.ascontiguousarray(dW.T) if convention.columns else dW

    def with_doubled_reg(W: Any, X: Any, y: Any, reg: float) -> tuple[Any, Any]:
        return function(W, X, y, 2 * reg)

    return Implementation(
        name=user_function.name,
        device=user_function.device,
        functions={loss_name: with_doubled_reg if convention.half_regularisation else function},
        prepare=prepare,
        fetch=fetch,
        compiles=user_function.compiles,
        convention=convention,
    )


def _holds_numbers(value: Any) -> bool:
    """Whether `value` is an array, of whatever library, or a list."""
    return isinstance(value, np.ndarray | list | tuple) or any(
        hasattr(value, name) for name in ("__array_interface__", "__dlpack__", "__cuda_array_interface__")
    )


def _copy(array: Any) -> Any:
    return array.copy() if isinstance(array, np.ndarray) else None


def _same(array: Any, before: Any) -> bool:
    return before is None or np.array_equal(array, before)


def _finite(error: float) -> float:
    return error if np.isfinite(error) else np.inf
