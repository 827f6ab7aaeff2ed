import colorsys

import numpy as np
import pytest

from lcbench.datasets.features.descriptors import BINS, hue_histogram


def image(*pixels):
    """One image of these (red, green, blue) pixels, plane by plane."""
    return np.array(pixels, np.uint8).T.reshape(1, -1)


def test_histogram_is_that_of_colorsys():
    images = np.random.default_rng(0).integers(0, 256, (20, 3 * 64), np.uint8)
    expected = np.zeros((20, BINS))
    for row, picture in enumerate(images.reshape(20, 3, 64)):
        for red, green, blue in picture.T / 255:
            hue = colorsys.rgb_to_hsv(red, green, blue)[0]
            expected[row, int(hue * BINS + 1e-9)] += 1 / 64  # a hue on a border is rounded down by colorsys
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
def test_a_plain_colour_is_in_one_bin(pixel, hue):
    expected = np.zeros((1, BINS))
    expected[0, int(hue * BINS)] = 1
    np.testing.assert_array_equal(hue_histogram(image(pixel, pixel, pixel)), expected)


def test_neither_place_nor_brightness_matters():
    dark, bright, other = (10, 20, 30), (80, 160, 240), (240, 10, 20)
    first, second = hue_histogram(image(dark, dark, other)), hue_histogram(image(other, bright, bright))
    np.testing.assert_array_equal(first, second)
    assert sorted(first[0])[-2:] == pytest.approx([1 / 3, 2 / 3])
