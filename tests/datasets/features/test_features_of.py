import importlib.util

import numpy as np
import pytest

from lcbench import files
from lcbench.datasets import features
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
    stream = np.random.default_rng(0)
    return {split: stream.integers(0, 256, (rows, PIXELS), np.uint8) for split, rows in (("train", 6), ("test", 4))}


def of(names, images, told=None, **settings):
    progress = no_progress if told is None else lambda *given: told.append(given)
    return features.of(names, images, images["train"], progress=progress, **settings)


def test_features_stand_side_by_side_in_the_order_given(images):
    found = of(["hog-assignment", "colour"], images)
    for split, rows in images.items():
        assert found[split].dtype == np.float32
        expected = np.hstack([descriptors.hog_assignment(rows), descriptors.hue_histogram(rows)])
        np.testing.assert_array_equal(found[split], expected)


def test_the_second_time_they_are_read(images):
    told = []
    first = of(["colour"], images, told)
    assert told == [("colour, train", 6, 6), ("colour, test", 4, 4)]
    again = of(["colour", "colour"], images, told)
    assert len(told) == 2
    for split in images:
        np.testing.assert_array_equal(again[split], np.hstack([first[split]] * 2))


def test_other_images_are_other_features(images):
    first = of(["colour"], images)
    images["test"] = images["test"][::-1].copy()
    told = []
    second = of(["colour"], images, told)
    assert told == [("colour, test", 4, 4)]
    np.testing.assert_array_equal(second["test"], first["test"][::-1])


def test_a_newer_version_of_a_feature_is_computed_again(images, monkeypatch):
    of(["colour"], images)
    newer = catalog.Feature(**{**vars(catalog.CATALOG["colour"]), "version": 99})
    monkeypatch.setitem(catalog.CATALOG, "colour", newer)
    told = []
    of(["colour"], images, told)
    assert told


def test_a_damaged_file_is_computed_again(images):
    first = of(["colour"], images)
    path = features.files("colour", images, images["train"])["test"]
    path.write_bytes(path.read_bytes()[:1000])
    told = []
    again = of(["colour"], images, told)
    assert told == [("colour, test", 4, 4)]
    np.testing.assert_array_equal(again["test"], first["test"])
    assert cache.read(path, {"features": again["test"]})


def test_no_images_have_no_features(images):
    images["test"] = images["test"][:0]
    assert of(["colour", "hog-assignment"], images)["test"].shape == (0, 19)


def test_the_folder_may_be_deleted(images, folder):
    of(["colour"], images)
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()
    of(["colour"], images)
    assert len(list(folder.iterdir())) == 2


class TestWords:
    @pytest.fixture(autouse=True)
    def _needs_scikit_learn(self):
        pytest.importorskip("sklearn", reason="scikit-learn is not installed")

    def test_both_encodings_share_a_dictionary(self, images, folder):
        told = []
        found = of(["words", "words-hard"], images, told, **FEW)
        assert [what for what, done, planned in told if done == planned] == [
            "patches", "k-means", "words, train", "words, test", "words-hard, train", "words-hard, test",
        ]  # fmt: skip
        assert found["test"].shape == (4, 2 * 4 * 3)
        # in each quadrant every patch has one nearest word
        np.testing.assert_allclose(found["test"][:, 12:].reshape(4, 4, 3).sum(axis=2), 1, rtol=1e-6)
        assert len(list(folder.iterdir())) == 5

    def test_they_are_learnt_from_the_training_images_only(self, images):
        first = of(["words"], images, **FEW)
        changed = {"train": images["train"], "test": images["test"][:1]}
        np.testing.assert_array_equal(of(["words"], changed, **FEW)["test"], first["test"][:1])
        others = {"train": images["train"][:5], "test": images["test"]}
        assert (of(["words"], others, **FEW)["test"] != first["test"]).any()

    def test_settings_decide(self, images):
        first = of(["words"], images, **FEW)["test"]
        assert (of(["words"], images, **FEW, seed=1)["test"] != first).any()
        assert of(["words"], images, words=2, patches=200)["test"].shape == (4, 8)
        assert (of(["words"], images, words=3, patches=150)["test"] != first).any()

    def test_the_same_seed_finds_the_same(self, images, folder):
        first = of(["words"], images, **FEW)["test"]
        for file in folder.iterdir():
            file.unlink()
        np.testing.assert_array_equal(of(["words"], images, **FEW)["test"], first)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["color"], "no feature 'color': did you mean 'colour'?"),
        (["hog", "xyz"], "no feature 'xyz': there are colour, hog, hog-assignment, words, words-hard"),
    ],
)
def test_an_unknown_name_is_one_line(images, names, message, monkeypatch):
    monkeypatch.setattr(catalog, "find_spec", lambda package: object())
    with pytest.raises(LcbenchError) as raised:
        of(names, images)
    assert str(raised.value) == message


def test_a_missing_package_is_named_with_its_install_line(images, monkeypatch):
    installed = importlib.util.find_spec
    monkeypatch.setattr(catalog, "find_spec", lambda package: None if package == "skimage" else installed(package))
    with pytest.raises(LcbenchError) as raised:
        of(["colour", "hog"], images)
    assert str(raised.value) == "feature 'hog' needs skimage, not installed here: pip install 'lcbench[lab]'"
    assert not files.features_folder().exists()  # told before anything is computed


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
def test_what_is_no_image_is_one_line(images, wrong):
    with pytest.raises(LcbenchError, match="features are of ") as raised:
        of(["colour"], {"train": images["train"], "test": wrong})
    assert "\n" not in str(raised.value)
