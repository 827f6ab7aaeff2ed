"""What looks like a loss function."""

import pytest

from lcbench.usercode.source import has_signature, loss_in_name, positional_parameters


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("anything(W, X, y, reg)", True),
        ("anything(theta, X_train, y_train, lam)", True),
        ("anything(w, x, labels, regularization)", True),
        ("anything(W, X, y, reg=0.1)", True),
        ("anything(W, X, y, reg, fast=False)", True),
        ("softmax_fast(a, b, c, d)", True),
        ("hinge(a, b, c, d, verbose=True)", True),
        ("my_loss(a, b, c, d)", True),
        ("anything(a, b, c, d)", False),
        ("affine_backward(x, w, b, cache)", False),
        ("svm_loss(x, y)", False),
        ("svm_loss(a, b, c=1, d=2)", False),
        ("two_layer_net(X, model, y=None, reg=0.0)", False),
        ("softmax_loss(W, X, y, reg, step)", False),
        ("softmax_loss(W, X, y, reg, *, step)", False),
        ("softmax_loss(W, X, y, reg, *, step=1)", True),
        ("train(W, X, y, reg, step)", False),
    ],
)
def test_signature(header, expected):
    namespace = {}
    exec(f"def {header}: pass", namespace)
    name = header.partition("(")[0]
    assert has_signature(name, *positional_parameters(namespace[name])) is expected


@pytest.mark.parametrize(
    ("name", "loss"),
    [
        ("svm_loss_naive", "svm"),
        ("multiclass_hinge", "svm"),
        ("softmax_loss_vectorized", "softmax"),
        ("CrossEntropy", "softmax"),
        ("cross_entropy_loss", "softmax"),
        ("xent", "softmax"),
        ("loss_fn", None),
        ("svm_or_softmax", None),
    ],
)
def test_loss_in_name(name, loss):
    assert loss_in_name(name) == loss
