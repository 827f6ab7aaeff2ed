import numpy as np
import pytest

from lcbench.datasets.features import visual_words
from lcbench.datasets.features.descriptors import side_of
from lcbench.datasets.features.visual_words import PATCH_SIZE, PATCH_VALUES
from lcbench.errors import LcbenchError


@pytest.fixture
def scikit_learn():
    pytest.importorskip("sklearn", reason="scikit-learn is not installed")


needs_scikit_learn = pytest.mark.usefixtures("scikit_learn")


def some_images(count, side=9, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, 3 * side * side), np.uint8)


def some_dictionary(words, seed=0):
    rng = np.random.default_rng(seed)
    centre, whitening, means = (
        rng.normal(size=shape) for shape in (PATCH_VALUES, (PATCH_VALUES, PATCH_VALUES), (words, PATCH_VALUES))
    )
    whitening = (whitening + whitening.T) / 20  # whitening matrices are symmetric
    return visual_words.Dictionary(*(a.astype(np.float32) for a in (0.1 * centre, whitening, means)))


def patches_of(image):
    """Return all patches, row by row: (places, places, PATCH_VALUES)."""
    side = side_of(image.size)
    pixels = image.reshape(3, side, side)
    places = range(side - PATCH_SIZE + 1)
    return np.array([[pixels[:, y : y + PATCH_SIZE, x : x + PATCH_SIZE].ravel() for x in places] for y in places])


def test_normalise_subtracts_the_mean_and_divides_by_the_deviation():
    raw = some_images(50, side=PATCH_SIZE)
    found = visual_words.normalise(raw)
    assert found.dtype == np.float32
    for one, pixels in zip(found, raw.astype(float), strict=True):
        expected = (pixels - pixels.mean()) / np.sqrt(pixels.var(ddof=1) + 10)
        np.testing.assert_allclose(one, expected, rtol=1e-5, atol=1e-6)


def test_a_flat_patch_becomes_zeros():
    np.testing.assert_array_equal(visual_words.normalise(np.full((1, PATCH_VALUES), 77, np.uint8)), 0)


@pytest.mark.parametrize("side", [6, 9, 11])
def test_normalise_all_patches_equals_normalise(side):
    [image] = some_images(1, side)
    centre = some_dictionary(2).centre
    places = side - PATCH_SIZE + 1
    found = np.full((PATCH_VALUES, places * places + 3), 7, np.float32)
    visual_words.normalise_all_patches(image, side, centre, found)
    expected = visual_words.normalise(patches_of(image).reshape(-1, PATCH_VALUES)) - centre
    np.testing.assert_allclose(found[:, : places * places], expected.T, atol=2e-6)
    np.testing.assert_array_equal(found[:, places * places :], 7)


def test_sampled_patches_are_patches_of_the_images():
    images = some_images(3)
    existing = {
        tuple(patch)
        for image in images
        for patch in visual_words.normalise(patches_of(image).reshape(-1, PATCH_VALUES))
    }
    calls = []
    drawn = visual_words.sample_patches(images, 200, 0, lambda *arguments: calls.append(arguments))
    assert drawn.shape == (200, PATCH_VALUES)
    assert {tuple(patch) for patch in drawn} <= existing
    assert len({tuple(patch) for patch in drawn}) > 40  # of 48 in all
    assert calls[-1] == ("patches", 200, 200)
    np.testing.assert_array_equal(drawn, visual_words.sample_patches(images, 200, 0))
    assert (drawn != visual_words.sample_patches(images, 200, 1)).any()


