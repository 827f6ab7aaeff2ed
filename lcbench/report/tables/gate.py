"""The tables of ``lcbench gate``."""

from __future__ import annotations

from collections.abc import Iterator

from rich.text import Text

from lcbench.record import Gate, Side
from lcbench.report import style
from lcbench.report.table import Table
from lcbench.report.tables.compare import side_by_side, without_times
from lcbench.stats.gate import GateVerdicts


def tables(gated: GateVerdicts, gate: Gate) -> Iterator[Table | Text]:
    """What was compared, the verdicts, and what they rest on."""
    yield from _sides(gate)
    yield Text()
    yield from side_by_side(gated.comparisons, "base", "head")
    yield from without_times(gated.comparisons)
    for note in notes(gated, gate):
        yield Text(note)
    if gated.doubt:
        yield Text(f"inconclusive: {gated.doubt}", style="yellow")


def heading(gate: Gate) -> str:
    """What was compared, in a few words."""
    return f"{gate.head.given} against {gate.base.given}"


def notes(gated: GateVerdicts, gate: Gate) -> list[str]:
    """What the verdicts rest on, a line each."""
    controls = [comparison.ratio for comparison in gated.control if comparison.ratio]
    lines = [
        f"threshold {style.percent(gate.fail_above)}; head / base with 95 % interval; blocks: {gated.blocks}, each of "
        "two processes a side in an order drawn by lot; visible: smallest slowdown beyond the threshold that 4 of 5 "
        "such gates would show",
    ]
    if controls:
        farthest = max(controls, key=lambda ratio: abs(ratio.value - 1))
        lines.append(f"control, base against itself: {style.within(*farthest, decimals=3)}".replace("\n", " "))
    if gated.disturbed:
        told = ", ".join(f"{count} because {reason}" for reason, count in gated.disturbed.items())
        lines.append(f"blocks left out, whatever their times: {told}")
    if gate.planted:
        lines.append(f"head is base with a slowdown of {style.percent(gate.planted)} planted into every call")
    return lines


def _sides(gate: Gate) -> Iterator[Text]:
    """A line a side, and one for the versions in which they differ."""
    for name, side in (("base", gate.base), ("head", gate.head)):
        yield Text(f"{name}: {_described(side)}")
    differing = [
        f"{package} {gate.base.versions.get(package, 'none')} -> {gate.head.versions.get(package, 'none')}"
        for package in sorted({*gate.base.versions, *gate.head.versions})
        if gate.base.versions.get(package) != gate.head.versions.get(package)
    ]
    if gate.base.python != gate.head.python:
        differing.insert(0, f"{gate.base.python} -> {gate.head.python}")
    if differing:
        yield Text(f"versions that differ: {', '.join(differing)}")


def _described(side: Side) -> str:
    changed = ", with changes" if side.dirty else ""
    commit = f" ({side.revision[:10]}{changed})" if side.revision else ""
    return f"{side.kind} {side.given}{commit}"
