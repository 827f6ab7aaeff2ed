"""Model file: round trip, and one-line errors for missing, foreign, damaged and newer files."""

from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta

import h5py
import numpy as np
import pytest

from lcbench.errors import LcbenchError
from lcbench.learn import model as model_file
from lcbench.learn.recipe import Recipe
from lcbench.learn.training import train
from small_splits import splits

RECIPE = Recipe(data="clouds", features=["a", "b"], label="kind", implementation="numpy", iterations=20, report_every=5)


def replace_dataset(file, name, content):
    del file[name]
    file[name] = content


@pytest.fixture(scope="module")
def model():
    return train(splits(), RECIPE)


@pytest.fixture
def path(tmp_path, model):
    path = tmp_path / "deep" / "model.h5"
    model_file.write(path, model)
    return path


def test_a_written_model_is_read_back(path, model):
    found = model_file.read(path)
    for field in fields(model):
        one, other = getattr(found, field.name), getattr(model, field.name)
        if field.name == "written":
            assert abs(datetime.now(UTC) - datetime.fromisoformat(one)) < timedelta(minutes=10)
            continue
        if field.name in ("scaling", "curves"):
            assert all(np.array_equal(a, b) for a, b in zip(vars(one).values(), vars(other).values(), strict=True))
        elif isinstance(other, np.ndarray):
            assert one.dtype == other.dtype
            assert np.array_equal(one, other)
        else:
            assert one == other
    model_file.write(path, replace(model, image_shape=(3, 2, 1), velocity=None))
    assert model_file.read(path).image_shape == (3, 2, 1)
    assert model_file.read(path).velocity is None


def test_missing_and_foreign_files_are_one_line_errors(tmp_path):
    (tmp_path / "text.h5").write_text("not HDF5")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = 1
    expected = {"none.h5": "does not exist", "text.h5": "not an HDF5 file", "other.h5": "not a model", "": "folder"}
    for name, words in expected.items():
        with pytest.raises(LcbenchError, match=words) as caught:
            model_file.read(tmp_path / name)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "damage",
    [
        lambda file: file.__delitem__("W"),
        lambda file: file.attrs.__setitem__("recipe", "{"),
        lambda file: file.attrs.__setitem__("recipe", '{"data": "x", "reg": -1}'),
        lambda file: file.attrs.__setitem__("status", "asleep"),
        lambda file: file["scaling"].__delitem__("mean"),
        lambda file: (file.__delitem__("W"), file.__setitem__("W", np.zeros((3, 3)))),
        lambda file: (file.__delitem__("W"), file.__setitem__("W", np.zeros(3))),
        lambda file: file.attrs.__delitem__("image_shape"),
        lambda file: file.attrs.__setitem__("image_shape", [-3, 2, 1]),
        lambda file: file.attrs.__setitem__("step", -1),
        lambda file: file.attrs.__setitem__("step", 21),
        lambda file: file.attrs.__setitem__("threads", 0),
        lambda file: file["accuracy"].attrs.__setitem__("test", 2.0),
        lambda file: replace_dataset(file, "W", [["a"] * 3] * 7),
        lambda file: replace_dataset(file, "W", file["W"][()].astype(complex)),
        lambda file: replace_dataset(file, "last_W", file["W"][()].astype(int)),
        lambda file: replace_dataset(file, "last_W", file["W"][:3]),
        lambda file: replace_dataset(file, "velocity", file["W"][()].astype("float16")),
        lambda file: replace_dataset(file, "class_names", ["a", "a", "b"]),
        lambda file: replace_dataset(file, "feature_names", ["a", "b"]),
        lambda file: replace_dataset(file, "scaling/mean", np.full(6, np.nan)),
        lambda file: replace_dataset(file, "scaling/deviation", np.zeros(6)),
        lambda file: replace_dataset(file, "scaling/deviation", np.ones(5)),
        lambda file: replace_dataset(file, "curves/losses", file["curves/losses"][:7]),
        lambda file: replace_dataset(file, "curves/steps", file["curves/steps"][:2]),
        lambda file: replace_dataset(file, "curves/steps", file["curves/steps"][()][::-1]),
        lambda file: replace_dataset(file, "curves/seconds", ["long"] * 5),
    ],
)
def test_a_damaged_file_is_an_error(path, damage):
    with h5py.File(path, "a") as file:
        damage(file)
    with pytest.raises(LcbenchError, match="damaged"):
        model_file.read(path)


def test_a_model_with_texts_of_variable_length_is_read(path):  # as earlier versions wrote it
    new = model_file.read(path)
    with h5py.File(path, "a") as file:
        file.attrs.update({name: file.attrs[name].decode() for name in ("format", "recipe", "status", "fingerprint")})
        del file["class_names"]
        file.create_dataset("class_names", data=list(new.class_names), dtype=h5py.string_dtype())
    old = model_file.read(path)
    assert (old.recipe, old.status, old.fingerprint) == (new.recipe, new.status, new.fingerprint)
    assert old.class_names == new.class_names


def test_a_truncated_file_is_an_error(path):
    whole = path.read_bytes()
    for size in range(0, len(whole), 997):
        path.write_bytes(whole[:size])
        with pytest.raises(LcbenchError):
            model_file.read(path)


def test_a_newer_format_is_an_error(path):
    with h5py.File(path, "a") as file:
        file.attrs["format_version"] = 99
    with pytest.raises(LcbenchError, match=r"99.*upgrade"):
        model_file.read(path)
