"""Axes of a search: grids, random points and defaults."""

from __future__ import annotations

import numpy as np
import pytest

from lcbench.errors import LcbenchError
from lcbench.learn.search.search_file import AXES, Range, default_axes, grid, grid_values, random_points


def test_a_grid_has_each_combination_once_with_the_last_axis_fastest():
    points = grid({"reg": [5e4, 2.5e4, 5e4], "learning_rate": [1e-7, 5e-5]})
    assert points == [
        {"learning_rate": 1e-7, "reg": 2.5e4},
        {"learning_rate": 1e-7, "reg": 5e4},
        {"learning_rate": 5e-5, "reg": 2.5e4},
        {"learning_rate": 5e-5, "reg": 5e4},
    ]
    assert grid({}) == [{}]


def test_a_range_is_evenly_spaced_in_the_logarithm_and_rounded_to_three_digits():
    assert grid_values(Range(1e-8, 1e-6, 5), "learning_rate") == [1e-8, 3.16e-8, 1e-7, 3.16e-7, 1e-6]
    assert grid_values(Range(7, 7, 1), "reg") == [7]
    assert grid_values(Range(1, 3, 9), "batch") == [1, 2, 3]
    assert all(isinstance(value, int) for value in grid_values(Range(50, 200, 3), "batch"))


def test_random_points_are_log_uniform_and_a_larger_count_extends_the_sequence():
    axes = {"learning_rate": Range(1e-8, 1e-4), "reg": [0.0, 1.0, 5.0], "batch": Range(10, 1000)}
    points = random_points(axes, 400, seed=3)
    assert points[:7] == random_points(axes, 7, seed=3)
    assert points[:7] != random_points(axes, 7, seed=4)
    rates = np.array([point["learning_rate"] for point in points])
    assert rates.min() >= 1e-8
    assert rates.max() <= 1e-4
    # Expected: 100 points in each decade, with a standard deviation of 8.7.
    decades = np.histogram(np.log10(rates), bins=[-8.01, -7, -6, -5, -3.99])[0]
    assert decades.sum() == 400
    assert (abs(decades - 100) < 40).all()
    assert {point["reg"] for point in points} == {0.0, 1.0, 5.0}
    assert all(isinstance(point["batch"], int) and 10 <= point["batch"] <= 1000 for point in points)
    assert abs(np.corrcoef(np.log(rates), [point["batch"] for point in points])[0, 1]) < 0.2


@pytest.mark.parametrize("ends", [(0, 1), (-1, 1), (2, 1), (1, float("inf")), (float("nan"), 1), (1, 2, 0)])
def test_an_invalid_range_is_refused(ends):
    with pytest.raises(LcbenchError, match="invalid range"):
        Range(*ends)


def test_a_grid_needs_the_number_of_values():
    with pytest.raises(LcbenchError, match=r"reg 1:100: how many values\? Write 1:100:5"):
        grid({"reg": Range(1, 100)})


def test_random_points_that_must_repeat_are_refused():
    assert len(random_points({"reg": [1.0, 2.0], "margin": [1.0]}, 2, seed=0)) == 2
    for axes in ({}, {"learning_rate": [1e-8]}, {"reg": Range(5.0, 5.0)}, {"reg": [1.0, 2.0], "margin": [1.0, 1.0]}):
        with pytest.raises(LcbenchError, match=r"random points of [12] combinations would repeat"):
            random_points(axes, 3, seed=0)


def test_more_trials_than_can_be_asked_for_are_refused_before_they_are_made():
    values = list(range(1, 1001))
    for make in (
        lambda: grid({"learning_rate": values, "reg": values}),
        lambda: random_points({"reg": Range(1, 2)}, 10**9, seed=0),
        lambda: Range(1, 2, 10**9),
    ):
        with pytest.raises(LcbenchError, match="from 1 to 100,000"):
            make()


@pytest.mark.parametrize("pixels", [True, False])
@pytest.mark.parametrize("loss", ["svm", "softmax"])
def test_default_axes_work_for_grids_and_random_points(pixels, loss):
    axes = default_axes(pixels, "sgd", loss)
    assert list(axes) == ["learning_rate", "reg"]
    assert 10 <= len(grid(axes)) <= 50
    assert len(random_points(axes, 3, seed=0)) == 3
    assert list(default_axes(pixels, "lbfgs", loss)) == ["reg"]
    assert default_axes(pixels, "random", loss) == {}
    assert set(axes) <= set(AXES)
