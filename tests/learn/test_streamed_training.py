"""Streamed training: rows on disk give the same weights as rows in memory, bit for bit."""

import h5py
import msgspec
import numpy as np
import pytest

from lcbench.datasets.tables.reading import read_table
from lcbench.learn import objective, solvers
from lcbench.learn.recipe import Recipe
from lcbench.learn.training import train
from small_splits import splits

RECIPE = Recipe(
    data="clouds", scaling="standard", learning_rate=0.05, reg=0.01, batch=8, iterations=45, report_every=10,
    momentum=0.9,
)  # fmt: skip


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    """Split sums over these few rows into blocks, and read a few steps at a time."""
    monkeypatch.setattr(objective, "BLOCK_VALUES", 100)
    monkeypatch.setattr(solvers, "READ_BYTES", 700)


def write_clouds(path, dtype, divided, **more):
    """Write an HDF5 file of 240 rows, with or without its own splits; return its path."""
    data = splits(dtype=dtype)
    with h5py.File(path, "w") as file:
        if divided:
            for name in ("train", "validation", "test"):
                part = getattr(data, name)
                file.create_dataset(f"{name}/images", data=part.X, **more)
                file[f"{name}/labels"] = part.y.astype(np.uint8)
        else:
            parts = (data.train, data.validation, data.test)
            file.create_dataset("X", data=np.concatenate([part.X for part in parts]), **more)
            file["y"] = np.concatenate([part.y for part in parts])
    return path


def assert_streamed_equals_in_memory(path, recipe):
    in_memory, streamed = (read_table(path, stream=stream) for stream in (False, True))
    assert streamed.streamed
    assert not in_memory.streamed
    ours, theirs = train(streamed, recipe), train(in_memory, recipe)
    for name in ("W", "last_W", "velocity"):
        np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name))
    for name in ("losses", "steps", "train_accuracy", "validation_accuracy"):
        np.testing.assert_array_equal(getattr(ours.curves, name), getattr(theirs.curves, name))
    assert ours.accuracy == theirs.accuracy
    assert ours.fingerprint == theirs.fingerprint
    assert ours.accuracy["test"] > 0.5  # chance: 1/3
    assert ours.status == "finished"


SOLVERS = [
    {"solver": "sgd"},
    {"solver": "sgd", "sampling": "shuffle"},
    {"solver": "lbfgs"},
    {"solver": "random", "initial_scale": 1.0, "batch": 30, "iterations": 200},
]


@pytest.mark.parametrize("divided", [False, True])
@pytest.mark.parametrize("dtype", ["uint8", "float32"])
@pytest.mark.parametrize("loss", [{"loss": "softmax"}, {"loss": "svm"}, {"loss": "svm", "margin": 10.0}])
@pytest.mark.parametrize("solver", SOLVERS)
def test_streamed_weights_are_equal_bit_for_bit(tmp_path, solver, loss, dtype, divided):
    path = write_clouds(tmp_path / "clouds.h5", dtype, divided)
    assert_streamed_equals_in_memory(path, msgspec.structs.replace(RECIPE, **solver, **loss))


@pytest.mark.parametrize(
    ("scaling", "rates"),
    [
        ("none", {"learning_rate": 1e-6, "reg": 1.0}),
        ("mean", {"learning_rate": 1e-4, "reg": 0.1}),
        ("halved", {}),
        ("standard", {}),
    ],
)
@pytest.mark.parametrize("implementation", ["numba-parallel", "numpy"])
@pytest.mark.parametrize("solver", SOLVERS)
def test_streamed_weights_are_equal_for_all_scalings_and_implementations(
    tmp_path, solver, implementation, scaling, rates
):
    path = write_clouds(tmp_path / "clouds.h5", "uint8", divided=False, chunks=(7, 6), compression="gzip")
    if solver["solver"] == "random":
        rates = {"initial_scale": {"none": 1e-2, "mean": 1e-2}.get(scaling, 1.0)}
    assert_streamed_equals_in_memory(
        path, msgspec.structs.replace(RECIPE, **rates | solver, scaling=scaling, implementation=implementation)
    )
