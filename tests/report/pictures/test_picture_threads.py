"""Threads: speed-up and efficiency beside the ideal."""

import numpy as np
import pytest
from picture_records import rows_sweep, run, sweep, threads_sweep

from lcbench.judge.thread_efficiency import efficiencies
from lcbench.report.pictures import threads
from lcbench.report.pictures.looks import look


def curves(axes, implementation):
    """Filled first: softmax before svm."""
    found = [line for line in axes.lines if line.get_marker() == look(implementation).marker]
    return sorted(found, key=lambda line: line.get_markerfacecolor() == "white")


def test_speed_up_on_the_left_and_efficiency_on_the_right():
    given = threads_sweep()
    left, right, *_ = threads.draw(given).axes
    for name in ("numpy", "numba-parallel"):
        for loss, speedup, efficiency in zip(("softmax", "svm"), curves(left, name), curves(right, name), strict=True):
            own = [
                one for one in efficiencies(given)
                if (one.implementation, one.loss, one.other) == (name, loss, {"rows": 1000})
            ]  # fmt: skip
            np.testing.assert_array_equal(speedup.get_xdata(), [1, 2, 4])
            np.testing.assert_array_equal(speedup.get_ydata(), [1, *(one.speedup for one in own)])
            np.testing.assert_array_equal(efficiency.get_ydata(), [1, *(one.efficiency for one in own)])
    assert curves(left, "numba-parallel")[0].get_ydata()[-1] == pytest.approx(4, rel=0.1)
    assert curves(right, "numpy")[0].get_ydata()[-1] == pytest.approx(0.25, rel=0.1)


def test_the_ideal_is_there_to_compare_with():
    figure = threads.draw(threads_sweep())
    left = figure.axes[0]
    (ideal,) = [line for line in left.lines if line.get_marker() in ("", "None")]
    np.testing.assert_allclose(ideal.get_ydata(), ideal.get_xdata())
    assert "ideal" in [text.get_text() for text in figure.legends[0].get_texts()]


def test_a_row_for_each_value_of_the_other_axis():
    figure = threads.draw(threads_sweep())
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["1,000 rows", "", "10,000 rows", ""]


def test_without_another_axis_and_without_a_single_thread():
    took = {"numpy": lambda threads: 1.0 / threads}
    figure = threads.draw(sweep(took, {"threads": [2, 8, 64]}, losses=["svm"]))
    left, _ = figure.axes
    assert left.get_ylabel() == "speed-up over 2 threads"
    assert left.get_xscale() == "log"
    (curve,) = curves(left, "numpy")
    assert curve.get_ydata()[-1] == pytest.approx(32, rel=0.1)


def test_an_interval_beyond_the_axis_has_an_arrow():
    assert "arrows" not in threads.draw(threads_sweep()).get_supxlabel()
    given = sweep({"numpy": lambda threads: 1.0 / threads}, {"threads": [1, 2]}, losses=["svm"], blocks=2)
    given.rows[1].blocks[0] = [10.0]
    (found,) = efficiencies(given)
    assert found.high > 10
    figure = threads.draw(given)
    for axes in figure.axes:
        (arrow,) = [line for line in axes.lines if line.get_marker() == "^"]
        assert arrow.get_xydata().tolist() == [[2, axes.get_ylim()[1]]]
    assert "arrows" in figure.get_supxlabel()


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (threads_sweep(), ""),
        (run(), "it is of no sweep"),
        (rows_sweep(), "its sweep is along rows, not threads"),
        (
            sweep({"numpy": lambda threads: 1.0}, {"threads": [2]}),
            "no implementation has a time with two numbers of threads",
        ),
    ],
)
def test_what_has_no_picture_of_threads(given, reason):
    assert threads.unfit(given) == reason
