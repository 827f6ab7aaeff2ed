"""Plot of a search for hyperparameters."""

import msgspec
import numpy as np
import pytest
from matplotlib.patches import Rectangle
from plot_files import grid, search, trial, waiting

from lcbench.report.plots.search import draw_search, why_no_search

RATES, REGS = (1e-8, 1e-7, 1e-6), (10.0, 100.0, 1e3, 1e4)


def accuracy(rate, reg):
    return None if rate * reg > 1e-3 else round(0.3 + 0.01 * np.log10(reg) - 0.02 * abs(np.log10(rate) + 7), 4)


def cells(axes):
    return np.ma.filled(axes.images[0].get_array(), np.nan)


def text_at(axes, row, column):
    return next((text.get_text() for text in axes.texts if text.get_position() == (column, row)), "")


def test_each_cell_of_a_grid_has_its_accuracy():
    axes = draw_search(grid(accuracy, RATES, REGS)).axes[0]
    for row, rate in enumerate(RATES):
        for column, reg in enumerate(REGS):
            expected = accuracy(rate, reg)
            if expected is None:
                assert np.isnan(cells(axes)[row, column])
                assert text_at(axes, row, column) == "diverged"
            else:
                assert cells(axes)[row, column] == expected
                assert text_at(axes, row, column) == f"{100 * expected:.1f} %"
    assert [label.get_text() for label in axes.get_yticklabels()] == ["1e-08", "1e-07", "1e-06"]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["10", "100", "1000", "10000"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("regularisation", "learning rate")


def test_the_best_cell_is_framed():
    axes = draw_search(grid(accuracy, RATES, REGS)).axes[0]
    frames = [patch for patch in axes.patches if isinstance(patch, Rectangle)]
    best = np.unravel_index(np.nanargmax(cells(axes)), cells(axes).shape)
    assert {tuple(np.round(frame.get_center()[::-1]).astype(int)) for frame in frames} == {best}


def test_all_diverged():
    figure = draw_search(grid(lambda rate, reg: None, [1e-7, 5e-5], [2.5e4, 5e4]))
    (axes,) = figure.axes
    assert {text.get_text() for text in axes.texts} == {"diverged"}
    assert figure.get_suptitle() == "search: softmax, all diverged or crashed"
    assert not axes.patches


def test_noise_does_not_take_all_colours():
    noisy = grid(lambda rate, reg: 0.36 + 0.01 * (reg > 10), RATES, REGS)
    for rows, least, most in ((None, 0.01, 0.01), (1000, 0.1, 0.2), (10**8, 0.01, 0.0101)):
        figure = draw_search(msgspec.structs.replace(noisy, validation_rows=rows))
        low, high = figure.axes[0].images[0].get_clim()
        assert low <= 0.36
        assert high >= 0.37
        assert least - 1e-9 <= high - low <= most + 1e-9
        assert ("(standard error 1.5 %)" in figure.get_suptitle()) == (rows == 1000)


def test_one_trial():
    figure = draw_search(grid(accuracy, [1e-7], [10.0]))
    (axes,) = figure.axes
    assert cells(axes).tolist() == [[0.31]]


def test_cells_have_the_best_trial_of_a_third_axis():
    trials = [
        trial(value, learning_rate=1e-7, reg=reg, batch=batch)
        for (reg, batch), value in {(1.0, 100): 0.3, (1.0, 200): 0.35, (2.0, 100): None, (2.0, 200): 0.2}.items()
    ]
    figure = draw_search(search(trials, learning_rate=[1e-7], reg=[1.0, 2.0], batch=[100.0, 200.0]))
    axes = figure.axes[0]
    assert (axes.get_ylabel(), axes.get_xlabel()) == ("regularisation", "batch, rows")
    other = draw_search(search(trials, learning_rate=[1e-7, 1e-6][:1], reg=[1.0, 2.0], batch=[100.0]))
    assert other.get_suptitle().endswith("best over batch, rows")
    np.testing.assert_array_equal(cells(other.axes[0]), [[0.35, 0.2]])


def test_waiting_trials_are_counted_and_have_empty_cells():
    begun = grid(accuracy, RATES, REGS)
    begun.trials[0] = waiting(begun).trials[0]
    figure = draw_search(begun)
    assert text_at(figure.axes[0], 0, 0) == ""
    assert figure.get_suptitle().endswith("1 of 12 trials waiting")


def test_random_trials_are_points():
    points = {(2e-8, 30.0): 0.3, (3e-7, 500.0): 0.4, (5e-6, 9e3): None}
    trials = [trial(value, learning_rate=rate, reg=reg) for (rate, reg), value in points.items()]
    axes = draw_search(search(trials, "random", learning_rate=[1e-8, 1e-5], reg=[10.0, 1e4])).axes[0]
    drawn = {cloud.get_label(): cloud for cloud in axes.collections}
    np.testing.assert_array_equal(drawn["trial"].get_offsets(), [(30.0, 2e-8), (500.0, 3e-7)])
    np.testing.assert_array_equal(drawn["trial"].get_array(), [0.3, 0.4])
    np.testing.assert_array_equal(drawn["best"].get_offsets(), [(500.0, 3e-7)])
    np.testing.assert_array_equal(drawn["diverged"].get_offsets(), [(9e3, 5e-6)])
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")


def test_one_random_axis_is_drawn_against_the_accuracy():
    trials = [trial(value, reg=reg) for reg, value in ((30.0, 0.3), (500.0, 0.4))]
    (axes,) = draw_search(search(trials, "random", reg=[10.0, 1e4])).axes
    np.testing.assert_array_equal(axes.collections[0].get_offsets(), [(30.0, 0.3), (500.0, 0.4)])
    assert axes.get_yscale() == "linear"


def test_an_axis_with_zero_is_linear():
    trials = [trial(0.3, learning_rate=1e-7, reg=reg) for reg in (0.0, 0.5)]
    axes = draw_search(search(trials, "random", learning_rate=[1e-8, 1e-5], reg=[0.0, 0.5])).axes[0]
    assert (axes.get_xscale(), axes.get_yscale()) == ("linear", "log")


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (waiting(grid(accuracy, RATES, REGS)), "no trial has ended"),
        (search([trial(0.3)]), "it searched no hyperparameter"),
        (grid(accuracy, RATES, REGS), ""),
    ],
)
def test_searches_without_plot(given, reason):
    assert why_no_search(given) == reason
