"""Drawn inputs: they never repeat, and their right answers agree with the oracle."""

from __future__ import annotations

import numpy as np
import pytest

from lcbench.losses import oracle
from lcbench.losses.implementation import Implementation
from lcbench.measure import workload
from lcbench.measure.inputs import Inputs
from lcbench.measure.verification import WrongResult
from lcbench.measure.workload import Size

AS_IT_IS = Implementation("mine", "cpu", {})


def elsewhere(W, X, y):
    """Copy the arrays and require matching shapes, as `prepare` of a device may do."""
    assert len(X) == len(y)
    assert X.shape[1] == len(W)
    return np.asfortranarray(W), X.copy(), y.astype(np.int32)


def one_shape(W, X, y):
    """Accept only one number of features."""
    if X.shape[1] != 33:
        raise ValueError(X.shape)
    return np.asfortranarray(W), X.copy(), y.astype(np.int32)


ELSEWHERE = Implementation("mine", "cpu", {}, prepare=elsewhere)
ONE_SHAPE = Implementation("mine", "cpu", {}, prepare=one_shape)


def drawing(implementation=AS_IT_IS, loss="softmax", dtype="float32", size=(50, 33, 5), seed=0):
    problem = workload.build_problem(Size(*size, dtype, "synthetic"))
    answers = [oracle.expected(loss, W, problem.X, y, problem.reg) for W, y in problem.sets]
    return Inputs(implementation, problem, answers, np.random.default_rng(seed))


@pytest.mark.parametrize("distinct", [False, True])
@pytest.mark.parametrize("implementation", [AS_IT_IS, ELSEWHERE])
@pytest.mark.parametrize("loss", ["svm", "softmax"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("size", [(50, 33, 5), (1, 1, 2), (7, 200, 2)])
def test_the_answers_agree_with_the_oracle(implementation, loss, dtype, size, distinct):
    inputs = drawing(implementation, loss, dtype, size)
    unit, double = float(np.finfo(dtype).eps), float(np.finfo(np.float64).eps)
    for _ in range(5):
        drawn = inputs.draw(4, distinct)
        losses, tolerances = inputs.losses()
        for k, (W, X, y, reg) in enumerate(drawn):
            right, found = oracle.expected(loss, W, X, y, reg), inputs.answer(k)
            # The drawn W is rounded, which limits the accuracy of its scores.
            rounding = 4 * unit * float((np.abs(X).astype(float) @ np.abs(W).astype(float)).max())
            of_dW = rounding * np.linalg.norm(X) + 16 * double * np.linalg.norm(right.dW)
            assert found.loss == losses[k] == pytest.approx(right.loss, abs=rounding + 16 * double * right.loss)
            assert np.linalg.norm(found.dW - right.dW) <= of_dW
            # 3.4: both the shift (0.875 ** 2) and reg (0.5) may make the problem smaller, but not the tolerance
            assert right.loss_tolerance <= tolerances[k] == found.loss_tolerance <= 3.4 * right.loss_tolerance
            assert found.gradient_tolerance >= 0.9 * right.gradient_tolerance


def test_prepare_may_accept_only_the_shape_of_the_problem():
    inputs = drawing(ONE_SHAPE, dtype="float64")
    for k, (W, X, y, reg) in enumerate(inputs.draw(6)):
        assert inputs.answer(k).loss == pytest.approx(oracle.expected("softmax", W, X, y, reg).loss, rel=1e-12)


@pytest.mark.parametrize("implementation", [AS_IT_IS, ELSEWHERE])
def test_inputs_never_repeat(implementation):
    inputs = drawing(implementation)
    seen, regs = set(), set()
    for _ in range(40):
        drawn = inputs.draw(9)
        seen |= {W.tobytes() for W, _, _, _ in drawn}
        regs |= {reg for _, _, _, reg in drawn}
    assert len(seen) > 100  # three sets per batch, some of which may not be drawn
    assert len(regs) == 40 * 9


@pytest.mark.parametrize("implementation", [AS_IT_IS, ELSEWHERE])
@pytest.mark.parametrize(("calls", "distinct"), [(3, False), (20, True)])
def test_few_calls_and_distinct_ones_have_contents_of_their_own(implementation, calls, distinct):
    inputs = drawing(implementation)
    for _ in range(10):
        assert len({W.tobytes() for W, _, _, _ in inputs.draw(calls, distinct)}) == calls


def test_distinct_contents_are_in_new_arrays():
    inputs = drawing()
    known = [array for W, _, y, _ in inputs.draw(60) for array in (W, y)]
    for W, _, y, _ in inputs.draw(20, distinct=True):
        assert not any(np.shares_memory(new, old) for new in (W, y) for old in known)


def test_sets_are_drawn_at_random():
    order = [y.tobytes() for _, _, y, _ in drawing().draw(60)]
    assert len(set(order)) == workload.INPUT_SETS
    assert len({tuple(order[k : k + 3]) for k in range(57)}) > 20


def test_again_returns_the_same_contents_with_another_regularisation():
    inputs = drawing()
    first = [(W.copy(), y.copy(), reg) for W, _, y, reg in inputs.draw(5)]
    for (W, y, reg), (again_W, _, again_y, again_reg) in zip(first, inputs.again(), strict=True):
        np.testing.assert_array_equal(W, again_W)
        np.testing.assert_array_equal(y, again_y)
        assert reg != again_reg


def test_arrays_that_are_not_copied_keep_their_address():
    inputs = drawing()
    places = {id(W) for _ in range(5) for W, _, _, _ in inputs.draw(20)}
    assert len(places) == workload.INPUT_SETS


def test_X_is_prepared_once():
    inputs = drawing(ELSEWHERE)
    assert len({id(X) for _ in range(3) for _, X, _, _ in inputs.draw(3)}) == 1
    assert inputs.prepare_s > 0


@pytest.mark.parametrize(("position", "name"), [(0, "W"), (2, "y")])
@pytest.mark.parametrize("renew", [lambda inputs: inputs.draw(1), lambda inputs: inputs.again()])
@pytest.mark.parametrize("distinct", [False, True])
def test_a_changed_input_is_named(position, name, renew, distinct):
    inputs = drawing()
    array = inputs.draw(1, distinct)[0][position]
    array.flat[3] += 1
    with pytest.raises(WrongResult, match=f"^changes its input {name}$"):
        renew(inputs)
