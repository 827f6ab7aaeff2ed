import importlib.util

import numpy as np
import pytest

from lcbench import files
from lcbench.datasets import examples
from lcbench.datasets.features import cache, catalog, descriptors
from lcbench.errors import LcbenchError
from lcbench.progress import no_progress

SIDE = 9
PIXELS = 3 * SIDE * SIDE
FEW = {"words": 3, "patches": 200}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("LCBENCH_DATA", str(tmp_path))
    return files.features_folder()


@pytest.fixture
def images():
    rng = np.random.default_rng(0)
    return {split: rng.integers(0, 256, (rows, PIXELS), np.uint8) for split, rows in (("train", 6), ("test", 4))}


def extract(names, images, calls=None, **settings):
    progress = no_progress if calls is None else lambda *arguments: calls.append(arguments)
    return catalog.extract(names, images, images["train"], progress=progress, **settings)


def test_features_are_side_by_side_in_the_given_order(images):
    matrices = extract(["hog-assignment", "colour"], images)
    for split, rows in images.items():
        assert matrices[split].dtype == np.float32
        expected = np.hstack([descriptors.hog_assignment(rows), descriptors.hue_histogram(rows)])
        np.testing.assert_array_equal(matrices[split], expected)


def test_the_second_call_reads_the_cache(images):
    calls = []
    first = extract(["colour"], images, calls)
    assert calls == [("colour, train", 6, 6), ("colour, test", 4, 4)]
    again = extract(["colour", "colour"], images, calls)
    assert len(calls) == 2
    for split in images:
        np.testing.assert_array_equal(again[split], np.hstack([first[split]] * 2))


def test_other_images_are_not_read_from_the_cache(images):
    first = extract(["colour"], images)
    images["test"] = images["test"][::-1].copy()
    calls = []
    second = extract(["colour"], images, calls)
    assert calls == [("colour, test", 4, 4)]
    np.testing.assert_array_equal(second["test"], first["test"][::-1])


def test_a_newer_version_is_computed_again(images, monkeypatch):
    extract(["colour"], images)
    newer = catalog.Feature(**{**vars(catalog.CATALOG["colour"]), "version": 99})
    monkeypatch.setitem(catalog.CATALOG, "colour", newer)
    calls = []
    extract(["colour"], images, calls)
    assert calls


def test_a_damaged_cache_file_is_computed_again(images):
    first = extract(["colour"], images)
    path = catalog.cache_files("colour", images, images["train"])["test"]
    path.write_bytes(path.read_bytes()[:-100])
    calls = []
    again = extract(["colour"], images, calls)
    assert calls == [("colour, test", 4, 4)]
    np.testing.assert_array_equal(again["test"], first["test"])
    assert cache.read(path, {"features": again["test"]})


def test_an_empty_split_has_no_rows(images):
    images["test"] = images["test"][:0]
    assert extract(["colour", "hog-assignment"], images)["test"].shape == (0, 19)


def test_the_cache_folder_may_be_deleted(images, folder):
    extract(["colour"], images)
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()
    extract(["colour"], images)
    assert len(list(folder.iterdir())) == 2


class TestWords:
    @pytest.fixture(autouse=True)
    def _needs_scikit_learn(self):
        pytest.importorskip("sklearn", reason="scikit-learn is not installed")

    def test_both_encodings_share_a_dictionary(self, images, folder):
        calls = []
        matrices = extract(["words", "words-hard"], images, calls, **FEW)
        assert [stage for stage, done, total in calls if done == total] == [
            "patches", "k-means", "words, train", "words, test", "words-hard, train", "words-hard, test",
        ]  # fmt: skip
        assert matrices["test"].shape == (4, 2 * 4 * 3)
        # Every patch of a quadrant has one nearest word.
        np.testing.assert_allclose(matrices["test"][:, 12:].reshape(4, 4, 3).sum(axis=2), 1, rtol=1e-6)
        assert len(list(folder.iterdir())) == 5

    def test_words_are_learnt_from_the_training_images_only(self, images):
        first = extract(["words"], images, **FEW)
        changed = {"train": images["train"], "test": images["test"][:1]}
        np.testing.assert_array_equal(extract(["words"], changed, **FEW)["test"], first["test"][:1])
        others = {"train": images["train"][:5], "test": images["test"]}
        assert (extract(["words"], others, **FEW)["test"] != first["test"]).any()

    def test_settings_change_the_features(self, images):
        first = extract(["words"], images, **FEW)["test"]
        assert (extract(["words"], images, **FEW, seed=1)["test"] != first).any()
        assert extract(["words"], images, words=2, patches=200)["test"].shape == (4, 8)
        assert (extract(["words"], images, words=3, patches=150)["test"] != first).any()

    def test_the_same_seed_gives_the_same_features(self, images, folder):
        first = extract(["words"], images, **FEW)["test"]
        for file in folder.iterdir():
            file.unlink()
        np.testing.assert_array_equal(extract(["words"], images, **FEW)["test"], first)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["color"], "no feature 'color': did you mean 'colour'?"),
        (["hog", "xyz"], "no feature 'xyz': there are colour, hog, hog-assignment, words, words-hard"),
    ],
)
def test_an_unknown_name_is_a_one_line_error(images, names, message, monkeypatch):
    monkeypatch.setattr(catalog, "find_spec", lambda package: object())
    with pytest.raises(LcbenchError) as raised:
        extract(names, images)
    assert str(raised.value) == message


def test_the_error_for_a_missing_package_names_the_install_command(images, monkeypatch):
    installed = importlib.util.find_spec
    monkeypatch.setattr(catalog, "find_spec", lambda package: None if package == "skimage" else installed(package))
    with pytest.raises(LcbenchError) as raised:
        extract(["colour", "hog"], images)
    assert str(raised.value) == "feature 'hog' needs skimage, not installed here: pip install 'lcbench[lab]'"
    assert not files.features_folder().exists()  # reported before anything is computed


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros((4, PIXELS), np.float32),
        np.zeros((4, 3, SIDE * SIDE), np.uint8),
        np.zeros((4, 100), np.uint8),
        np.zeros((4, 3 * 16 * 16), np.uint8),
    ],
    ids=["float", "planes", "not square", "another size"],
)
def test_other_arrays_than_images_are_a_one_line_error(images, wrong):
    with pytest.raises(LcbenchError, match="features are of ") as raised:
        extract(["colour"], {"train": images["train"], "test": wrong})
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"words": 10_001}, "words is 10001: choose 2 to 10,000"),
        ({"words": 1}, "words is 1"),
        ({"seed": 2**32}, "seed is"),
    ],
)
def test_words_and_seeds_have_limits(images, settings, words):
    with pytest.raises(LcbenchError, match=words):
        catalog.extract(["words"], images, images["train"], **settings)


def test_features_that_do_not_fit_in_memory_are_refused_before_they_are_computed(images, monkeypatch):
    monkeypatch.setattr(examples, "fits_in_memory", lambda size: size < 100)
    with pytest.raises(LcbenchError, match=r"the features colour take .* in memory twice, more than is free"):
        extract(["colour"], images)
