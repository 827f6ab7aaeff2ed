"""Whether the one-pass kernel fits a problem on a device, and with which tile. The one place that decides it."""

from __future__ import annotations

from dataclasses import dataclass

from lcbench.losses.cuda.backend import Limits
from lcbench.losses.cuda.wide import WIDTH

REGISTERS_A_THREAD = 255
"""The most that any CUDA architecture so far can address."""

_MOST_MULTIPLY_ADDS = 720
"""A thread's in the scores of a tile. The compiler was seen to unroll so many, and with 800 to leave loops: then the
numbers are in local memory."""

_MOST_TAIL = 4
"""Columns beyond the tile that the row step can take along without being felt: CIFAR's ones column is one."""


@dataclass(frozen=True)
class Tile:
    """What one block of the one-pass kernel holds. Tests shrink it, so that tiny inputs span several blocks.

    threads: of a block, a multiple of `lanes` and at least rows * classes.
    groups: thread t owns columns 4 t to 4 t + 3 of each of so many stretches of 4 * threads columns.
    rows: of X that are held at a time.
    tail: columns of X beyond `columns`; the row step computes them.
    lanes: threads that add up without meeting in shared memory: a warp, on the device.
    """

    threads: int
    groups: int
    rows: int
    tail: int = 0
    lanes: int = 32

    @property
    def columns(self) -> int:
        """Columns of X that the threads own."""
        return WIDTH * self.threads * self.groups


def one_pass_tile(features: int, classes: int, pixels: bool, device: Limits) -> Tile | None:
    """The tile for X (N, features), uint8 where `pixels` else float32, or None where no tile holds it.

    Every score of a row needs all its columns, so a block owns them all: dW (features, classes) lies in the registers
    of its threads, beside a few rows of X. CIFAR-10's 3,073 x 10 fit; 100 classes do not.

    Of the tiles that fit, the one that computes the fewest columns in vain, then holds the most rows (each row more
    spreads the reading of W wider), then has the smallest blocks (several a multiprocessor hide each other's waits).
    """
    best: tuple[tuple[int, int, int], Tile] | None = None
    for threads in (32, 64, 128, 256):
        registers = min(REGISTERS_A_THREAD, device.registers_a_block // threads) - _other_registers(device)
        for groups in range(1, 1 + registers // (WIDTH * classes)):
            tail = max(0, features - WIDTH * threads * groups)
            for rows in (2, 3, 4, 6, 8):
                tile = Tile(threads, groups, rows, tail)
                too_large = (
                    tail > _MOST_TAIL
                    or rows * classes > threads
                    or rows * WIDTH * groups * classes > _MOST_MULTIPLY_ADDS
                    or _registers(tile, classes, pixels) > registers
                )
                if too_large:
                    continue
                rank = (tile.columns, -rows, threads)
                if best is None or rank < best[0]:
                    best = rank, tile
    return best[1] if best else None


def _registers(tile: Tile, classes: int, pixels: bool) -> int:
    """Registers of a thread for numbers: the more of what the scores and what the gradient hold at a time."""
    sums = WIDTH * tile.groups * classes
    held = tile.rows * tile.groups * (1 if pixels else WIDTH)
    unpacked = tile.rows * WIDTH if pixels else 0
    return sums + held + max(held, tile.rows * classes + unpacked) + 2 * tile.tail


def _other_registers(device: Limits) -> int:
    """Registers of a thread for addresses, counters and operands, as each architecture's compiler was seen to use.

    A guess that is too low costs a little time, for values that are stored and read again once a tile.
    """
    return 50 if device.compute_capability in ((7, 5), (8, 0)) else 34


def resident_blocks(tile: Tile, device: Limits) -> int:
    """Blocks that a device runs at a time: a grid of so many stays for the whole of X, each with one slab of dW."""
    return device.multiprocessors * max(
        1, device.registers_a_multiprocessor // (tile.threads * (REGISTERS_A_THREAD + 1))
    )
