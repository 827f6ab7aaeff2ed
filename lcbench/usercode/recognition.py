"""Recognition of the loss and the convention of a user's function, by calling it on small inputs."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from lcbench.losses import catalog, oracle
from lcbench.losses.implementation import (
    LOSSES,
    CannotLoad,
    Convention,
    Implementation,
    LossName,
    WrongFunction,
)
from lcbench.usercode.discovery import UserFunction, is_user_code, load_functions
from lcbench.usercode.loading import FaultKind, describe_error
from lcbench.usercode.mistakes import TrialInputs, TrialOutput, find_mistake
from lcbench.usercode.source import underlying

RECOGNITION_TOLERANCE = 1e-4
"""Maximum relative error of a recognised loss and, in the Frobenius norm, of its gradient.

Conventions differ by more than 10 % on the small inputs. Single precision, or an epsilon inside a logarithm, causes
much smaller errors. Verification, not recognition, decides whether the precision suffices."""

_HALF_PRECISION_ERROR = 5e-3
"""Upper limit of the relative error of sums in float16 on the small inputs."""

RefusalKind = Literal["wrong", "cannot-load"] | FaultKind


@dataclass(frozen=True)
class Refusal:
    """Reason, in one line, why a user's function is not an implementation."""

    kind: RefusalKind
    reason: str

    def __str__(self) -> str:
        return self.reason


def resolve(name: str) -> Implementation:
    """Return the implementation `name`; all functions of a user's file with the same convention are combined.

    Raises a LossError if there is no such implementation or no function of the file is right: WrongFunction if the
    first one is wrong.
    """
    if not is_user_code(name):
        return catalog.load(name)
    recognised = [recognise(function) for function in load_functions(name)]
    usable = [each for each in recognised if isinstance(each, Implementation)]
    if not usable:
        refusal = next(each for each in recognised if isinstance(each, Refusal))
        raise (WrongFunction if refusal.kind == "wrong" else CannotLoad)(f"{name}: {refusal}")
    # Functions of one convention share prepare and fetch, which are taken from the first.
    same_convention = [each for each in usable if each.convention == usable[0].convention]
    functions = {loss: function for each in reversed(same_convention) for loss, function in each.functions.items()}
    return replace(usable[0], name=name, functions=functions)


def recognise(user_function: UserFunction) -> Implementation | Refusal:
    """Return the function as an implementation in the current convention, or the reason why it is none.

    The function is called in each layout, (D, C) first, on copies of small float64 inputs. If its name does not contain
    a loss, the output is compared with both losses. If the output is wrong, other inputs help to identify the mistake.

    An exception of the function becomes a Refusal. The function may also print or never return, which the caller must
    handle.
    """
    if user_function.problem is not None:
        return Refusal("cannot-load", user_function.problem)
    failures = []
    for columns in (False, True):
        trial = _try(user_function, columns, TrialInputs.small())
        output = trial.output
        if isinstance(output, TrialOutput) and not output.changed:
            right = next((each for each in trial.comparisons() if each.loss_fits and each.gradient_fits), None)
            if right:
                return _in_convention(user_function, right.loss_name, right.convention)
        if isinstance(output, _Failure) and output.distance >= _RAISED:
            failures.append(output)
        else:
            failures.append(_explain(trial, _try(user_function, columns, TrialInputs.other())))
    return min(failures, key=lambda failure: failure.distance).refusal


def recognise_by_loss(user_function: UserFunction) -> Implementation | Refusal:
    """Return the function as an implementation in the convention that fits its loss; its gradient may be wrong.

    This is for a gradient check, which compares a gradient with the slope of the function's own loss. If the loss fits
    no convention, the result is the loss in the function's name, in the layout that the function accepts. The result is
    a Refusal if the name contains no loss, or if the output is not a number and an array with the shape of W.
    """
    losses = _possible_losses(user_function)
    accepted_layouts = []
    for columns in (False, True):
        trial = _try(user_function, columns, TrialInputs.small())
        if not isinstance(trial.output, TrialOutput) or trial.output.changed:
            continue
        fitting = next((each for each in trial.comparisons() if each.loss_fits), None)
        if fitting:
            return _in_convention(user_function, fitting.loss_name, fitting.convention)
        accepted_layouts.append(columns)
    if accepted_layouts and user_function.loss:
        return _in_convention(user_function, losses[0], Convention(accepted_layouts[0]))
    recognised = recognise(user_function)
    assert isinstance(recognised, Refusal)  # a right function has a loss that fits
    return recognised


# Trial calls


def _possible_losses(user_function: UserFunction) -> tuple[LossName, ...]:
    return (user_function.loss,) if user_function.loss else LOSSES


def _try(user_function: UserFunction, columns: bool, inputs: TrialInputs) -> _Trial:
    losses = _possible_losses(user_function)
    candidate = _in_convention(user_function, losses[0], Convention(columns))
    return _Trial(losses, columns, inputs, _call(candidate, user_function, inputs))


