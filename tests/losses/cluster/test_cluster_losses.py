"""Loss and gradient computed by two workers: correct and reproducible, even if workers are lost."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray

from commands import TIMEOUT_S, wait_until
from lcbench.datasets.rows import open_rows
from lcbench.losses import oracle
from lcbench.losses.cluster.chunks import PartialSum, add_sums
from lcbench.losses.cluster.connection import Connection
from lcbench.losses.implementation import LOSSES, LossName
from lcbench.losses.peers import dask
from lcbench.losses.streamed import Streamed

FUNCTIONS = {"svm": dask.svm_loss, "softmax": dask.softmax_loss}

pytestmark = pytest.mark.usefixtures("cluster")


def problem(rows: int = 301, features: int = 33, classes: int = 4, dtype: str = "float32") -> tuple[Any, Any, Any]:
    rng = np.random.default_rng(rows)
    W = rng.standard_normal((features, classes)).astype(dtype)
    X = rng.standard_normal((rows, features)).astype(dtype)
    return W, X, rng.integers(0, classes, rows)


def assert_correct(
    loss: LossName, found: tuple[float, NDArray[Any]], W: NDArray[Any], X: NDArray[Any], y: NDArray[Any], reg: float
) -> None:
    assert oracle.expected(loss, W, X, y, reg).mismatch(*found) is None
    assert found[1].dtype == W.dtype


def kill_one(cluster: Connection) -> None:
    """Kill a worker. Return after it is gone; it may already be replaced."""
    before = cluster.workers()
    process = cluster.client.run(os.getpid, workers=before[:1])[before[0]]
    os.kill(process, signal.SIGKILL)
    wait_until(lambda: before[0] not in cluster.workers())


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("rows", [1, 2, 301])
def test_agrees_with_the_oracle(loss: LossName, dtype: str, rows: int) -> None:
    W, X, y = problem(rows, dtype=dtype)
    prepared = dask.prepare(W, X, y)
    assert_correct(loss, FUNCTIONS[loss](*prepared, 0.1), W, X, y, 0.1)
    assert len(prepared[1].chunks) == min(rows, 2)


def test_w_and_y_can_be_prepared_alone() -> None:
    W, X, y = problem()
    _, rows, _ = dask.prepare(W, X, y)
    new_W, _, _ = dask.prepare(2 * W, X[:1], y[:1])
    _, _, new_y = dask.prepare(W[:1], np.ascontiguousarray(X[:, :1]), y[::-1])
    assert_correct("softmax", dask.softmax_loss(new_W, rows, new_y, 0.1), 2 * W, X, y[::-1], 0.1)


def test_many_chunks_are_added_in_a_tree(cluster: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "parts", 11)
    monkeypatch.setattr(dask, "FAN_IN", 2)
    W, X, y = problem()
    prepared = dask.prepare(W, X, y)
    assert len(prepared[1].chunks) == 11
    loss, dW = dask.svm_loss(*prepared, 0.1)
    assert_correct("svm", (loss, dW), W, X, y, 0.1)
    again = dask.svm_loss(*prepared, 0.1)
    assert again[0] == loss
    np.testing.assert_array_equal(again[1], dW)


@pytest.mark.parametrize("selected", [[0], [300], [299, 3, 3, 200, 0, 150, 151], list(range(301))])
def test_rows_by_index(selected: list[int]) -> None:
    W, X, y = problem()
    found = dask.softmax_loss(*dask.prepare(W, X, y), 0.1, rows=np.array(selected))
    assert_correct("softmax", found, W, X[selected], y[selected], 0.1)


@pytest.mark.parametrize("outside", [-1, 301])
def test_error_names_a_row_that_does_not_exist(outside: int) -> None:
    prepared = dask.prepare(*problem())
    with pytest.raises(IndexError, match=rf"rows\[1\] is {outside}, not in 0..300"):
        dask.svm_loss(*prepared, 0.1, rows=np.array([0, outside]))


def test_label_outside_the_classes_raises() -> None:
    W, X, y = problem()
    y[5] = 4
    with pytest.raises(ValueError, match=r"label 4 in row 5 is not in 0\.\.3"):
        dask.svm_loss(*dask.prepare(W, X, y), 0.1)


def test_killed_worker_does_not_change_the_result_and_its_chunks_are_reassigned(cluster: Connection) -> None:
    W, X, y = problem(2001, 129)
    prepared = dask.prepare(W, X, y)
    loss, dW = dask.softmax_loss(*prepared, 0.1)
    for _ in range(2):
        kill_one(cluster)
        after = dask.softmax_loss(*prepared, 0.1)
        assert after[0] == loss
        np.testing.assert_array_equal(after[1], dW)
    cluster.client.wait_for_workers(2, timeout=TIMEOUT_S)
    for _ in range(3):
        last = dask.softmax_loss(*prepared, 0.1)
    assert last[0] == loss
    assert len(set(prepared[1].owners)) == 2
    assert set(prepared[1].owners) == set(cluster.workers())


def test_worker_without_a_chunk_gets_one_after_the_next_call(cluster: Connection) -> None:
    cluster.client.wait_for_workers(2, timeout=TIMEOUT_S)
    W, X, y = problem()
    prepared = dask.prepare(W, X, y)
    rows = prepared[1]
    rows.owners = [cluster.workers()[0]] * 2  # as if it had been the only worker
    rows.update_owners(tuple(rows.owners))
    assert set(rows.owners) == set(cluster.workers())
    assert_correct("svm", dask.svm_loss(*prepared, 0.1), W, X, y, 0.1)


def test_workers_read_pixels_from_the_file(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (301, 32), np.uint8)
    W, _, y = problem()
    with h5py.File(tmp_path / "rows.h5", "w") as file:
        file["X"] = pixels
    mean = pixels.mean(axis=0)
    X = Streamed(open_rows(tmp_path / "rows.h5", "X"), mean, np.dtype(np.float32))
    found = dask.softmax_loss(*dask.prepare(1e-3 * W, X, y), 0.1)
    assert_correct("softmax", found, 1e-3 * W, X[:], y, 0.1)


@pytest.mark.parametrize("count", [1, 2, 3, 5, 8])
def test_sums_keep_the_order_of_the_workers(count: int) -> None:
    sums = [PartialSum(float(2**k), np.full((2, 3), 2.0**k), (f"worker {k}",)) for k in range(count)]
    total = add_sums(*sums)
    assert total.loss == 2**count - 1
    np.testing.assert_array_equal(total.dW, np.full((2, 3), 2.0**count - 1))
    assert total.workers == tuple(f"worker {k}" for k in range(count))


def test_sums_are_added_in_pairs_for_accuracy() -> None:
    parts = [PartialSum(0.0, np.full((1, 1), 0.1, np.float32), ()) for _ in range(4096)]
    assert abs(float(add_sums(*parts).dW[0, 0]) / 4096 / np.float32(0.1) - 1) < 2e-7
