"""Table of cases: right code passes all cases, and each kind of mistake fails its case."""

from __future__ import annotations

import numpy as np
import pytest

from lcbench.checks import checking
from lcbench.checks.cases import CASES, Case
from lcbench.losses import vectorized
from lcbench.losses.implementation import Implementation


def implementation(softmax=vectorized.softmax_loss, name="mine", device="cpu", **fields):
    functions = {"softmax": softmax, "svm": vectorized.svm_loss}
    return Implementation(name, device, functions, **fields)


@pytest.mark.parametrize("loss", ["svm", "softmax"])
@pytest.mark.parametrize(("dtype", "tried"), [("float32", len(CASES) + 2), ("float64", len(CASES) + 3)])
def test_right_code_passes_every_case(loss, dtype, tried):
    checked = checking.check(implementation(), loss, dtype)
    assert (checked.status, checked.reason, checked.notes) == ("ok", "", [])
    assert (checked.cases, checked.left_out) == (tried, 0)
    assert 0 < checked.error_grad < (1e-4 if dtype == "float32" else 1e-12)


def unshifted(W, X, y, reg):
    probabilities = np.exp(X @ W)
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    rows = np.arange(len(X))
    loss = -np.log(probabilities[rows, y]).mean() + reg * np.sum(W * W)
    probabilities[rows, y] -= 1
    return loss, X.T @ probabilities / len(X) + 2 * reg * W


def half_regularised(W, X, y, reg):
    return vectorized.softmax_loss(W, X, y, reg / 2)


def ten_classes_only(W, X, y, reg):
    loss, dW = vectorized.softmax_loss(W, X, y, reg)
    dW[:, 10:] = 0
    return loss, dW


def labels_as_bytes(W, X, y, reg):
    return vectorized.softmax_loss(W, X, np.asarray(y, np.uint8), reg)


def centring(W, X, y, reg):
    X -= 0.5
    return vectorized.softmax_loss(W, X, y, reg)


def raising(W, X, y, reg):
    if len(X) == 101:
        raise ValueError("no\nprimes")
    return vectorized.softmax_loss(W, X, y, reg)


def whole_numbers(W, X, y, reg):
    loss, dW = vectorized.softmax_loss(W, X, y, reg)
    return loss, np.zeros(dW.shape, int)


def no_gradient(W, X, y, reg):
    return vectorized.softmax_loss(W, X, y, reg)[0], None


@pytest.mark.parametrize(
    ("function", "status", "reason"),
    [
        (
            unshifted,
            "unstable",
            "right only up to scores of about 710; subtract the maximum of each row before exp "
            "(scores near 1e3: loss is nan; gradient holds NaN or infinity)",
        ),
        (half_regularised, "wrong", "one row: loss is"),
        (
            ten_classes_only,
            "wrong",
            "right for 10 classes only; take the number of classes from W (remainders of every",
        ),
        (centring, "wrong", "one row: changes its input X"),
        (raising, "crashed", "primes: ValueError: no primes"),
        (whole_numbers, "wrong", "one row: gradient has dtype int64, not a floating-point one"),
        (no_gradient, "wrong", "one row: gradient has dtype object"),
        (lambda W, X, y, reg: None, "crashed", "one row: TypeError"),
    ],
)
def test_mistake_fails_its_case(function, status, reason):
    checked = checking.check(implementation(function), "softmax", "float64")
    assert checked.status == status
    assert checked.reason.startswith(reason)
    assert "\n" not in checked.reason


def refusing_pixels(W, X, y, reg):
    if X.dtype == np.uint8:
        raise TypeError("pixels")
    return vectorized.softmax_loss(W, X, y, reg)


def test_demanding_case_is_a_note_for_user_code_and_wrong_for_the_catalog():
    users = checking.check(implementation(refusing_pixels), "softmax", "float64")
    assert (users.status, users.notes) == ("ok", ["X of uint8 pixels: TypeError: pixels"])
    assert users.cases == len(CASES) + 2  # all but one, repeated calls and the numerical gradient
    own = checking.check(implementation(refusing_pixels, name="numpy"), "softmax", "float64")
    assert (own.status, own.reason) == ("crashed", "X of uint8 pixels: TypeError: pixels")


def test_simulator_runs_the_small_cases():
    checked = checking.check(implementation(device="simulator", name="numba-cuda"), "softmax", "float32")
    assert checked.device == "simulator"
    assert 0 < checked.left_out == sum(case.products > checking.MAX_PRODUCTS_IN_SIMULATOR for case in CASES)
    assert checked.cases + checked.left_out == len(CASES) + 1  # and the second call


def test_gradient_of_another_function_differs_from_the_slope():
    wrong = checking._numerical_gradient(
        implementation(lambda W, X, y, reg: (vectorized.softmax_loss(W, X, y, reg)[0], 1.001 * W)), "softmax"
    )
    assert wrong.startswith("dW[")
    assert "but the slope of the loss is" in wrong
    assert checking._numerical_gradient(implementation(), "softmax") is None


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_inputs_of_a_case(case):
    W, X, y, reg = case.inputs("float32")
    assert X.shape == (case.rows, case.features)
    assert W.shape == (case.features, case.classes)
    assert y.shape == (case.rows,)
    assert (W.dtype, X.dtype) == ("float32", "uint8" if case.layout == "uint8" else "float32")
    assert 0 <= y.min() <= y.max() < case.classes
    assert reg > 0
    if case.layout == "F":
        assert X.flags.f_contiguous
        assert not X.flags.c_contiguous
    if case.layout == "strided":
        assert X.strides[0] < 0 < X.strides[1] != X.itemsize
    if case.shift:
        assert np.abs(X @ W).max() == pytest.approx(abs(case.shift), rel=0.1)
        assert np.abs(X @ W).mean() == pytest.approx(abs(case.shift), rel=0.1) or case.one_row
    if case.labels in ("int8", "uint8"):
        assert y.dtype == case.labels
    if case.labels == "equal":
        assert set(y) == {case.classes - 1}


def test_case_names_are_unique():
    assert len({case.name for case in CASES}) == len(CASES)
    assert Case("x", 2, 3, 4).products == 24