@dataclass(frozen=True)
class _Trial:
    """Call of a function in one layout. losses: those that the function may compute."""

    losses: tuple[LossName, ...]
    columns: bool
    inputs: TrialInputs
    output: TrialOutput | _Failure

    def comparisons(self, losses: tuple[LossName, ...] = ()) -> list[_Comparison]:
        """Compare the output with the oracle for `losses`, by default those that the function may compute."""
        output, inputs = self.output, self.inputs
        assert isinstance(output, TrialOutput)
        found = []
        for loss_name in losses or self.losses:
            right = oracle.svm_loss if loss_name == "svm" else oracle.softmax_loss
            for half in (False, True):
                loss, dW = right(inputs.W, inputs.X, inputs.y, inputs.reg / 2 if half else inputs.reg)
                loss_error = abs(output.loss - loss) / abs(loss)
                gradient_error = float(np.linalg.norm(output.gradient - dW) / np.linalg.norm(dW))
                convention = Convention(self.columns, half)
                found.append(_Comparison(loss_name, convention, _finite(loss_error), _finite(gradient_error)))
        return found


@dataclass(frozen=True)
class _Comparison:
    """Relative errors of an output in one convention."""

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


@dataclass(frozen=True)
class _Failure:
    """Refusal in one layout. The layout with the smallest `distance` from a right output is reported."""

    refusal: Refusal
    distance: float


_NOT_FINITE, _UNUSABLE, _RAISED, _RAISED_OVER_SHAPES = 1e50, 1e100, 1e200, 1e300
"""Distances of outputs that cannot be compared. Errors over shapes suggest that the function needs another layout."""


def _call(candidate: Implementation, user_function: UserFunction, inputs: TrialInputs) -> TrialOutput | _Failure:
    """Return the output for `inputs`, or why there is none that can be compared."""
    arrays = {"W": inputs.W.copy(), "X": inputs.X.copy(), "y": inputs.y.copy()}
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            prepared = dict(zip(arrays, candidate.prepare(*arrays.values()), strict=True))
            before = {name: _copy(array) for name, array in prepared.items()}
            [function] = candidate.functions.values()
            result: Any = function(prepared["W"], prepared["X"], prepared["y"], inputs.reg)
    except (Exception, SystemExit) as error:
        code = getattr(underlying(user_function.function), "__code__", None)
        fault = describe_error(error, code.co_filename if code else "")
        over_shapes = isinstance(error, ValueError | IndexError)
        return _Failure(Refusal(fault.kind, str(fault)), _RAISED_OVER_SHAPES if over_shapes else _RAISED)

    def unusable(kind: RefusalKind, reason: str) -> _Failure:
        return _Failure(Refusal(kind, reason), _UNUSABLE)

    if result is None:
        return unusable("unfinished", "unfinished: returns nothing")
    if not isinstance(result, tuple | list) or len(result) != 2:
        returned = f"{len(result)} values" if isinstance(result, tuple | list) else f"a {type(result).__name__}"
        return unusable("wrong", f"returns {returned}, not (loss, dW)")
    for value, part in zip(result, ("loss", "gradient"), strict=True):
        if value is None:
            return unusable("unfinished", f"unfinished: returns None for the {part}")
    try:
        loss, dW = candidate.fetch(*result)
        dtype, dW = str(np.asarray(dW).dtype), np.asarray(dW, dtype=np.float64)
    except (Exception, SystemExit):
        return unusable("wrong", "must return (loss, dW) as a number and an array")
    if dW.shape != inputs.W.shape:
        returned_shape, expected_shape = (
            tuple(shape[::-1]) if candidate.convention.columns else shape for shape in (dW.shape, inputs.W.shape)
        )
        transposed = "gradient is transposed: it" if dW.shape == inputs.W.shape[::-1] else "gradient"
        return unusable("wrong", f"{transposed} has shape {returned_shape}, W has {expected_shape}")
    changed = [name for name, array in prepared.items() if not _same(array, before[name])]
    return TrialOutput(loss, dW, ", ".join(changed), dtype)


def _copy(array: Any) -> Any:
    return array.copy() if isinstance(array, np.ndarray) else None


def _same(array: Any, before: Any) -> bool:
    return before is None or np.array_equal(array, before)


def _finite(error: float) -> float:
    return error if np.isfinite(error) else np.inf


def _in_convention(user_function: UserFunction, loss_name: LossName, convention: Convention) -> Implementation:
    """Wrap the function in the current signature. Integer pixels are converted to W's dtype, as in the assignment."""
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
            raise TypeError(f"dW has type {type(dW).__name__}, which may be computed only when it is read")
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
    """Return whether `value` is a list or an array of any library."""
    return isinstance(value, np.ndarray | list | tuple) or any(
        hasattr(value, name) for name in ("__array_interface__", "__dlpack__", "__cuda_array_interface__")
    )


