"""Workloads: sizes, arrays, and right answers on disk."""

from __future__ import annotations

import numpy as np
import pytest

from lcbench.errors import LcbenchError
from lcbench.losses import oracle
from lcbench.measure import workload
from lcbench.measure.workload import Size

TINY = Size(20, 33, 3, "float32", "synthetic")


def test_work_and_traffic_are_counted():
    assert TINY.flops == 2 * (2 * 20 * 33 * 3)  # two products, a multiplication and an addition each
    assert TINY.footprint == 4 * 20 * 33
    assert TINY.bytes == 4 * (20 * 33 + 2 * 33 * 3)  # X, W, dW
    assert Size(20, 33, 3, "float64", "synthetic").bytes == 2 * TINY.bytes


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_shapes_and_types(dtype):
    problem = workload.build_problem(Size(20, 33, 3, dtype, "synthetic"))
    assert (problem.X.shape, problem.X.dtype, problem.X.flags.c_contiguous) == ((20, 33), dtype, True)
    for W, y in problem.sets:
        assert (W.shape, W.dtype) == ((33, 3), dtype)
        assert (y.shape, y.dtype) == ((20,), "int64")
        assert set(y) <= {0, 1, 2}


def test_images_are_centred_and_have_a_column_of_ones():
    X = workload.build_problem(TINY).X
    assert (X[:, -1] == 1).all()
    assert np.abs(X[:, :-1].mean(axis=0)).max() < 1e-4
    assert X[:, :-1].std() > 10


def test_a_problem_that_does_not_fit_in_memory_is_refused(monkeypatch):
    monkeypatch.setattr(workload, "memory_available", lambda: 3 * TINY.footprint)
    with pytest.raises(LcbenchError, match=r"20 rows x 33 features x 3 classes take about .* are free: choose"):
        workload.build_problem(TINY)


def test_a_seed_determines_the_problem():
    one, again, other = workload.build_problem(TINY), workload.build_problem(TINY), workload.build_problem(TINY, seed=1)
    np.testing.assert_array_equal(one.sets[1][0], again.sets[1][0])
    np.testing.assert_array_equal(one.X, again.X)
    assert (one.sets[1][0] != other.sets[1][0]).any()


def test_all_sets_have_different_answers():
    problem = workload.build_problem(TINY)
    assert len(problem.sets) == workload.INPUT_SETS
    smallest, middle, largest = (np.linalg.norm(W) for W, _ in problem.sets)
    assert 1.2 * smallest < middle < largest / 1.2
    for loss in ("svm", "softmax"):
        answers = [oracle.expected(loss, W, problem.X, y, problem.reg) for W, y in problem.sets]
        for one in answers:
            for other in answers:
                assert (one is other) == (one.mismatch(other.loss, one.dW) is None)
                assert (one is other) == (one.mismatch(one.loss, other.dW) is None)


@pytest.mark.parametrize("loss", ["svm", "softmax"])
def test_a_wrong_regularisation_is_detected(loss):
    problem = workload.build_problem(TINY)
    W, y = problem.sets[0]
    right = oracle.expected(loss, W, problem.X, y, problem.reg)
    half = oracle.expected(loss, W, problem.X, y, problem.reg / 2)
    assert right.mismatch(half.loss, right.dW)
    assert right.mismatch(right.loss, half.dW)


@pytest.mark.parametrize(("rows", "features", "classes"), [(1, 1, 2), (1, 33, 2), (5, 1, 3), (3, 2, 7)])
def test_smallest_sizes(rows, features, classes):
    problem = workload.build_problem(Size(rows, features, classes, "float32", "synthetic"))
    assert problem.X.shape == (rows, features)
    assert (problem.X[:, -1] == 1).all()


def test_saved_problems_can_be_loaded(tmp_path):
    problem = workload.build_problem(TINY)
    workload.save_problem(problem, ["softmax"], tmp_path / TINY.folder)
    found = workload.load_problem(tmp_path / TINY.folder)
    np.testing.assert_array_equal(found.X, problem.X)
    assert found.reg == problem.reg
    for (W, y), (saved_W, saved_y) in zip(problem.sets, found.sets, strict=True):
        np.testing.assert_array_equal(W, saved_W)
        np.testing.assert_array_equal(y, saved_y)
    for k, answer in enumerate(workload.load_answers(tmp_path / TINY.folder, "softmax")):
        right = oracle.expected("softmax", problem.sets[k][0], problem.X, problem.sets[k][1], problem.reg)
        # only up to rounding: the products of all sets are computed together, so BLAS sums in another order
        found_numbers = (answer.loss, answer.loss_tolerance, answer.gradient_tolerance)
        assert found_numbers == pytest.approx((right.loss, right.loss_tolerance, right.gradient_tolerance), rel=1e-12)
        np.testing.assert_allclose(answer.dW, right.dW, rtol=1e-12, atol=1e-12 * np.abs(right.dW).max())


def test_different_sizes_have_different_folders():
    sizes = [TINY, Size(20, 33, 3, "float64", "synthetic"), Size(20, 33, 4, "float32", "synthetic"),
             Size(20, 33, 3, "float32", "cifar10")]  # fmt: skip
    assert len({size.folder for size in sizes}) == 4


@pytest.mark.parametrize(("features", "classes"), [(33, 10), (3073, 3)])
def test_cifar10_has_one_shape(features, classes):
    with pytest.raises(LcbenchError, match="CIFAR-10 has 3073 features"):
        workload.build_problem(Size(20, features, classes, "float32", "cifar10"))


def test_missing_cifar10_is_an_error_with_one_line(tmp_path, monkeypatch):
    monkeypatch.setenv("LCBENCH_DATA", str(tmp_path))
    with pytest.raises(LcbenchError, match="lcbench download") as caught:
        workload.build_problem(Size(20, 3073, 10, "float32", "cifar10"))
    assert "\n" not in str(caught.value)
