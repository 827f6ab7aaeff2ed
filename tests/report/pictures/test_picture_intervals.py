"""An interval that says next to nothing does not stretch an axis; where it is cut, an arrow says so."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure

from lcbench.report.pictures import bars, intervals
from lcbench.report.pictures.intervals import draw_arrows, reach, told, within
from results import record, row

TIMES = st.floats(1e-9, 1e3)


def test_sane_intervals_are_shown_whole():
    assert reach([2.0, 3.0], [(1.8, 2.2), (2.9, 3.3)]) == (1.8, 3.3)


@given(st.lists(st.tuples(TIMES, st.floats(1, 1e12), st.floats(1, 1e12)), min_size=1, max_size=9))
def test_an_axis_has_all_medians_and_not_much_more(found):
    medians = [median for median, _, _ in found]
    low, high = reach(medians, [(median / below, median * above) for median, below, above in found])
    assert min(medians) / intervals.FARTHEST <= low <= min(medians) * (1 + 1e-9)
    assert max(medians) * (1 - 1e-9) <= high <= max(medians) * intervals.FARTHEST


def test_what_lies_within_the_ends_stays():
    assert within((1.0, 2.0), (0.5, 3.0)) == (1.0, 2.0)
    assert within((1e-9, 1e9), (0.5, 3.0)) == (0.5, 3.0)
    assert within((1e-9, 0.1), (0.5, 3.0)) == (0.5, 0.5)


@pytest.mark.parametrize(("along", "down", "up"), [("x", "<", ">"), ("y", "v", "^")])
def test_arrows_stand_at_the_ends_that_an_interval_passes(along, down, up):
    figure = Figure()
    axes = figure.subplots()
    draw_arrows(axes, [0, 1, 2], [(1, 9), (4, 6), (4, 9)], (3, 7), along, "black")
    found = {line.get_marker(): list(zip(*line.get_data(), strict=True)) for line in axes.lines}
    turned = [(0, 3)], [(0, 7), (2, 7)]
    wanted = [[place[::-1] if along == "x" else place for place in some] for some in turned]
    assert found == dict(zip((down, up), wanted, strict=True))
    assert "arrows" in told(figure)


def test_without_arrows_nothing_is_said_of_them():
    figure = Figure()
    draw_arrows(figure.subplots(), [0], [(4, 6)], (3, 7), "y", "black")
    assert told(figure) == ""


@pytest.mark.parametrize("slowest", [3e-3, 1.0])
def test_bars_are_as_long_as_their_times_beside_a_wide_interval(slowest):
    given = record(row("torch", [1e-5, 1e-3, 1e-1]), row(medians=[slowest, 1.01 * slowest]))
    low, high = given.rows[0].ci95_s
    assert high / low > 1e9
    figure = bars.draw(given)
    (axes,) = figure.axes
    assert axes.get_xlim()[1] < 1e4 * slowest
    assert ">" in [line.get_marker() for line in axes.lines]
    assert "arrows" in figure.get_supxlabel()
