"""Recognition of the loss and the convention of a user's function, by calling it on small inputs."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
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
)
from lcbench.usercode.conventions import UserConvention, libraries_of, mentions, other_forms, strength, to_numpy
from lcbench.usercode.discovery import UserFunction, is_user_code, load_functions
from lcbench.usercode.loading import FaultKind, describe_error, require_raised_by_code
from lcbench.usercode.mistakes import EARLIER_RESULT, TrialInputs, TrialOutput, find_mistake, unrepeatable
from lcbench.usercode.source import underlying

RECOGNITION_TOLERANCE = 1e-4
"""Maximum relative error of a recognised loss and, in the Frobenius norm, of its gradient.

Conventions differ by more than 10 % on the small inputs. Single precision, or an epsilon inside a logarithm, causes
much smaller errors. Verification, not recognition, decides whether the precision suffices."""

REPEATED = 4
"""Number of further calls on the same inputs, if a result is wrong: a race gives other results now and then."""

_HALF_PRECISION_ERROR = 5e-3
"""Upper limit of the relative error of sums in float16 on the small inputs."""

RefusalKind = Literal["wrong", "not checked", "cannot-load"] | FaultKind
"""Why a function is none. not checked: nothing is known to be wrong, but it does not return what could be compared."""


@dataclass(frozen=True)
class Refusal:
    """Reason, in one line, why a user's function is not an implementation."""

    kind: RefusalKind
    reason: str

    def __str__(self) -> str:
        return self.reason


