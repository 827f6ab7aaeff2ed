"""The tables of ``lcbench inspect``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.table import Column, Table
from rich.text import Text

from lcbench.measure.machine_code.assembly import Loop
from lcbench.measure.machine_code.gpu import Kernel
from lcbench.report import style


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
    table = style.table(
        title,
        Column("function", overflow="fold", min_width=14),
        *(
            style.number(heading)
            for heading in ("bits", "FMA", "other", "load", "store", "pref", "call", "stack", "regs", "bytes")
        ),
    )
    alike: dict[tuple[str, ...], list[Loop]] = {}
    for loop in shown:
        alike.setdefault(_row(loop), []).append(loop)
    for (name, *numbers), copies in alike.items():
        several = f" x{len(copies)}" if len(copies) > 1 else ""
        table.add_row(name + several, *numbers, style.count(copies[0].code_bytes))
    yield table
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


def _row(loop: Loop) -> tuple[str, ...]:
    counts = (loop.fma, loop.arithmetic, loop.loads, loop.stores, loop.prefetches, loop.calls, loop.stack)
    return loop.name, str(loop.vector_bits or "scalar"), *map(str, counts), str(loop.vector_registers)


def code(found: Sequence[Loop | Kernel]) -> Iterator[str]:
    """Each piece of code under its verdict; remainders are left out."""
    for one in found:
        comment = "//" if isinstance(one, Kernel) else "#"
        if isinstance(one, Kernel) or not one.remainder:
            yield f"\n{comment} {one.name}: {one.verdict}\n{one.code.strip()}"


def _kernels(title: str, found: list[Kernel]) -> Iterator[Table | Text]:
    """The kernels, and each in words."""
    table = style.table(
        title,
        Column("kernel", overflow="fold", min_width=14),
        *(style.number(heading) for heading in ("threads", "regs", "shared", "spills", "FMA")),
        "loads",
        *(style.number(heading) for heading in ("blocks", "warps")),
    )
    for kernel in found:
        table.add_row(
            kernel.name,
            str(kernel.threads),
            str(kernel.usage.registers),
            style.size(kernel.usage.shared_bytes),
            style.size(kernel.usage.spill_bytes),
            str(kernel.counts.fma),
            "\n".join(f"{count} x {width} B" for width, count in kernel.counts.loads.items()) or style.MISSING,
            str(kernel.occupancy.blocks),
            f"{kernel.occupancy.warps}/{kernel.occupancy.most_warps}",
        )
    yield table
    for kernel in found:
        yield Text(f"{kernel.name}: {kernel.verdict}")
    yield Text(
        "regs, shared, spills: from NVIDIA's linker; FMA, loads from global memory: in the PTX, loops not multiplied "
        "out; blocks, warps: on a multiprocessor at once",
        style="dim",
    )
