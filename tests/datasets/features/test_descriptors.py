import colorsys
from math import atan2, degrees, sqrt

import numpy as np
import pytest

from lcbench.datasets.features.descriptors import (
    BINS,
    HOG_SETTINGS,
    hog,
    hog_assignment,
    hog_assignment_dimensions,
    hog_dimensions,
    hue_histogram,
)


@pytest.fixture
def scikit_image():
    pytest.importorskip("skimage", reason="scikit-image is not installed")


needs_scikit_image = pytest.mark.usefixtures("scikit_image")


def image(*pixels):
    """Return one image of (red, green, blue) pixels, plane by plane."""
    return np.array(pixels, np.uint8).T.reshape(1, -1)


def test_hue_histogram_equals_colorsys():
    images = np.random.default_rng(0).integers(0, 256, (20, 3 * 64), np.uint8)
    expected = np.zeros((20, BINS))
    for row, image in enumerate(images.reshape(20, 3, 64)):
        for red, green, blue in image.T / 255:
            hue = colorsys.rgb_to_hsv(red, green, blue)[0]
            expected[row, int(hue * BINS + 1e-9)] += 1 / 64  # colorsys rounds a hue on a border down
    found = hue_histogram(images)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize(
    ("pixel", "hue"),
    [
        ((255, 0, 0), 0.0),
        ((255, 255, 0), 1 / 6),
        ((0, 255, 0), 2 / 6),
        ((0, 255, 255), 3 / 6),
        ((0, 0, 255), 4 / 6),
        ((255, 0, 255), 5 / 6),
        ((255, 0, 1), 0.9999),
        ((0, 0, 0), 0.0),
        ((200, 200, 200), 0.0),
    ],
)
def test_hue_of_a_plain_colour_is_in_one_bin(pixel, hue):
    expected = np.zeros((1, BINS))
    expected[0, int(hue * BINS)] = 1
    np.testing.assert_array_equal(hue_histogram(image(pixel, pixel, pixel)), expected)


def test_hue_histogram_ignores_place_and_brightness():
    dark, bright, other = (10, 20, 30), (80, 160, 240), (240, 10, 20)
    first, second = hue_histogram(image(dark, dark, other)), hue_histogram(image(other, bright, bright))
    np.testing.assert_array_equal(first, second)
    assert sorted(first[0])[-2:] == pytest.approx([1 / 3, 2 / 3])


def edges(angle, side=32):
    """Return a grey image with the same gradient direction `angle` (radians, rows downwards) everywhere."""
    down, right = np.mgrid[:side, :side]
    slope = np.cos(angle) * right + np.sin(angle) * down
    grey = (slope - slope.min()) / np.ptp(slope) * 250
    return np.tile(grey.astype(np.uint8).ravel(), 3)[None]


@needs_scikit_image
def test_hog_has_its_shape_and_type():
    images = np.random.default_rng(0).integers(0, 256, (3, 3072), np.uint8)
    found = hog(images)
    assert found.shape == (3, hog_dimensions(32))
    assert found.dtype == np.float32
    assert (found.std(axis=1) > 0).all()


@needs_scikit_image
def test_hog_uses_all_planes():
    for plane in range(3):
        image = np.zeros((1, 3, 32, 32), np.uint8)
        image[0, plane, :, 16:] = 200
        assert hog(image.reshape(1, -1)).max() > 0


@needs_scikit_image
@pytest.mark.parametrize("angle", [0.0, np.pi])
def test_hog_ignores_which_side_of_an_edge_is_darker(angle):
    histogram = hog(edges(angle)).reshape(-1, HOG_SETTINGS["orientations"]).sum(axis=0)
    assert np.argmax(histogram) == 0
    assert histogram[0] > 0.9 * histogram.sum()


@needs_scikit_image
def test_hog_separates_directions():
    peaks = [np.argmax(hog(edges(angle)).reshape(-1, 9).sum(axis=0)) for angle in np.radians([10, 50, 90, 130, 170])]
    assert len(set(peaks)) == 5


def hog_assignment_by_loops(image, side):
    """Return the histograms of the assignment, computed pixel by pixel: (side // 8, side // 8, 9), columns first."""
    red, green, blue = image.reshape(3, side, side).astype(float)
    grey = 0.299 * red + 0.587 * green + 0.144 * blue
    histogram = np.zeros((side // 8, side // 8, 9))
    for y in range(side // 8 * 8):
        for x in range(side // 8 * 8):
            right = grey[y, x + 1] - grey[y, x] if x + 1 < side else 0.0
            down = grey[y + 1, x] - grey[y, x] if y + 1 < side else 0.0
            angle = degrees(atan2(down, right + 1e-15)) + 90
            for orientation in range(9):
                if 20 * orientation <= angle < 20 * (orientation + 1) and angle > 0:
                    histogram[x // 8, y // 8, orientation] += sqrt(right**2 + down**2) / 64
    return histogram


def test_hog_assignment_equals_the_assignment():
    for side in (32, 19):
        images = np.random.default_rng(side).integers(0, 256, (2, 3 * side * side), np.uint8)
        found = hog_assignment(images)
        assert found.shape == (2, hog_assignment_dimensions(side))
        assert found.dtype == np.float32
        for row, image in zip(found, images, strict=True):
            np.testing.assert_allclose(row, hog_assignment_by_loops(image, side).ravel(), rtol=1e-5, atol=1e-5)


def ramp(step):
    """Return an image whose pixels get brighter by `step` from left to right."""
    line = (125 + step * np.arange(-16, 16)).astype(np.uint8)
    return np.tile(line, 3 * 32)[None]


def test_hog_assignment_drops_pixels_that_get_darker_to_the_right():
    assert hog_assignment(ramp(3)).sum() > 1
    assert hog_assignment(ramp(-3)).sum() < 0.1
