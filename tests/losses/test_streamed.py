"""Losses on an X that stays in its file, and on batches of rows."""

import numpy as np
import pytest

from lcbench.losses import catalog, oracle
from lcbench.losses.implementation import LOSSES, Convention, Implementation, Unavailable
from lcbench.losses.streamed import Batch, Streamed, batched, streamed

ROWS, PIXELS, CLASSES = 700, 40, 5


class Images:
    """Array with the interface of a matrix on disk: each block is overwritten by the next one."""

    def __init__(self, array, rows=150):
        self.array, self.rows = array, rows
        self.shape, self.dtype = array.shape, array.dtype

    def __getitem__(self, rows):
        return self.array[rows]

    def first(self, rows):
        return Images(self.array[:rows], self.rows)

    def blocks(self):
        buffer = np.empty((self.rows, self.shape[1]), self.dtype)
        for start in range(0, self.shape[0], self.rows):
            part = self.array[start : start + self.rows]
            buffer[: len(part)] = part
            yield start, buffer[: len(part)]


@pytest.fixture
def problem():
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (ROWS, PIXELS), np.uint8)
    mean = pixels.mean(axis=0)
    X = np.hstack([pixels - mean, np.ones((ROWS, 1))]).astype(np.float32)
    W = rng.normal(0, 0.01, (PIXELS + 1, CLASSES)).astype(np.float32)
    return W, X, rng.integers(0, CLASSES, ROWS, np.uint8), Streamed(Images(pixels), mean, np.dtype(np.float32))


def test_streamed_rows_and_blocks_are_those_of_the_design_matrix(problem):
    _, X, _, on_disk = problem
    assert on_disk.shape == X.shape
    assert (len(on_disk), on_disk.ndim) == (ROWS, 2)
    np.testing.assert_allclose(on_disk[:], X, rtol=1e-6, atol=1e-5)
    np.testing.assert_allclose(on_disk[np.array([3, 699, 3])], X[[3, 699, 3]], rtol=1e-6, atol=1e-5)
    blocks = [(first, block.copy()) for first, block in on_disk.blocks(64)]
    np.testing.assert_allclose(np.concatenate([block for _, block in blocks]), X, rtol=1e-6, atol=1e-5)
    assert [first for first, _ in blocks] == list(np.cumsum([0, *(len(block) for _, block in blocks)])[:-1])
    assert on_disk.first(9).shape == (9, PIXELS + 1)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("name", ["numpy", "naive", "numba-parallel"])
def test_streamed_loss_agrees_with_the_oracle(problem, name, loss):
    W, X, y, on_disk = problem
    implementation = catalog.load(name)
    before = W.copy(), y.copy()
    found, dW = streamed(implementation).functions[loss](W, on_disk, y, 0.3)
    assert oracle.expected(loss, W, X, y, 0.3).mismatch(found, dW) is None
    assert dW.dtype == W.dtype
    np.testing.assert_array_equal(W, before[0])
    np.testing.assert_array_equal(y, before[1])


def test_streamed_passes_pixels_and_mean_to_functions_that_take_them(problem):
    W, _, y, on_disk = problem
    seen = []

    def loss(W, X, y, reg, *, mean):
        seen.append((X.dtype, X.shape, len(y), reg, mean.shape))
        return 1.0, np.ones_like(W)

    streamed(Implementation("it", "cpu", {"svm": loss}, takes_mean=True)).functions["svm"](W, on_disk, y, 0.5)
    assert seen == [(np.uint8, (rows, PIXELS), rows, 0.0, (PIXELS,)) for rows in (150, 150, 150, 150, 100)]


