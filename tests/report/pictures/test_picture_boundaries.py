"""Boundaries: lines on which two scores are equal, and nothing but the predicted class between them."""

import numpy as np
import pytest
from matplotlib.patches import Polygon
from matplotlib.path import Path as Outline
from picture_files import model

from lcbench.datasets.examples import Examples, LabelledSplits
from lcbench.datasets.scaling import Scaling
from lcbench.learn.evaluation import predict
from lcbench.report.pictures import boundaries

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
def test_sides_lie_where_the_two_highest_scores_are_equal(classes, seed):
    weights, offset = classifier(classes, seed)
    inner = 0
    for c in range(classes):
        corners = boundaries.region(weights, offset, c, LOW, HIGH)
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
def test_regions_share_out_the_rectangle(classes):
    weights, offset = classifier(classes, 1)
    regions = [boundaries.region(weights, offset, c, LOW, HIGH) for c in range(classes)]
    assert sum(area(corners) for corners in regions if len(corners)) == pytest.approx(np.prod(HIGH - LOW))


def test_a_point_lies_in_the_region_of_its_predicted_class():
    weights, offset = classifier(6, 3)
    points = np.random.default_rng(0).uniform(LOW, HIGH, (500, 2))
    predicted = (points @ weights + offset).argmax(axis=1)
    for c in range(6):
        corners = boundaries.region(weights, offset, c, LOW, HIGH)
        inside = Outline(corners).contains_points(points) if len(corners) else np.zeros(500, bool)
        np.testing.assert_array_equal(inside, predicted == c)
    assert len(set(predicted)) > 2


def test_of_equal_classes_the_first_has_the_region():
    weights, offset = np.zeros((2, 3)), np.array([0.0, 1.0, 1.0])
    found = [len(boundaries.region(weights, offset, c, LOW, HIGH)) for c in range(3)]
    assert found == [0, 4, 0]


def plane(classes=3):
    rng = np.random.default_rng(5)
    y = np.arange(90) % classes
    return Examples(rng.normal(size=(90, 2)) + y[:, None], y)


def splits(part, names):
    return LabelledSplits(part, part, part, tuple(names), "points.csv")


def test_the_picture_has_every_point_in_the_colour_of_its_class_and_the_regions_of_the_model():
    part = plane()
    given = model(columns=2, image_shape=None, scaling=Scaling(np.array([1.0, -1.0]), np.array([2.0, 0.5])))
    (axes,) = boundaries.draw(given, splits(part, given.class_names)).axes
    for c, cloud in enumerate(axes.collections):
        np.testing.assert_array_equal(cloud.get_offsets(), part.X[part.y == c])
    regions = {tuple(patch.get_facecolor()): patch for patch in axes.patches if isinstance(patch, Polygon)}
    grid = np.random.default_rng(0).uniform(part.X.min(axis=0), part.X.max(axis=0), (300, 2))
    predicted = predict(given.W, given.scaling, grid)
    for c in set(predicted):
        patch = regions[(*boundaries._pale(axes.collections[c].get_facecolor()[0][:3]), 1.0)]
        np.testing.assert_array_equal(patch.get_path().contains_points(grid), predicted == c)


def test_a_class_without_points_is_told():
    part = plane(classes=2)
    figure = boundaries.draw(model(columns=2, image_shape=None), splits(part, ["a", "b", "c"]))
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
def test_only_two_features_are_a_plane(columns, reason):
    assert boundaries.unfit(model(columns=columns, image_shape=None)) == reason