# Reasons for a refusal


def _explain(trial: _Trial, second: _Trial) -> _Failure:
    """Explain an output that fits no convention, compared in the nearest one. second: trial with other inputs."""
    if isinstance(second.output, TrialOutput):
        second_output_for_first_inputs = replace(trial, output=second.output)
        if any(each.loss_fits and each.gradient_fits for each in second_output_for_first_inputs.comparisons()):
            return _Failure(Refusal("wrong", "returns the result of an earlier call"), 0.0)
    output = trial.output
    if isinstance(output, _Failure):
        return output

    comparisons = trial.comparisons()
    fitting = [each for each in comparisons if each.loss_fits or each.gradient_fits]
    current = [each for each in comparisons if not each.convention.half_regularisation]
    nearest = min(fitting or current, key=lambda comparison: comparison.loss_error + comparison.gradient_error)
    distance = min(nearest.loss_error + nearest.gradient_error, _NOT_FINITE)
    under = _under(nearest.convention)
    loss, gradient = _in_words(nearest.loss_error), _in_words(nearest.gradient_error)

    loss_is_zero, gradient_is_zero = output.loss == 0, not output.gradient.any()
    if loss_is_zero and gradient_is_zero:
        refusal = Refusal("unfinished", "unfinished: returns zeros, as the assignment's starter code does")
    elif gradient_is_zero:
        refusal = Refusal("unfinished", f"unfinished: the gradient is all zeros; the loss is {loss}{under}")
    elif loss_is_zero:
        refusal = Refusal("unfinished", f"unfinished: the loss is zero; the gradient is {gradient}{under}")
    elif output.changed:
        refusal = Refusal("wrong", f"changes {output.changed} in place; change a copy instead")
    elif mistake := _known_mistake(trial, second):
        refusal, distance = Refusal("wrong", mistake), 0.0
    elif len(trial.losses) > 1:
        reason = f"computes neither loss; compared with {nearest.loss_name}: loss {loss}; gradient {gradient}{under}"
        refusal = Refusal("wrong", reason)
    else:
        refusal = Refusal("wrong", f"loss {loss}; gradient {gradient}{under}")
    return _Failure(refusal, distance)


def _known_mistake(trial: _Trial, second: _Trial) -> str | None:
    """Return the known mistake that explains the outputs, in one line, or None."""
    output, second_output = trial.output, second.output
    assert isinstance(output, TrialOutput)
    if np.dtype(output.dtype).kind != "f":
        return f"gradient has dtype {output.dtype}, not a floating-point one"
    if output.dtype == "float16":
        return "gradient has dtype float16; use float32 or float64"
    if (
        isinstance(second_output, TrialOutput)
        and second_output.loss == output.loss
        and np.array_equal(second_output.gradient, output.gradient)
    ):
        return "returns the same result for different inputs; do not cache it"
    for each in trial.comparisons():
        close = each.gradient_error < _HALF_PRECISION_ERROR and each.loss_error < _HALF_PRECISION_ERROR
        if close and each.gradient_error > RECOGNITION_TOLERANCE / 10:
            return "right to three digits only, as in float16; use float32 or float64" + _under(each.convention)
    for other in LOSSES:
        if other not in trial.losses:
            for each in trial.comparisons((other,)):
                if each.loss_fits and each.gradient_fits:
                    return f"computes the {other} loss, but its name says {trial.losses[0]}{_under(each.convention)}"

    inputs, outputs = [trial.inputs], [output]
    if isinstance(second_output, TrialOutput):
        inputs, outputs = [*inputs, second.inputs], [*outputs, second_output]
    candidates = [(find_mistake(loss_name, inputs, outputs), loss_name) for loss_name in trial.losses]
    found = [(mistake, loss_name) for mistake, loss_name in candidates if mistake]
    if len(trial.losses) > 1:  # if only one part must be explained, too many mistakes fit by chance
        found = [(mistake, loss_name) for mistake, loss_name in found if mistake.loss and mistake.gradient]
    if not found:
        return None
    mistake, loss_name = min(found, key=lambda each: each[0].count)
    words = mistake.words if len(trial.losses) == 1 else f"compared with {loss_name}: {mistake.words}"
    if not (mistake.loss and mistake.gradient):
        nearest = min(trial.comparisons((loss_name,)), key=lambda each: each.loss_error + each.gradient_error)
        part, error = ("gradient", nearest.gradient_error) if mistake.loss else ("loss", nearest.loss_error)
        words += f"; {part} {_in_words(error)}"
    return words + _under(Convention(trial.columns, mistake.half_regularisation))


def _under(convention: Convention) -> str:
    return f" (under the {convention})" if convention.differs else ""


def _in_words(error: float) -> str:
    if error <= RECOGNITION_TOLERANCE:
        return "right"
    return f"wrong, relative error {error:.2g}" if np.isfinite(error) else "not finite"
