"""Trainings and evaluations in the Python API: streaming of data, and output files."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

import lcbench
from lcbench.api import learn
from lcbench.datasets.tables import arrays, reading
from lcbench.errors import LcbenchError, NotSaved
from lcbench.learn import model, training
from small_splits import splits

RECIPE = {"iterations": 30, "batch": 20, "learning_rate": 1e-6, "report_every": 10}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Current folder with clouds.h5, clouds.npz, and model.h5, which was trained on clouds.h5."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LCBENCH_RESULTS", "results")
    data = splits(dtype="uint8")
    parts = (data.train, data.validation, data.test)
    X, y = np.concatenate([part.X for part in parts]), np.concatenate([part.y for part in parts])
    with h5py.File("clouds.h5", "w") as file:
        file["X"], file["y"] = X, y
    np.savez("clouds.npz", X=X, y=y)
    learn.train(output="model.h5", data="clouds.h5", **RECIPE)
    return tmp_path


@pytest.fixture
def streamed(monkeypatch):
    """List that gets, for each HDF5 file that is read, whether it is streamed."""
    found = []

    def read(path, label, on_disk=False):
        found.append(on_disk)
        return hdf5_read(path, label, on_disk)

    hdf5_read = arrays.read_hdf5
    monkeypatch.setattr(arrays, "read_hdf5", read)
    formats = tuple(
        reading.Format(each.name, each.endings, each.signature, read if each.name == "HDF5" else each.read)
        for each in reading.FORMATS
    )
    monkeypatch.setattr(reading, "FORMATS", formats)
    return found


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_streamed_evaluation_has_the_same_results(folder, streamed, split):
    in_blocks = lcbench.evaluate("model.h5", split)
    asked_for = lcbench.evaluate("model.h5", split, stream=True)
    in_memory = lcbench.evaluate("model.h5", split, stream=False)
    assert streamed == [True, True, False]
    for each in (in_blocks, asked_for):
        np.testing.assert_array_equal(each.confusion, in_memory.confusion)
        assert each.as_trained
    assert in_memory.rows > 0


def test_other_hdf5_data_is_streamed_in_evaluation(folder, streamed):
    (folder / "others.hdf5").write_bytes((folder / "clouds.h5").read_bytes())
    others, table = (lcbench.evaluate("model.h5", data=name) for name in ("others.hdf5", "clouds.npz"))
    assert streamed == [True]
    np.testing.assert_array_equal(others.confusion, table.confusion)


def test_training_loads_data_that_fits_in_memory(folder, streamed):
    learn.train(output="other.h5", data="clouds.h5", **RECIPE)
    assert streamed == [False]


def test_only_default_folders_are_created(folder):
    with pytest.raises(LcbenchError, match=r"no folder absent; create it first"):
        learn.train(output="absent/model.h5", data="clouds.h5", **RECIPE)
    with pytest.raises(LcbenchError, match=r"no folder absent; create it first"):
        lcbench.search(output="absent/search.json", data="clouds.h5")
    assert not (folder / "absent").exists()
    _, path = learn.train(data="clouds.h5", **RECIPE)
    assert path.parent.name == "models"


def test_a_model_is_returned_though_it_cannot_be_written(folder, monkeypatch):
    write, notes = model.write, []

    def fail(path, trained):
        if not path.exists():
            return write(path, trained)
        raise LcbenchError(f"cannot write {path}: No space left on device")

    monkeypatch.setattr(model, "write", fail)
    monkeypatch.setattr(training, "SECONDS_BETWEEN_CHECKPOINTS", 0.0)
    with pytest.raises(NotSaved, match="No space left on device") as caught:
        learn.train(data="clouds.h5", output=folder / "m.h5", note=notes.append, **RECIPE)
    trained, path = caught.value.result
    assert (trained.status, trained.step, path) == ("finished", 30, folder / "m.h5")
    assert notes == [f"warning: cannot write {path}: No space left on device; the training goes on"]
    assert model.read(path).status == "unfinished"
