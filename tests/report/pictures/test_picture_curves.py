"""Curves: what is drawn is what the file holds."""

from dataclasses import replace

import numpy as np
import pytest
from picture_files import model

from lcbench.learn.model import Curves
from lcbench.report.pictures import curves

LOSSES = 3 - np.sqrt(np.arange(300)) / 10 + 0.1 * np.random.default_rng(0).normal(size=300)


def test_every_loss_and_their_running_mean():
    left, _ = curves.draw(model(losses=LOSSES)).axes
    each, mean = left.lines
    np.testing.assert_array_equal(each.get_xdata(), np.arange(1, 301))
    np.testing.assert_array_equal(each.get_ydata(), LOSSES)
    assert each.get_linewidth() < mean.get_linewidth()
    assert mean.get_label() == "mean over 9"
    np.testing.assert_array_equal(mean.get_xdata(), np.arange(5, 297))
    np.testing.assert_allclose(mean.get_ydata(), [LOSSES[step - 5 : step + 4].mean() for step in range(5, 297)])


def test_both_accuracies_where_they_were_looked_at():
    given = model(steps=(0, 100, 200, 250))
    _, right = curves.draw(given).axes
    drawn = {line.get_label(): line for line in right.lines}
    assert list(drawn) == ["train", "validation"]
    np.testing.assert_array_equal(drawn["train"].get_xdata(), [0, 100, 200, 250])
    np.testing.assert_array_equal(drawn["train"].get_ydata(), given.curves.train_accuracy)
    np.testing.assert_array_equal(drawn["validation"].get_ydata(), given.curves.validation_accuracy)


def test_one_step_is_a_point_that_can_be_seen():
    left, right = curves.draw(model(losses=[2.3], steps=[0])).axes
    assert [line.get_marker() for line in (*left.lines, *right.lines)] == ["o", "o", "o"]
    left.figure.draw_without_rendering()
    ticks = [label.get_text() for label in left.get_xticklabels() if label.get_text()]
    assert len(ticks) == len(set(ticks))


def test_without_accuracies_the_losses_are_alone():
    given = model()
    alone = replace(given, curves=Curves(given.curves.losses))
    (axes,) = curves.draw(alone).axes
    assert axes.get_ylabel() == "loss"


def test_a_run_that_diverged_is_drawn_until_it_did():
    losses = [3.0, 50.0, 1e9, np.inf, np.nan, np.nan]
    left, _ = curves.draw(model(losses=losses, status="diverged")).axes
    (line,) = left.lines
    np.testing.assert_array_equal(line.get_ydata(), losses[:3])
    assert line.get_label() == "of each batch, not finite after step 3"
    assert (line.get_marker(), line.get_markevery()) == ("X", [-1])


def test_nothing_finite_is_an_empty_picture():
    left, _ = curves.draw(model(losses=[np.nan, np.nan], status="diverged")).axes
    assert not len(left.lines[0].get_ydata())


@pytest.mark.parametrize(("losses", "scale"), [([800, 5], "log"), ([3, 2], "linear"), ([9, 0], "linear")])
def test_the_axis_is_logarithmic_where_losses_range_wide(losses, scale):
    assert curves.draw(model(losses=losses)).axes[0].get_yscale() == scale


def test_a_model_without_a_step_has_no_curves():
    assert curves.unfit(model(losses=[])) == "it has not been trained a single step"
    assert curves.unfit(model()) == ""
