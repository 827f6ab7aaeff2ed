"""Bars: the medians and intervals of the record, fastest first."""

import numpy as np
import pytest
from picture_records import FACTORS, rows_sweep, run

from lcbench.judge.ratios import speedup
from lcbench.report import style as words
from lcbench.report.pictures import bars
from lcbench.report.pictures.looks import look
from results import record, row

NARROW = ("numpy", "numba-parallel", "torch")


def test_a_panel_a_workload_and_a_bar_a_median_fastest_first():
    given = run(NARROW)
    panels = bars.draw(given).axes
    titles = [axes.get_title(loc="left") for axes in panels]
    assert titles == ["svm, 500 rows", "softmax, 500 rows", "svm, 10,000 rows", "softmax, 10,000 rows"]
    shown = [("svm", 500), ("softmax", 500), ("svm", 10_000), ("softmax", 10_000)]
    for axes, (loss, rows) in zip(panels, shown, strict=True):
        own = {r.implementation: r for r in given.rows if r.ranked and (r.loss, r.rows) == (loss, rows)}
        names = [label.get_text() for label in axes.get_yticklabels()]
        assert names == ["numba-parallel", "torch", "numpy"]
        widths = [bar.get_width() for bar in axes.patches]
        assert widths == [own[name].median_s for name in names]
        assert axes.get_ylim()[0] > axes.get_ylim()[1]  # the first is at the top


def test_intervals_are_those_of_the_record():
    given = run(("numpy", "torch"), losses=["svm"], sizes=[500])
    (axes,) = bars.draw(given).axes
    drawn = [segment[:, 0] for bars_of in axes.collections for segment in bars_of.get_segments()]
    wanted = sorted(r.ci95_s for r in given.rows if r.ranked)
    np.testing.assert_allclose(sorted(map(tuple, drawn)), wanted)


def test_speed_up_over_numpy_stands_at_the_bar():
    given = run(NARROW, losses=["svm"], sizes=[500])
    (axes,) = bars.draw(given).axes
    by_name = {r.implementation: r for r in given.rows if r.ranked}
    fastest = by_name["numba-parallel"]
    expected = f"{words.seconds(fastest.median_s)}, {speedup(fastest, by_name['numpy']).value:.2f} x"
    texts = [text.get_text() for text in axes.texts]
    assert texts[0] == expected
    assert texts[-1] == words.seconds(by_name["numpy"].median_s)


def test_without_numpy_there_is_no_speed_up():
    figure = bars.draw(run(("torch", "numba-parallel"), losses=["svm"], sizes=[500]))
    assert not any(" x" in text.get_text() for text in figure.axes[0].texts)
    assert "times as fast" not in figure.get_supxlabel()


def test_where_times_differ_much_the_axis_is_logarithmic_and_has_points_in_place_of_bars():
    (axes,) = bars.draw(run(losses=["svm"], sizes=[500])).axes
    assert axes.get_xscale() == "log"
    assert not axes.patches
    points = [line for line in axes.lines if line.get_marker() == look("naive").marker]
    assert [line.get_color() for line in points] == [look("naive").colour]


def test_each_implementation_has_its_colour():
    (axes,) = bars.draw(run(NARROW, losses=["svm"], sizes=[500])).axes
    from matplotlib.colors import to_hex

    colours = [to_hex(bar.get_facecolor()).upper() for bar in axes.patches]
    assert colours == [look(name).colour for name in ("numba-parallel", "torch", "numpy")]


def test_sides_of_a_gate_are_told_apart():
    sides = [row(medians=[1e-3, 1.1e-3], side=side) for side in ("base", "control", "head")]
    (axes,) = bars.draw(record(*sides)).axes
    assert {label.get_text() for label in axes.get_yticklabels()} == {
        "numpy (base)", "numpy (control)", "numpy (head)",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (rows_sweep(), "it is of a sweep"),
        (record(row("torch", status="crashed")), "none of its rows has a time"),
        (record(row("numba-cuda", [1.0], device="simulator")), "none of its rows has a time"),
        (run(), ""),
    ],
)
def test_what_has_no_bars(given, reason):
    assert bars.unfit(given) == reason


def test_only_what_has_a_time_is_drawn():
    figure = bars.draw(run())
    names = {label.get_text() for axes in figure.axes for label in axes.get_yticklabels()}
    assert len(names) == len(FACTORS)
    assert not names & {"numba-cuda", "jax", "cupy"}
