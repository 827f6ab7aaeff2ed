"""Plots of a sweep: scaling with fits, crossings and caches, and threads."""

import numpy as np
import pytest
from plot_records import ROWS, rows_sweep, run, sweep, threads_sweep

from lcbench.report.plots import selection, sweeps
from lcbench.report.plots.line_styles import line_style
from lcbench.report.plots.sweeps import _measured as measured
from lcbench.stats.crossings import crossings, efficiencies
from lcbench.stats.growth import growths
from results import processes


@pytest.fixture(scope="module")
def along_rows():
    return rows_sweep()


def curve_of(axes, implementation):
    (found,) = [line for line in measured(axes) if line.get_color() == line_style(implementation).colour]
    return found


def test_upper_panels_are_times_and_lower_panels_times_over_the_axis(along_rows):
    figure = sweeps.draw_scaling(along_rows)
    times, _, over_rows, _ = figure.axes
    for name in ("numpy", "numba-parallel"):
        medians = [r.median_s for r in along_rows.rows if (r.implementation, r.loss) == (name, "svm")]
        curve = curve_of(times, name)
        np.testing.assert_array_equal(curve.get_xdata(), ROWS)
        np.testing.assert_array_equal(curve.get_ydata(), medians)
        np.testing.assert_allclose(curve_of(over_rows, name).get_ydata(), np.divide(medians, ROWS))


def test_the_legend_has_the_growth_and_dotted_lines_are_the_fits(along_rows):
    panel = sweeps.draw_scaling(along_rows).axes[0]
    legend = panel.get_legend()
    assert legend.get_title().get_text() == "svm"
    fits = {fit.implementation: fit for fit in growths(along_rows) if fit.loss == "svm"}
    told = [text.get_text() for text in legend.get_texts()]
    assert told == [f"{name}: n^{fit.exponent:.2f} [{fit.low:.2f}, {fit.high:.2f}]" for name, fit in fits.items()]
    dotted = [line for line in panel.lines if line.get_linestyle() == ":"]
    for line, fit in zip(dotted, fits.values(), strict=True):
        np.testing.assert_allclose(line.get_ydata(), fit(line.get_xdata()))


def test_crossings_have_rings(along_rows):
    (crossing,) = [one for one in crossings(along_rows) if one.loss == "svm"]
    panel = sweeps.draw_scaling(along_rows).axes[0]
    (ring,) = [line for line in panel.lines if line.get_markerfacecolor() == "none" and line.get_marker() == "o"]
    assert ring.get_xdata() == [crossing.at]
    low, high = curve_of(panel, "numba-parallel").get_ydata()[[2, 4]]
    assert low < ring.get_ydata()[0] < high
    assert [text.get_text() for text in panel.texts] == [f"{float(f'{crossing.at:.2g}'):,g}"]


def test_caches_have_lines(along_rows):
    panel = sweeps.draw_scaling(along_rows).axes[2]
    named = {text.get_text(): text.xy[0] for text in panel.texts}
    an_row = 4 * 3073
    assert named == pytest.approx({"L3": (32 << 20) / an_row})
    uncached = sweeps.draw_scaling(rows_sweep(machine={"cpu": {"model": "one"}}))
    assert not uncached.axes[2].texts


def test_two_axes_give_a_panel_for_each_value_of_the_other():
    figure = sweeps.draw_scaling(threads_sweep())
    titles = [axes.get_legend().get_title().get_text() for axes in figure.axes]
    assert titles == [
        f"{loss}, {count}" for count in ("1 thread", "2 threads", "4 threads") for loss in ("svm", "softmax")
    ]
    limits = {axes.get_ylim() for axes in figure.axes}
    assert len(limits) == 1
    low, high = limits.pop()
    assert all((low < line.get_ydata()).all() and (line.get_ydata() < high).all()
               for axes in figure.axes for line in measured(axes))  # fmt: skip


def test_another_axis_of_names():
    took = {"numpy": lambda rows, dtype: 1e-6 * rows * (2 if dtype == "float64" else 1)}
    figure = sweeps.draw_scaling(
        sweep(took, {"rows": [10, 100, 1000], "dtype": ["float32", "float64"]}, losses=["svm"])
    )
    assert [axes.get_legend().get_title().get_text() for axes in figure.axes] == ["svm, float32", "svm, float64"]


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (rows_sweep(), ""),
        (run(), "it is not a sweep"),
        (sweep({"numpy": lambda dtype: 1.0}, {"dtype": ["float32", "float64"]}), "the work does not grow along dtype"),
        (sweep({"numpy": lambda threads: 1.0}, {"threads": [1, 2]}), "the work does not grow along threads"),
        (sweep({}, {"rows": [1, 2]}), "none of its rows has a time"),
    ],
)
def test_records_without_scaling(given, reason):
    assert selection.why_no_scaling(given) == reason


