import tracemalloc

import numpy as np
import pytest

from lcbench.datasets.examples import require_finite, require_labels, require_rows
from lcbench.errors import LcbenchError

X = np.arange(12.0).reshape(4, 3)
Y = np.array([0, 1, 2, 1])


def check(X, y):
    require_rows(X, y, "X", "y", "here")
    require_labels(y, 3, lambda row: f"here: y[{row}]")
    require_finite(X, lambda row, column: f"here: X[{row}, {column}]")


def check_error(X, y):
    with pytest.raises(LcbenchError) as caught:
        check(X, y)
    message = str(caught.value)
    assert message.startswith("here: ")
    assert message.isprintable()
    return message


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
@pytest.mark.parametrize("labels", [np.uint8, np.int32, np.int64, np.uint64])
def test_valid_examples_pass(dtype, labels):
    check(X.astype(dtype), Y.astype(labels))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_the_first_value_that_is_not_finite_is_named_and_all_are_counted(value):
    broken = X.astype(np.float32)
    broken[2, 1] = value
    assert check_error(broken, Y).startswith(f"here: X[2, 1] is {value};")
    broken[3, 0] = broken[3, 2] = np.nan
    assert check_error(broken, Y).startswith(f"here: X[2, 1] is {value}, the first of 3 values that are not finite;")


def test_positions_and_counts_are_right_beyond_the_first_block():
    wide = np.zeros((1000, 3000), np.float32)
    wide[[700, 701, 999], [2999, 0, 5]] = np.nan
    message = check_error(wide, np.arange(1000) % 3)
    assert message.startswith("here: X[700, 2999] is nan, the first of 3 values")


def test_checking_a_large_matrix_allocates_no_second_one():
    large = np.zeros((2000, 3000), np.float32)
    labels = np.arange(2000) % 3
    tracemalloc.start()
    try:
        check(large, labels)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < large.nbytes / 10


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([0, 1, 3, -1], "y[2] is 3: labels go from 0 to 2"),
        ([0, -1, 2, 1], "y[1] is -1: labels go from 0 to 2"),
        ([0.0, 1.0, 1.5, 2.0], "y[2] is 1.5: labels are whole numbers"),
        ([0.0, np.nan, 1.0, 2.0], "y[1] is nan: labels are whole numbers"),
        ([0.0, np.inf, 1.0, 2.0], "y[1] is inf: labels are whole numbers"),
        (["a", "b", "c", "a"], "y[0] is of type <U1"),
        ([0, 1, 2], "X has 4 rows and y 3 labels"),
        ([[0], [1], [2], [1]], "y has the shape (4, 1) and should have one label per row; use y.ravel()"),
        (
            np.eye(4, 3),
            "y has the shape (4, 3) and should have one label per row; if it is one-hot, use y.argmax(axis=1)",
        ),
        (np.array([0, 1, 2, 2**63], np.uint64), f"y[3] is {2**63}: labels go from 0 to 2"),
    ],
)
def test_invalid_labels_are_named(labels, message):
    assert message in check_error(X, np.array(labels))


@pytest.mark.parametrize(
    ("X", "y", "message"),
    [
        (X[:0], Y[:0], "no rows"),
        (X[:, :0], Y, "no features"),
    ],
)
def test_empty_matrices_are_rejected(X, y, message):
    assert message in check_error(X, y)