class WrongFunction(CannotLoad):
    """Error: a user's function computes something else than a loss and its gradient."""


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

    The function is called in each layout, (D, C) first, on copies of small float64 inputs, then with the arrays of the
    libraries that it uses, then in mixed layouts, with one-hot labels and for a bias column inside. If its name does
    not contain a loss, the output is compared with both losses. If the output is wrong, other inputs help to identify
    the mistake.

    An exception of the function becomes a Refusal. The function may also print or never return, which the caller must
    handle.
    """
    if user_function.problem is not None:
        return Refusal("cannot-load", user_function.problem)
    trials: list[_Trial] = []
    for form in _forms(user_function):
        # Numba writes beyond the end of arrays whose shapes do not fit, so Python tells first whether they do.
        uncompiled = _uncompiled(user_function)
        trial = _try(uncompiled, form, TrialInputs.small())
        right = _right_comparison(trial)
        if right and user_function.plain:
            trial = _try(user_function, form, TrialInputs.small())
            if isinstance(trial.output, _Failure) and trial.output.refusal.kind == "raises":
                others = (*right.convention.others, f"without Numba: {trial.output.refusal}")
                return _in_convention(uncompiled, right.loss_name, replace(right.convention, others=others))
            right = _right_comparison(trial)
        trials.append(trial)
        if right:
            return _in_convention(user_function, right.loss_name, right.convention)
    # An unusual form explains a function only if no usual one has an output that can be compared.
    usual = [trial for trial in trials if not trial.form.unusual]
    comparable = any(isinstance(trial.output, TrialOutput) for trial in usual)
    failures = []
    for trial in usual if comparable else trials:
        if isinstance(trial.output, _Failure) and trial.output.distance >= _RAISED:
            failures.append(trial.output)
        else:
            failures.append(_explain(trial, _try(user_function, trial.form, TrialInputs.other())))
            repeated = [_try(user_function, trial.form, trial.inputs).output for _ in range(1 + REPEATED)]
            if str(failures[-1].refusal) != EARLIER_RESULT and not all(_agree(each, repeated[0]) for each in repeated):
                return Refusal("wrong", unrepeatable(user_function.compiles))
    return min(failures, key=lambda failure: failure.distance).refusal


def recognise_by_loss(user_function: UserFunction) -> Implementation | Refusal:
    """Return the function as an implementation in the convention that fits its loss; its gradient may be wrong.

    This is for a gradient check, which compares a gradient with the slope of the function's own loss. If the loss fits
    no convention, the result is the loss in the function's name, in the form that the function accepts. The result is
    a Refusal if the name contains no loss, or if the output is not a number and an array with the shape of W.
    """
    losses = _possible_losses(user_function)
    accepted = []
    for form in _forms(user_function) if user_function.problem is None else ():
        trial = _try(_uncompiled(user_function), form, TrialInputs.small())
        if not isinstance(trial.output, TrialOutput) or trial.output.changed:
            continue
        fitting = next((each for each in trial.comparisons() if each.loss_fits), None)
        if fitting:
            return _in_convention(user_function, fitting.loss_name, fitting.convention)
        accepted.append(trial.form)
    if accepted and user_function.loss:
        return _in_convention(user_function, losses[0], accepted[0])
    recognised = recognise(user_function)
    assert isinstance(recognised, Refusal)  # a right function has a loss that fits
    return recognised


def _forms(user_function: UserFunction) -> Iterator[UserConvention]:
    """Yield the forms in which the function is tried: layouts and libraries first, then the unusual ones."""
    others = () if user_function.binding.as_usual else (str(user_function.binding),)
    usual = [UserConvention(columns, others=others) for columns in (False, True)]
    if user_function.prepare:
        yield from usual
        return
    for library in libraries_of(user_function.function):
        arrays = [replace(form, library=library) for form in usual if not form.library]
        # Functions of JAX and CuPy may also take NumPy's arrays, which they would copy in every call.
        first = library != "torch" and mentions(user_function.function, library)
        usual = [*arrays, *usual] if first else [*usual, *arrays]
    yield from usual
    if user_function.plain or not user_function.compiles:  # compiled code that it calls checks no bounds
        for form in usual:
            yield from other_forms(form)


def _uncompiled(user_function: UserFunction) -> UserFunction:
    """Return the function without Numba, if it is compiled itself."""
    if user_function.plain is None:
        return user_function
    return replace(user_function, function=user_function.plain, plain=None, compiles=False)


# Trial calls


def _possible_losses(user_function: UserFunction) -> tuple[LossName, ...]:
    return (user_function.loss,) if user_function.loss else LOSSES


def _try(user_function: UserFunction, form: UserConvention, inputs: TrialInputs) -> _Trial:
    form, output = _call(user_function, form, inputs)
    return _Trial(_possible_losses(user_function), form, inputs, output)


@dataclass(frozen=True)
class _Trial:
    """Call of a function in one form. losses: those that the function may compute."""

    losses: tuple[LossName, ...]
    form: UserConvention
    inputs: TrialInputs
    output: TrialOutput | _Failure

    def comparisons(self, losses: tuple[LossName, ...] = ()) -> list[_Comparison]:
        """Compare the output with the oracle for `losses`, by default those that the function may compute."""
        output, inputs = self.output, self.inputs
        assert isinstance(output, TrialOutput)
        found = []
        for loss_name in losses or self.losses:
            right = oracle.svm_loss if loss_name == "svm" else oracle.softmax_loss
            for convention in (
                self.form,
                replace(self.form, half_regularisation=True),
                replace(self.form, averaged_regularisation=True),
            ):
                loss, dW = right(inputs.W, inputs.X, inputs.y, inputs.reg / strength(convention, len(inputs.y)))
                loss_error = abs(output.loss - loss) / abs(loss)
                gradient_error = float(np.linalg.norm(output.gradient - dW) / np.linalg.norm(dW))
                found.append(_Comparison(loss_name, convention, _finite(loss_error), _finite(gradient_error)))
        return found


def _right_comparison(trial: _Trial) -> _Comparison | None:
    """Return the convention in which the output is right, or None."""
    if not isinstance(trial.output, TrialOutput) or trial.output.changed:
        return None
    return next((each for each in trial.comparisons() if each.loss_fits and each.gradient_fits), None)


@dataclass(frozen=True)
class _Comparison:
    """Relative errors of an output in one convention."""

    loss_name: LossName
    convention: UserConvention
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
    """Refusal in one form. The form with the smallest `distance` from a right output is reported."""

    refusal: Refusal
    distance: float


_NOT_FINITE, _UNUSABLE, _RAISED, _RAISED_OVER_SHAPES, _RAISED_OVER_ARRAYS = 1e50, 1e100, 1e200, 1e250, 1e300
"""Distances of outputs that cannot be compared. Errors over shapes or arrays suggest that another form is needed."""

_OF_A_LIBRARY = re.compile(r"Tensor|numpy\.ndarray|jaxlib|jax\.Array|cupy")
"""Messages of errors that NumPy's arrays cause where those of another library are expected."""


