"""Plots of a run: bars, samples and roofline."""

from itertools import combinations, pairwise

import numpy as np
import pytest
from hypothesis import given as drawn_from
from hypothesis import strategies as st
from matplotlib.collections import PathCollection
from matplotlib.colors import to_hex
from matplotlib.text import Text
from plot_records import BLOCKS, FACTORS, ceiling, rows_sweep, run

from lcbench.report import formatting
from lcbench.report.plots import runs, selection
from lcbench.report.plots.line_styles import line_style
from lcbench.stats.estimates import speedup
from results import record, row

NARROW = ("numpy", "numba-parallel", "torch")


def test_bars_are_medians_the_fastest_first():
    given = run(NARROW)
    panels = runs.draw_bars(given).axes
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
    (axes,) = runs.draw_bars(given).axes
    drawn = [segment[:, 0] for bars_of in axes.collections for segment in bars_of.get_segments()]
    wanted = sorted(r.ci95_s for r in given.rows if r.ranked)
    np.testing.assert_allclose(sorted(map(tuple, drawn)), wanted)


def test_bars_have_the_speed_up_over_numpy():
    given = run(NARROW, losses=["svm"], sizes=[500])
    (axes,) = runs.draw_bars(given).axes
    by_name = {r.implementation: r for r in given.rows if r.ranked}
    fastest = by_name["numba-parallel"]
    expected = f"{formatting.seconds(fastest.median_s)}, {speedup(fastest, by_name['numpy']).value:.2f} x"
    texts = [text.get_text() for text in axes.texts]
    assert texts[0] == expected
    assert texts[-1] == formatting.seconds(by_name["numpy"].median_s)


def test_without_numpy_there_is_no_speed_up():
    figure = runs.draw_bars(run(("torch", "numba-parallel"), losses=["svm"], sizes=[500]))
    assert not any(" x" in text.get_text() for text in figure.axes[0].texts)
    assert "speed-up" not in figure.get_supxlabel()


def test_a_logarithmic_axis_has_points_instead_of_bars():
    (axes,) = runs.draw_bars(run(losses=["svm"], sizes=[500])).axes
    assert axes.get_xscale() == "log"
    assert not axes.patches
    points = [line for line in axes.lines if line.get_marker() == line_style("naive").marker]
    assert [line.get_color() for line in points] == [line_style("naive").colour]


@pytest.mark.parametrize("names", [NARROW, ("numpy", "naive", "torch")])
def test_bars_and_their_numbers_use_the_whole_axis(names):
    figure = runs.draw_bars(run(names))
    figure.draw_without_rendering()
    for axes in figure.axes:
        ends = [text.get_window_extent().x1 for text in axes.texts]
        panel = axes.get_window_extent()
        assert 0.9 * panel.width < max(ends) - panel.x0 <= panel.width


def test_bars_have_the_colour_of_their_implementation():
    (axes,) = runs.draw_bars(run(NARROW, losses=["svm"], sizes=[500])).axes
    colours = [to_hex(bar.get_facecolor()).upper() for bar in axes.patches]
    assert colours == [line_style(name).colour for name in ("numba-parallel", "torch", "numpy")]


def test_sides_of_a_gate_are_told_apart():
    sides = [row(medians=[1e-3, 1.1e-3], side=side) for side in ("base", "control", "head")]
    (axes,) = runs.draw_bars(record(*sides)).axes
    assert {label.get_text() for label in axes.get_yticklabels()} == {
        "numpy (base)", "numpy (control)", "numpy (head)",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (rows_sweep(), "it is a sweep"),
        (record(row("torch", status="crashed")), "none of its rows has a time"),
        (record(row("numba-cuda", [1.0], device="simulator")), "none of its rows has a time"),
        (run(), ""),
    ],
)
def test_records_without_bars(given, reason):
    assert selection.why_no_run(given) == reason


def test_only_rows_with_times_are_drawn():
    figure = runs.draw_bars(run())
    names = {label.get_text() for axes in figure.axes for label in axes.get_yticklabels()}
    assert len(names) == len(FACTORS)
    assert not names & {"numba-cuda", "jax", "cupy"}


