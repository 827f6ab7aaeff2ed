"""Tables of ``lcbench gate``."""

from __future__ import annotations

from collections.abc import Iterator

from rich.text import Text

from lcbench.record import Gate, Side
from lcbench.report import formatting
from lcbench.report.table import Table
from lcbench.report.tables.compare import VISIBLE, not_compared, side_by_side
from lcbench.stats.gate import GateVerdicts


def tables(gated: GateVerdicts, gate: Gate) -> Iterator[Table | Text]:
    """Yield what was compared, the verdicts, and how they were reached."""
    yield from _sides(gate)
    yield Text()
    yield from side_by_side(gated.comparisons, "base", "head")
    yield from not_compared(gated.comparisons)
    for note in notes(gated, gate):
        yield Text(note)
    if gated.doubt:
        yield Text(f"inconclusive: {gated.doubt}", style="yellow")


def heading(gate: Gate) -> str:
    """Return what was compared, in a few words."""
    base = "no base" if gate.base.kind == "none" else gate.base.given
    return f"{gate.head.given} against {base}"


def notes(gated: GateVerdicts, gate: Gate) -> list[str]:
    """Return notes on how the verdicts were reached."""
    controls = [comparison.ratio for comparison in gated.control if comparison.ratio]
    lines = []
    if gated.generations:
        lines.append(
            f"threshold {formatting.percent(gate.fail_above)}; head / base, which compares processes that took turns "
            f"in random order and not the two medians, with 95 % interval; {gated.generations} generations of two "
            "processes per side; "
            f"visible: {VISIBLE}"
        )
    if gate.started_s is not None and gate.spent_s:
        lines.append(
            f"{formatting.percent(gate.started_s / gate.spent_s)} of {gate.spent_s:.0f} s were start-up: imports, "
            "first calls, loading and warm-up"
        )
    if controls:
        farthest = max(controls, key=lambda ratio: abs(ratio.value - 1))
        control = formatting.ratio_with_interval(*farthest, decimals=3).replace("\n", " ")
        lines.append(f"control, base against itself: {control}")
    if gate.planted:
        lines.append(f"head is base with an artificial slowdown of {formatting.percent(gate.planted)} in every call")
    return lines


def _sides(gate: Gate) -> Iterator[Text]:
    """Yield a line for each side, and one for the versions that differ between them."""
    for name, side in (("base", gate.base), ("head", gate.head)):
        yield Text(f"{name}: {_described(side)}")
    differing = [
        f"{package} {gate.base.versions.get(package, 'none')} -> {gate.head.versions.get(package, 'none')}"
        for package in sorted({*gate.base.versions, *gate.head.versions})
        if gate.base.versions.get(package) != gate.head.versions.get(package)
    ]
    if gate.base.python != gate.head.python:
        differing.insert(0, f"{gate.base.python} -> {gate.head.python}")
    if differing and gate.base.kind != "none":
        yield Text(f"versions that differ: {', '.join(differing)}")


def _described(side: Side) -> str:
    if side.kind == "none":
        return "none, as for a push that creates a branch"
    changed = ", with changes" if side.dirty else ""
    named = side.revision and side.revision.startswith(side.given)
    commit = f" ({side.revision[:10]}{changed})" if side.revision and not named else ""
    return f"{side.kind} {side.given}{commit}"
