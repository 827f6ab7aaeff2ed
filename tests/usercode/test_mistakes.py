"""Known mistakes: right code has none, and each mistake is distinguished from the others."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lcbench.losses import oracle
from lcbench.losses.implementation import LOSSES, Implementation
from lcbench.usercode import UserFunction, mistakes, recognise
from lcbench.usercode.mistakes import TrialInputs, TrialOutput, find_mistake

INPUTS = [TrialInputs.small(), TrialInputs.other()]


def right(loss_name, inputs):
    return oracle.__dict__[f"{loss_name}_loss"](inputs.W, inputs.X, inputs.y, inputs.reg)


def mistake_after(loss_name, *changes):
    """Return the mistake that is found after changes to the right outputs by functions of (loss, dW, inputs)."""
    outputs = []
    for inputs in INPUTS:
        loss, dW = right(loss_name, inputs)
        for change in changes:
            loss, dW = change(loss, dW, inputs)
        outputs.append(TrialOutput(loss, dW))
    return find_mistake(loss_name, INPUTS, outputs)


@pytest.mark.parametrize("loss_name", LOSSES)
@pytest.mark.parametrize("inputs", INPUTS)
def test_first_explanation_is_the_right_one(loss_name, inputs):
    loss, dW = right(loss_name, inputs)
    assert next(mistakes._losses(loss_name, inputs)).value == pytest.approx(loss, rel=1e-12)
    np.testing.assert_allclose(next(mistakes._gradients(loss_name, inputs)).value, dW, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("loss_name", LOSSES)
def test_right_outputs_have_no_mistake(loss_name):
    def with_half_regularisation(loss, dW, inputs):
        return right(loss_name, replace(inputs, reg=inputs.reg / 2))

    assert mistake_after(loss_name) is None
    assert mistake_after(loss_name, with_half_regularisation) is None


@pytest.mark.parametrize("loss_name", LOSSES)
def test_no_mistake_gives_right_values(loss_name):
    """Otherwise a right function could be refused."""
    for candidates in (mistakes._losses, mistakes._gradients):
        first = next(candidates(loss_name, INPUTS[0]))
        same = [explanation for explanation in candidates(loss_name, INPUTS[0]) if explanation.fits(first.value)]
        assert [explanation.key for explanation in same] == [first.key]


@pytest.mark.parametrize("loss_name", LOSSES)
def test_every_single_mistake_is_distinguished(loss_name):
    """Find each mistake in outputs that contain it, alone or with one that computes the same."""
    tried = 0
    for candidates, place in ((mistakes._losses, 0), (mistakes._gradients, 1)):
        with np.errstate(all="ignore"):
            explanations = [list(candidates(loss_name, inputs)) for inputs in INPUTS]
        for first in explanations[0]:
            regularisation = first.regularisation
            if len(first.mistakes) != 1 or regularisation.words or regularisation.factor != 1:
                continue
            alike = (other for other in explanations[1] if (other.key, other.mistakes) == (first.key, first.mistakes))
            second = next(alike, None)
            if second is None or not np.isfinite(first.value).all():
                continue  # the number of rows is in the words
            tried += 1
            outputs = []
            for inputs, value in zip(INPUTS, (first.value, second.value), strict=True):
                output = list(right(loss_name, inputs))
                output[place] = value
                outputs.append(TrialOutput(*output))
            found = find_mistake(loss_name, INPUTS, outputs)
            assert found is not None, first.mistakes
            assert found.count == 1
            assert first.mistakes[0] in found.words or "row" in first.mistakes[0], (first.mistakes, found.words)
    assert tried > 30


def test_words_fit_on_a_line():
    for loss_name in LOSSES:
        for step in (mistakes._hinge if loss_name == "svm" else mistakes._cross_entropy)(np.eye(4), np.arange(4)):
            assert len(f"    in the gradient, {step.words}") <= 80


def test_gradient_is_explained_if_the_loss_is_not():
    found = mistake_after("svm", lambda loss, dW, inputs: (loss * 1.2345, dW - 2 * inputs.reg * inputs.W))
    assert (found.words, found.loss, found.gradient) == ("the regularisation is missing from the gradient", False, True)


def test_explanation_must_fit_both_outputs():
    outputs = [TrialOutput(*right("softmax", inputs)) for inputs in INPUTS]
    outputs[0] = replace(outputs[0], loss=outputs[0].loss * len(INPUTS[0].X))
    assert find_mistake("softmax", INPUTS, outputs) is None


@pytest.mark.parametrize("loss_name", LOSSES)
def test_random_outputs_have_no_known_mistake(loss_name):
    rng = np.random.default_rng(7)
    for _ in range(20):
        outputs = [TrialOutput(float(rng.uniform(0, 20)), rng.normal(size=inputs.W.shape)) for inputs in INPUTS]
        assert find_mistake(loss_name, INPUTS, outputs) is None


def scores_by_product(W, X):
    return X @ W


def scores_by_einsum(W, X):
    return np.einsum("nd,dc->nc", X, W)


def scores_by_rows(W, X):
    return np.array([[x @ w for w in W.T] for x in X])


def test_random_variants_of_right_code_are_recognised():
    """Scores, shift, precision, order of the sums and factor of the regularisation vary."""
    rng = np.random.default_rng(11)
    conventions = set()
    for _ in range(60):
        loss_name = LOSSES[rng.integers(2)]
        scores_of = (scores_by_product, scores_by_einsum, scores_by_rows)[rng.integers(3)]
        shift, half, single, reverse = rng.integers(0, 2, 4).astype(bool)

        def loss(W, X, y, reg, how=(loss_name, scores_of, shift, half, single, reverse)):
            loss_name, scores_of, shift, half, single, reverse = how
            if single:
                W, X = W.astype(np.float32), X.astype(np.float32)
            if reverse:
                X, y = X[::-1], y[::-1]
            rows, scores = np.arange(len(y)), scores_of(W, X)
            if loss_name == "svm":
                d = np.maximum(0, scores - scores[rows, y][:, None] + 1)
                d[rows, y] = 0
                data = d.sum() / len(y)
                d = (d > 0).astype(W.dtype)
                d[rows, y] -= d.sum(axis=1)
            else:
                d = np.exp(scores - scores.max(axis=1, keepdims=True) if shift else scores)
                d /= d.sum(axis=1, keepdims=True)
                data = -np.log(d[rows, y]).mean()
                d[rows, y] -= 1
            factor = 0.5 if half else 1
            return data + factor * reg * np.sum(W * W), X.T @ d / len(y) + 2 * factor * reg * W

        found = recognise(UserFunction("a.py:loss", "a.py:loss", loss, None))
        assert isinstance(found, Implementation), found
        assert list(found.functions) == [loss_name]
        assert found.convention.half_regularisation == half
        conventions.add(str(found.convention))
    assert len(conventions) == 2