def test_streamed_prepares_and_fetches_each_block(problem):
    W, X, y, on_disk = problem

    def columns(W, X, y, reg):
        return oracle.softmax_loss(W.T, X.T, y, reg)

    def prepare(W, X, y):
        return W.T.copy(), X.T.copy(), y

    transposed = Implementation(
        "transposed",
        "cpu",
        {"softmax": columns},
        prepare,
        lambda loss, dW: (loss, dW),
        convention=Convention(columns=True),
    )
    found, dW = streamed(transposed).functions["softmax"](W, on_disk, y, 0.3)
    assert oracle.expected("softmax", W, X, y, 0.3).mismatch(found, dW) is None


def test_streamed_leaves_implementations_that_read_files_unchanged():
    implementation = Implementation("it", "cpu", {}, streams=True)
    assert streamed(implementation) is implementation


def test_oracle_computes_several_counts_and_weights_from_one_pass(problem):
    W, X, y, on_disk = problem
    sets = [(W, y), (2 * W, y[::-1].copy())]
    reported = []
    few, all_rows = oracle.expected_of_first(
        LOSSES, sets, on_disk, 0.2, [30, ROWS], lambda what, done, planned: reported.append((done, planned))
    )
    for rows, answers in ((30, few), (ROWS, all_rows)):
        for loss in LOSSES:
            for (weights, labels), found in zip(sets, answers[loss], strict=True):
                expected = oracle.expected(loss, weights, X[:rows], labels[:rows], 0.2)
                assert found.loss == pytest.approx(expected.loss, rel=1e-7)
                np.testing.assert_allclose(found.dW, expected.dW, rtol=1e-5, atol=1e-6)
                assert found.gradient_tolerance == pytest.approx(expected.gradient_tolerance, rel=1e-3)
    assert reported[-1] == (ROWS, ROWS)


@pytest.fixture
def batch_problem():
    rng = np.random.default_rng(0)
    X = rng.normal(0, 1, (300, 20)).astype(np.float32)
    return rng.normal(0, 0.1, (20, 4)).astype(np.float32), X, rng.integers(0, 4, 300), rng.integers(0, 300, 90)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("name", ["numpy", "naive", "numba-parallel"])
def test_batched_loss_agrees_with_the_oracle_on_the_rows(batch_problem, name, loss):
    W, X, y, rows = batch_problem
    implementation = batched(catalog.load(name))
    prepared_W, prepared_X, prepared_y = implementation.prepare(W, X, y)
    found = implementation.fetch(*implementation.functions[loss](prepared_W, Batch(prepared_X, rows), prepared_y, 0.3))
    assert oracle.expected(loss, W, X[rows], y[rows], 0.3).mismatch(*found) is None


def test_batched_passes_row_indices_to_functions_that_take_them(batch_problem):
    W, X, y, rows = batch_problem

    def loss(W, X, y, reg, *, rows):
        return len(X), rows

    found = batched(Implementation("it", "cpu", {"svm": loss}, takes_rows=True)).functions["svm"](
        W, Batch(X, rows), y, 0.0
    )
    assert found == (300, rows)


def test_batched_selects_columns_if_rows_are_stored_as_columns(batch_problem):
    W, X, y, rows = batch_problem
    transposed = Implementation(
        "transposed",
        "cpu",
        {"softmax": lambda W, X, y, reg: oracle.softmax_loss(W.T, X.T, y, reg)},
        lambda W, X, y: (W.T.copy(), X.T.copy(), y),
        convention=Convention(columns=True),
    )
    implementation = batched(transposed)
    prepared_W, prepared_X, prepared_y = implementation.prepare(W, X, y)
    found = implementation.functions["softmax"](prepared_W, Batch(prepared_X, rows), prepared_y, 0.3)
    assert oracle.expected("softmax", W, X[rows], y[rows], 0.3).mismatch(*found) is None


def test_prepare_raises_if_rows_cannot_be_selected(batch_problem):
    W, X, y, _ = batch_problem
    packed = batched(Implementation("packed", "cpu", {}, lambda W, X, y: (W, object(), y)))
    with pytest.raises(Unavailable, match="rows cannot be selected from the object that packed makes of X"):
        packed.prepare(W, X, y)
