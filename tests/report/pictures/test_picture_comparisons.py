"""Several models in one picture: learning rates, and solvers."""

import numpy as np
import pytest
from picture_files import model

from lcbench.errors import LcbenchError
from lcbench.report.pictures import descents, learning_rates
from lcbench.report.pictures.several import labels

RIGHT = np.geomspace(100, 5, 200)


def rates(**more):
    lost = [100.0, 900.0, 1e5, 1e30, np.inf, np.nan]
    return {
        "large.h5": model(losses=lost, status="diverged", learning_rate=5e-5, **more),
        "small.h5": model(losses=np.full(200, 100.0), learning_rate=1e-9, **more),
        "right.h5": model(losses=RIGHT, learning_rate=1e-7, **more),
    }


def test_learning_rates_from_small_to_large_on_one_logarithmic_axis():
    (axes,) = learning_rates.draw(rates()).axes
    assert axes.get_yscale() == "log"
    assert [text.get_text() for text in axes.get_legend().get_texts()] == [
        "learning rate 1e-09",
        "learning rate 1e-07",
        "learning rate 5e-05: diverges, not finite after step 4",
    ]
    each = [line.get_ydata() for line in axes.lines]
    assert any(np.array_equal(values, RIGHT) for values in each)


def test_a_run_that_diverges_leaves_the_others_legible():
    (axes,) = learning_rates.draw(rates()).axes
    lost = axes.lines[-1]
    np.testing.assert_array_equal(lost.get_ydata(), [100.0, 900.0])
    assert (lost.get_marker(), lost.get_markevery()) == ("X", [-1])
    assert axes.get_ylim()[1] < 1e5


def test_all_diverged_at_once():
    lost = {name: model(losses=[np.nan], status="diverged") for name in ("a.h5", "b.h5")}
    (axes,) = learning_rates.draw(lost).axes
    assert [len(line.get_ydata()) for line in axes.lines] == [0, 0]


@pytest.mark.parametrize("draw", [learning_rates.draw, descents.draw])
def test_different_losses_share_no_axis(draw):
    with pytest.raises(LcbenchError, match=r"a\.h5 has svm and b\.h5 has softmax; draw models of one loss"):
        draw({"a.h5": model(loss="svm"), "b.h5": model(loss="softmax")})


def test_random_search_has_no_learning_rate():
    assert learning_rates.unfit(model(solver="random")) == "it was trained by random, which has no learning rate"
    assert learning_rates.unfit(model()) == ""


def test_descents_show_the_lowest_loss_so_far_and_the_accuracy():
    losses = [5.0, 6.0, 3.0, 4.0]
    given = {"r.h5": model(losses=losses, solver="random"), "d.h5": model(losses=RIGHT, steps=(0, 100, 200))}
    figure = descents.draw(given)
    left, right = figure.axes
    np.testing.assert_array_equal(left.lines[0].get_ydata(), [5, 5, 3, 3])
    np.testing.assert_array_equal(left.lines[1].get_ydata(), RIGHT)
    np.testing.assert_array_equal(right.lines[1].get_xdata(), [0, 100, 200])
    np.testing.assert_array_equal(right.lines[1].get_ydata(), given["d.h5"].curves.validation_accuracy)
    assert left.lines[0].get_color() == right.lines[0].get_color() != right.lines[1].get_color()
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["random search", "gradient descent"]


def test_labels_say_what_differs():
    given = {"a.h5": model(reg=1.0, batch=100), "b.h5": model(reg=0.5, batch=100)}
    assert list(labels(given, "learning_rate").values()) == [
        "learning rate 1e-07, reg 1",
        "learning rate 1e-07, reg 0.5",
    ]


def test_equal_recipes_are_told_apart_by_their_files():
    assert labels({"x/a.h5": model(), "x/b.h5": model()}, "solver") == {
        "x/a.h5": "gradient descent (a)",
        "x/b.h5": "gradient descent (b)",
    }
