"""Rooflines: points and roofs are those that were measured, and names can be read."""

from itertools import combinations, pairwise

import numpy as np
import pytest
from hypothesis import given as drawn_from
from hypothesis import strategies as st
from matplotlib.text import Text
from picture_records import ceiling, rows_sweep, run

from lcbench.report.pictures import roofline
from lcbench.report.pictures.looks import look


def marks(axes, implementation):
    return [line for line in axes.lines if line.get_marker() == look(implementation).marker]


def test_a_panel_a_footprint_each_with_its_slope():
    figure = roofline.draw(run())
    small, large = figure.axes
    assert small.get_title(loc="left") == "X of 5.86 MiB\nreads 200 GB/s"
    assert large.get_title(loc="left") == "X of 117 MiB\nreads 50 GB/s"
    for axes, slope in ((small, 2e11), (large, 5e10)):
        x, y = axes.lines[0].get_data()
        np.testing.assert_allclose(y, np.minimum(slope * x, 5e11))
        assert y.min() < y.max() == 5e11


def test_the_roof_has_its_ridge_where_both_limits_meet():
    of = ceiling(500)
    assert roofline.roof(of, np.array([1.0, 2.5, 100.0])).tolist() == [2e11, 5e11, 5e11]


def test_both_losses_lie_at_the_counted_intensity_and_the_measured_rate():
    given = run()
    panel = roofline.draw(given).axes[1]
    for name in ("numpy", "numba-parallel"):
        rows = [r for r in given.rows if r.ranked and (r.implementation, r.rows) == (name, 10_000)]
        found = sorted((line.get_xdata()[0], line.get_ydata()[0]) for line in marks(panel, name))
        assert found == sorted((r.flops / r.bytes, r.flops / r.median_s) for r in rows)
        faces = {line.get_markerfacecolor() for line in marks(panel, name)}
        assert faces == {"white", look(name).colour}


def test_simulated_and_wrong_rows_have_no_point():
    named = {text.get_text() for axes in roofline.draw(run()).axes for text in axes.texts}
    assert "numpy" in named
    assert not {"numba-cuda", "jax", "cupy"} & named


def test_names_do_not_lie_on_each_other():
    crowd = run(("numpy", "torch", "torch-compile", "numba-parallel", "sklearn", "a.py:f", "b.py:f", "c.py:f"))
    figure = roofline.draw(crowd)
    figure.draw_without_rendering()
    for axes in figure.axes:
        boxes = [Text.get_window_extent(text) for text in axes.texts]  # without the lines that lead to them
        assert len(boxes) == 9
        assert not any(one.overlaps(two) for one, two in combinations(boxes, 2))


def leaders(axes):
    """By name, where its lines lead to, in pixels."""
    found = {}
    for text in axes.texts:
        if hasattr(text, "xy"):
            found.setdefault(text.get_text(), []).append(tuple(text.xycoords.transform(text.xy)))
    return found


def apart_by(factor, names):
    """A run in which softmax takes so many times as long as svm."""
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
def test_where_losses_differ_much_each_mark_has_its_name(names):
    figure = roofline.draw(apart_by(8, names))
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


def test_marks_that_are_close_share_a_name():
    (axes,) = roofline.draw(apart_by(1.05, ("torch", "naive"))).axes
    assert all(len(places) == 1 for places in leaders(axes).values())


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (run(), ""),
        (run(ceilings=[]), "its run measured no limits of the machine"),
        (rows_sweep(), "it is of a sweep"),
    ],
)
def test_what_has_no_roofline(given, reason):
    assert roofline.unfit(given) == reason


@drawn_from(st.lists(st.floats(-10, 10), min_size=1, max_size=12), st.floats(0.01, 2), st.floats(-10, 10))
def test_labels_are_apart_in_their_order_and_below_the_roof(wanted, least, highest):
    wanted = sorted(wanted, reverse=True)
    places = roofline.apart(wanted, least, highest)
    assert len(places) == len(wanted)
    assert all(place <= highest + 1e-9 for place in places)
    assert all(above - below >= least - 1e-9 for above, below in pairwise(places))


def test_labels_stay_above_the_lowest_place():
    assert roofline.apart([0.2, 0.1, 0.0], 1.0, 4.0, 0.0) == [2.0, 1.0, 0.0]


def test_labels_that_are_apart_already_stay_where_they_are():
    assert roofline.apart([3.0, 2.0, 0.5], 0.5, 4.0) == [3.0, 2.0, 0.5]
    assert roofline.apart([2.0, 2.0], 1.0, 4.0) == [2.5, 1.5]