def test_whitened_patches_are_uncorrelated(monkeypatch):
    monkeypatch.setattr(visual_words, "EPSILON", 0.0)
    rng = np.random.default_rng(0)
    drawn = (rng.normal(size=(5000, 6)) @ rng.normal(size=(6, 6)) + 3).astype(np.float32)
    centre, whitening = visual_words.fit_whitening(drawn)
    np.testing.assert_allclose(centre, drawn.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(whitening, whitening.T, atol=1e-5)
    np.testing.assert_allclose(np.cov((drawn - centre) @ whitening, rowvar=False), np.eye(6), atol=1e-3)


def test_epsilon_limits_the_weight_of_weak_axes():
    drawn = np.random.default_rng(0).normal(size=(5000, 2)).astype(np.float32) * [3, 1e-3]
    _, whitening = visual_words.fit_whitening(drawn.astype(np.float32))
    assert whitening[0, 0] == pytest.approx(1 / 3, rel=0.05)
    assert whitening[1, 1] == pytest.approx(1 / np.sqrt(visual_words.EPSILON), rel=0.05)


@needs_scikit_learn
def test_words_are_near_the_clusters_of_patches():
    rng = np.random.default_rng(0)
    places = np.array([[5.0, 0], [0, 5], [-5, -5]])
    points = (places[rng.integers(0, 3, 600)] + 0.1 * rng.normal(size=(600, 2))).astype(np.float32)
    found = visual_words.cluster(points, 6, 0, lambda *arguments: None)
    assert found.shape == (6, 2)
    assert found.dtype == np.float32
    nearest = np.linalg.norm(found[:, None] - places, axis=2)
    assert nearest.min(axis=0).max() < 0.2


@needs_scikit_learn
def test_a_dictionary_is_determined_by_its_seed():
    images = some_images(20)
    calls = []

    def learn(seed):
        return visual_words.learn_dictionary(images, 5, seed, 300, lambda *arguments: calls.append(arguments))

    first, again, other = learn(0), learn(0), learn(1)
    for name, array in vars(first).items():
        np.testing.assert_array_equal(array, getattr(again, name))
    assert (first.words != other.words).any()
    assert ("patches", 300, 300) in calls
    assert ("k-means", visual_words.PASSES, visual_words.PASSES) in calls


@needs_scikit_learn
def test_the_last_batch_may_be_smaller_than_the_number_of_words(monkeypatch):
    monkeypatch.setattr(visual_words, "BATCH_SIZE", 1)
    points = np.random.default_rng(0).normal(size=(200, 4)).astype(np.float32)
    calls = []
    found = visual_words.cluster(points, 150, 0, lambda *arguments: calls.append(arguments))
    assert found.shape == (150, 4)
    assert np.isfinite(found).all()
    assert calls[-1] == ("k-means", 2 * visual_words.PASSES, 2 * visual_words.PASSES)


def test_more_words_than_patches_is_a_one_line_error():
    with pytest.raises(LcbenchError, match="11 words cannot be learnt from 10 patches"):
        visual_words.load_dictionary(some_images(1), 11, 0, 10, lambda *arguments: None)


def encoded_by_loops(image, dictionary, hard):
    """Return the encoding of the paper, computed patch by patch and word by word: (4 K,)."""
    grid = patches_of(image)
    places, words = len(grid), len(dictionary.words)
    half = -(-places // 2)
    sums, counts = np.zeros((4, words)), np.zeros(4)
    for y in range(places):
        for x in range(places):
            patch = dictionary.whitening.astype(float) @ (
                visual_words.normalise(grid[y, x][None])[0] - dictionary.centre
            )
            distances = [np.linalg.norm(patch - word) for word in dictionary.words]
            quadrant = 2 * (y >= half) + (x >= half)
            counts[quadrant] += 1
            for k in range(words):
                if hard:
                    sums[quadrant, k] += k == np.argmin(distances)
                else:
                    sums[quadrant, k] += max(0.0, np.mean(distances) - distances[k])
    return (sums / counts[:, None]).ravel()


@pytest.mark.parametrize("hard", [False, True], ids=["triangle", "hard"])
@pytest.mark.parametrize(("side", "words"), [(8, 3), (9, 40), (13, 5)])
def test_encoding_equals_the_paper(side, words, hard):
    images, dictionary = some_images(2, side), some_dictionary(words)
    out = np.full((2, 4 * words), np.nan, np.float32)
    visual_words.encode(images, dictionary, hard, out)
    for row, image in zip(out, images, strict=True):
        np.testing.assert_allclose(row, encoded_by_loops(image, dictionary, hard), rtol=1e-5, atol=1e-5)


def test_encoding_does_not_depend_on_threads_or_memory_layout(monkeypatch):
    images, dictionary = some_images(7), some_dictionary(4)
    whole, beside = np.empty((7, 16), np.float32), np.zeros((7, 20), np.float32)
    visual_words.encode(images, dictionary, False, whole)
    monkeypatch.setattr(visual_words, "BLOCK_WORDS", 2 * 4)
    calls = []
    visual_words.encode(images, dictionary, False, beside[:, 2:18], "words", lambda *arguments: calls.append(arguments))
    np.testing.assert_array_equal(beside[:, 2:18], whole)
    np.testing.assert_array_equal(beside[:, [0, 1, 18, 19]], 0)
    assert calls == [("words", done, 7) for done in (2, 4, 6, 7)]
