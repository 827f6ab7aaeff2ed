"""numba-parallel: threads, determinism, row selection, pixels, errors, bounded memory."""

import numpy as np
import pytest

from lcbench.datasets import synthetic
from lcbench.losses import int8, jit, numba_parallel, oracle, simd, threads


def problem(rows, features=70, classes=10, dtype=np.float32):
    rng = np.random.default_rng(rows)
    X = rng.normal(0, 1, (rows, features)).astype(dtype)
    return rng.normal(0, 1, (features, classes)).astype(dtype), X, rng.integers(0, classes, rows), 0.1


@pytest.fixture(autouse=True)
def use_all_threads_for_any_size(monkeypatch):
    monkeypatch.setattr(numba_parallel, "MIN_FLOPS_PER_THREAD", 1)


@pytest.fixture(autouse=True, params=[False, True], ids=["one pass", "products"])
def one_pass_or_products(monkeypatch, request):
    monkeypatch.setattr(numba_parallel, "prefer_two_products", lambda *_: request.param)


@pytest.mark.parametrize("threads", [1, 2, 3, 7, 64])
@pytest.mark.parametrize("rows", [1, 2, simd.ROWS, 5 * simd.ROWS + 1, 300])
def test_any_number_of_threads(monkeypatch, threads, rows):
    monkeypatch.setattr(jit, "thread_count", lambda: threads)
    W, X, y, reg = problem(rows)
    for loss in ("svm", "softmax"):
        right = oracle.expected(loss, W, X, y, reg)
        assert right.mismatch(*getattr(numba_parallel, f"{loss}_loss")(W, X, y, reg)) is None


@pytest.mark.parametrize("loss", [numba_parallel.svm_loss, numba_parallel.softmax_loss])
def test_repeated_calls_return_the_same_bits(monkeypatch, loss):
    monkeypatch.setattr(jit, "thread_count", lambda: 3)
    W, X, y, reg = problem(1000)
    first_loss, first_dW = loss(W, X, y, reg)
    for _ in range(5):
        value, dW = loss(W, X, y, reg)
        assert value == first_loss
        np.testing.assert_array_equal(dW, first_dW)


@pytest.fixture
def portions_of_any_size(monkeypatch):
    monkeypatch.setattr(threads, "LEAST_OWN_BLOCKS", 1)
    monkeypatch.setattr(numba_parallel, "MAX_BLOCK_ROWS", numba_parallel.MIN_BLOCK_ROWS)
    monkeypatch.setattr(jit, "thread_count", lambda: 3)
    threads.portions.cache_clear()
    yield
    threads.portions.cache_clear()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("loss", ["svm", "softmax"])
def test_portions_are_added_up_in_their_order(portions_of_any_size, loss, dtype):
    W, X, y, reg = problem(1001, dtype=dtype)
    right, function = oracle.expected(loss, W, X, y, reg), getattr(numba_parallel, f"{loss}_loss")
    results = [function(W, X, y, reg) for _ in range(20)]
    for value, dW in results:
        assert right.mismatch(value, dW) is None
        assert value == results[0][0]
        np.testing.assert_array_equal(dW, results[0][1])


@pytest.mark.parametrize("row", [3, 700, 990, 1000])
def test_label_outside_the_classes_in_any_portion_raises(portions_of_any_size, row):
    W, X, y, reg = problem(1001)
    y[row] = 10
    with pytest.raises(ValueError, match=f"label 10 in row {row} "):
        numba_parallel.svm_loss(W, X, y, reg)
    y[row] = 9
    numba_parallel.svm_loss(W, X, y, reg)


@pytest.mark.parametrize("labels", ["of the images", "random"])
@pytest.mark.parametrize("loss", ["svm", "softmax"])
def test_rounding_errors_do_not_grow_with_the_number_of_blocks(monkeypatch, loss, labels):
    monkeypatch.setattr(numba_parallel, "prefer_two_products", lambda *_: False)
    monkeypatch.setattr(numba_parallel, "MAX_BLOCK_ROWS", 24)  # as many blocks as with thousands of features
    # Centred pixels have the same fraction, so the rounding errors of one long sum in float32 do not cancel.
    pixels, y = synthetic.images(49_000, 16)
    X = (pixels - pixels.mean(axis=0)).astype(np.float32)
    W = np.zeros((16, 10), np.float32)
    if labels == "random":  # the gradient is small, and its error is not
        y = np.random.default_rng(0).integers(0, 10, y.size)
    right = oracle.expected(loss, W, X, y, 0.0)
    value, dW = getattr(numba_parallel, f"{loss}_loss")(W, X, y, 0.0)
    assert right.error_of_loss(value) < 1e-6
    assert right.error_of_gradient(dW) < 1e-6