def panels_of_samples(figure):
    return {axes.get_title(loc="left"): axes for axes in figure.axes[1:]}


def clouds(axes):
    return [cloud for cloud in axes.collections if isinstance(cloud, PathCollection)]


def samples_drawn(axes):
    """Return places and deviations of all marks of an axis."""
    points = np.concatenate([cloud.get_offsets() for cloud in clouds(axes)])
    return points[:, 0], points[:, 1]


def test_every_sample_has_a_mark_at_its_deviation():
    given = run(("numpy",), losses=["svm"], sizes=[500])
    (axes,) = panels_of_samples(runs.draw_samples(given)).values()
    (only,) = [r for r in given.rows if r.ranked]
    expected = np.sort(np.concatenate(only.blocks) / only.median_s - 1)
    _, found = samples_drawn(axes)
    assert len(found) == expected.size
    np.testing.assert_allclose(np.sort(found), np.clip(expected, found.min(), found.max()))
    assert np.sum((expected > found.min()) & (expected < found.max())) > 0.8 * expected.size


def test_processes_are_in_order_and_workloads_side_by_side():
    figure = runs.draw_samples(run(("numpy",)))
    (axes,) = panels_of_samples(figure).values()
    places, _ = samples_drawn(axes)
    strips = np.unique(np.round(places - 0.001))
    assert len(strips) >= 4 * BLOCKS
    headings = [text.get_text() for text in figure.axes[0].texts]
    assert headings == ["svm\n500 rows", "softmax\n500 rows", "svm\n10,000 rows", "softmax\n10,000 rows"]


def test_implementations_are_ordered_by_speed():
    names = list(panels_of_samples(runs.draw_samples(run(("naive", "numpy", "numba-parallel")))))
    assert names == ["numba-parallel", "numpy", "naive"]


def test_an_outlier_is_drawn_at_the_edge():
    quiet = [[1e-3] * 30 for _ in range(4)]
    quiet[2][7] = 1.0
    (axes,) = panels_of_samples(runs.draw_samples(record(row(blocks=quiet)))).values()
    _, found = samples_drawn(axes)
    assert found.max() < 1
    assert np.sum(found == found.max()) == 1
    assert len(found) == 120


def marks(axes, implementation):
    return [line for line in axes.lines if line.get_marker() == line_style(implementation).marker]


def test_footprints_have_panels_with_their_slope():
    figure = runs.draw_roofline(run())
    small, large = figure.axes
    assert small.get_title(loc="left") == "X of 5.86 MiB\nreads 200 GB/s"
    assert large.get_title(loc="left") == "X of 117 MiB\nreads 50 GB/s"
    for axes, slope in ((small, 2e11), (large, 5e10)):
        x, y = axes.lines[0].get_data()
        np.testing.assert_allclose(y, np.minimum(slope * x, 5e11))
        assert y.min() < y.max() == 5e11


def test_the_roof_is_the_smaller_limit():
    of = ceiling(500)
    assert selection.roofline_rate(of, np.array([1.0, 2.5, 100.0])).tolist() == [2e11, 5e11, 5e11]


def test_points_have_the_counted_intensity_and_the_measured_rate():
    given = run()
    panel = runs.draw_roofline(given).axes[1]
    for name in ("numpy", "numba-parallel"):
        rows = [r for r in given.rows if r.ranked and (r.implementation, r.rows) == (name, 10_000)]
        found = sorted((line.get_xdata()[0], line.get_ydata()[0]) for line in marks(panel, name))
        assert found == sorted((r.flops / r.bytes, r.flops / r.median_s) for r in rows)
        faces = {line.get_markerfacecolor() for line in marks(panel, name)}
        assert faces == {"white", line_style(name).colour}


def test_simulated_and_wrong_rows_have_no_point():
    named = {text.get_text().split(" ")[0] for axes in runs.draw_roofline(run()).axes for text in axes.texts}
    assert "numpy" in named
    assert not {"numba-cuda", "jax", "cupy"} & named


