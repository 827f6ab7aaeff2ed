from math import atan2, degrees, sqrt

import numpy as np

from lcbench.datasets.features.descriptors import hog_assignment, hog_assignment_dimensions


def by_loops(image, side):
    """What the assignment computes, pixel by pixel: (side // 8, side // 8, 9), columns of cells first."""
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


def test_it_is_the_assignments_pixel_by_pixel():
    for side in (32, 19):
        images = np.random.default_rng(side).integers(0, 256, (2, 3 * side * side), np.uint8)
        found = hog_assignment(images)
        assert found.shape == (2, hog_assignment_dimensions(side))
        assert found.dtype == np.float32
        for row, image in zip(found, images, strict=True):
            np.testing.assert_allclose(row, by_loops(image, side).ravel(), rtol=1e-5, atol=1e-5)


def ramp(step):
    """A row of pixels that gets brighter by `step` from one to the next."""
    line = (125 + step * np.arange(-16, 16)).astype(np.uint8)
    return np.tile(line, 3 * 32)[None]


def test_what_gets_darker_to_the_right_is_dropped():
    assert hog_assignment(ramp(3)).sum() > 1
    assert hog_assignment(ramp(-3)).sum() < 0.1