def test_rows_without_times_have_no_point():
    given = rows_sweep()
    for row in given.rows:
        if row.implementation == "numpy" and row.rows > 5000:
            row.status, row.median_s, row.processes = "unavailable", None, []
    panel = sweeps.draw_scaling(given).axes[0]
    assert len(curve_of(panel, "numpy").get_xdata()) == len(ROWS) - 1
    assert len(curve_of(panel, "numba-parallel").get_xdata()) == len(ROWS)


def gains(axes, implementation):
    """Return the lines of an implementation, filled before hollow: softmax before svm."""
    found = [line for line in axes.lines if line.get_marker() == line_style(implementation).marker]
    return sorted(found, key=lambda line: line.get_markerfacecolor() == "white")


def test_speed_up_on_the_left_and_efficiency_on_the_right():
    given = threads_sweep()
    left, right, *_ = sweeps.draw_threads(given).axes
    for name in ("numpy", "numba-parallel"):
        for loss, speedup, efficiency in zip(("softmax", "svm"), gains(left, name), gains(right, name), strict=True):
            own = [
                one for one in efficiencies(given)
                if (one.implementation, one.loss, one.other) == (name, loss, {"rows": 1000})
            ]  # fmt: skip
            np.testing.assert_array_equal(speedup.get_xdata(), [1, 2, 4])
            np.testing.assert_array_equal(speedup.get_ydata(), [1, *(one.speedup for one in own)])
            np.testing.assert_array_equal(efficiency.get_ydata(), [1, *(one.efficiency for one in own)])
    assert gains(left, "numba-parallel")[0].get_ydata()[-1] == pytest.approx(4, rel=0.1)
    assert gains(right, "numpy")[0].get_ydata()[-1] == pytest.approx(0.25, rel=0.1)


def test_the_ideal_speed_up_is_drawn():
    figure = sweeps.draw_threads(threads_sweep())
    left = figure.axes[0]
    (ideal,) = [line for line in left.lines if line.get_marker() in ("", "None")]
    np.testing.assert_allclose(ideal.get_ydata(), ideal.get_xdata())
    assert "ideal" in [text.get_text() for text in figure.legends[0].get_texts()]


def test_each_value_of_the_other_axis_has_a_row():
    figure = sweeps.draw_threads(threads_sweep())
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["1,000 rows", "", "10,000 rows", ""]


def test_one_axis_without_single_thread():
    took = {"numpy": lambda threads: 1.0 / threads}
    figure = sweeps.draw_threads(sweep(took, {"threads": [2, 8, 64]}, losses=["svm"]))
    left, _ = figure.axes
    assert left.get_ylabel() == "speed-up over 2 threads"
    assert left.get_xscale() == "log"
    (curve,) = gains(left, "numpy")
    assert curve.get_ydata()[-1] == pytest.approx(32, rel=0.1)


def test_intervals_beyond_the_axis_have_arrows():
    assert "arrows" not in sweeps.draw_threads(threads_sweep()).get_supxlabel()
    given = sweep({"numpy": lambda threads: 1.0 / threads}, {"threads": [1, 2]}, losses=["svm"], blocks=2)
    given.rows[1].processes[:1] = processes([[10.0]])
    (found,) = efficiencies(given)
    assert found.high > 10
    figure = sweeps.draw_threads(given)
    for axes in figure.axes:
        (arrow,) = [line for line in axes.lines if line.get_marker() == "^"]
        assert arrow.get_xydata().tolist() == [[2, axes.get_ylim()[1]]]
    assert "arrows" in figure.get_supxlabel()


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (threads_sweep(), ""),
        (run(), "it is not a sweep"),
        (rows_sweep(), "it is a sweep along rows, not threads"),
        (
            sweep({"numpy": lambda threads: 1.0}, {"threads": [2]}),
            "no implementation has a time with two numbers of threads",
        ),
    ],
)
def test_records_without_plot_of_threads(given, reason):
    assert selection.why_no_threads(given) == reason
