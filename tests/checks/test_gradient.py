"""Gradient check: right gradients are right and wrong gradients wrong for any step, and kinks are named."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from lcbench.checks import gradient
from lcbench.checks.gradient import GradientProblem, Hinges, Kinks, check, slope
from lcbench.datasets import synthetic
from lcbench.datasets.preprocessing import design_matrix, mean_image
from lcbench.losses import vectorized
from lcbench.losses.implementation import LOSSES, Implementation

RIGHT = {"svm": vectorized.svm_loss, "softmax": vectorized.softmax_loss}
SHAPE = (65, 10)


def problem(loss="svm", margin=1.0, reg=10.0, scale=1e-3):
    pixels, y = synthetic.images(200, pixels=SHAPE[0] - 1)
    X = design_matrix(pixels, mean_image(pixels), np.float64)
    W = scale * np.random.default_rng(0).standard_normal(SHAPE)
    return GradientProblem(loss, W, X, y, reg, margin)


def checked(problem, function=None, step=1e-5, coordinates=None):
    implementation = Implementation("mine", "cpu", {problem.loss: function or RIGHT[problem.loss]})
    some = coordinates or gradient.random_coordinates(SHAPE, 30, np.random.default_rng(1))
    return check(implementation, problem, some, step)


@pytest.mark.parametrize(("loss", "step"), list(product(LOSSES, [1e-2, 1e-3, 1e-5, 1e-7, 1e-9, 1e-12])))
def test_right_gradient_is_right_for_every_step(loss, step):
    assert checked(problem(loss), step=step).count("wrong") == 0


MISTAKES = {
    "missing 2 in reg": lambda loss, dW, W, N, reg: (loss, dW - reg * W),
    "missing mean": lambda loss, dW, W, N, reg: (loss, N * (dW - 2 * reg * W) + 2 * reg * W),
    "off-by-one class": lambda loss, dW, W, N, reg: (loss, np.roll(dW, 1, axis=1)),
    "sign": lambda loss, dW, W, N, reg: (loss, -dW),
    "1 % too large": lambda loss, dW, W, N, reg: (loss, 1.01 * dW),
    "NaN": lambda loss, dW, W, N, reg: (loss, np.full_like(dW, np.nan)),
    "loss without reg": lambda loss, dW, W, N, reg: (loss - reg * np.sum(W * W), dW),
    "loss is NaN": lambda loss, dW, W, N, reg: (np.nan, dW),
}


@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=MISTAKES.keys())
@pytest.mark.parametrize(("loss", "step", "margin"), [*product(LOSSES, [1e-2, 1e-5, 1e-9], [1.0]), ("svm", 1e-3, 50.0)])
def test_wrong_gradient_is_wrong_at_every_coordinate_for_every_step(mistake, loss, step, margin):
    def wrong(W, X, y, reg):
        return mistake(*RIGHT[loss](W, X, y, reg), W, len(X), reg)

    found = checked(problem(loss, margin), wrong, step)
    assert [each.verdict for each in found.coordinates] == ["wrong"] * 30
    assert not found.single_precision


def test_kinks_are_named_and_are_not_wrong():
    asked = problem()
    found = checked(asked, step=1e-3)
    at_kinks = [each for each in found.coordinates if each.verdict == "kink"]
    assert at_kinks
    assert found.count("kink") + found.count("right") == 30
    for each in at_kinks:
        assert each.kinks >= 1
        assert each.relative_error > gradient.RIGHT
        # At the reported distance, the argument of the hinge is 0.
        margins = []
        for away in (each.nearest_kink.distance, -each.nearest_kink.distance):
            W = asked.W.copy()
            W[each.at] += away
            scores = asked.X[each.nearest_kink.row] @ W
            margins.append(scores[each.nearest_kink.wrong_class] - scores[asked.y[each.nearest_kink.row]] + 1)
        assert min(map(abs, margins)) < 1e-12


def test_errors_away_from_kinks_are_below_1e_6():
    assert checked(problem(), step=1e-3).worst_error(kinks=False) < 1e-6


def test_kink_at_W_itself():
    # One row with margin 0: every slope from 0 to x is right.
    W, X, y = np.array([[1.0, 0.0]]), np.array([[1.0]]), np.array([0])
    for claimed, verdict in ((0.0, "kink"), (1.0, "kink"), (0.3, "kink"), (-0.1, "wrong"), (1.1, "wrong")):

        def loss(W, X, y, reg, claimed=claimed):
            return vectorized.svm_loss(W, X, y, reg)[0], np.array([[-claimed, claimed]])

        found = checked(GradientProblem("svm", W, X, y, 0.0), loss, coordinates=[(0, 1)])
        assert [each.verdict for each in found.coordinates] == [verdict], claimed


def test_margin_of_100_has_no_kinks_and_a_smaller_error():
    near, far = (checked(problem(margin=margin), step=1e-3) for margin in (1.0, 100.0))
    assert near.count("kink") > 0
    assert far.count("kink") == 0
    assert far.worst_error() < 1e-3 * near.worst_error()


def test_analytic_gradient_is_compared_with_the_oracle_at_the_same_margin():
    analytic = {method.name: method for method in checked(problem(margin=0.1)).ways}["analytic"]
    assert analytic.worst_error < 1e-9


@pytest.mark.parametrize(("step", "because"), [(1e-2, "curvature"), (1e-11, "rounding")])
def test_curvature_and_rounding_explain_unsuitable_steps(step, because):
    found = checked(problem("softmax"), step=step)
    assert found.worst_error() > gradient.RIGHT
    assert {each.because for each in found.coordinates} <= {because, ""}
    assert any(each.because for each in found.coordinates)


def test_curvature_is_an_upper_bound():
    asked = problem("softmax", reg=0.0, scale=3e-2)
    for where in [(0, 0), (30, 4), (64, 9)]:
        exact = asked.right.dW[where]
        step = 1e-3
        missed = abs(slope(lambda W: asked.loss_of(IMPLEMENTATION)(W)[0], asked.W, where, step) - exact)
        assert 0 < missed <= asked.curvature(where, step) + asked.rounding(step)


IMPLEMENTATION = Implementation("numpy", "cpu", RIGHT)


def test_evaluations_of_the_three_methods():
    calls = 0

    def counted(W, X, y, reg):
        nonlocal calls
        calls += 1
        return vectorized.svm_loss(W, X, y, reg)

    found = checked(problem(), counted, step=1e-3)
    numerical, analytic, both = found.ways
    tested_twice = sum(each.relative_error > gradient.RIGHT for each in found.coordinates)
    assert [method.name for method in found.ways] == ["numerical", "analytic", "both"]
    assert (numerical.evaluations, analytic.evaluations) == (60, 1)
    assert both.evaluations == 61 + 2 * tested_twice == calls - 1  # without the warm-up call
    assert (numerical.whole_evaluations, analytic.whole_evaluations) == (2 * 65 * 10, 1)
    assert analytic.worst_error < 1e-9 < numerical.worst_error
    assert both.worst_error == found.worst_error()
    assert both.seconds >= numerical.seconds + analytic.seconds
    assert numerical.whole_seconds == pytest.approx(numerical.seconds * 650 / 30)


@pytest.mark.parametrize("loss", LOSSES)
def test_single_precision_is_recognised(loss):
    def single(W, X, y, reg):
        return RIGHT[loss](W.astype(np.float32), X.astype(np.float32), y, reg)

    def single_and_wrong(W, X, y, reg):
        value, dW = single(W, X, y, reg)
        return value, 1.1 * dW

    assert checked(problem(loss), single).single_precision
    assert not checked(problem(loss), single_and_wrong).single_precision


def test_implementation_may_reuse_the_array_of_the_gradient():
    buffer = np.empty(SHAPE)

    def reuses(W, X, y, reg):
        loss, dW = vectorized.softmax_loss(W, X, y, reg)
        buffer[:] = dW
        return loss, buffer

    exact = checked(problem("softmax"))
    assert [each.analytic for each in checked(problem("softmax"), reuses).coordinates] == [
        each.analytic for each in exact.coordinates
    ]


def test_random_coordinates():
    drawn = [gradient.random_coordinates((7, 3), 15, np.random.default_rng(seed)) for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert len(set(drawn[0])) == 15
    assert all(0 <= row < 7 and 0 <= klass < 3 for row, klass in drawn[0])
    assert sorted(gradient.random_coordinates((2, 2), 99, np.random.default_rng(0))) == list(np.ndindex(2, 2))


@pytest.mark.parametrize(("coordinates", "step"), [([], 1e-5), ([(0, 0)], 0.0), ([(0, 0)], float("inf"))])
def test_no_coordinate_or_invalid_step_is_an_error(coordinates, step):
    with pytest.raises(ValueError, match="needs a coordinate and a step above 0"):
        check(IMPLEMENTATION, problem(), coordinates, step)


# Kinks


def random_inputs():
    rng = np.random.default_rng(3)
    X = rng.normal(size=(30, 4))
    X[5, 2] = 0
    return rng.normal(size=(4, 3)), X, rng.integers(0, 3, 30)


def margins(W, X, y, margin):
    scores = X @ W
    return scores - scores[np.arange(len(y)), y, None] + margin


@pytest.mark.parametrize("margin", [1.0, 2.5])
def test_kinks_within_a_step_are_margins_that_change_sign(margin):
    W, X, y = random_inputs()
    for where in np.ndindex(W.shape):
        step = 0.2
        ahead, behind = W.copy(), W.copy()
        ahead[where] += step
        behind[where] -= step
        crossed = (margins(ahead, X, y, margin) > 0) != (margins(behind, X, y, margin) > 0)
        found = Hinges(W, X, y, margin).kinks(*where).within(step)
        assert sorted(zip(found.rows, found.classes, strict=True)) == list(map(tuple, np.argwhere(crossed)))


def test_kinks_are_sorted_and_jumps_are_changes_of_the_slope():
    W, X, y = random_inputs()
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


def test_expected_error_of_a_kink_is_the_error_of_the_central_difference():
    W, X, y = random_inputs()
    _, dW = vectorized.svm_loss(W, X, y, 0.0)
    kinks = Hinges(W, X, y, 1.0).kinks(1, 2)
    step = float(kinks.distances[:2].mean())  # only the nearest is within the step
    missed = slope(lambda W: vectorized.svm_loss(W, X, y, 0.0)[0], W, (1, 2), step) - dW[1, 2]
    assert abs(missed) == pytest.approx(kinks.expected_error(step), rel=1e-9)
    assert kinks.expected_error(kinks.distances[0] / 2) == 0


def test_smooth_loss_has_no_kinks():
    assert len(Kinks.none()) == 0
    assert Kinks.none().expected_error(1.0) == 0
