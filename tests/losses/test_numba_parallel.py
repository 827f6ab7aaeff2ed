"""What numba-parallel promises beyond being right: threads, determinism, refused labels, bounded memory."""

import numpy as np
import pytest

from lcbench.losses import jit, numba_parallel, oracle, simd


def problem(rows, features=70, classes=10, dtype=np.float32):
    rng = np.random.default_rng(rows)
    X = rng.normal(0, 1, (rows, features)).astype(dtype)
    return rng.normal(0, 1, (features, classes)).astype(dtype), X, rng.integers(0, classes, rows), 0.1


@pytest.fixture(autouse=True)
def any_work_is_worth_a_thread(monkeypatch):
    monkeypatch.setattr(numba_parallel, "LEAST_FLOPS_A_THREAD", 1)


@pytest.mark.parametrize("threads", [1, 2, 3, 7, 64])
@pytest.mark.parametrize("rows", [1, 2, simd.ROWS, 5 * simd.ROWS + 1, 300])
def test_any_number_of_threads(monkeypatch, threads, rows):
    monkeypatch.setattr(jit, "thread_count", lambda: threads)
    W, X, y, reg = problem(rows)
    for loss in ("svm", "softmax"):
        right = oracle.expected(loss, W, X, y, reg)
        assert right.mismatch(*getattr(numba_parallel, f"{loss}_loss")(W, X, y, reg)) is None


@pytest.mark.parametrize("loss", [numba_parallel.svm_loss, numba_parallel.softmax_loss])
def test_the_same_bits_every_time(monkeypatch, loss):
    monkeypatch.setattr(jit, "thread_count", lambda: 3)
    W, X, y, reg = problem(1000)
    first_loss, first_dW = loss(W, X, y, reg)
    for _ in range(5):
        value, dW = loss(W, X, y, reg)
        assert value == first_loss
        np.testing.assert_array_equal(dW, first_dW)


@pytest.mark.parametrize("label", [-1, 10, 127])
@pytest.mark.parametrize("row", [0, 150, 299])
@pytest.mark.parametrize("loss", [numba_parallel.svm_loss, numba_parallel.softmax_loss])
def test_a_label_outside_the_classes_is_refused(loss, label, row):
    W, X, y, reg = problem(300)
    y[row] = label
    with pytest.raises(ValueError, match=rf"label {label} in row {row} is not in 0\.\.9"):
        loss(W, X, y, reg)


@pytest.mark.parametrize(("flops_a_thread", "threads"), [(1, 3), (4 * 300 * 70 * 10 // 2, 2), (10**9, 1)])
def test_no_more_threads_than_are_worth_waking(monkeypatch, flops_a_thread, threads):
    monkeypatch.setattr(jit, "thread_count", lambda: 3)
    monkeypatch.setattr(numba_parallel, "LEAST_FLOPS_A_THREAD", flops_a_thread)
    parts = []
    walk = numba_parallel._walk
    monkeypatch.setattr(numba_parallel, "_walk", lambda *arguments: parts.append(arguments[2:4]) or walk(*arguments))
    numba_parallel.svm_loss(*problem(300))
    assert sorted(parts) == [(300 * k // threads, 300 * (k + 1) // threads) for k in range(threads)]


def test_the_bare_function_too_refuses_arrays_that_do_not_fit():
    W, X, y, reg = problem(30)
    for arrays in ((W, np.hstack([X, X]), y), (W, X[:, :5], y), (W, X, y[:5])):
        with pytest.raises(ValueError, match="shapes do not fit"):
            numba_parallel.svm_loss(*arrays, reg)