@pytest.mark.parametrize("label", [-1, 10, 127])
@pytest.mark.parametrize("row", [0, 150, 299])
@pytest.mark.parametrize("loss", [numba_parallel.svm_loss, numba_parallel.softmax_loss])
def test_label_outside_the_classes_raises(loss, label, row):
    W, X, y, reg = problem(300)
    y[row] = label
    with pytest.raises(ValueError, match=rf"label {label} in row {row} is not in 0\.\.9"):
        loss(W, X, y, reg)


@pytest.mark.parametrize(("flops_per_thread", "threads"), [(1, 3), (4 * 300 * 70 * 10 // 2, 2), (10**9, 1)])
def test_small_problems_use_fewer_threads(monkeypatch, flops_per_thread, threads):
    monkeypatch.setattr(jit, "thread_count", lambda: 3)
    monkeypatch.setattr(numba_parallel, "MIN_FLOPS_PER_THREAD", flops_per_thread)
    W, X, _, _ = problem(300)
    assert numba_parallel.Workspace(W, X, len(X)).threads == threads


def test_arrays_that_do_not_match_raise():
    W, X, y, reg = problem(30)
    for arrays in ((W, np.hstack([X, X]), y), (W, X[:, :5], y), (W, X, y[:5])):
        with pytest.raises(ValueError, match="shapes do not fit"):
            numba_parallel.svm_loss(*arrays, reg)


LOSSES = ("svm", "softmax")


def assert_correct(loss, W, X, y, reg, **keywords):
    """Assert that the result for `rows` and `mean` in keywords agrees with the oracle."""
    value, dW = getattr(numba_parallel, f"{loss}_loss")(W, X, y, reg, **keywords)
    rows, mean = keywords.get("rows"), keywords.get("mean")
    selected = X.astype(W.dtype) if mean is None else X.astype(W.dtype) - mean.astype(W.dtype)
    if W.shape[0] == X.shape[1] + 1:
        selected = np.hstack([selected, np.ones((len(X), 1), W.dtype)])
    if rows is not None:
        selected, y = selected[rows], y[rows]
    assert oracle.expected(loss, W, selected, y, reg).mismatch(value, dW) is None


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("count", [1, 5, 64, 700])
@pytest.mark.parametrize("integers", [np.int64, np.int32, np.uint8])
def test_rows_by_index_in_any_order_and_repeated(loss, count, integers):
    W, X, y, reg = problem(200)
    rows = np.random.default_rng(count).integers(0, 200, count).astype(integers)
    assert_correct(loss, W, X, y, reg, rows=rows)


@pytest.mark.parametrize("row", [-1, 200, 2**40])
def test_row_that_does_not_exist_raises(row):
    W, X, y, reg = problem(200)
    with pytest.raises(IndexError, match=rf"rows\[17\] is {row}, not in 0\.\.199"):
        numba_parallel.svm_loss(W, X, y, reg, rows=np.array([0] * 17 + [row, 3]))


@pytest.mark.parametrize("rows", [np.array([], int), np.zeros((2, 2), int), np.array([1.0])])
def test_rows_that_are_not_indices_raise(rows):
    W, X, y, reg = problem(20)
    with pytest.raises(ValueError, match="rows must be indices"):
        numba_parallel.svm_loss(W, X, y, reg, rows=rows)


@pytest.mark.parametrize("features", [1, 2, 15, 16, 17, 31, 32, 33, 63, 64, 65, 100, 127, 128, 129])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_pixels_with_any_number_of_features(features, dtype):
    W, X, y, reg = pixels(30, features, dtype=dtype)
    assert_correct("svm", W, X, y, reg, mean=X.mean(axis=0))


def pixels(rows, features=75, classes=10, dtype=np.float32, bias=True):
    rng = np.random.default_rng(rows)
    X = rng.integers(0, 256, (rows, features), np.uint8)
    W = (0.01 * rng.normal(0, 1, (features + bias, classes))).astype(dtype)
    return W, X, rng.integers(0, classes, rows), 0.1


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("centred", [False, True])
@pytest.mark.parametrize("by_index", [False, True])
def test_pixels_with_mean_and_bias(loss, dtype, bias, centred, by_index):
    W, X, y, reg = pixels(300, dtype=dtype, bias=bias)
    keywords = {"mean": X.mean(axis=0)} if centred else {}
    if by_index:
        keywords["rows"] = np.arange(299, 0, -2)
    assert_correct(loss, W, X, y, reg, **keywords)


def test_mean_of_wrong_shape_raises():
    W, X, y, reg = pixels(20)
    with pytest.raises(ValueError, match=r"mean \(3,\) does not fit: X has 75 columns"):
        numba_parallel.svm_loss(W, X, y, reg, mean=np.zeros(3))


def test_workspace_does_not_grow_with_the_rows():
    def bytes_for(rows):
        W, X, _, _ = pixels(rows)
        work = numba_parallel.Workspace(W, X, rows)
        return sum(value.nbytes for value in vars(work).values() if isinstance(value, np.ndarray))

    assert bytes_for(20_000) == bytes_for(1_000)


@pytest.mark.parametrize(
    ("rows", "features", "classes", "products"),
    [
        (10_000, 3073, 10, False),
        (500, 3073, 10, False),
        (200, 3073, 10, False),
        (10, 3073, 10, True),
        (60, 10_000, 10, True),
        (100_000, 1, 10, True),
        (10_000, 3073, 1000, True),
        (300, 3073, 30, True),
        (1000, 3073, 30, True),
        (3000, 3073, 30, False),
    ],
)
def test_choice_between_one_pass_and_two_products(monkeypatch, rows, features, classes, products):
    monkeypatch.undo()
    assert numba_parallel.prefer_two_products(rows, np.empty((features, classes), np.float32)) == products


@pytest.mark.parametrize(
    ("unit", "rows", "features", "classes", "products"),
    [
        ("amx", 120, 3072, 10, False),
        ("vnni", 180, 3072, 10, True),
        ("vnni", 200, 3072, 10, False),
        ("amx", 63, 30_000, 2, True),
        ("amx", 1000, 310, 10, True),
        ("amx", 20_000, 30, 30, True),
        ("amx", 1300, 3072, 127, False),
        ("amx", 1200, 3072, 127, True),
        ("amx", 100_000, 3072, 128, True),
        ("avx-vnni", 2000, 3072, 64, False),
        ("avx-vnni", 100_000, 3072, 65, True),
    ],
)
def test_choice_between_one_pass_on_bytes_and_two_products(monkeypatch, unit, rows, features, classes, products):
    monkeypatch.undo()
    W = np.empty((features, classes), np.float32)
    assert numba_parallel.prefer_two_products(rows, W, int8.UNITS[unit]) == products


def test_many_classes_are_computed_on_bytes_where_the_unit_is_fast(monkeypatch):
    monkeypatch.undo()
    monkeypatch.setattr(int8, "UNIT", int8.UNITS["amx"])
    monkeypatch.setattr(numba_parallel.pixels, "one_pass", lambda W, *_: (7.0, W, -1))
    W, X, y = np.zeros((400, 100), np.float32), np.zeros((1000, 400), np.uint8), np.zeros(1000, int)
    assert numba_parallel.softmax_loss(W, X, y, 0.1)[0] == 7.0
    monkeypatch.setattr(int8, "UNIT", int8.UNITS["vnni"])
    assert numba_parallel.softmax_loss(W, X, y, 0.1)[0] == pytest.approx(np.log(100), rel=1e-4)


@pytest.mark.parametrize("dtype", ["float16", ">f4", "complex64", "O", "longdouble"])
def test_unsupported_dtype_raises(dtype):
    W, X, y, reg = problem(20)
    with pytest.raises(ValueError, match="it must be float32, float64 or integers"):
        numba_parallel.svm_loss(W, X.astype(dtype), y, reg)


@pytest.mark.parametrize("labels", [np.zeros(20), np.full(20, np.nan), np.zeros(20, bool)])
def test_labels_that_are_not_integers_raise(labels):
    W, X, _, reg = problem(20)
    with pytest.raises(ValueError, match="labels must be integers"):
        numba_parallel.svm_loss(W, X, labels, reg)


@pytest.mark.filterwarnings("ignore:the matrix subclass")
@pytest.mark.parametrize("loss", LOSSES)
def test_subclasses_of_ndarray(loss):
    W, X, y, reg = problem(20)
    right = oracle.expected(loss, W, X, y, reg)
    value, dW = getattr(numba_parallel, f"{loss}_loss")(np.matrix(W), np.matrix(X), y, np.float32(reg))
    assert right.mismatch(value, dW) is None
    assert type(value) is float
    assert type(dW) is np.ndarray


@pytest.mark.parametrize(
    ("weights", "loss"),
    [([1, -1e10], 0.0), ([-1e10, 1], np.inf), ([np.nan, 1], np.nan)],
)
def test_hinge_of_infinite_and_nan_scores(weights, loss):
    W, X = np.array([weights], np.float32), np.full((1, 1), 1e30, np.float32)
    with np.errstate(all="ignore"):
        value, _ = numba_parallel.svm_loss(W, X, np.array([0]), 0.0)
    np.testing.assert_equal(value, loss)


def test_error_names_the_first_bad_row(monkeypatch):
    monkeypatch.setattr(jit, "thread_count", lambda: 3)
    W, X, y, reg = problem(300)
    y[[20, 290]] = 99
    with pytest.raises(ValueError, match="label 99 in row 20 "):
        numba_parallel.svm_loss(W, X, y, reg)
