"""How many blocks of a kernel fit on a multiprocessor at once, computed as NVIDIA's occupancy calculator does.

Limits are those of the CUDA Programming Guide, "Technical Specifications per Compute Capability". Registers are handed
out by warp, in units of 256, by four partitions that own a quarter each; shared memory by block, in units of 128 bytes
(256 on Turing and before), 1 KiB of it to the system since Ampere.
"""

from __future__ import annotations

from dataclasses import dataclass

from lcbench.errors import LcbenchError

WARP = 32
REGISTERS = 64 * 1024
"""32-bit ones a multiprocessor, and the most a block can have."""

_MOST_REGISTERS_A_THREAD = 255
_MOST_THREADS_A_BLOCK = 1024
_REGISTER_UNIT = 256
_PARTITIONS = 4

Architecture = tuple[int, int]
"""A compute capability: (9, 0) is Hopper's."""


@dataclass(frozen=True)
class ProcessorLimits:
    """What one multiprocessor holds at most: blocks, warps, bytes of shared memory."""

    blocks: int
    warps: int
    shared_bytes: int


_KIB = 1024
LIMITS: dict[Architecture, ProcessorLimits] = {
    (7, 0): ProcessorLimits(32, 64, 96 * _KIB),
    (7, 5): ProcessorLimits(16, 32, 64 * _KIB),
    (8, 0): ProcessorLimits(32, 64, 164 * _KIB),
    (8, 6): ProcessorLimits(16, 48, 100 * _KIB),
    (8, 7): ProcessorLimits(16, 48, 164 * _KIB),
    (8, 9): ProcessorLimits(24, 48, 100 * _KIB),
    (9, 0): ProcessorLimits(32, 64, 228 * _KIB),
    (10, 0): ProcessorLimits(32, 64, 228 * _KIB),
    (10, 3): ProcessorLimits(32, 64, 228 * _KIB),
    (11, 0): ProcessorLimits(24, 48, 228 * _KIB),
    (12, 0): ProcessorLimits(24, 48, 100 * _KIB),
    (12, 1): ProcessorLimits(24, 48, 100 * _KIB),
}


@dataclass(frozen=True)
class Occupancy:
    """Blocks and warps of a kernel that are on a multiprocessor at once, and what there would have to be more of.

    share: of the warps that the multiprocessor could hold. limited_by: "warps", "blocks", "registers" or "shared
    memory"; where several bind at once, the first of them in this order.
    """

    blocks: int
    warps: int
    most_warps: int
    share: float
    limited_by: str


def occupancy(architecture: Architecture, threads: int, registers: int, shared_bytes: int) -> Occupancy:
    """Of a kernel with blocks of `threads` threads, each with `registers`, and `shared_bytes` of shared memory a block.

    Raises LcbenchError for an architecture that is not in `LIMITS`.
    """
    limits = limits_of(architecture)
    warps = -(-threads // WARP)
    most = {
        "warps": limits.warps // warps if threads <= _MOST_THREADS_A_BLOCK else 0,
        "blocks": limits.blocks,
        "registers": _by_registers(warps, registers),
        "shared memory": _by_shared_memory(architecture, limits, shared_bytes),
    }
    limited_by = min(most, key=lambda resource: most[resource])
    blocks = most[limited_by]
    return Occupancy(blocks, blocks * warps, limits.warps, blocks * warps / limits.warps, limited_by)


def limits_of(architecture: Architecture) -> ProcessorLimits:
    """What a multiprocessor of `architecture` holds. Raises LcbenchError where that is not known here."""
    if architecture not in LIMITS:
        known = ", ".join(f"{major}.{minor}" for major, minor in LIMITS)
        asked = f"{architecture[0]}.{architecture[1]}"
        raise LcbenchError(f"the limits of compute capability {asked} are not known here; those of {known} are")
    return LIMITS[architecture]


def _by_registers(warps: int, registers: int) -> int:
    if registers > _MOST_REGISTERS_A_THREAD:
        return 0
    a_warp = max(_REGISTER_UNIT, _up_to(registers * WARP, _REGISTER_UNIT))
    # A launch is checked as if all partitions gave the same.
    if a_warp * _up_to(warps, _PARTITIONS) > REGISTERS:
        return 0
    return REGISTERS // _PARTITIONS // a_warp * _PARTITIONS // warps


def _by_shared_memory(architecture: Architecture, limits: ProcessorLimits, shared_bytes: int) -> int:
    ampere_or_later = architecture >= (8, 0)
    a_block = _up_to(shared_bytes + (_KIB if ampere_or_later else 0), 128 if ampere_or_later else 256)
    return limits.shared_bytes // a_block if a_block else limits.blocks


def _up_to(amount: int, unit: int) -> int:
    return -(-amount // unit) * unit
