"""Streamed problems, whose X stays in its file, and batched problems: same answers, fewer bytes."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import h5py
import numpy as np
import pytest

from lcbench.api.measure import open_data
from lcbench.datasets import synthetic
from lcbench.errors import LcbenchError
from lcbench.losses import oracle
from lcbench.losses.implementation import LOSSES, Implementation
from lcbench.measure import schedule, workload
from lcbench.measure.inputs import Inputs
from lcbench.measure.messages import Cell, TurnsJob
from lcbench.measure.turns import Generation, Member, Pace
from lcbench.measure.workload import Size
from lcbench.record import LARGEST_FOOTPRINT
from lcbench.settings import RunSettings
from lcbench.workers import process

SHAPE = (33, 3, "float32")


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "synth.h5"
    synthetic.write_hdf5(path, 600, pixels=32, classes=3)
    return path


def streamed(file, rows=600):
    return Size(rows, *SHAPE, "synth.h5", streamed=True, file=file)


def in_memory(file, rows=600):
    return Size(rows, *SHAPE, "synth.h5", file=file)


def test_a_streamed_problem_equals_the_problem_in_memory(file):
    on_disk, held = workload.build_problem(streamed(file)), workload.build_problem(in_memory(file))
    assert not isinstance(on_disk.X, np.ndarray)
    np.testing.assert_allclose(on_disk.X[:], held.X, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(on_disk.sets[0][1], held.sets[0][1])
    assert on_disk.sets[0][1].dtype == np.uint8
    assert on_disk.reg == held.reg


def test_saved_answers_are_those_of_the_problem_in_memory(file, tmp_path):
    problem = workload.build_problem(streamed(file))
    workload.save_first_rows(problem, list(LOSSES), {100: tmp_path / "few", 600: tmp_path / "all"})
    for rows, folder in ((100, tmp_path / "few"), (600, tmp_path / "all")):
        found = workload.load_problem(folder)
        assert found.X.shape == (rows, 33)
        for loss in LOSSES:
            for (W, y), right in zip(found.sets, workload.load_answers(folder, loss), strict=True):
                expected = oracle.expected(loss, W, found.X[:], y, problem.reg)
                assert right.loss == pytest.approx(expected.loss, rel=1e-6)
                np.testing.assert_allclose(right.dW, expected.dW, rtol=1e-4, atol=1e-5)


def test_traffic_of_pixels_is_in_bytes_and_the_footprint_is_bounded(file):
    size = streamed(file)
    assert in_memory(file).bytes - size.bytes == 600 * 33 * 3
    assert Size(10**7, 3073, 10, "float32", "x", streamed=True).footprint == LARGEST_FOOTPRINT
    assert size.footprint == in_memory(file).footprint


def test_the_shape_of_a_file_limits_the_rows(file):
    assert workload.file_shape(file) == (600, 33, 3, True, np.uint8)
    with pytest.raises(LcbenchError, match="600 training rows, but 601 were requested"):
        workload.build_problem(in_memory(file, 601))


def test_only_hdf5_is_streamed(tmp_path):
    path = tmp_path / "table.npz"
    np.savez(path, X=np.arange(20, dtype=np.uint8).reshape(10, 2), y=np.arange(10) % 2)
    assert workload.file_shape(path) == (10, 3, 2, False, np.uint8)
    with pytest.raises(LcbenchError, match="only HDF5 can be streamed"):
        workload.first_rows(path, 5, streamed=True)


@pytest.fixture
def batch_problem(tmp_path):
    size = Size(200, *SHAPE, "synthetic", batch=40)
    problem = workload.build_problem(size)
    workload.save_problem(problem, list(LOSSES), tmp_path / "problem")
    return size, problem, tmp_path / "problem"


def test_batches_have_the_requested_size_and_exceed_the_caches(batch_problem):
    size, problem, folder = batch_problem
    assert len(problem.batches) == workload.MOST_BATCHES
    assert {len(rows) for rows in problem.batches} == {40}
    assert len(np.unique(np.concatenate(problem.batches))) > 190
    assert size.flops == 4 * 40 * 33 * 3
    large = workload.build_problem(Size(20, *SHAPE, "synthetic", batch=10**6))
    assert len(large.batches) == workload.INPUT_SETS
    assert len(workload.load_problem(folder).batches) == len(problem.batches)


@pytest.mark.parametrize("loss", LOSSES)
def test_each_batch_has_its_own_answer(batch_problem, loss):
    _, _, folder = batch_problem
    problem = workload.load_problem(folder)
    inputs = Inputs(
        Implementation("mine", "cpu", {}), problem, workload.load_answers(folder, loss), np.random.default_rng(0)
    )
    drawn = inputs.draw(20)
    losses, _ = inputs.losses()
    assert len({batch.rows.tobytes() for _, batch, _, _ in drawn}) > 10
    for call, (W, batch, y, reg) in enumerate(drawn):
        right = oracle.expected(loss, W, batch.X[batch.rows], y[batch.rows], reg)
        assert losses[call] == pytest.approx(right.loss, rel=1e-5)
        assert inputs.answer(call).mismatch(right.loss, right.dW) is None


def measured(implementation, folders, losses=LOSSES, mapped=False):
    cells = [Cell(loss, str(folder)) for folder in folders for loss in losses]
    job = TurnsJob(implementation=implementation, cells=cells, seed=0, mapped=mapped)
    members = [Member(job, process.environment(1, None))]
    with Generation(0, members, 60.0, np.random.default_rng(0)) as generation:
        return [generation.measure({0: index}, Pace(rounds=2, turn_s=0.005))[0] for index in range(len(cells))]


@pytest.mark.parametrize("mapped", [False, True])
def test_a_worker_times_and_verifies_batched_and_streamed_problems(batch_problem, file, tmp_path, mapped):
    workload.save_problem(workload.build_problem(streamed(file)), list(LOSSES), tmp_path / "streamed")
    found = measured("numpy", [batch_problem[2], tmp_path / "streamed"], mapped=mapped)
    assert [(each.status, each.reason) for each in found] == [("ok", "")] * 4
    assert all(len(each.result.turns) == 2 and each.timed.error_grad < 1e-4 for each in found)


LEAVES_ONE_OUT = """
from lcbench.losses import vectorized

