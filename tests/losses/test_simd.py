"""The micro-kernels agree with their definitions in NumPy."""

import subprocess
import sys

import numpy as np
import pytest
from numba import config

from lcbench.losses import jit, numba_parallel, simd

pytestmark = pytest.mark.skipif(config.DISABLE_JIT, reason="the definitions replace the kernels if the JIT is off")


@jit.compiled
def packing_score_tile(X, order, row, last, Wt, f, stop, scores, out, sums, panels, fetched, furthest, place):
    simd.packing_score_tile(X, order, row, last, Wt, f, stop, scores, out, sums, panels, fetched, furthest, place)


@jit.compiled
def wide_packing_score_tile(X, order, row, last, Wt, f, stop, scores, out, sums, panels, fetched, furthest, place):
    simd.wide_packing_score_tile(X, order, row, last, Wt, f, stop, scores, out, sums, panels, fetched, furthest, place)


@jit.compiled
def score_tile(panels, features, Wt, c, f, stop, scores, out, sums):
    simd.score_tile(panels, features, Wt, c, f, stop, scores, out, sums)


@jit.compiled
def gradient_tile(panels, rows, dscores, weight, c, f, Gt, X, later, offset):
    simd.gradient_tile(panels, rows, dscores, weight, c, f, Gt, X, later, offset)


@jit.compiled
def interleave(W, first, end, Wt):
    numba_parallel.interleave(W, first, end, Wt)


@jit.compiled
def exponentials(numbers, count):
    simd.exponentials(numbers, count)


ORDERS = {"in order": np.empty(0, np.int64), "by index": np.array([3, 8, 0, 0, 7, 5, 2, 6, 1])}
orders = pytest.mark.parametrize("order", ORDERS.values(), ids=ORDERS.keys())


PACKING_TILES = {
    "narrow": (packing_score_tile, simd.ROWS, simd.CLASSES),
    "wide": (wide_packing_score_tile, simd.WIDE_ROWS, simd.WIDE_CLASSES),
}


@orders
@pytest.mark.parametrize("tile", PACKING_TILES.values(), ids=PACKING_TILES.keys())
@pytest.mark.parametrize("vectors", [1, 2, 1000], ids=lambda vectors: f"in parts of {vectors}")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("features", [1, 15, 16, 17, 70])
def test_score_tiles(dtype, features, vectors, tile, order):
    rng = np.random.default_rng(features)
    lanes = simd.lanes(np.dtype(dtype).itemsize)
    X = rng.normal(0, 1, (9, features)).astype(dtype)
    W = rng.normal(0, 1, (features, 3 * simd.CLASSES)).astype(dtype)
    Wt = np.zeros((3, 128 * simd.CLASSES), dtype)
    interleave(W, 0, features, Wt)
    kernel, rows, classes = tile
    in_numpy = simd._packing_score_tile_in_numpy(rows, classes), simd._score_tile_in_numpy
    results = []
    for packing_tile, tile_of_panels in ((kernel, score_tile), in_numpy):
        scores = np.full((20, 3 * simd.CLASSES), np.nan, dtype)
        panels = np.full((128 // lanes, 21 * lanes), np.nan, dtype)
        sums = np.full((3, 20 * simd.CLASSES * lanes), np.nan, dtype)
        for f in range(0, features, vectors * lanes):
            stop = f + vectors * lanes
            for r in range(0, simd.ROWS, rows):
                packing_tile(X, order, 1 + r, 8, Wt, f, stop, scores, 4 + r, sums, panels, 5, 6, 16)
            # Rows after the last repeat it.
            packing_tile(X, order, 7, 7, Wt, f, stop, scores, 12, sums, panels, 8, 8, 0)
            tile_of_panels(panels, features, Wt, classes, f, stop, scores, 4, sums)
        results.append((scores, panels))
    (found, panels), (expected, panels_expected) = results
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(panels, panels_expected)
    positions = np.arange(1, 1 + simd.ROWS)
    here = order[positions] if order.size else positions
    np.testing.assert_allclose(
        found[4 : 4 + simd.ROWS, : classes + simd.CLASSES], (X[here] @ W)[:, : classes + simd.CLASSES], 1e-4, 1e-5
    )
    last = X[order[7] if order.size else 7] @ W[:, :classes]
    np.testing.assert_allclose(found[12 : 12 + rows, :classes], np.broadcast_to(last, (rows, classes)), 1e-4, 1e-5)
    written = simd.ROWS * (classes + simd.CLASSES) + rows * classes
    assert np.isfinite(found).sum() == written


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("rows", [1, 7])
def test_gradient_tile(dtype, rows):
    rng = np.random.default_rng(rows)
    lanes = simd.lanes(np.dtype(dtype).itemsize)
    panels = rng.normal(0, 1, (2 * simd.VECTORS, 8 * lanes)).astype(dtype)
    dscores = rng.normal(0, 1, (8, 2 * simd.CLASSES)).astype(dtype)
    start = rng.normal(0, 1, (2 * simd.CLASSES, 256)).astype(dtype)
    later = np.full(rows, 10**9)  # any address may be prefetched
    found, expected = start.copy(), start.copy()
    for tile, Gt in ((gradient_tile, found), (simd._gradient_tile_in_numpy, expected)):
        tile(panels, rows, dscores, dtype(0.75), simd.CLASSES, simd.VECTORS * lanes, Gt, panels, later, 60)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    assert (found != start).sum() == simd.CLASSES * simd.VECTORS * lanes


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_exponentials(dtype):
    span = -simd.LOWEST_EXPONENT[np.dtype(dtype).itemsize]
    numbers = np.concatenate([[0.0, -0.0], -np.logspace(-8, np.log10(span), 4094)]).astype(dtype)
    found = numbers.copy()
    exponentials(found, found.size)
    expected = np.exp(numbers.astype(np.longdouble))
    assert np.max(np.abs(found - expected) / expected) < 1.5 * np.finfo(dtype).eps
    assert found[0] == found[1] == 1


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_exponentials_of_nan_and_infinity(dtype):
    numbers = np.full(64, -1.0, dtype)
    numbers[:3] = np.nan, -np.inf, -1e30
    exponentials(numbers, 3)
    assert np.isnan(numbers[0])
    assert 0 <= numbers[1] <= 2 * np.finfo(dtype).tiny
    assert 0 <= numbers[2] <= 2 * np.finfo(dtype).tiny
    assert (numbers[3:] == -1).all()


def test_memory_after_the_last_row_is_not_read():
    # X ends at the end of a page, and the next page is protected: an access to it would end the process.
    code = """
import ctypes, mmap, numpy as np
from lcbench.losses import numba_parallel
page = mmap.PAGESIZE
memory = mmap.mmap(-1, 3 * page)
libc = ctypes.CDLL(None, use_errno=True)
address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
assert libc.mprotect(ctypes.c_void_p(address + 2 * page), page, 0) == 0
rows, features = 3, 37
X = np.frombuffer(memory, np.float32, rows * features, 2 * page - 4 * rows * features).reshape(rows, features)
W = np.ones((features, 3), np.float32)
numba_parallel.prefer_two_products = lambda *_: False
loss, dW = numba_parallel.softmax_loss(W, X, np.array([0, 1, 2]), 0.0)
print(round(loss, 5))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "1.09861"
