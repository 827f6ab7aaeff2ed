"""The tables of ``lcbench inspect``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from rich.text import Text

from lcbench.machine_code.gpu import Kernel
from lcbench.machine_code.loops import Loop
from lcbench.report.table import NAME, NUMBER, PLAIN, SIZE, Column, Table

_COUNTS = (
    Column("bits", lambda loop: loop.vector_bits or "scalar", PLAIN),
    Column("FMA", "fma", PLAIN),
    Column("other", "arithmetic", PLAIN),
    Column("load", "loads", PLAIN),
    Column("store", "stores", PLAIN),
    Column("pref", "prefetches", PLAIN),
    Column("call", "calls", PLAIN),
    Column("stack", "stack", PLAIN),
    Column("regs", "vector_registers", PLAIN),
)
"""Of a loop. Where all are the same, two loops look alike."""


def tables(title: str, found: Sequence[Loop | Kernel]) -> Iterator[Table | Text]:
    """A table of what was found, loops or kernels, then the most important of it in words."""
    kernels = [one for one in found if isinstance(one, Kernel)]
    if kernels:
        yield from _kernels(title, kernels)
    else:
        yield from _loops(title, [one for one in found if isinstance(one, Loop)])


def _loops(title: str, found: list[Loop]) -> Iterator[Table | Text]:
    """The loops but for remainders, and in words the first of each function."""
    shown = [loop for loop in found if not loop.remainder]
    if not shown:
        yield Text(f"{title}: no loop computes with floating-point numbers")
        return
    alike: dict[tuple[Any, ...], list[Loop]] = {}
    for loop in shown:
        alike.setdefault((loop.name, *(column.value(loop) for column in _COUNTS)), []).append(loop)
    yield Table(
        title,
        [
            replace(first, name=f"{first.name} x{1 + len(more)}" if more else first.name)
            for first, *more in alike.values()
        ],
        Column("function", "name", NAME),
        *_COUNTS,
        Column("bytes", "code_bytes", NUMBER),
    )
    hottest = {loop.name: loop for loop in reversed(shown)}
    for loop in sorted(hottest.values(), key=lambda loop: -loop.flops):
        yield Text(f"{loop.name}: {loop.verdict}")
    remainders = len(found) - len(shown)
    yield Text(
        "instructions in one pass through each innermost loop, x2 where there are two alike; other: unfused "
        "arithmetic; stack: accesses to it, spills where there is no call; regs: vector registers"
        + (f"; {remainders} more over remainders: --json has them" if remainders else ""),
        style="dim",
    )


def code(found: Sequence[Loop | Kernel]) -> Iterator[str]:
    """Each piece of code under its verdict; remainders are left out."""
    for one in found:
        comment = "//" if isinstance(one, Kernel) else "#"
        if isinstance(one, Kernel) or not one.remainder:
            yield f"\n{comment} {one.name}: {one.verdict}\n{one.code.strip()}"


def _kernels(title: str, found: list[Kernel]) -> Iterator[Table | Text]:
    """The kernels, and each in words."""
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
        "regs, shared, spills: from NVIDIA's linker; FMA, loads from global memory: in the PTX, loops not multiplied "
        "out; blocks, warps: on a multiprocessor at once",
        style="dim",
    )


def _loads(kernel: Kernel) -> str | None:
    return "\n".join(f"{count} x {width} B" for width, count in kernel.counts.loads.items()) or None
