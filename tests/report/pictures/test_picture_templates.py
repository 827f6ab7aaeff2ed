"""Templates: the images are the weights, in the space of raw pixels."""

from itertools import pairwise

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from picture_files import IMAGE, model

from lcbench.datasets.scaling import Scaling
from lcbench.report.pictures import templates

D = 60


def shown(figure):
    return [axes for axes in figure.axes if axes.images]


def test_each_pixel_is_its_weight_in_the_space_of_raw_pixels():
    given = model()
    planes, rows, columns = IMAGE
    raw = given.W[:-1] / given.scaling.deviation[:, None]
    axes = shown(templates.draw(given))
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
    images = templates.templates(model())
    assert np.abs(images - 0.5).max(axis=(1, 2, 3)) == pytest.approx(0.5)
    assert images.min() >= 0
    assert images.max() <= 1


def test_colours_may_lie_pixel_by_pixel():
    given = model(image_shape=(4, 5, 3))
    raw = given.W[:-1, 1] / given.scaling.deviation
    expected = 0.5 + 0.5 * raw.reshape(4, 5, 3) / np.abs(raw).max()
    np.testing.assert_allclose(templates.templates(given)[1], expected)


@pytest.mark.parametrize("shape", [(1, 6, 10), (6, 10, 1)])
def test_a_grey_image_has_three_equal_colours(shape):
    image = templates.templates(model(image_shape=shape))[0]
    assert image.shape == (6, 10, 3)
    assert (image == image[..., :1]).all()
    assert len(np.unique(image)) > 50


def test_weights_of_zero_are_grey():
    given = model()
    given.W[:] = 0
    assert (templates.templates(given) == 0.5).all()


@pytest.mark.parametrize("classes", [1, 2, 3, 10, 11, 200])
def test_every_class_has_an_image_and_no_two_names_touch(classes):
    given = model(classes=classes, names=[f"a class with a long name, number {c}" for c in range(classes)])
    figure = templates.draw(given)
    axes = shown(figure)
    assert len(axes) == classes
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    titles = [ax.title.get_window_extent(canvas.get_renderer()) for ax in axes]
    assert all(title.ymax <= figure.bbox.ymax for title in titles)
    for left, right in pairwise(titles):
        assert right.ymax < left.ymax or left.xmax < right.xmin  # in the next row, or beside each other
    endings = [ax.get_title()[-len(str(c)) :] for c, ax in enumerate(axes)]
    assert endings == [str(c) for c in range(classes)]


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (model(image_shape=None), "its rows of 60 columns are no images"),
        (model(columns=61), "its rows of 61 columns are no images"),
        (model(image_shape=(4, 5, 3), features=["hog"]), "it classifies hog, not pixels"),
        (model(image_shape=(2, 6, 5)), "its images of 2 x 6 x 5 are neither grey nor of three colours"),
        (model(scaling=Scaling(np.zeros(D), np.full(D, 2.0))), ""),
    ],
)
def test_what_is_no_image_has_no_template(given, reason):
    assert templates.unfit(given) == reason


def test_lost_weights_have_no_template():
    given = model()
    given.W[3, 1] = np.inf
    assert templates.unfit(given) == "its weights are not finite"
