"""Objective: its loss and gradient against plain loops, reading in place, and any margin of the hinge loss."""

import dataclasses

import numpy as np
import pytest

import naive
from lcbench.datasets.preprocessing import fit_scaling
from lcbench.errors import LcbenchError
from lcbench.learn import objective
from lcbench.learn.objective import Objective, with_margin
from lcbench.learn.recipe import Recipe
from lcbench.losses import vectorized
from lcbench.usercode.recognition import resolve
from small_splits import splits


def oracle(loss, W, X, y, reg, margin):
    row = naive.softmax_row if loss == "softmax" else naive.svm_row
    value, dW = naive.loss_and_gradient(row, W / margin, X, y, 0.0)
    return margin * value + reg * float((W * W).sum()), np.array(dW) + 2 * reg * W


@pytest.mark.parametrize("rows", [None, np.array([3, 3, 17, 0, 9])])
@pytest.mark.parametrize("implementation", ["numba-parallel", "numpy"])
@pytest.mark.parametrize("solver", ["sgd", "lbfgs"])
@pytest.mark.parametrize("name", ["mean", "halved", "standard"])
@pytest.mark.parametrize(("loss", "margin"), [("softmax", 1.0), ("svm", 1.0), ("svm", 10.0)])
def test_loss_and_gradient_equal_those_of_plain_loops_on_scaled_rows(loss, margin, name, solver, implementation, rows):
    train = splits(dtype="uint8").train
    scaled = fit_scaling(name, train.X)
    recipe = Recipe(
        data="", loss=loss, margin=margin, reg=0.3, implementation=implementation, solver=solver, dtype="float64"
    )
    W = 0.1 * np.random.default_rng(5).standard_normal((7, 3))
    value, dW = Objective(recipe, train, scaled)(W, rows)
    chosen = slice(None) if rows is None else rows
    X = scaled.design_matrix(train.X, np.float64)[chosen]
    expected, gradient = oracle(loss, W, X, train.y[chosen], 0.3, margin)
    assert value == pytest.approx(expected, rel=1e-10)
    np.testing.assert_allclose(dW, gradient, rtol=1e-9, atol=1e-12)


def test_pixels_that_the_kernel_can_read_in_place_are_not_copied():
    train = splits(dtype="uint8").train
    recipe = Recipe(data="", solver="sgd")
    assert Objective(recipe, train, fit_scaling("mean", train.X)).X is train.X
    assert Objective(recipe, train, fit_scaling("standard", train.X)).X.dtype == np.float32


def test_large_rows_are_read_in_place(monkeypatch):
    train = splits().train
    scaled = fit_scaling("standard", train.X)
    recipe = Recipe(data="", solver="lbfgs", reg=0.1)
    W = 0.1 * np.random.default_rng(5).standard_normal((7, 3))
    copied = Objective(recipe, train, scaled)
    monkeypatch.setattr(objective, "MAX_COPY_BYTES", train.X.nbytes - 1)
    in_place = Objective(recipe, train, scaled)
    assert in_place.X is train.X
    assert in_place(W)[0] == pytest.approx(copied(W)[0], rel=1e-5)
    np.testing.assert_allclose(in_place(W)[1], copied(W)[1], atol=1e-5)


def test_a_missing_loss_is_an_error(monkeypatch):
    train = splits().train
    implementation = dataclasses.replace(resolve("numpy"), functions={"softmax": None})
    monkeypatch.setattr(objective, "resolve", lambda name: implementation)
    with pytest.raises(LcbenchError, match="numpy has no svm loss; it has softmax"):
        Objective(Recipe(data="", loss="svm", implementation="numpy"), train, fit_scaling("mean", train.X))


def svm_row_with(margin):
    """Return `naive.svm_row` with another margin."""

    def row(W, x, label):
        s = naive.scores(W, x)
        margins = [max(0.0, s[c] - s[label] + margin) if c != label else 0.0 for c in range(len(s))]
        dscores = [1.0 if each > 0 else 0.0 for each in margins]
        dscores[label] = -sum(dscores)
        return sum(margins), dscores

    return row


def random_problem(dtype=np.float64):
    rng = np.random.default_rng(0)
    return rng.normal(size=(5, 4)).astype(dtype), rng.normal(size=(9, 5)).astype(dtype), rng.integers(0, 4, 9)


@pytest.mark.parametrize("margin", [0.1, 0.5, 3.0, 100.0])
def test_with_margin_equals_plain_loops_with_that_margin(margin):
    W, X, y = random_problem()
    expected_loss, expected_dW = naive.loss_and_gradient(svm_row_with(margin), W, X, y, 0.3)
    loss, dW = with_margin(vectorized.svm_loss, margin)(W, X, y, 0.3 * margin)
    assert loss == pytest.approx(expected_loss, rel=1e-12)
    np.testing.assert_allclose(dW, expected_dW, rtol=1e-11, atol=1e-13)


def test_the_loss_grows_with_the_margin():
    W, X, y = random_problem()
    losses = [with_margin(vectorized.svm_loss, margin)(W, X, y, 0.3 * margin)[0] for margin in (0.5, 1, 2)]
    assert losses[0] < losses[1] < losses[2]


def test_margin_1_returns_the_function_itself():
    assert with_margin(vectorized.svm_loss, 1.0) is vectorized.svm_loss


def test_with_margin_keeps_the_dtype_and_does_not_change_the_weights():
    W, X, y = random_problem(np.float32)
    before = W.copy()
    _, dW = with_margin(vectorized.svm_loss, 3.0)(W, X, y, 0.3)
    assert dW.dtype == np.float32
    np.testing.assert_array_equal(W, before)


@pytest.mark.parametrize("margin", [0.0, -1.0, float("nan"), float("inf")])
def test_an_invalid_margin_is_refused(margin):
    with pytest.raises(ValueError, match="finite number above 0"):
        with_margin(vectorized.svm_loss, margin)