def test_names_have_the_share_of_the_limit():
    given = run(("numpy", "torch"), losses=["svm"], sizes=[500])
    (axes,) = runs.draw_roofline(given).axes
    shares = {r.implementation: formatting.share(r.roofline_fraction) for r in given.rows if r.ranked}
    texts = {text.get_text() for text in axes.texts}
    assert {f"{name} {share}" for name, share in shares.items()} <= texts


def test_marks_that_share_a_name_have_the_range_of_their_shares():
    label = selection.Label([selection.Point(row(roofline_fraction=share), 1.0, 1.0) for share in (0.5, 0.53)])
    assert runs._shares(label) == " 50-53 %"
    assert runs._shares(selection.Label([selection.Point(row(), 1.0, 1.0)])) == ""


def test_names_do_not_overlap():
    crowd = run(("numpy", "torch", "torch-compile", "numba-parallel", "sklearn", "a.py:f", "b.py:f", "c.py:f"))
    figure = runs.draw_roofline(crowd)
    figure.draw_without_rendering()
    for axes in figure.axes:
        boxes = [Text.get_window_extent(text) for text in axes.texts]  # without the leader lines
        assert len(boxes) == 9
        assert not any(one.overlaps(two) for one, two in combinations(boxes, 2))


def leaders(axes):
    """Return the ends of the leader lines in pixels, by name."""
    found = {}
    for text in axes.texts:
        if hasattr(text, "xy"):
            found.setdefault(text.get_text().split(" ")[0], []).append(tuple(text.xycoords.transform(text.xy)))
    return found


def apart_by(factor, names):
    """Return a run in which softmax takes `factor` times as long as svm."""
    given = run(names, sizes=[500])
    for one in given.rows:
        if one.ranked and one.loss == "softmax":
            one.median_s *= factor
    return given


MANY = (
    "naive", "numpy", "torch", "torch-compile", "numba-parallel", "sklearn", "jax", "dask", "a.py:f", "b.py:f",
    "c.py:f",
)  # fmt: skip


@pytest.mark.parametrize("names", [("torch", "numpy"), MANY])
def test_distant_marks_have_separate_names(names):
    figure = runs.draw_roofline(apart_by(8, names))
    figure.draw_without_rendering()
    (axes,) = figure.axes
    found = leaders(axes)
    assert len(found) == len(names)
    assert all(len(places) == 2 for places in found.values())
    for name in ("torch", "numpy"):
        drawn = [line.get_transform().transform(line.get_xydata()[0]) for line in marks(axes, name)]
        np.testing.assert_allclose(sorted(found[name]), sorted(map(tuple, drawn)))
    boxes = [Text.get_window_extent(text) for text in axes.texts]
    assert not any(one.overlaps(two) for one, two in combinations(boxes, 2))
    assert min(box.y0 for box in boxes) > axes.get_window_extent().y0


def test_close_marks_share_a_name():
    (axes,) = runs.draw_roofline(apart_by(1.05, ("torch", "naive"))).axes
    assert all(len(places) == 1 for places in leaders(axes).values())


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (run(), ""),
        (run(ceilings=[]), "its run measured no limits of the machine"),
        (rows_sweep(), "it is a sweep"),
    ],
)
def test_records_without_roofline(given, reason):
    assert selection.why_no_roofline(given) == reason


@drawn_from(st.lists(st.floats(-10, 10), min_size=1, max_size=12), st.floats(0.01, 2), st.floats(-10, 10))
def test_labels_are_spread_in_order_below_the_roof(wanted, least, highest):
    wanted = sorted(wanted, reverse=True)
    places = runs.spread_labels(wanted, least, highest)
    assert len(places) == len(wanted)
    assert all(place <= highest + 1e-9 for place in places)
    assert all(above - below >= least - 1e-9 for above, below in pairwise(places))


def test_labels_stay_above_the_lowest_place():
    assert runs.spread_labels([0.2, 0.1, 0.0], 1.0, 4.0, 0.0) == [2.0, 1.0, 0.0]


def test_labels_that_are_apart_do_not_move():
    assert runs.spread_labels([3.0, 2.0, 0.5], 0.5, 4.0) == [3.0, 2.0, 0.5]
    assert runs.spread_labels([2.0, 2.0], 1.0, 4.0) == [2.5, 1.5]
