"""Where margins cross 0 along one weight, against margins computed on both sides of it."""

from __future__ import annotations

import numpy as np
import pytest

from lcbench.checks.gradient import Hinges, Kinks, slope
from lcbench.losses import vectorized


def problem():
    rng = np.random.default_rng(3)
    X = rng.normal(size=(30, 4))
    X[5, 2] = 0
    return rng.normal(size=(4, 3)), X, rng.integers(0, 3, 30)


def margins(W, X, y, margin):
    scores = X @ W
    return scores - scores[np.arange(len(y)), y, None] + margin


@pytest.mark.parametrize("margin", [1.0, 2.5])
def test_kinks_within_a_step_are_the_margins_that_change_sign(margin):
    W, X, y = problem()
    for where in np.ndindex(W.shape):
        step = 0.2
        ahead, behind = W.copy(), W.copy()
        ahead[where] += step
        behind[where] -= step
        crossed = (margins(ahead, X, y, margin) > 0) != (margins(behind, X, y, margin) > 0)
        found = Hinges(W, X, y, margin).kinks(*where).within(step)
        assert sorted(zip(found.rows, found.classes, strict=True)) == list(map(tuple, np.argwhere(crossed)))


def test_they_come_nearest_first_and_jump_by_what_the_slope_changes():
    W, X, y = problem()
    kinks = Hinges(W, X, y, 1.0).kinks(1, 2)
    assert (np.diff(kinks.distances) >= 0).all()
    nearest, next_one = kinks.distances[:2]
    beyond = (nearest + next_one) / 2
    slopes = []
    for away in (beyond, -beyond):
        there = W.copy()
        there[1, 2] += away
        slopes.append(slope(lambda W: vectorized.svm_loss(W, X, y, 0.0)[0], there, (1, 2), beyond / 1e3))
    assert slopes[0] - slopes[1] == pytest.approx(kinks.jumps[0], rel=1e-6)


def test_what_they_explain_is_what_a_centred_difference_misses():
    W, X, y = problem()
    _, dW = vectorized.svm_loss(W, X, y, 0.0)
    kinks = Hinges(W, X, y, 1.0).kinks(1, 2)
    step = float(kinks.distances[:2].mean())  # only the nearest lies between
    missed = slope(lambda W: vectorized.svm_loss(W, X, y, 0.0)[0], W, (1, 2), step) - dW[1, 2]
    assert abs(missed) == pytest.approx(kinks.explain(step), rel=1e-9)
    assert kinks.explain(kinks.distances[0] / 2) == 0


def test_a_smooth_loss_has_none():
    assert len(Kinks.none()) == 0
    assert Kinks.none().explain(1.0) == 0
