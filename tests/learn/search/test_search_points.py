"""Which points a search tries, and which it chooses."""

from __future__ import annotations

import numpy as np
import pytest

from lcbench.errors import LcbenchError
from lcbench.learn.recipe import Recipe
from lcbench.learn.search.points import AXES, Range, default_axes, drawn, grid, grid_values, ranking
from lcbench.learn.search.search_file import Trial


def test_a_grid_has_every_combination_once_the_last_axis_fastest():
    points = grid({"reg": [5e4, 2.5e4, 5e4], "learning_rate": [1e-7, 5e-5]})
    assert points == [
        {"learning_rate": 1e-7, "reg": 2.5e4},
        {"learning_rate": 1e-7, "reg": 5e4},
        {"learning_rate": 5e-5, "reg": 2.5e4},
        {"learning_rate": 5e-5, "reg": 5e4},
    ]
    assert grid({}) == [{}]


def test_a_range_is_even_in_the_logarithm_and_as_a_table_writes_it():
    assert grid_values(Range(1e-8, 1e-6, 5), "learning_rate") == [1e-8, 3.16e-8, 1e-7, 3.16e-7, 1e-6]
    assert grid_values(Range(7, 7, 1), "reg") == [7]
    assert grid_values(Range(1, 3, 9), "batch") == [1, 2, 3]
    assert all(isinstance(value, int) for value in grid_values(Range(50, 200, 3), "batch"))


def test_random_points_are_log_uniform_and_a_longer_search_begins_with_the_same():
    axes = {"learning_rate": Range(1e-8, 1e-4), "reg": [0.0, 1.0, 5.0], "batch": Range(10, 1000)}
    points = drawn(axes, 400, seed=3)
    assert points[:7] == drawn(axes, 7, seed=3)
    assert points[:7] != drawn(axes, 7, seed=4)
    rates = np.array([point["learning_rate"] for point in points])
    assert rates.min() >= 1e-8
    assert rates.max() <= 1e-4
    # a quarter of them in each decade: 100, standard deviation 8.7
    decades = np.histogram(np.log10(rates), bins=[-8.01, -7, -6, -5, -3.99])[0]
    assert decades.sum() == 400
    assert (abs(decades - 100) < 40).all()
    assert {point["reg"] for point in points} == {0.0, 1.0, 5.0}
    assert all(isinstance(point["batch"], int) and 10 <= point["batch"] <= 1000 for point in points)
    assert abs(np.corrcoef(np.log(rates), [point["batch"] for point in points])[0, 1]) < 0.2


@pytest.mark.parametrize("ends", [(0, 1), (-1, 1), (2, 1), (1, float("inf")), (float("nan"), 1), (1, 2, 0)])
def test_what_is_no_range_is_refused(ends):
    with pytest.raises(LcbenchError, match="no range"):
        Range(*ends)


def test_a_grid_needs_to_know_how_many():
    with pytest.raises(LcbenchError, match=r"reg 1:100: how many values\? Write 1:100:5"):
        grid({"reg": Range(1, 100)})


@pytest.mark.parametrize("pixels", [True, False])
@pytest.mark.parametrize("loss", ["svm", "softmax"])
def test_the_defaults_are_grids_and_ranges_of_known_axes(pixels, loss):
    axes = default_axes(pixels, "sgd", loss)
    assert list(axes) == ["learning_rate", "reg"]
    assert 10 <= len(grid(axes)) <= 50
    assert len(drawn(axes, 3, seed=0)) == 3
    assert list(default_axes(pixels, "lbfgs", loss)) == ["reg"]
    assert default_axes(pixels, "random", loss) == {}
    assert set(axes) <= set(AXES)


def trial(accuracy, learning_rate=1e-7, reg=1.0, batch=200, margin=1.0, status="finished"):
    recipe = Recipe(data="synthetic", learning_rate=learning_rate, reg=reg, batch=batch, margin=margin)
    return Trial(recipe=recipe, status=status, validation_accuracy=accuracy)


def test_the_best_by_validation_then_the_safer():
    trials = [
        trial(0.4, learning_rate=1e-6),
        trial(0.3),
        trial(0.4, reg=1.0),
        trial(0.4, reg=5.0),
        trial(None, status="diverged"),
        trial(None, status="waiting"),
        trial(0.4, reg=5.0, batch=100),
        trial(0.4, reg=5.0, batch=100, margin=0.5),
        trial(0.35, status="stopped early"),
    ]
    assert ranking(trials) == [7, 6, 3, 2, 0, 8, 1]
    assert ranking(trials[4:6]) == []
