import numpy as np
import pytest

from lcbench.losses import catalog, oracle
from lcbench.losses.implementation import LOSSES, Convention, Implementation
from lcbench.losses.streamed import Streamed, streamed

ROWS, PIXELS, CLASSES = 700, 40, 5


class Images:
    """An array that gives its rows as a matrix on disk does: each block in memory that the next one overwrites."""

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


def test_it_is_the_design_matrix(problem):
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
def test_the_sum_over_blocks_is_right(problem, name, loss):
    W, X, y, on_disk = problem
    implementation = catalog.load(name)
    before = W.copy(), y.copy()
    found, dW = streamed(implementation).functions[loss](W, on_disk, y, 0.3)
    assert oracle.expected(loss, W, X, y, 0.3).mismatch(found, dW) is None
    assert dW.dtype == W.dtype
    np.testing.assert_array_equal(W, before[0])
    np.testing.assert_array_equal(y, before[1])


def test_pixels_and_their_mean_are_handed_over_where_they_are_taken(problem):
    W, _, y, on_disk = problem
    seen = []

    def loss(W, X, y, reg, *, mean):
        seen.append((X.dtype, X.shape, len(y), reg, mean.shape))
        return 1.0, np.ones_like(W)

    streamed(Implementation("it", "cpu", {"svm": loss}, takes_mean=True)).functions["svm"](W, on_disk, y, 0.5)
    assert seen == [(np.uint8, (rows, PIXELS), rows, 0.0, (PIXELS,)) for rows in (150, 150, 150, 150, 100)]


def test_data_is_prepared_and_results_fetched_block_by_block(problem):
    W, X, y, on_disk = problem

    def columns(W, X, y, reg):
        return oracle.softmax_loss(W.T, X.T, y, reg)

    def prepare(W, X, y):
        return W.T.copy(), X.T.copy(), y

    turned = Implementation(
        "turned", "cpu", {"softmax": columns}, prepare, lambda loss, dW: (loss, dW), convention=Convention(columns=True)
    )
    found, dW = streamed(turned).functions["softmax"](W, on_disk, y, 0.3)
    assert oracle.expected("softmax", W, X, y, 0.3).mismatch(found, dW) is None


def test_who_reads_the_file_itself_is_left_alone():
    implementation = Implementation("it", "cpu", {}, streams=True)
    assert streamed(implementation) is implementation


def test_the_oracle_reads_it_once_for_everything(problem):
    W, X, y, on_disk = problem
    sets = [(W, y), (2 * W, y[::-1].copy())]
    told = []
    few, all_rows = oracle.expected_of_first(
        LOSSES, sets, on_disk, 0.2, [30, ROWS], lambda what, done, planned: told.append((done, planned))
    )
    for rows, answers in ((30, few), (ROWS, all_rows)):
        for loss in LOSSES:
            for (weights, labels), found in zip(sets, answers[loss], strict=True):
                right = oracle.expected(loss, weights, X[:rows], labels[:rows], 0.2)
                assert found.loss == pytest.approx(right.loss, rel=1e-7)
                np.testing.assert_allclose(found.dW, right.dW, rtol=1e-5, atol=1e-6)
                assert found.gradient_tolerance == pytest.approx(right.gradient_tolerance, rel=1e-3)
    assert told[-1] == (ROWS, ROWS)
