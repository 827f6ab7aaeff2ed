"""Plot of times over dates and their change points."""

import warnings
from datetime import UTC, datetime, timedelta
from math import isclose

import pytest
from plot_records import USERS, rows_sweep, run

from lcbench import record as record_file
from lcbench.errors import LcbenchError
from lcbench.record import Gate, Side
from lcbench.report import plots
from lcbench.report.plots import style
from lcbench.report.plots.files import newest_files
from lcbench.report.plots.history import draw_history, why_no_history
from lcbench.stats.history import history
from results import MACHINE, record, row

TIMES = [1e-3, 1.01e-3, 0.99e-3, 1e-3, 1.2e-3, 1.21e-3, 1.19e-3, 1.2e-3]
SIDE = Side(given=".", kind="folder", python="3.12", versions={})


def of(*rows, day, **fields):
    created = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=day)
    return record(*rows, created=created.isoformat(), **fields)


def records():
    return [
        of(
            row("numba-parallel", [time / 1.01, time, 1.01 * time]),
            row(USERS, [2 * time]),
            row(medians=[3e-3, 3e-3], rows=20),
            row(medians=[2e-3, 2e-3], rows=20, threads=2),
            day=day,
            git_revision=f"{day}" * 40,
        )
        for day, time in enumerate(TIMES)
    ]


def drawn(given):
    return draw_history(history(reversed(given), MACHINE))


def test_every_result_has_a_point_and_an_interval():
    with style.use_style():
        figure = drawn(records())
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["softmax, 500 rows", "softmax, 20 rows"]
    curves, bars, _ = figure.axes[0].containers[0]
    assert bars == () or all(bar is not None for bar in bars)
    assert list(curves.get_ydata()) == pytest.approx(TIMES)
    assert [date.day for date in curves.get_xdata()] == list(range(1, 9))


def test_a_change_point_has_a_ring_and_a_label():
    figure = drawn(records())
    rings = [line for line in figure.axes[0].lines if line.get_markerfacecolor() == "none"]
    assert sorted(float(ring.get_ydata()[0]) for ring in rings) == pytest.approx([1.2e-3, 2.4e-3])
    assert isclose(rings[0].get_ydata()[0], 1.2e-3)
    assert [text.get_text() for text in figure.axes[0].texts] == ["1.20 x at 4444444444"] * 2


def test_threads_are_in_the_name_if_they_distinguish_series():
    [legend] = drawn(records()).legends
    names = [text.get_text() for text in legend.get_texts()]
    assert {"numba-parallel", "numpy, 1 thread", "numpy, 2 threads"} < set(names)
    assert max(map(len, names)) < len(USERS)


def test_nothing_overlaps_the_title_or_exceeds_the_figure():
    with style.use_style():
        figure = drawn(records())
        figure.canvas.draw()
    renderer = figure.canvas.get_renderer()
    [legend] = figure.legends
    lowest = legend.get_window_extent(renderer).y0
    assert all(axes.get_tightbbox(renderer).y1 <= lowest for axes in figure.axes)
    assert legend.get_window_extent(renderer).x1 <= figure.bbox.x1


def numbers(axis):
    """Return the labels of the visible ticks."""
    low, high = axis.get_view_interval()
    ticks = [(tick.get_loc(), tick.label1.get_text()) for tick in [*axis.get_major_ticks(), *axis.get_minor_ticks()]]
    return {text for place, text in ticks if text and low <= place <= high}


@pytest.mark.parametrize(("low", "high"), [(1.02e-3, 1.03e-3), (2.1e-3, 4.9e-3), (5.1e-3, 9.8e-3), (1.5e-6, 2e-5)])
def test_a_short_axis_of_times_has_labels(low, high):
    with style.use_style():
        figure = drawn([of(row(medians=[time, time]), day=day) for day, time in enumerate((low, high))])
        figure.canvas.draw()
    assert len(numbers(figure.axes[0].yaxis)) >= 2


@pytest.mark.parametrize("seconds", [0, 3, 600, 86_400])
def test_dates_fill_the_axis_and_have_labels(seconds):
    with style.use_style():
        figure = drawn([of(row(medians=[1e-3, 1e-3]), day=day) for day in (0, seconds / 86_400)])
        figure.canvas.draw()
    (axes,) = figure.axes
    first, last = axes.get_xlim()
    assert (last - first) * 86_400 < max(61, 1.2 * seconds)
    assert len(numbers(axes.xaxis)) >= 2


def test_one_wide_interval_does_not_stretch_the_axis():
    given = records()
    given.append(of(row("numba-parallel", [1e-5, 1e-3, 1e-1]), day=8))
    low, high = given[-1].rows[0].ci95_s
    assert high / low > 1e6
    figure = drawn(given)
    bottom, top = figure.axes[0].get_ylim()
    assert top / bottom < 1e4
    assert {"^", "v"} <= {line.get_marker() for line in figure.axes[0].lines}
    assert "arrows" in figure.get_supxlabel()


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (run(), ""),
        (rows_sweep(), "it is a sweep"),
        (record(row(status="wrong")), "none of its rows has a time"),
        (
            record(row(medians=[1.0]), gate=Gate(base=SIDE, head=SIDE, fail_above=0.03, budget_s=1.0)),
            "it is a gate",
        ),
    ],
)
def test_records_that_cannot_be_in_a_history(given, reason):
    assert why_no_history(given) == reason


def test_the_newest_history_has_all_results_of_its_machine(tmp_path, monkeypatch):
    monkeypatch.setenv("LCBENCH_RESULTS", str(tmp_path))
    files = [record_file.write(one) for one in records()]
    elsewhere = record_file.write(of(row(medians=[1.0]), day=-1, fingerprint="bbbb"))
    chosen = plots.find_kind("history")
    assert newest_files(chosen) == files[::-1]
    with pytest.raises(LcbenchError, match="from different machines"):
        plots.render_plot(chosen, [*files, elsewhere])
    content = plots.render_plot(chosen, files, "svg")
    assert content == plots.render_plot(chosen, files[::-1], "svg")


@pytest.mark.parametrize("hours", [0.01, 0.5, 3.3, 4.9, 30.0, 24.0 * 11, 24.0 * 45, 24.0 * 700])
def test_dates_of_any_span_have_ticks_and_no_warning(hours):
    given = [of(row(medians=[1e-3, 1.01e-3]), day=day) for day in (0, hours / 48, hours / 24)]
    with warnings.catch_warnings(action="error"), style.use_style():
        figure = drawn(given)
        figure.draw_without_rendering()
    low, high = figure.axes[0].get_xlim()
    assert 1 <= sum(low <= tick <= high for tick in figure.axes[0].get_xticks()) <= 9