def _call(
    user_function: UserFunction, form: UserConvention, inputs: TrialInputs
) -> tuple[UserConvention, TrialOutput | _Failure]:
    """Return the form, with the order of the results, and the output, or why there is none that can be compared."""
    arrays = {"W": inputs.W.copy(), "X": inputs.X.copy(), "y": inputs.y.copy()}
    candidate = _in_convention(user_function, "svm", form)
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            prepared = dict(zip(arrays, candidate.prepare(*arrays.values()), strict=True))
            before = {name: _copy(array) for name, array in prepared.items()}
            [function] = candidate.functions.values()
            result: Any = function(prepared["W"], prepared["X"], prepared["y"], inputs.reg)
    except BaseException as error:
        require_raised_by_code(error)
        code = getattr(underlying(user_function.function), "__code__", None)
        fault = describe_error(error, code.co_filename if code else "")
        distance = _RAISED
        if isinstance(error, ValueError | IndexError) or (
            form.library and not mentions(user_function.function, form.library)
        ):
            distance = _RAISED_OVER_SHAPES
        if not form.library and _OF_A_LIBRARY.search(str(fault)):
            distance = _RAISED_OVER_ARRAYS
        return form, _Failure(Refusal(fault.kind, str(fault)), distance)

    def unusable(kind: RefusalKind, reason: str) -> tuple[UserConvention, _Failure]:
        return form, _Failure(Refusal(kind, reason), _UNUSABLE)

    if result is None:
        return unusable("unfinished", "unfinished: returns nothing")
    if not isinstance(result, tuple | list) or len(result) != 2:
        return unusable("not checked", _other_result(user_function, result))
    for value, part in zip(result, ("loss", "gradient"), strict=True):
        if value is None:
            return unusable("unfinished", f"unfinished: returns None for the {part}")
    if _is_matrix(result[0]) and not _is_matrix(result[1]):
        form, result = replace(form, gradient_first=True), result[::-1]
    try:
        loss, dW = candidate.fetch(*result)
        dtype, dW = str(dW.dtype), dW.astype(np.float64)
    except Exception:
        kinds = " and ".join(f"a {type(value).__name__}" for value in result)
        return unusable("not checked", f"must return (loss, dW) as a number and an array, not {kinds}")
    if dW.shape != inputs.W.shape:
        returned_shape, expected_shape = (
            tuple(shape[::-1]) if form.transposes_W else shape for shape in (dW.shape, inputs.W.shape)
        )
        transposed = "gradient is transposed: it" if dW.shape == inputs.W.shape[::-1] else "gradient"
        return unusable("wrong", f"{transposed} has shape {returned_shape}, W has {expected_shape}")
    changed = [name for name, array in prepared.items() if not _same(array, before[name])]
    return form, TrialOutput(loss, dW, ", ".join(changed), dtype)


def _other_result(user_function: UserFunction, result: Any) -> str:
    """Return what a function returns that does not return two values, and a line of code that adapts it."""
    name = f"my_{user_function.loss or 'softmax'}_loss"
    add = f"add one line that adapts it: def {name}(W, X, y, reg): return"
    if isinstance(result, tuple | list):
        which = f"; {add} {user_function.call}[:2]" if len(result) > 2 else ""
        return f"returns {len(result)} values, not (loss, dW){which}"
    if isinstance(result, dict):
        keys = ", ".join(map(repr, [*result][:4]))
        return f"returns a dict with {keys}, not (loss, dW); {add} tuple({user_function.call}.values())"
    if _is_matrix(result):
        return f"returns an array alone, not (loss, dW); {add} ..., {user_function.call}"
    return f"returns the loss alone, so there is no gradient to check; {add} {user_function.call}, ..."


