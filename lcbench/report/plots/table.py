"""Tables of a result as SVG, as a terminal of 80 columns shows them."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rich.terminal_theme import TerminalTheme
from rich.text import Text

from lcbench.record import Record
from lcbench.report import formatting, style

COLUMNS = 80

_COMMANDS = ("run", "sweep", "gate", "compare")

_THEME = TerminalTheme(
    (22, 27, 34),
    (230, 237, 243),
    [
        (72, 79, 88), (255, 123, 114), (63, 185, 80), (210, 153, 34),
        (88, 166, 255), (188, 140, 255), (57, 197, 207), (177, 186, 196),
    ],
)  # fmt: skip
"""Light text on a dark background, which is legible on a light page and on a dark page."""

_SVG = """\
<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{
  font-family: ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", "Liberation Mono", monospace;
  font-size: {char_height}px;
  line-height: {line_height}px;
}}
.{unique_id}-title {{ font: bold 16px system-ui, sans-serif; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}"/>
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">{matrix}</g>
</g>
</svg>
"""
"""Template of rich, without its font, which a browser would load from the network."""


def why_no_table(record: Record) -> str:
    """Return why the record has no tables, or an empty string."""
    return "" if record.rows else "it has no rows"


def draw_table(record: Record, new: Record | None = None) -> str:
    """Return the SVG of the tables of a run, sweep or gate, or of the comparison of two results."""
    if new is not None:
        return svg(["compare", Path(record.path).stem, Path(new.path).stem], _compared(record, new))
    return svg(record.command, _tables(record))


def svg(command: list[str], tables: Iterable[Any]) -> str:
    """Return the SVG of a terminal with a command line and the tables that the command prints.

    Arguments of a user's own program are left out.
    """
    console = style.recording_console(COLUMNS)
    if command[:1] and command[0] in _COMMANDS:
        console.print(Text(f"$ lcbench {shlex.join(command)}", style="bold green"))
        console.print()
    for table in tables:
        console.print(table)
    return remove_non_xml(console.export_svg(title="", theme=_THEME, code_format=_SVG))


def _tables(record: Record) -> Iterable[Any]:
    if record.gate is not None:
        from lcbench.report.tables import gate as gate_tables
        from lcbench.stats import gate

        return gate_tables.tables(gate.judge_gate(record.rows, record.gate), record.gate)
    if record.sweep is not None:
        from lcbench.report.tables import sweep as sweep_tables

        return sweep_tables.tables(record)
    from lcbench.report.tables import run as run_tables

    return run_tables.tables(record)


def _compared(base: Record, new: Record) -> Iterable[Any]:
    from lcbench.report.tables import compare as compare_tables
    from lcbench.stats import verdicts

    return compare_tables.verdicts(verdicts.compare_records(base, new))


def remove_non_xml(text: str) -> str:
    """Return the text without characters that XML cannot hold, as file names and messages can have.

    A browser shows nothing of an SVG that has such a character.
    """
    return formatting.NOT_XML.sub("", text)
