import dataclasses

import numpy as np
import pytest

import naive
from lcbench.datasets.preprocessing import scaling
from lcbench.errors import LcbenchError
from lcbench.learn import objective
from lcbench.learn.objective import Objective
from lcbench.learn.recipe import Recipe
from lcbench.usercode.discovery import resolve
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
def test_it_is_the_loss_of_the_scaled_rows(loss, margin, name, solver, implementation, rows):
    train = splits(dtype="uint8").train
    scaled = scaling(name, train.X)
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


def test_pixels_are_not_copied_where_the_kernel_takes_them_as_they_are():
    train = splits(dtype="uint8").train
    recipe = Recipe(data="", solver="sgd")
    assert Objective(recipe, train, scaling("mean", train.X)).X is train.X
    assert Objective(recipe, train, scaling("standard", train.X)).X.dtype == np.float32


def test_what_is_too_large_is_not_kept_twice(monkeypatch):
    train = splits().train
    scaled = scaling("standard", train.X)
    recipe = Recipe(data="", solver="lbfgs", reg=0.1)
    W = 0.1 * np.random.default_rng(5).standard_normal((7, 3))
    copied = Objective(recipe, train, scaled)
    monkeypatch.setattr(objective, "LARGE", train.X.nbytes - 1)
    in_place = Objective(recipe, train, scaled)
    assert in_place.X is train.X
    assert in_place(W)[0] == pytest.approx(copied(W)[0], rel=1e-5)
    np.testing.assert_allclose(in_place(W)[1], copied(W)[1], atol=1e-5)


def test_a_loss_that_is_not_there_is_one_line(monkeypatch):
    train = splits().train
    implementation = dataclasses.replace(resolve("numpy"), functions={"softmax": None})
    monkeypatch.setattr(objective, "resolve", lambda name: implementation)
    with pytest.raises(LcbenchError, match="numpy has no svm loss; it has softmax"):
        Objective(Recipe(data="", loss="svm", implementation="numpy"), train, scaling("mean", train.X))
