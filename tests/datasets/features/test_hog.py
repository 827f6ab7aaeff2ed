import numpy as np
import pytest

from lcbench.datasets.features import descriptors

pytest.importorskip("skimage", reason="scikit-image is not installed")


def edges(angle, side=32):
    """A grey image whose gradient points to `angle` (radians, rows downwards) everywhere."""
    down, right = np.mgrid[:side, :side]
    slope = np.cos(angle) * right + np.sin(angle) * down
    grey = (slope - slope.min()) / np.ptp(slope) * 250
    return np.tile(grey.astype(np.uint8).ravel(), 3)[None]


def test_shape_and_type():
    images = np.random.default_rng(0).integers(0, 256, (3, 3072), np.uint8)
    found = descriptors.hog(images)
    assert found.shape == (3, descriptors.hog_dimensions(32))
    assert found.dtype == np.float32
    assert (found.std(axis=1) > 0).all()


def test_all_planes_count():
    for plane in range(3):
        image = np.zeros((1, 3, 32, 32), np.uint8)
        image[0, plane, :, 16:] = 200
        assert descriptors.hog(image.reshape(1, -1)).max() > 0


@pytest.mark.parametrize("angle", [0.0, np.pi])
def test_an_edge_counts_whichever_side_is_darker(angle):
    histogram = descriptors.hog(edges(angle)).reshape(-1, descriptors.HOG_SETTINGS["orientations"]).sum(axis=0)
    assert np.argmax(histogram) == 0
    assert histogram[0] > 0.9 * histogram.sum()


def test_each_direction_has_its_orientation():
    peaks = [
        np.argmax(descriptors.hog(edges(angle)).reshape(-1, 9).sum(axis=0))
        for angle in np.radians([10, 50, 90, 130, 170])
    ]
    assert len(set(peaks)) == 5
