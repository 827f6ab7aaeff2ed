"""Verification: correct functions pass, and each kind of error is refused with its reason."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from lcbench.losses import oracle, vectorized
from lcbench.losses.implementation import Implementation
from lcbench.measure import clock
from lcbench.measure.inputs import Inputs
from lcbench.measure.verification import Unchanged, Verifier, WrongResult
from lcbench.measure.workload import Problem

RNG = np.random.default_rng(5)
X = RNG.normal(size=(20, 12)).astype(np.float32)
SETS = [((1 + k) * RNG.normal(size=(12, 4)).astype(np.float32), RNG.integers(0, 4, 20)) for k in range(3)]
REG = 0.1
PROBLEM = Problem(X, SETS, REG)
ANSWERS = [oracle.expected("softmax", W, X, y, REG) for W, y in SETS]


@pytest.fixture(autouse=True)
def short_warm_up(monkeypatch):
    monkeypatch.setattr(clock, "WARM_UP_S", 0.0)


def verified(function, **fields):
    """Return the verifier after `function` was timed. Raise WrongResult if a result is refused."""
    implementation = Implementation("mine", "cpu", {"softmax": function}, **fields)
    rng = np.random.default_rng(0)
    inputs = Inputs(implementation, PROBLEM, ANSWERS, rng)
    verifier = Verifier(implementation, inputs)
    timing = clock.Timing(function, inputs, verifier, rng)
    timing.first_call()
    timing.warm_up()
    for _ in range(3):
        timing.turn(samples=2, calls=5)
    timing.finish()
    return verifier


def right(W, X, y, reg):
    return vectorized.softmax_loss(W, X, y, reg)


def test_correct_results_pass_and_their_errors_are_recorded():
    verifier = verified(right)
    assert 0 < verifier.error_loss < 1e-5
    assert 0 < verifier.error_grad < 1e-5


def one_buffer_filled_each_time():
    buffer = np.empty((12, 4), np.float32)

    def loss(W, X, y, reg):
        value, buffer[:] = right(W, X, y, reg)
        return value, buffer

    return loss


def an_array_of_one(W, X, y, reg):
    loss, dW = right(W, X, y, reg)
    return np.array([loss]), dW


def in_float64(W, X, y, reg):
    return right(W.astype(np.float64), X.astype(np.float64), y, reg)


def fetched(loss, dW):
    return np.asarray(loss).item(), dW["gradient"]


def elsewhere(W, X, y, reg):
    loss, dW = right(W, X, y, reg)
    return np.float32(loss), {"gradient": dW}


@pytest.mark.parametrize(
    ("function", "fields"),
    [
        (one_buffer_filled_each_time(), {}),
        (in_float64, {}),
        (an_array_of_one, {"fetch": lambda loss, dW: (loss.item(), dW)}),
        (elsewhere, {"fetch": fetched}),
    ],
)
def test_correct_results_of_other_types_pass(function, fields):
    verified(function, **fields)


def wrong_loss(W, X, y, reg):
    loss, dW = right(W, X, y, reg)
    return loss * 1.01, dW


def wrong_gradient(W, X, y, reg):
    loss, dW = right(W, X, y, reg)
    return loss, dW * np.float32(1.01)


def one_wrong_element(W, X, y, reg):
    loss, dW = right(W, X, y, reg)
    dW[3, 2] += 0.01
    return loss, dW


def half_written():
    buffers = {}

    def loss(W, X, y, reg):
        value, dW = right(W, X, y, reg)
        buffer = buffers.setdefault("dW", dW)
        buffer[:6] = dW[:6]
        return value, buffer

    return loss


def never_written_again():
    made = {}

    def loss(W, X, y, reg):
        value, dW = right(W, X, y, reg)
        return value, made.setdefault(W.tobytes(), dW)

    return loss


def cached_by_identity_of_X(copied):
    results = {}

    def loss(W, X, y, reg):
        value, dW = results.setdefault(id(X), right(W, X, y, reg))
        return value, dW.copy() if copied else dW

    return loss


def result_of_the_call_before():
    results = []

    def loss(W, X, y, reg):
        results.append(right(W, X, y, reg))
        value, dW = results[max(0, len(results) - 2)]
        return value, dW.copy()

    return loss


def wrong_now_and_then():
    calls = itertools.count()

    def loss(W, X, y, reg):
        value, dW = right(W, X, y, reg)
        return value + (next(calls) == 5), dW

    return loss


def returning(change):
    def loss(W, X, y, reg):
        return change(*right(W, X, y, reg))

    return loss


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (wrong_loss, r"loss is \S+, expected \S+$"),
        (wrong_gradient, r"gradient is off by 1.0e-02 of its norm$"),
        (one_wrong_element, r"gradient is off by \S+ of its norm$"),
        (half_written(), r"gradient holds NaN or infinity|gradient is off by"),
        (never_written_again(), r"gradient holds NaN or infinity|gradient is off by"),
        (cached_by_identity_of_X(copied=False), r"gradient holds NaN or infinity: it is the result of another call's"),
        (
            cached_by_identity_of_X(copied=True),
            r"^loss is \S+, expected \S+; gradient is off by \S+ of its norm: it is the result of another call's ",
        ),
        (result_of_the_call_before(), r"it is the result of another call's inputs$"),
        (wrong_now_and_then(), r"loss is"),
        (returning(lambda loss, dW: (np.nan, dW)), r"loss is nan$"),
        (returning(lambda loss, dW: (np.inf, dW)), r"loss is inf$"),
        (returning(lambda loss, dW: (loss, dW * np.nan)), r"gradient holds NaN or infinity$"),
        (returning(lambda loss, dW: (loss, dW.T)), r"gradient has shape \(4, 12\), not \(12, 4\)$"),
        (returning(lambda loss, dW: (loss, dW[:1])), r"gradient has shape \(1, 4\), not \(12, 4\)$"),
        (returning(lambda loss, dW: (loss, np.float32(0))), r"gradient has shape \(\), not"),
        (returning(lambda loss, dW: (loss, dW.astype(int))), r"gradient has dtype int64, not a floating-point"),
        (returning(lambda loss, dW: (loss, dW.astype(complex))), r"gradient has dtype complex128"),
        (returning(lambda loss, dW: (loss, dW.astype(object))), r"gradient has dtype object"),
        (returning(lambda loss, dW: (loss, None)), r"gradient has dtype object"),
        (returning(lambda loss, dW: (loss, [[1.0], [1.0, 2.0]])), r"gradient is a list, not an array$"),
        (returning(lambda loss, dW: (None, dW)), r"loss is a NoneType, not a number$"),
        (returning(lambda loss, dW: ("two", dW)), r"loss is a str, not a number$"),
        (returning(lambda loss, dW: (dW, dW)), r"loss is a ndarray, not a number$"),
        (returning(lambda loss, dW: (1j * loss, dW)), r"loss is a complex, not a number$"),
    ],
)
def test_wrong_results_are_refused(function, message):
    with pytest.raises(WrongResult, match=message) as caught:
        verified(function)
    assert "\n" not in str(caught.value)


def test_every_loss_of_a_batch_is_verified():
    implementation = Implementation("mine", "cpu", {})
    inputs = Inputs(implementation, PROBLEM, ANSWERS, np.random.default_rng(0))

    def verify(change):
        losses, dW = zip(*(right(*arguments) for arguments in inputs.draw(5)), strict=True)
        Verifier(implementation, inputs)(change(list(losses)), dW[-1], batch_s=1.0)

    verify(lambda losses: losses)
    verify(lambda losses: [np.array([loss]) for loss in losses[:-1]] + losses[-1:])
    with pytest.raises(WrongResult, match=r"loss is \S+, expected \S+$"):
        verify(lambda losses: [losses[0] + 0.01, *losses[1:]])
    with pytest.raises(WrongResult, match="another call's inputs"):
        verify(lambda losses: [losses[1], *losses[1:]])
    with pytest.raises(WrongResult, match="loss is a list, not a number"):
        verify(lambda losses: [*losses[:2], [losses[2]], *losses[3:]])


def test_a_read_only_gradient_is_verified():
    def frozen(W, X, y, reg):
        loss, dW = right(W, X, y, reg)
        dW.flags.writeable = False
        return loss, dW

    verified(frozen)


def change_one(array):
    array[1, 1] += 1


def exchange_two_rows(array):
    array[[0, 1]] = array[[1, 0]]


def flip_a_sign_of_zero(array):
    array[2, 2] = -0.0


@pytest.mark.parametrize("change", [change_one, exchange_two_rows, flip_a_sign_of_zero])
@pytest.mark.parametrize("layout", [np.ascontiguousarray, np.asfortranarray, lambda array: np.repeat(array, 2, 0)[::2]])
def test_a_changed_input_is_named(change, layout):
    array = layout(np.arange(12.0).reshape(4, 3))
    array[2, 2] = 0.0
    other = np.arange(4, dtype=np.uint8)
    unchanged = Unchanged(X=array, y=other)
    unchanged.verify()
    change(array)
    with pytest.raises(WrongResult, match=r"^changes its input X$"):
        unchanged.verify()
    other[0] = 9
    with pytest.raises(WrongResult, match=r"^changes its input X, y$"):
        unchanged.verify()
