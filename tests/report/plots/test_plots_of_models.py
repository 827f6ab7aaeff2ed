"""Plots of models: curves, templates, boundaries, confusion, and comparisons of models."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.patches import Polygon
from matplotlib.path import Path as Outline
from plot_files import IMAGE, model

from lcbench.datasets.examples import Examples, LabelledSplits
from lcbench.datasets.preprocessing import Scaling
from lcbench.errors import LcbenchError
from lcbench.learn.evaluation import predict
from lcbench.learn.model import Curves
from lcbench.report.plots import models
from lcbench.report.plots.models import labels

LOSSES = 3 - np.sqrt(np.arange(300)) / 10 + 0.1 * np.random.default_rng(0).normal(size=300)


def test_losses_and_their_running_mean():
    left, _ = models.draw_curves(model(losses=LOSSES)).axes
    each, mean = left.lines
    np.testing.assert_array_equal(each.get_xdata(), np.arange(1, 301))
    np.testing.assert_array_equal(each.get_ydata(), LOSSES)
    assert each.get_linewidth() < mean.get_linewidth()
    assert mean.get_label() == "mean over 9"
    np.testing.assert_array_equal(mean.get_xdata(), np.arange(5, 297))
    np.testing.assert_allclose(mean.get_ydata(), [LOSSES[step - 5 : step + 4].mean() for step in range(5, 297)])


def test_accuracies_at_the_steps_of_their_evaluation():
    given = model(steps=(0, 100, 200, 250))
    _, right = models.draw_curves(given).axes
    drawn = {line.get_label(): line for line in right.lines}
    assert list(drawn) == ["train", "validation"]
    np.testing.assert_array_equal(drawn["train"].get_xdata(), [0, 100, 200, 250])
    np.testing.assert_array_equal(drawn["train"].get_ydata(), given.curves.train_accuracy)
    np.testing.assert_array_equal(drawn["validation"].get_ydata(), given.curves.validation_accuracy)


def test_one_step_is_a_visible_point():
    left, right = models.draw_curves(model(losses=[2.3], steps=[0])).axes
    assert [line.get_marker() for line in (*left.lines, *right.lines)] == ["o", "o", "o"]
    left.figure.draw_without_rendering()
    ticks = [label.get_text() for label in left.get_xticklabels() if label.get_text()]
    assert len(ticks) == len(set(ticks))


def test_without_accuracies_there_is_one_panel():
    given = model()
    alone = replace(given, curves=Curves(given.curves.losses))
    (axes,) = models.draw_curves(alone).axes
    assert axes.get_ylabel() == "loss"


def test_a_diverged_run_is_drawn_up_to_its_last_finite_loss():
    losses = [3.0, 50.0, 1e9, np.inf, np.nan, np.nan]
    left, _ = models.draw_curves(model(losses=losses, status="diverged")).axes
    (line,) = left.lines
    np.testing.assert_array_equal(line.get_ydata(), losses[:3])
    assert line.get_label() == "of each batch, not finite after step 3"
    assert (line.get_marker(), line.get_markevery()) == ("X", [-1])


def test_without_finite_losses_the_plot_is_empty():
    left, _ = models.draw_curves(model(losses=[np.nan, np.nan], status="diverged")).axes
    assert not len(left.lines[0].get_ydata())


@pytest.mark.parametrize(("losses", "scale"), [([800, 5], "log"), ([3, 2], "linear"), ([9, 0], "linear")])
def test_the_axis_is_logarithmic_for_a_wide_range_of_losses(losses, scale):
    assert models.draw_curves(model(losses=losses)).axes[0].get_yscale() == scale


def test_a_model_without_a_step_has_no_curves():
    assert models.why_no_curves(model(losses=[])) == "it has no training step"
    assert models.why_no_curves(model()) == ""


D = 60


def shown(figure):
    return [axes for axes in figure.axes if axes.images]


def test_pixels_are_weights_in_the_space_of_raw_pixels():
    given = model()
    planes, rows, columns = IMAGE
    raw = given.W[:-1] / given.scaling.deviation[:, None]
    axes = shown(models.draw_templates(given))
    assert [ax.get_title() for ax in axes] == list(given.class_names)
    for c, ax in enumerate(axes):
        image = np.asarray(ax.images[0].get_array())
        assert image.shape == (rows, columns, planes)
        for plane in range(planes):
            for row in range(rows):
                for column in range(columns):
                    weight = raw[plane * rows * columns + row * columns + column, c]
                    assert image[row, column, plane] == pytest.approx(0.5 + 0.5 * weight / np.abs(raw[:, c]).max())


def test_the_largest_weight_of_a_class_is_black_or_white():
    images = models.templates(model())
    assert np.abs(images - 0.5).max(axis=(1, 2, 3)) == pytest.approx(0.5)
    assert images.min() >= 0
    assert images.max() <= 1


def test_contiguous_pixels():
    given = model(image_shape=(4, 5, 3))
    raw = given.W[:-1, 1] / given.scaling.deviation
    expected = 0.5 + 0.5 * raw.reshape(4, 5, 3) / np.abs(raw).max()
    np.testing.assert_allclose(models.templates(given)[1], expected)


@pytest.mark.parametrize("shape", [(1, 6, 10), (6, 10, 1)])
def test_a_grey_image_has_three_equal_channels(shape):
    image = models.templates(model(image_shape=shape))[0]
    assert image.shape == (6, 10, 3)
    assert (image == image[..., :1]).all()
    assert len(np.unique(image)) > 50


def test_weights_of_zero_are_grey():
    given = model()
    given.W[:] = 0
    assert (models.templates(given) == 0.5).all()


@pytest.mark.parametrize("classes", [1, 2, 3, 10, 11, 200])
def test_every_class_has_an_image_and_names_do_not_overlap(classes):
    given = model(classes=classes, names=[f"a class with a long name, number {c}" for c in range(classes)])
    figure = models.draw_templates(given)
    axes = shown(figure)
    assert len(axes) == classes
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    titles = [ax.title.get_window_extent(canvas.get_renderer()) for ax in axes]
    assert all(title.ymax <= figure.bbox.ymax for title in titles)
    for left, right in pairwise(titles):
        assert right.ymax < left.ymax or left.xmax < right.xmin  # in the next row, or side by side
    endings = [ax.get_title()[-len(str(c)) :] for c, ax in enumerate(axes)]
    assert endings == [str(c) for c in range(classes)]


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (model(image_shape=None), "its rows of 60 columns are not images"),
        (model(columns=61), "its rows of 61 columns are not images"),
        (model(image_shape=(4, 5, 3), features=["hog"]), "it classifies hog, not pixels"),
        (model(image_shape=(2, 6, 5)), "its images of 2 x 6 x 5 have neither one nor three colours"),
        (model(scaling=Scaling(np.zeros(D), np.full(D, 2.0))), ""),
    ],
)
def test_models_without_templates(given, reason):
    assert models.why_no_templates(given) == reason


def test_weights_that_are_not_finite_have_no_templates():
    given = model()
    given.W[3, 1] = np.inf
    assert models.why_no_templates(given) == "its weights are not finite"


LOW, HIGH = np.array([-3.0, -2.0]), np.array([4.0, 5.0])


def classifier(classes, seed):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(2, classes)), rng.normal(size=classes)


def area(corners):
    x, y = corners.T
    return abs(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2


def on_the_edge(points):
    return (np.isclose(points, LOW) | np.isclose(points, HIGH)).any(axis=1)


@pytest.mark.parametrize("classes", [2, 3, 5, 12])
@pytest.mark.parametrize("seed", range(4))
def test_on_boundaries_the_two_highest_scores_are_equal(classes, seed):
    weights, offset = classifier(classes, seed)
    inner = 0
    for c in range(classes):
        corners = models.region(weights, offset, c, LOW, HIGH)
        if not len(corners):
            continue
        following = np.roll(corners, -1, 0)
        for share in (0.25, 0.5, 0.75):
            points = corners + share * (following - corners)
            points = points[~on_the_edge(points)]
            scores = points @ weights + offset
            highest = np.sort(scores, axis=1)[:, -2:]
            np.testing.assert_allclose(highest[:, 0], highest[:, 1], atol=1e-9)
            np.testing.assert_allclose(scores[:, c], highest[:, 1], atol=1e-9)
            inner += len(points)
    assert inner


@pytest.mark.parametrize("classes", [1, 2, 3, 12])
def test_regions_fill_the_rectangle(classes):
    weights, offset = classifier(classes, 1)
    regions = [models.region(weights, offset, c, LOW, HIGH) for c in range(classes)]
    assert sum(area(corners) for corners in regions if len(corners)) == pytest.approx(np.prod(HIGH - LOW))


def test_points_are_in_the_region_of_their_predicted_class():
    weights, offset = classifier(6, 3)
    points = np.random.default_rng(0).uniform(LOW, HIGH, (500, 2))
    predicted = (points @ weights + offset).argmax(axis=1)
    for c in range(6):
        corners = models.region(weights, offset, c, LOW, HIGH)
        inside = Outline(corners).contains_points(points) if len(corners) else np.zeros(500, bool)
        np.testing.assert_array_equal(inside, predicted == c)
    assert len(set(predicted)) > 2


def test_the_first_of_equal_classes_has_the_region():
    weights, offset = np.zeros((2, 3)), np.array([0.0, 1.0, 1.0])
    found = [len(models.region(weights, offset, c, LOW, HIGH)) for c in range(3)]
    assert found == [0, 4, 0]


def plane(classes=3):
    rng = np.random.default_rng(5)
    y = np.arange(90) % classes
    return Examples(rng.normal(size=(90, 2)) + y[:, None], y)


def splits(part, names):
    return LabelledSplits(part, part, part, tuple(names), "points.csv")


def test_points_have_the_colour_of_their_class_and_regions_are_those_of_the_model():
    part = plane()
    given = model(columns=2, image_shape=None, scaling=Scaling(np.array([1.0, -1.0]), np.array([2.0, 0.5])))
    (axes,) = models.draw_boundaries(given, splits(part, given.class_names)).axes
    for c, cloud in enumerate(axes.collections):
        np.testing.assert_array_equal(cloud.get_offsets(), part.X[part.y == c])
    regions = {tuple(patch.get_facecolor()): patch for patch in axes.patches if isinstance(patch, Polygon)}
    grid = np.random.default_rng(0).uniform(part.X.min(axis=0), part.X.max(axis=0), (300, 2))
    predicted = predict(given.W, given.scaling, grid)
    for c in set(predicted):
        patch = regions[(*models._pale(axes.collections[c].get_facecolor()[0][:3]), 1.0)]
        np.testing.assert_array_equal(patch.get_path().contains_points(grid), predicted == c)


def test_a_class_without_points_is_noted():
    part = plane(classes=2)
    figure = models.draw_boundaries(model(columns=2, image_shape=None), splits(part, ["a", "b", "c"]))
    told = [text.get_text() for text in figure.legends[0].get_texts()]
    assert told == ["class 0", "class 1", "class 2 (no points)"]


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        (2, ""),
        (1, "it classifies rows of 1 column, and a plane has 2"),
        (3072, "it classifies rows of 3,072 columns, and a plane has 2"),
    ],
)
def test_boundaries_need_two_features(columns, reason):
    assert models.why_no_boundaries(model(columns=columns, image_shape=None)) == reason


def test_cells_are_shares_of_their_class():
    rng = np.random.default_rng(0)
    test = Examples(rng.normal(size=(200, 4)), rng.integers(0, 2, 200))
    given = model(columns=4, image_shape=None)
    figure = models.draw_confusion(given, LabelledSplits(test, test, test, given.class_names, "t.csv"))
    (axes,) = figure.axes
    shares = np.ma.filled(axes.images[0].get_array(), np.nan)
    predicted = predict(given.W, given.scaling, test.X)
    texts = {text.get_position(): text.get_text() for text in axes.texts}
    for true in range(2):
        for taken in range(3):
            share = np.mean(predicted[test.y == true] == taken)
            assert shares[true, taken] == share
            assert texts.get((taken, true), "0") == f"{100 * share:.0f}"
    assert np.isnan(shares[2]).all()  # the class without a row
    assert f"{100 * np.mean(predicted == test.y):.1f} % right" in figure.get_suptitle()
    assert [label.get_text() for label in axes.get_yticklabels()] == list(given.class_names)


RIGHT = np.geomspace(100, 5, 200)


def rates(**more):
    lost = [100.0, 900.0, 1e5, 1e30, np.inf, np.nan]
    return {
        "large.h5": model(losses=lost, status="diverged", learning_rate=5e-5, **more),
        "small.h5": model(losses=np.full(200, 100.0), learning_rate=1e-9, **more),
        "right.h5": model(losses=RIGHT, learning_rate=1e-7, **more),
    }


def test_learning_rates_are_in_order_on_a_logarithmic_axis():
    (axes,) = models.draw_learning_rates(rates()).axes
    assert axes.get_yscale() == "log"
    assert [text.get_text() for text in axes.get_legend().get_texts()] == [
        "learning rate 1e-09",
        "learning rate 1e-07",
        "learning rate 5e-05: diverges, not finite after step 4",
    ]
    each = [line.get_ydata() for line in axes.lines]
    assert any(np.array_equal(values, RIGHT) for values in each)


def test_a_diverged_run_does_not_stretch_the_axis():
    (axes,) = models.draw_learning_rates(rates()).axes
    lost = axes.lines[-1]
    np.testing.assert_array_equal(lost.get_ydata(), [100.0, 900.0])
    assert (lost.get_marker(), lost.get_markevery()) == ("X", [-1])
    assert axes.get_ylim()[1] < 1e5


def test_all_models_diverged_at_once():
    lost = {name: model(losses=[np.nan], status="diverged") for name in ("a.h5", "b.h5")}
    (axes,) = models.draw_learning_rates(lost).axes
    assert [len(line.get_ydata()) for line in axes.lines] == [0, 0]


@pytest.mark.parametrize("draw", [models.draw_learning_rates, models.draw_descents])
def test_different_losses_are_an_error(draw):
    with pytest.raises(LcbenchError, match=r"a\.h5 has svm and b\.h5 has softmax; name models of one loss"):
        draw({"a.h5": model(loss="svm"), "b.h5": model(loss="softmax")})


def test_random_search_has_no_plot_of_learning_rates():
    assert (
        models.why_no_learning_rates(model(solver="random")) == "it was trained by random, which has no learning rate"
    )
    assert models.why_no_learning_rates(model()) == ""


def test_descents_show_the_lowest_loss_so_far_and_the_accuracy():
    losses = [5.0, 6.0, 3.0, 4.0]
    given = {"r.h5": model(losses=losses, solver="random"), "d.h5": model(losses=RIGHT, steps=(0, 100, 200))}
    figure = models.draw_descents(given)
    left, right = figure.axes
    np.testing.assert_array_equal(left.lines[0].get_ydata(), [5, 5, 3, 3])
    np.testing.assert_array_equal(left.lines[1].get_ydata(), RIGHT)
    np.testing.assert_array_equal(right.lines[1].get_xdata(), [0, 100, 200])
    np.testing.assert_array_equal(right.lines[1].get_ydata(), given["d.h5"].curves.validation_accuracy)
    assert left.lines[0].get_color() == right.lines[0].get_color() != right.lines[1].get_color()
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["random search", "gradient descent"]


def test_labels_have_the_differing_fields():
    given = {"a.h5": model(reg=1.0, batch=100), "b.h5": model(reg=0.5, batch=100)}
    assert list(labels(given, "learning_rate").values()) == [
        "learning rate 1e-07, reg 1",
        "learning rate 1e-07, reg 0.5",
    ]


def test_labels_of_equal_recipes_have_the_name_of_the_file():
    assert labels({"x/a.h5": model(), "x/b.h5": model()}, "solver") == {
        "x/a.h5": "gradient descent (a)",
        "x/b.h5": "gradient descent (b)",
    }
