"""Scaling: points, fits, crossings and caches lie where the record says."""

import numpy as np
import pytest
from picture_records import ROWS, rows_sweep, run, sweep, threads_sweep

from lcbench.judge.crossings import crossings
from lcbench.judge.growth import growths
from lcbench.report.pictures import scaling
from lcbench.report.pictures.looks import look
from lcbench.report.pictures.scaling import _measured as measured


@pytest.fixture(scope="module")
def along_rows():
    return rows_sweep()


def curve_of(axes, implementation):
    (found,) = [line for line in measured(axes) if line.get_color() == look(implementation).colour]
    return found


def test_points_are_medians_and_under_them_the_same_over_the_axis(along_rows):
    figure = scaling.draw(along_rows)
    times, _, over_rows, _ = figure.axes
    for name in ("numpy", "numba-parallel"):
        medians = [r.median_s for r in along_rows.rows if (r.implementation, r.loss) == (name, "svm")]
        curve = curve_of(times, name)
        np.testing.assert_array_equal(curve.get_xdata(), ROWS)
        np.testing.assert_array_equal(curve.get_ydata(), medians)
        np.testing.assert_allclose(curve_of(over_rows, name).get_ydata(), np.divide(medians, ROWS))


def test_the_legend_has_the_growth_and_the_dotted_line_follows_it(along_rows):
    panel = scaling.draw(along_rows).axes[0]
    legend = panel.get_legend()
    assert legend.get_title().get_text() == "svm"
    fits = {fit.implementation: fit for fit in growths(along_rows) if fit.loss == "svm"}
    told = [text.get_text() for text in legend.get_texts()]
    assert told == [f"{name}: n^{fit.exponent:.2f} [{fit.low:.2f}, {fit.high:.2f}]" for name, fit in fits.items()]
    dotted = [line for line in panel.lines if line.get_linestyle() == ":"]
    for line, fit in zip(dotted, fits.values(), strict=True):
        np.testing.assert_allclose(line.get_ydata(), fit(line.get_xdata()))


def test_a_ring_where_one_passes_the_other(along_rows):
    (crossing,) = [one for one in crossings(along_rows) if one.loss == "svm"]
    panel = scaling.draw(along_rows).axes[0]
    (ring,) = [line for line in panel.lines if line.get_markerfacecolor() == "none" and line.get_marker() == "o"]
    assert ring.get_xdata() == [crossing.at]
    low, high = curve_of(panel, "numba-parallel").get_ydata()[[2, 4]]
    assert low < ring.get_ydata()[0] < high
    assert [text.get_text() for text in panel.texts] == [f"{float(f'{crossing.at:.2g}'):,g}"]


def test_a_line_where_x_is_as_large_as_a_cache(along_rows):
    panel = scaling.draw(along_rows).axes[2]
    named = {text.get_text(): text.xy[0] for text in panel.texts}
    an_row = 4 * 3073
    assert named == pytest.approx({"L3": (32 << 20) / an_row})
    uncached = scaling.draw(rows_sweep(machine={"cpu": {"model": "one"}}))
    assert not uncached.axes[2].texts


def test_of_two_axes_a_panel_for_each_value_of_the_other():
    figure = scaling.draw(threads_sweep())
    titles = [axes.get_legend().get_title().get_text() for axes in figure.axes]
    assert titles == [
        f"{loss}, {count}" for count in ("1 thread", "2 threads", "4 threads") for loss in ("svm", "softmax")
    ]
    limits = {axes.get_ylim() for axes in figure.axes}
    assert len(limits) == 1
    low, high = limits.pop()
    assert all((low < line.get_ydata()).all() and (line.get_ydata() < high).all()
               for axes in figure.axes for line in measured(axes))  # fmt: skip


def test_an_axis_of_names_makes_panels_too():
    took = {"numpy": lambda rows, dtype: 1e-6 * rows * (2 if dtype == "float64" else 1)}
    figure = scaling.draw(sweep(took, {"rows": [10, 100, 1000], "dtype": ["float32", "float64"]}, losses=["svm"]))
    assert [axes.get_legend().get_title().get_text() for axes in figure.axes] == ["svm, float32", "svm, float64"]


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (rows_sweep(), ""),
        (run(), "it is of no sweep"),
        (sweep({"numpy": lambda dtype: 1.0}, {"dtype": ["float32", "float64"]}), "along dtype nothing grows"),
        (sweep({"numpy": lambda threads: 1.0}, {"threads": [1, 2]}), "along threads nothing grows"),
        (sweep({}, {"rows": [1, 2]}), "none of its rows has a time"),
    ],
)
def test_what_has_no_scaling(given, reason):
    assert scaling.unfit(given) == reason


def test_points_that_were_left_out_are_missing_and_nothing_else():
    given = rows_sweep()
    for row in given.rows:
        if row.implementation == "numpy" and row.rows > 5000:
            row.status, row.median_s, row.blocks = "unavailable", None, []
    panel = scaling.draw(given).axes[0]
    assert len(curve_of(panel, "numpy").get_xdata()) == len(ROWS) - 1
    assert len(curve_of(panel, "numba-parallel").get_xdata()) == len(ROWS)