def _is_matrix(value: Any) -> bool:
    """Return whether a value is an array with more than one element."""
    try:
        return int(np.prod(value.shape)) > 1
    except (AttributeError, TypeError):
        return False


def _agree(one: TrialOutput | _Failure, other: TrialOutput | _Failure) -> bool:
    """Return whether two outputs for the same inputs agree to single precision, if both can be compared."""
    if not (isinstance(one, TrialOutput) and isinstance(other, TrialOutput)):
        return True
    return all(
        np.allclose(mine, others, rtol=1e-5, atol=1e-6, equal_nan=True)
        for mine, others in ((one.loss, other.loss), (one.gradient, other.gradient))
    )


def _copy(array: Any) -> Any:
    """Return a copy of an array as NumPy's, or None if it is something else."""
    try:
        return to_numpy(array).copy() if hasattr(array, "shape") else None
    except Exception:  # an object of the user's, or an array elsewhere
        return None


def _same(array: Any, before: Any) -> bool:
    return before is None or np.array_equal(to_numpy(array), before)


def _finite(error: float) -> float:
    return error if np.isfinite(error) else np.inf


def _in_convention(user_function: UserFunction, loss_name: LossName, convention: UserConvention) -> Implementation:
    """Wrap the function in the current signature."""
    assert user_function.function is not None
    own_prepare, own_fetch = user_function.prepare, user_function.fetch

    def prepare(W: Any, X: Any, y: Any) -> tuple[Any, Any, Any]:
        W, X, y = convention.arguments(W, X, y)
        return own_prepare(W, X, y) if own_prepare else (W, X, y)

    def fetch(loss: Any, dW: Any) -> tuple[float, NDArray[Any]]:
        return convention.results(*(own_fetch(loss, dW) if own_fetch else (loss, dW)))

    return Implementation(
        name=user_function.name,
        device="cuda" if convention.library == "cupy" else user_function.device,
        functions={loss_name: convention.function(user_function.function)},
        prepare=prepare,
        fetch=fetch,
        compiles=user_function.compiles,
        convention=convention.reduced,
    )


# Reasons for a refusal


def _explain(trial: _Trial, second: _Trial) -> _Failure:
    """Explain an output that fits no convention, compared in the nearest one. second: trial with other inputs."""
    if isinstance(second.output, TrialOutput):
        second_output_for_first_inputs = replace(trial, output=second.output)
        if any(each.loss_fits and each.gradient_fits for each in second_output_for_first_inputs.comparisons()):
            return _Failure(Refusal("wrong", EARLIER_RESULT), 0.0)
    output = trial.output
    if isinstance(output, _Failure):
        return output

    comparisons = trial.comparisons()
    fitting = [each for each in comparisons if each.loss_fits or each.gradient_fits]
    current = [each for each in comparisons if strength(each.convention, 1) == 1]
    nearest = min(fitting or current, key=lambda comparison: comparison.loss_error + comparison.gradient_error)
    distance = min(nearest.loss_error + nearest.gradient_error, _NOT_FINITE)
    under = _under(nearest.convention.reduced)
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
        refusal = Refusal("wrong" if fitting else "not checked", reason)
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
            return "right to three digits only, as in float16; use float32 or float64" + _under(each.convention.reduced)
    for other in LOSSES:
        if other not in trial.losses:
            for each in trial.comparisons((other,)):
                if each.loss_fits and each.gradient_fits:
                    under = _under(each.convention.reduced)
                    return f"computes the {other} loss, but its name says {trial.losses[0]}{under}"

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
    return words + _under(replace(trial.form, half_regularisation=mistake.half_regularisation).reduced)


def _under(convention: Convention) -> str:
    return f" (under the {convention})" if convention.differs else ""


def _in_words(error: float) -> str:
    if error <= RECOGNITION_TOLERANCE:
        return "right"
    return f"wrong, relative error {error:.2g}" if np.isfinite(error) else "not finite"
