"""Tables of ``lcbench inspect``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from rich.text import Text

from lcbench.machine_code.gpu import Kernel
from lcbench.machine_code.loops import Loop
from lcbench.report.table import LATE, NAME, NUMBER, PLAIN, SIZE, Column, Table

_COUNTS = (
    Column("bits", lambda loop: loop.vector_bits or "scalar", PLAIN),
    Column("FMA", "fma", PLAIN),
    Column("other", "arithmetic", PLAIN),
    Column("load", "loads", PLAIN),
    Column("store", "stores", PLAIN),
    Column("pref", "prefetches", PLAIN, leaves=1),
    Column("call", "calls", PLAIN),
    Column("stack", "stack", PLAIN),
    Column("regs", "vector_registers", PLAIN),
)
"""Columns of a loop. Loops of one function in which all of them are equal share a line."""


def tables(title: str, found: Sequence[Loop | Kernel]) -> Iterator[Table | Text]:
    """Yield a table of the loops or kernels, and a sentence on the most important ones."""
    kernels = [one for one in found if isinstance(one, Kernel)]
    if kernels:
        yield from _kernels(title, kernels)
    else:
        yield from _loops(title, [one for one in found if isinstance(one, Loop)])


def _loops(title: str, found: list[Loop]) -> Iterator[Table | Text]:
    """Yield a table of the loops except remainders, and a sentence on the first loop of each function."""
    shown = [loop for loop in found if not loop.remainder]
    if not shown:
        yield Text(f"{title}: no loop computes")
        return
    alike: dict[tuple[Any, ...], list[Loop]] = {}
    for loop in shown:
        alike.setdefault((loop.name, loop.line, *(column.value(loop) for column in _COUNTS)), []).append(loop)
    yield Table(
        title,
        [
            replace(first, name=f"{first.name} x{1 + len(more)}" if more else first.name)
            for first, *more in alike.values()
        ],
        Column("function", "name", NAME),
        Column("line", lambda loop: loop.line or None, PLAIN, leaves=LATE + 1)
        if any(loop.line for loop in shown)
        else None,
        *_COUNTS[:2],
        Column("dot", "dots", PLAIN) if any(loop.dots for loop in shown) else None,
        *_COUNTS[2:],
        Column("bytes", "code_bytes", NUMBER, leaves=LATE),
    )
    hottest = {loop.name: loop for loop in reversed(shown)}
    for loop in sorted(hottest.values(), key=lambda loop: -loop.flops):
        yield Text(f"{loop.name}: {loop.verdict}")
    remainders = len(found) - len(shown)
    yield Text(
        "instructions in one iteration of each innermost loop, x2 for two equal loops; "
        + ("dot: dot products of bytes; " if any(loop.dots for loop in shown) else "")
        + "other: unfused arithmetic; "
        "stack: stack accesses, which are spills if there is no call; regs: vector registers"
        + (f"; remainder loops (--json only): {remainders}" if remainders else ""),
        style="dim",
    )


def code(found: Sequence[Loop | Kernel]) -> Iterator[str]:
    """Yield the code of each loop or kernel after its verdict; remainders are left out."""
    for one in found:
        comment = "//" if isinstance(one, Kernel) else "#"
        if isinstance(one, Kernel) or not one.remainder:
            yield f"\n{comment} {one.name}: {one.verdict}\n{one.code.strip()}"


def _kernels(title: str, found: list[Kernel]) -> Iterator[Table | Text]:
    """Yield a table of the kernels, and a sentence on each."""
    yield Table(
        title,
        found,
        Column("kernel", "name", NAME),
        Column("threads", "threads", PLAIN),
        Column("regs", "usage.registers", PLAIN),
        Column("shared", "usage.shared_bytes", SIZE),
        Column("spills", "usage.spill_bytes", SIZE),
        Column("FMA", "counts.fma", PLAIN),
        Column("loads", _loads),
        Column("blocks", "occupancy.blocks", PLAIN),
        Column("warps", lambda kernel: f"{kernel.occupancy.warps}/{kernel.occupancy.most_warps}", PLAIN),
    )
    for kernel in found:
        yield Text(f"{kernel.name}: {kernel.verdict}")
    yield Text(
        "regs, shared, spills: from NVIDIA's linker; FMA, loads from global memory: static counts in the PTX; "
        "blocks, warps: resident on a multiprocessor",
        style="dim",
    )


def _loads(kernel: Kernel) -> str | None:
    return "\n".join(f"{count} x {width} B" for width, count in kernel.counts.loads.items()) or None
