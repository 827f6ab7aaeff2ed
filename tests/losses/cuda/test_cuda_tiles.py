"""Selection of the tile of the one-pass kernel."""

from __future__ import annotations

import pytest

from lcbench.losses.cuda.backend import DeviceLimits
from lcbench.losses.cuda.tiles import REGISTERS_A_THREAD, one_pass_tile, resident_blocks

HOPPER = DeviceLimits(compute_capability=(9, 0), multiprocessors=132)
AMPERE = DeviceLimits(compute_capability=(8, 0), multiprocessors=108)


@pytest.mark.parametrize("features", [1, 4, 33, 128, 130, 257, 784, 1000, 2048, 3072, 3073, 3076])
@pytest.mark.parametrize("pixels", [False, True])
@pytest.mark.parametrize("device", [HOPPER, AMPERE], ids=["sm_90", "sm_80"])
def test_tile_holds_every_column(features: int, pixels: bool, device: DeviceLimits) -> None:
    tile = one_pass_tile(features, 10, pixels, device)
    assert tile is not None
    assert tile.columns + tile.tail >= features
    assert tile.tail == max(0, features - tile.columns)
    assert tile.threads % tile.lanes == 0
    assert tile.rows * 10 <= tile.threads, "one thread per score"
    # registers for dW alone
    assert 10 * tile.columns <= REGISTERS_A_THREAD * tile.threads


def test_ones_column_is_in_the_tail() -> None:
    images, with_ones = one_pass_tile(3072, 10, False, HOPPER), one_pass_tile(3073, 10, False, HOPPER)
    assert images is not None
    assert with_ones is not None
    assert (images.columns, images.tail) == (3072, 0)
    assert (with_ones.columns, with_ones.tail) == (3072, 1)


@pytest.mark.parametrize(("features", "classes"), [(3073, 100), (3073, 20), (100_000, 2), (10, 300)])
def test_no_tile_if_the_registers_are_too_few(features: int, classes: int) -> None:
    assert one_pass_tile(features, classes, False, HOPPER) is None


def test_device_with_fewer_registers() -> None:
    half = DeviceLimits(compute_capability=(9, 0), registers_a_block=32768, registers_a_multiprocessor=32768)
    assert one_pass_tile(3073, 10, False, half) is None
    small = one_pass_tile(1000, 10, False, half)
    assert small is not None
    assert small.threads * REGISTERS_A_THREAD <= 32768


def test_resident_blocks_fill_the_device() -> None:
    tile = one_pass_tile(3073, 10, False, HOPPER)
    assert tile is not None
    assert resident_blocks(tile, HOPPER) == 132
    small = one_pass_tile(100, 10, False, HOPPER)
    assert small is not None
    assert resident_blocks(small, HOPPER) == 132 * 8
