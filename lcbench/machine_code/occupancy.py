"""Occupancy of a multiprocessor, computed as in NVIDIA's occupancy calculator.

The limits are those of the CUDA Programming Guide, "Technical Specifications per Compute Capability". Registers are
allocated per warp in units of 256, from four partitions that own a quarter each. Shared memory is allocated per block
in units of 128 bytes (256 bytes on Turing and older), plus 1 KiB for the system since Ampere.
"""

from __future__ import annotations

from dataclasses import dataclass

from lcbench.errors import LcbenchError

WARP = 32
REGISTERS = 64 * 1024
"""32-bit registers of a multiprocessor, and the maximum of a block."""

_MAX_REGISTERS_PER_THREAD = 255
_MAX_THREADS_PER_BLOCK = 1024
_REGISTER_UNIT = 256
_PARTITIONS = 4
_KIB = 1024

Architecture = tuple[int, int]
"""Compute capability, for example (9, 0) for Hopper."""


@dataclass(frozen=True)
class MultiprocessorLimits:
    """Maximum of resident blocks, of resident warps and of shared memory of one multiprocessor."""

    blocks: int
    warps: int
    shared_bytes: int


LIMITS: dict[Architecture, MultiprocessorLimits] = {
    (7, 0): MultiprocessorLimits(32, 64, 96 * _KIB),
    (7, 5): MultiprocessorLimits(16, 32, 64 * _KIB),
    (8, 0): MultiprocessorLimits(32, 64, 164 * _KIB),
    (8, 6): MultiprocessorLimits(16, 48, 100 * _KIB),
    (8, 7): MultiprocessorLimits(16, 48, 164 * _KIB),
    (8, 9): MultiprocessorLimits(24, 48, 100 * _KIB),
    (9, 0): MultiprocessorLimits(32, 64, 228 * _KIB),
    (10, 0): MultiprocessorLimits(32, 64, 228 * _KIB),
    (10, 3): MultiprocessorLimits(32, 64, 228 * _KIB),
    (11, 0): MultiprocessorLimits(24, 48, 228 * _KIB),
    (12, 0): MultiprocessorLimits(24, 48, 100 * _KIB),
    (12, 1): MultiprocessorLimits(24, 48, 100 * _KIB),
}


def limits_of(architecture: Architecture) -> MultiprocessorLimits:
    """Return the limits of a multiprocessor of `architecture`.

    Raises LcbenchError for an architecture that is not in `LIMITS`.
    """
    if architecture not in LIMITS:
        known = ", ".join(f"{major}.{minor}" for major, minor in LIMITS)
        raise LcbenchError(
            f"compute capability {architecture[0]}.{architecture[1]} is not supported; use one of {known}"
        )
    return LIMITS[architecture]


@dataclass(frozen=True)
class Occupancy:
    """Blocks and warps of a kernel that are resident on a multiprocessor at once.

    most_warps: maximum of the multiprocessor. share: warps / most_warps.
    limited_by: "warps", "blocks", "registers" or "shared memory"; the first in this order if several limits are equal.
    """

    blocks: int
    warps: int
    most_warps: int
    share: float
    limited_by: str


def occupancy(architecture: Architecture, threads: int, registers: int, shared_bytes: int) -> Occupancy:
    """Return the occupancy of a kernel.

    threads: per block. registers: per thread. shared_bytes: per block.

    Raises LcbenchError for an architecture that is not in `LIMITS`.
    """
    limits = limits_of(architecture)
    warps = -(-threads // WARP)
    blocks_allowed = {
        "warps": limits.warps // warps if threads <= _MAX_THREADS_PER_BLOCK else 0,
        "blocks": limits.blocks,
        "registers": _blocks_by_registers(warps, registers),
        "shared memory": _blocks_by_shared_memory(architecture, limits, shared_bytes),
    }
    limited_by = min(blocks_allowed, key=lambda resource: blocks_allowed[resource])
    blocks = blocks_allowed[limited_by]
    return Occupancy(blocks, blocks * warps, limits.warps, blocks * warps / limits.warps, limited_by)


def _blocks_by_registers(warps: int, registers: int) -> int:
    if registers > _MAX_REGISTERS_PER_THREAD:
        return 0
    per_warp = max(_REGISTER_UNIT, _round_up(registers * WARP, _REGISTER_UNIT))
    # The driver checks a launch as if all partitions allocated the same number of warps.
    if per_warp * _round_up(warps, _PARTITIONS) > REGISTERS:
        return 0
    return REGISTERS // _PARTITIONS // per_warp * _PARTITIONS // warps


def _blocks_by_shared_memory(architecture: Architecture, limits: MultiprocessorLimits, shared_bytes: int) -> int:
    ampere_or_later = architecture >= (8, 0)
    per_block = _round_up(shared_bytes + (_KIB if ampere_or_later else 0), 128 if ampere_or_later else 256)
    return limits.shared_bytes // per_block if per_block else limits.blocks


def _round_up(amount: int, unit: int) -> int:
    return -(-amount // unit) * unit
