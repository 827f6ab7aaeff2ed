import tracemalloc

import numpy as np
import pytest

from lcbench.datasets.soundness import require_examples
from lcbench.errors import LcbenchError

X = np.arange(12.0).reshape(4, 3)
Y = np.array([0, 1, 2, 1])


def refusal(X, y, classes=3):
    with pytest.raises(LcbenchError) as caught:
        require_examples(X, y, classes, "here")
    said = str(caught.value)
    assert said.startswith("here: ")
    assert said.isprintable()
    return said


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
@pytest.mark.parametrize("labels", [np.uint8, np.int32, np.int64, np.uint64])
def test_sound_examples_pass(dtype, labels):
    require_examples(X.astype(dtype), Y.astype(labels), 3, "here")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_the_first_value_that_is_not_finite_is_named_and_all_are_counted(value):
    broken = X.astype(np.float32)
    broken[2, 1] = value
    assert refusal(broken, Y).startswith(f"here: X[2, 1] is {value};")
    broken[3, 0] = broken[3, 2] = np.nan
    assert refusal(broken, Y).startswith(f"here: X[2, 1] is {value}, the first of 3 values that are not finite;")


def test_places_and_counts_hold_beyond_the_first_block():
    wide = np.zeros((1000, 3000), np.float32)
    wide[[700, 701, 999], [2999, 0, 5]] = np.nan
    said = refusal(wide, np.arange(1000) % 3)
    assert said.startswith("here: X[700, 2999] is nan, the first of 3 values")


def test_looking_at_a_large_matrix_takes_no_second_one():
    large = np.zeros((2000, 3000), np.float32)
    labels = np.arange(2000) % 3
    tracemalloc.start()
    try:
        require_examples(large, labels, 3, "here")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < large.nbytes / 10


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ([0, 1, 3, -1], "y[2] is 3: labels go from 0 to 2"),
        ([0, -1, 2, 1], "y[1] is -1: labels go from 0 to 2"),
        ([0.0, 1.0, 1.5, 2.0], "y[2] is 1.5: labels are whole numbers"),
        ([0.0, np.nan, 1.0, 2.0], "y[1] is nan: labels are whole numbers"),
        ([0.0, np.inf, 1.0, 2.0], "y[1] is inf: labels are whole numbers"),
        ([0.0, 1.0, 2.0, 1.0], "y is float64, and labels are integers"),
        (["a", "b", "c", "a"], "y[0] is of type <U1"),
        ([0, 1, 2], "X has 4 rows and y 3 labels"),
        ([[0], [1], [2], [1]], "y has the shape (4, 1) and should have one label a row; y.ravel()"),
        (np.eye(4, 3), "y has the shape (4, 3) and should have one label a row; if it is one-hot, y.argmax(axis=1)"),
        (np.array([0, 1, 2, 2**63], np.uint64), f"y[3] is {2**63}: labels go from 0 to 2"),
    ],
)
def test_labels_that_are_no_classes_are_named(labels, said):
    assert said in refusal(X, np.array(labels))


@pytest.mark.parametrize(
    ("X", "y", "said"),
    [
        (X[:0], Y[:0], "no rows"),
        (X[:, :0], Y, "no features"),
        (X.astype(np.int64), Y, "X is int64, not uint8, float32 or float64"),
        (X.astype(complex), Y, "X is complex128"),
        (X.reshape(4, 3, 1), Y, "X has the shape (4, 3, 1), not (rows, features)"),
    ],
)
def test_a_matrix_that_is_none_is_refused(X, y, said):
    assert said in refusal(X, y)