def softmax_loss(W, X, y, reg):
    if len(X) == 40:  # a batch
        X, y = X[:-1], y[:-1]
    return vectorized.softmax_loss(W, X, y, reg)
"""


def test_an_implementation_that_omits_a_row_of_the_batch_is_wrong(batch_problem, tmp_path):
    mine = tmp_path / "mine.py"
    mine.write_text(LEAVES_ONE_OUT)
    [found] = measured(f"{mine}:softmax_loss", [batch_problem[2]], ["softmax"])
    assert found.status == "wrong"


@pytest.mark.parametrize(("dtype", "itemsize"), [("uint8", 1), ("int16", 2), ("float32", 4), ("float64", 8)])
def test_traffic_of_a_streamed_problem_depends_on_the_dtype_in_the_file(tmp_path, dtype, itemsize):
    path = tmp_path / "data.h5"
    with h5py.File(path, "w") as file:
        file["X"], file["y"] = np.arange(90 * 8).reshape(90, 8).astype(dtype), np.arange(90) % 3
    with open_data(RunSettings(data=str(path), stream=True)) as (size, _):
        row = schedule.empty_row("mine", "cpu", "svm", replace(size, rows=90), 1)
    assert row.bytes == 90 * 9 * itemsize + 2 * 9 * 3 * 4
    with open_data(RunSettings(data=str(path))) as (size, _):
        assert replace(size, rows=90).bytes == 90 * 9 * 4 + 2 * 9 * 3 * 4


def test_hdf5_of_floats_can_be_streamed(tmp_path):
    path = tmp_path / "floats.h5"
    rng = np.random.default_rng(0)
    with h5py.File(path, "w") as file:
        file["X"], file["y"] = rng.normal(0, 1, (90, 8)), np.arange(90) % 3
    size = Size(90, 9, 3, "float32", path.name, streamed=True, file=path)
    workload.save_problem(workload.build_problem(size), ["svm"], tmp_path / "problem")
    W, y = workload.load_problem(tmp_path / "problem").sets[0]
    assert W.shape == (9, 3)
    assert len(y) == 90


def test_a_problem_that_does_not_fit_in_memory_is_streamed_with_a_note(file, monkeypatch):
    notes, settings = [], RunSettings(data=str(file))
    with open_data(settings, note=notes.append) as (size, rows):
        assert (size.streamed, rows, notes) == (False, [500, 600], [])
    monkeypatch.setattr(workload, "fits_in_memory", lambda size: False)
    with open_data(settings, note=notes.append) as (size, rows):
        assert (size.streamed, rows) == (True, [600])
    assert len(notes) == 1
    assert "600 rows does not fit in memory; it is streamed" in notes[0]


PEAK = """
import resource, sys
from pathlib import Path
from lcbench.losses import catalog
from lcbench.losses.streamed import streamed
from lcbench.measure import workload

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

file, rows = Path(sys.argv[1]), int(sys.argv[2])
numpy = streamed(catalog.load("numpy"))
small, large = (
    workload.Size(count, 3073, 10, "float32", "x", streamed=True, file=file) for count in (100, rows)
)
before = 0
for size in (small, large):
    problem = workload.build_problem(size)
    workload.save_problem(problem, ["softmax"], Path(sys.argv[3]) / str(size.rows))
    W, y = problem.sets[0]
    numpy.functions["softmax"](W, problem.X, y, 0.1)
    before, growth = peak(), peak() - before
print(growth)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="memory is counted in other units elsewhere")
def test_a_streamed_X_is_never_in_memory(tmp_path):
    rows = 20_000
    synthetic.write_hdf5(tmp_path / "data.h5", rows)
    command = [sys.executable, "-c", PEAK, str(tmp_path / "data.h5"), str(rows), str(tmp_path)]
    growth = int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert growth < 0.6 * rows * 3073 * 4
