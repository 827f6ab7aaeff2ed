"""The table of known mistakes: it starts from what is right, tells its mistakes apart, and names none in right code."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lcbench.losses import oracle
from lcbench.losses.implementation import LOSSES, Implementation
from lcbench.usercode import UserFunction, mistakes, recognise
from lcbench.usercode.mistakes import TrialInputs, TrialResult

PROBLEMS = [TrialInputs.small(), TrialInputs.other()]


def right(loss_name, problem):
    return oracle.__dict__[f"{loss_name}_loss"](problem.W, problem.X, problem.y, problem.reg)


def named(loss_name, *changes):
    """What is named where the right answers are changed so: functions of (loss, dW, problem)."""
    answers = []
    for problem in PROBLEMS:
        loss, dW = right(loss_name, problem)
        for change in changes:
            loss, dW = change(loss, dW, problem)
        answers.append(TrialResult(loss, dW))
    return mistakes.name_mistake(loss_name, PROBLEMS, answers)


@pytest.mark.parametrize("loss_name", LOSSES)
@pytest.mark.parametrize("problem", PROBLEMS)
def test_what_the_table_starts_from_is_right(loss_name, problem):
    loss, dW = right(loss_name, problem)
    assert next(mistakes._losses(loss_name, problem)).value == pytest.approx(loss, rel=1e-12)
    np.testing.assert_allclose(next(mistakes._gradients(loss_name, problem)).value, dW, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("loss_name", LOSSES)
def test_no_mistake_is_named_where_there_is_none(loss_name):
    assert named(loss_name) is None
    assert named(loss_name, lambda loss, dW, problem: right(loss_name, replace(problem, reg=problem.reg / 2))) is None


@pytest.mark.parametrize("loss_name", LOSSES)
def test_no_mistake_gives_the_right_numbers(loss_name):
    """Else a right function could be called wrong by its name."""
    for candidates in (mistakes._losses, mistakes._gradients):
        first = next(candidates(loss_name, PROBLEMS[0]))
        same = [side for side in candidates(loss_name, PROBLEMS[0]) if side.fits(first.value)]
        assert [side.key for side in same] == [first.key]


@pytest.mark.parametrize("loss_name", LOSSES)
def test_every_single_mistake_is_told_from_all_others(loss_name):
    """Each one put into the answers comes back, alone, or beside one that computes the same."""
    tried = 0
    for candidates, place in ((mistakes._losses, 0), (mistakes._gradients, 1)):
        with np.errstate(all="ignore"):
            sides = [list(candidates(loss_name, problem)) for problem in PROBLEMS]
        for side in sides[0]:
            regularisation = side.regularisation
            if len(side.mistakes) != 1 or regularisation.words or regularisation.factor != 1:
                continue
            alike = (other for other in sides[1] if (other.key, other.mistakes) == (side.key, side.mistakes))
            second = next(alike, None)
            if second is None or not np.isfinite(side.value).all():
                continue  # so many rows of so many
            tried += 1
            answers = []
            for problem, value in zip(PROBLEMS, (side.value, second.value), strict=True):
                answer = list(right(loss_name, problem))
                answer[place] = value
                answers.append(TrialResult(*answer))
            found = mistakes.name_mistake(loss_name, PROBLEMS, answers)
            assert found is not None, side.mistakes
            assert found.count == 1
            assert side.mistakes[0] in found.words or "row" in side.mistakes[0], (side.mistakes, found.words)
    assert tried > 30


def test_a_name_fits_into_a_line():
    for loss_name in LOSSES:
        for step in (mistakes._hinge if loss_name == "svm" else mistakes._cross_entropy)(np.eye(4), np.arange(4)):
            assert len(f"    in the gradient, {step.words}") <= 80


def test_half_of_an_answer_may_be_explained():
    found = named("svm", lambda loss, dW, problem: (loss * 1.2345, dW - 2 * problem.reg * problem.W))
    assert (found.words, found.loss, found.gradient) == ("the regularisation is missing from the gradient", False, True)


def test_what_fits_one_problem_only_is_not_named():
    answers = [TrialResult(*right("softmax", problem)) for problem in PROBLEMS]
    answers[0] = replace(answers[0], loss=answers[0].loss * len(PROBLEMS[0].X))
    assert mistakes.name_mistake("softmax", PROBLEMS, answers) is None


@pytest.mark.parametrize("loss_name", LOSSES)
def test_answers_at_random_are_not_named(loss_name):
    rng = np.random.default_rng(7)
    for _ in range(20):
        answers = [TrialResult(float(rng.uniform(0, 20)), rng.normal(size=problem.W.shape)) for problem in PROBLEMS]
        assert mistakes.name_mistake(loss_name, PROBLEMS, answers) is None


def scores_by_product(W, X):
    return X @ W


def scores_by_einsum(W, X):
    return np.einsum("nd,dc->nc", X, W)


def scores_by_rows(W, X):
    return np.array([[x @ w for w in W.T] for x in X])


def test_right_code_put_together_at_random_is_never_refused():
    """Scores, shift, precision, order of the sums and the regularisation's factor vary; what is computed does not."""
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

        found = recognise(UserFunction("a.py:loss", "a.py:loss", loss, None), oracle)
        assert isinstance(found, Implementation), found
        assert list(found.functions) == [loss_name]
        assert found.convention.half_regularisation == half
        conventions.add(str(found.convention))
    assert len(conventions) == 2
