"""Which loss a user's function computes, and in which convention, found by calling it on a small problem."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from lcbench.losses.implementation import LOSSES, Convention, Implementation, LossName
from lcbench.losses.user_code.discovery import UserFunction
from lcbench.losses.user_code.faults import FaultKind, describe
from lcbench.losses.user_code.signature import underlying

RefusalKind = Literal["wrong", "cannot-load"] | FaultKind

TOLERANCE = 1e-4
"""Largest relative error (of the gradient: in the Euclidean norm) at which an answer still counts as the same loss.

Conventions differ by more than 10 % on the small problem; single precision or an epsilon inside a logarithm stay far
below this. Whether the digits suffice is a question for verification, not for recognition."""

FloatArray = NDArray[np.float64]


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

    It is called once in each layout, (D, C) first, on copies of a small float64 problem; where its name does not say
    which loss it is, its answer is compared with both. What it raises becomes a refusal. It may also print or never
    return: that is for the caller to contain.
    """
    if user_function.problem is not None:
        return Refusal("cannot-load", user_function.problem)
    losses = (user_function.loss,) if user_function.loss else LOSSES
    problem = _Problem.small()
    failures = []
    for columns in (False, True):
        candidate = _in_convention(user_function, losses[0], Convention(columns))
        answer = _call(candidate, user_function, problem)
        if isinstance(answer, _Failure):
            failures.append(answer)
            continue
        comparisons = list(_comparisons(answer, problem, losses, columns, oracle))
        right = next(
            (comparison for comparison in comparisons if comparison.loss_fits and comparison.gradient_fits), None
        )
        if right and not answer.changed:
            return _in_convention(user_function, right.loss_name, right.convention)
        failures.append(_what_is_wrong(answer, comparisons))
    return min(failures, key=lambda failure: failure.distance).refusal


@dataclass(frozen=True)
class _Problem:
    W: FloatArray
    X: FloatArray
    y: NDArray[np.int64]
    reg: float

    @classmethod
    def small(cls) -> _Problem:
        """Rows, features and classes all differ, so that no wrong layout fits by chance. Ten classes, since files that
        have their number written into them have CIFAR-10's, and each among the labels, since others count those.
        `reg` makes the regularisation a large part of both losses."""
        rng = np.random.default_rng(231)
        rows, features, classes = 17, 13, 10
        return cls(
            rng.normal(scale=0.5, size=(features, classes)),
            rng.normal(size=(rows, features)),
            rng.permutation(np.arange(rows) % classes),
            reg=0.3,
        )


@dataclass(frozen=True)
class _Answer:
    """What a call returned, in the current layout. `changed`: the inputs that it wrote to."""

    loss: float
    gradient: FloatArray
    changed: str


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
        return self.loss_error <= TOLERANCE

    @property
    def gradient_fits(self) -> bool:
        return self.gradient_error <= TOLERANCE


def _call(candidate: Implementation, user_function: UserFunction, problem: _Problem) -> _Answer | _Failure:
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
        dW = np.asarray(dW, dtype=np.float64)
    except (Exception, SystemExit):
        return unusable("wrong", "returns something else than a number and an array for (loss, dW)")
    if dW.shape != problem.W.shape:
        returned, expected = (
            tuple(shape[::-1]) if candidate.convention.columns else shape for shape in (dW.shape, problem.W.shape)
        )
        return unusable("wrong", f"gradient has shape {returned}, W has {expected}")
    changed = [name for name, array in prepared.items() if not _same(array, before[name])]
    return _Answer(loss, dW, ", ".join(changed))


def _comparisons(
    answer: _Answer, problem: _Problem, losses: Iterable[LossName], columns: bool, oracle: Oracle
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


def _what_is_wrong(answer: _Answer, comparisons: list[_Comparison]) -> _Failure:
    """What to say of an answer that fits no convention, told under the nearest one."""
    nearest = min(comparisons, key=lambda comparison: comparison.loss_error + comparison.gradient_error)
    distance = min(nearest.loss_error + nearest.gradient_error, _NOT_FINITE)
    under = f" (under the {nearest.convention})" if nearest.convention != Convention() else ""
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
    elif mixed := _mixed_regularisation(comparisons):
        refusal, distance = Refusal("wrong", mixed), 0.0
    elif len({comparison.loss_name for comparison in comparisons}) > 1:
        refusal = Refusal("wrong", f"neither loss; as {nearest.loss_name}: loss {loss}; gradient {gradient}{under}")
    else:
        refusal = Refusal("wrong", f"loss {loss}; gradient {gradient}{under}")
    return _Failure(refusal, distance)


def _in_words(error: float) -> str:
    if error <= TOLERANCE:
        return "right"
    return f"wrong, relative error {error:.2g}" if np.isfinite(error) else "not finite"


def _mixed_regularisation(comparisons: list[_Comparison]) -> str | None:
    """A loss with one factor before its regularisation and the gradient of the other: frequent in public copies."""
    for one, other in itertools.permutations(comparisons, 2):
        if one.loss_name == other.loss_name and one.loss_fits and other.gradient_fits:
            if one.convention.half_regularisation:
                return "loss adds 0.5 reg sum(W W), whose gradient is reg W; dW adds 2 reg W"
            return "loss adds reg sum(W W), whose gradient is 2 reg W; dW adds reg W"
    return None


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


def _copy(array: Any) -> Any:
    return array.copy() if isinstance(array, np.ndarray) else None


def _same(array: Any, before: Any) -> bool:
    return before is None or np.array_equal(array, before)


def _finite(error: float) -> float:
    return error if np.isfinite(error) else np.inf
