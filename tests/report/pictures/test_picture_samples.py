"""Samples: every one of them is in the picture, at its process."""

import numpy as np
from matplotlib.collections import PathCollection
from matplotlib.colors import to_hex
from picture_records import BLOCKS, disturb, run

from lcbench.report.pictures import samples, style
from lcbench.report.pictures.looks import look
from results import record, row


def panels(figure):
    return {axes.get_title(loc="left"): axes for axes in figure.axes[1:]}


def clouds(axes):
    return [cloud for cloud in axes.collections if isinstance(cloud, PathCollection)]


def drawn(axes):
    """All marks of an axis: (places, deviations)."""
    points = np.concatenate([cloud.get_offsets() for cloud in clouds(axes)])
    return points[:, 0], points[:, 1]


def test_every_sample_has_a_mark_at_its_share_of_the_median():
    given = run(("numpy",), losses=["svm"], sizes=[500])
    (axes,) = panels(samples.draw(given)).values()
    (only,) = [r for r in given.rows if r.ranked]
    expected = np.sort(np.concatenate(only.blocks) / only.median_s - 1)
    _, found = drawn(axes)
    assert len(found) == expected.size
    np.testing.assert_allclose(np.sort(found), np.clip(expected, found.min(), found.max()))
    assert np.sum((expected > found.min()) & (expected < found.max())) > 0.8 * expected.size


def test_processes_stand_in_their_order_and_workloads_side_by_side():
    figure = samples.draw(run(("numpy",)))
    (axes,) = panels(figure).values()
    places, _ = drawn(axes)
    strips = np.unique(np.round(places - 0.001))
    assert len(strips) >= 4 * BLOCKS
    headings = [text.get_text() for text in figure.axes[0].texts]
    assert headings == ["svm\n500 rows", "softmax\n500 rows", "svm\n10,000 rows", "softmax\n10,000 rows"]


def test_an_axis_an_implementation_the_fastest_first():
    names = list(panels(samples.draw(run(("naive", "numpy", "numba-parallel")))))
    assert names == ["numba-parallel", "numpy", "naive"]


def test_an_outlier_is_drawn_at_the_edge():
    quiet = [[1e-3] * 30 for _ in range(4)]
    quiet[2][7] = 1.0
    (axes,) = panels(samples.draw(record(row(blocks=quiet)))).values()
    _, found = drawn(axes)
    assert found.max() < 1
    assert np.sum(found == found.max()) == 1
    assert len(found) == 120


def test_what_was_left_out_is_grey_and_told():
    given = run(("numpy", "torch"), losses=["svm"], sizes=[500])
    assert "grey" not in samples.draw(given).get_supxlabel()
    disturb(given, "torch", block=1)
    figure = samples.draw(given)
    assert "grey: left out" in figure.get_supxlabel()
    torch, numpy = (panels(figure)[name] for name in ("torch", "numpy"))
    assert style.LEFT_OUT in _colours(torch)
    assert style.LEFT_OUT not in _colours(numpy)
    assert look("torch").colour in _colours(torch)


def _colours(axes):
    return {to_hex(colour).upper() for cloud in clouds(axes) for colour in cloud.get_facecolor()}
