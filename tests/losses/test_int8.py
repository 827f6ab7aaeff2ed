"""Micro-kernels on bytes: each unit against its NumPy definition, by its instructions where the processor has them."""

import numpy as np
import pytest
from numba import config

from lcbench.losses import int8, jit, simd
from lcbench.losses.int8 import COLUMNS, FEATURE_ORDER, GROUP, UNITS

pytestmark = [
    pytest.mark.parametrize("unit", UNITS.values(), ids=UNITS),
    pytest.mark.skipif(bool(config.DISABLE_JIT), reason="the definitions replace the kernels if the JIT is off"),
]


def random(rng, dtype, *shape):
    """Return random bytes of the whole range."""
    info = np.iinfo(dtype)
    return rng.integers(info.min, info.max, shape, dtype, endpoint=True)


@pytest.mark.parametrize("extreme", [False, True])
@pytest.mark.parametrize("fetch", [False, True])
def test_score_tile_is_exact(unit, fetch, extreme):
    rng = np.random.default_rng(0)
    tile = int8.make_score_tile(unit, fetch)

    @jit.compiled
    def call(rows, r, Wq, k, S, out, X, order, ahead, last):
        int8.begin_tiles()
        tile(rows, r, Wq, k, S, out, X, order, ahead, last)
        int8.end_tiles()

    X, features = random(rng, np.uint8, 50, 70), 2 * GROUP
    rows, Wq = (
        random(rng, np.uint8, 2 * unit.tile_rows, features + 13),
        random(rng, np.int8, features // 4, 8 * COLUMNS),
    )
    if extreme:
        rows[:], Wq[:] = 255, -128
    found, right = (np.full((2 * unit.tile_rows, 2 * COLUMNS), 7, np.int32) for _ in range(2))
    for order in (np.empty(0, np.int64), rng.permutation(50)):
        call(rows, unit.tile_rows - 1, Wq, COLUMNS, found, unit.tile_rows, X, order, 30, 49)
        int8.score_tile_in_numpy(unit)(rows, unit.tile_rows - 1, Wq, COLUMNS, right, unit.tile_rows, X, order, 30, 49)
        np.testing.assert_array_equal(found, right)
        assert (found[: unit.tile_rows] == 7).all()


@pytest.mark.parametrize("size", ["wide", "narrow"])
@pytest.mark.parametrize("share", [1, 5, 7, 12])
def test_gradient_tile_is_exact(unit, size, share):
    rng = np.random.default_rng(share)
    rows = unit.block_rows * share // 12
    columns = getattr(unit, size)
    tile = int8.make_gradient_tile(unit, columns)

    @jit.compiled
    def call(quads, rows, dq, k, f, G):
        int8.begin_tiles()
        tile(quads, rows, dq, k, f, G)
        int8.end_tiles()

    quads, dq = random(rng, np.uint8, 32, 4 * 2 * GROUP + 64), random(rng, np.int8, columns + 3, unit.block_rows)
    dq[:, rows:] = 0
    found = rng.integers(-(2**20), 2**20, (columns + 3, 2 * GROUP + 16)).astype(np.int32)
    right = found.copy()
    call(quads, rows, dq, 2, GROUP, found)
    int8.gradient_tile_in_numpy(unit, columns)(quads, rows, dq, 2, GROUP, right)
    np.testing.assert_array_equal(found, right)


@pytest.mark.parametrize("features", [1, GROUP - 1, GROUP, 2 * GROUP + 30])
@pytest.mark.parametrize("copy", [False, True])
def test_four_rows_are_interleaved_in_the_order_of_the_features(unit, copy, features):
    @jit.compiled
    def call(X, order, position, last, rows, r, quads, copy):
        int8.interleave(X, order, position, last, rows, r, quads, copy)

    byte, rng = np.dtype(np.uint8), np.random.default_rng(0)
    X = random(rng, np.uint8, 9, features)
    padded = simd.up_to(features, GROUP)
    for order in (np.empty(0, np.int64), rng.permutation(9)):
        for position in (2, 6):  # rows after the last repeat it
            (rows, quads), (rows_right, quads_right) = (
                (simd.aligned((8, padded + GROUP), byte), simd.aligned((2, 4 * padded + GROUP), byte)) for _ in range(2)
            )
            rows[:] = rows_right[:] = quads[:] = quads_right[:] = 7
            call(X, order, position, 7, rows, 4, quads, copy)
            int8.interleave_in_numpy(X, order, position, 7, rows_right, 4, quads_right, copy)
            np.testing.assert_array_equal(rows, rows_right)
            np.testing.assert_array_equal(quads, quads_right)
            positions = np.minimum(np.arange(position, position + 4), 7)
            four = X[order[positions] if order.size else positions]
            np.testing.assert_array_equal(rows[4:, :features], four if copy else 7)
            if features > 21:
                place = int(np.flatnonzero(FEATURE_ORDER == 21)[0])
                np.testing.assert_array_equal(quads[1, 4 * place : 4 * place + 4], four[:, 21])
