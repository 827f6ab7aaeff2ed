"""The compiled SGD loop agrees with the same steps computed by plain loops."""

import numpy as np
import pytest

import naive
from lcbench.losses import jit, numba_parallel
from lcbench.losses.numba_sgd import descend

LOSSES = ("svm", "softmax")


@pytest.fixture(autouse=True)
def use_all_threads_for_any_size(monkeypatch):
    monkeypatch.setattr(numba_parallel, "MIN_FLOPS_PER_THREAD", 1)


def problem(rows=60, features=21, classes=4, dtype=np.float64, steps=7, batch=10):
    rng = np.random.default_rng(rows)
    X = rng.normal(0, 1, (rows, features)).astype(dtype)
    W = (0.1 * rng.normal(0, 1, (features, classes))).astype(dtype)
    return W, X, rng.integers(0, classes, rows), rng.integers(0, rows, (steps, batch))


def steps_by_plain_loops(loss, W, X, y, batches, rates, reg, momentum=0.0):
    W, velocity, losses = W.copy(), np.zeros_like(W), []
    for rows, rate in zip(batches, rates, strict=True):
        value, dW = getattr(naive, f"{loss}_loss")(W, X[rows], y[rows], reg)
        velocity = momentum * velocity - rate * np.array(dW)
        W += velocity
        losses.append(value)
    return W, velocity, losses


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-12), (np.float32, 2e-5)])
def test_agrees_with_plain_loops(monkeypatch, loss, threads, momentum, dtype, tolerance):
    monkeypatch.setattr(jit, "thread_count", lambda: threads)
    W, X, y, batches = problem(dtype=dtype)
    rates = np.linspace(0.1, 0.02, len(batches))
    found = descend(loss, W, X, y, batches, rates, 0.03, momentum=momentum)
    expected_W, expected_velocity, expected_losses = steps_by_plain_loops(
        loss, W.astype(float), X, y, batches, rates, 0.03, momentum
    )
    np.testing.assert_allclose(found.W, expected_W, rtol=0, atol=tolerance)
    np.testing.assert_allclose(found.velocity, expected_velocity, rtol=0, atol=tolerance)
    np.testing.assert_allclose(found.losses, expected_losses, rtol=tolerance)
    assert found.W.dtype == dtype


def test_inputs_are_unchanged():
    W, X, y, batches = problem()
    velocity = np.ones_like(W)
    before = [array.copy() for array in (W, X, y, batches, velocity)]
    descend("svm", W, X, y, batches, 0.1, 0.03, momentum=0.5, velocity=velocity)
    for array, copy in zip((W, X, y, batches, velocity), before, strict=True):
        np.testing.assert_array_equal(array, copy)


def test_descent_in_two_parts_equals_one_descent():
    W, X, y, batches = problem(steps=8)
    whole = descend("softmax", W, X, y, batches, 0.1, 0.03, momentum=0.9)
    first = descend("softmax", W, X, y, batches[:3], 0.1, 0.03, momentum=0.9)
    rest = descend("softmax", first.W, X, y, batches[3:], 0.1, 0.03, momentum=0.9, velocity=first.velocity)
    np.testing.assert_array_equal(rest.W, whole.W)
    np.testing.assert_array_equal(np.concatenate([first.losses, rest.losses]), whole.losses)


def test_repeated_calls_return_the_same_bits():
    W, X, y, batches = problem(dtype=np.float32, batch=50)
    first = descend("svm", W, X, y, batches, 0.1, 0.03)
    for _ in range(5):
        again = descend("svm", W, X, y, batches, 0.1, 0.03)
        np.testing.assert_array_equal(again.W, first.W)
        np.testing.assert_array_equal(again.losses, first.losses)


@pytest.mark.parametrize("loss", LOSSES)
def test_pixels_with_mean_and_bias(loss):
    rng = np.random.default_rng(0)
    X = rng.integers(0, 256, (40, 30), np.uint8)
    mean, y = X.mean(axis=0), rng.integers(0, 4, 40)
    W, batches = 1e-3 * rng.normal(0, 1, (31, 4)), rng.integers(0, 40, (5, 8))
    found = descend(loss, W, X, y, batches, 1e-4, 0.1, mean=mean)
    centred = np.hstack([X - mean, np.ones((40, 1))])
    np.testing.assert_allclose(
        found.W, steps_by_plain_loops(loss, W, centred, y, batches, [1e-4] * 5, 0.1)[0], atol=1e-12
    )


def test_no_steps_return_the_start_weights():
    W, X, y, batches = problem()
    found = descend("svm", W, X, y, batches[:0], 0.1, 0.03)
    np.testing.assert_array_equal(found.W, W)
    assert found.losses.shape == (0,)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"batches": np.zeros(3, int)}, ValueError, r"batches must be \(steps, B\) row indices, not \(3,\)"),
        ({"batches": np.zeros((3, 2))}, ValueError, r"not \(3, 2\) float64"),
        ({"batches": np.full((3, 2), 60)}, IndexError, r"rows 60\.\.60, X has 0\.\.59"),
        ({"batches": np.full((3, 2), -1)}, IndexError, r"rows -1\.\.-1"),
        ({"y": np.full(60, 4)}, ValueError, r"labels go from 4 to 4, classes from 0 to 3"),
        ({"loss": "hinge"}, ValueError, "no loss 'hinge': there are svm and softmax"),
        ({"learning_rate": np.ones(3)}, ValueError, r"learning_rate \(3,\) must be one number, or one for each of 7"),
        ({"velocity": np.zeros(3)}, ValueError, r"velocity \(3,\) must have W's shape"),
    ],
)
def test_invalid_arguments_raise(change, error, message):
    W, X, y, batches = problem()
    arguments = {"loss": "svm", "W": W, "X": X, "y": y, "batches": batches, "learning_rate": 0.1, "reg": 0.0} | change
    with pytest.raises(error, match=message):
        descend(**arguments)


def test_divergence_appears_in_the_losses():
    W, X, y, batches = problem(dtype=np.float32, steps=60)
    found = descend("svm", W, X, y, batches, 1e6, 1.0)
    assert not np.isfinite(found.losses[-1])
