"""HTML page: renders the template with the parts, style, scripts and libraries."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from lcbench import files
from lcbench.record import Record, Row
from lcbench.report import formatting
from lcbench.report.page import contents, plots, times
from lcbench.report.page.plots import Plot
from lcbench.report.plots import selection
from lcbench.report.table import Table
from lcbench.report.tables import gate as gate_tables
from lcbench.report.tables import run as run_tables
from lcbench.report.tables import sweep as sweep_tables
from lcbench.stats.crossings import efficiencies
from lcbench.stats.growth import growths

LIBRARIES = ("d3.min.js", "plot.umd.min.js")
"""Libraries in the order in which they must run."""

LICENCES = ("d3.LICENSE", "plot.LICENSE")

SCRIPTS = ("page.js", "marks.js", "plots.js")
"""Scripts of the page in the order in which they must run."""


MOST_NAMES = 3
"""Number of implementations that the title of a result names."""


@dataclass
class Figure:
    """Title of a plot, the number of its data, and its kind."""

    number: int
    title: str
    kind: str


@dataclass
class Card:
    """Table with the plots above it."""

    table: Table
    headline: str = ""
    figures: list[Figure] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass
class Fastest:
    """Fastest row of one table, for the overview."""

    workload: str
    target: str
    row: str
    winner: str
    words: list[str]


@dataclass
class Section:
    """Section of one record."""

    number: int
    record: Record
    title: str
    created: str
    command: str
    machine: list[tuple[str, str]]
    details: list[tuple[str, str]]
    noisy: bool
    noise: list[str]
    gate: contents.Verdicts | None
    gate_card: Card | None
    growth: list[Card]
    fastest: list[Fastest]
    times: list[Card]
    verification: Table
    notes: list[str]
    samples: list[tuple[str, dict[str, Any]]]


class _Page:
    """Collects the data of plots and rows while sections are made; the script finds them by number and name."""

    def __init__(self) -> None:
        self.plots: list[Plot] = []
        self.row_data: dict[str, dict[str, Any]] = {}

    def figure(self, title: str, plot: Plot) -> Figure:
        self.plots.append(plot)
        return Figure(len(self.plots) - 1, title, plot["kind"])


def html(records: list[Record], baseline: str = "numpy") -> str:
    """Return the page of `records`, in their order. Speed-ups are over `baseline`, if it was measured.

    The same records give the same page.
    """
    page = _Page()
    compared = contents.of_two(records)
    comparison = _verdict_card(page, compared) if compared else None
    sections = [_section(page, number, record, baseline) for number, record in enumerate(records)]
    return _template().render(
        title=_title(records),
        sections=sections,
        compared=compared,
        comparison=comparison,
        data={"plots": page.plots, "rows": page.row_data, "farthest": selection.FARTHEST},
        style=_text("page.css"),
        libraries=[_text("vendor", name) for name in LIBRARIES],
        licences="\n".join(_text("vendor", name) for name in LICENCES),
        scripts=[_text("scripts", name) for name in SCRIPTS],
        version=records[0].lcbench,
    )


def _section(page: _Page, number: int, record: Record, baseline: str) -> Section:
    rows = {f"{number}-{place}": row for place, row in enumerate(record.rows)}
    groups = times.groups(record, rows)
    for group in groups:
        page.row_data |= {name: plots.row_data(row, group) for name, row in group.ranked.items()}
    cards = [_times_card(page, record, group, baseline) for group in groups]
    gate, created = contents.of_gate(record), datetime.fromisoformat(record.created)
    return Section(
        number=number,
        record=record,
        title=_name(record),
        created=f"{created.day} {created:%B %Y, %H:%M} UTC",
        command=shlex.join(["lcbench", *record.command]) if record.command else "",
        machine=contents.essentials(record),
        details=contents.everything(record),
        noisy=contents.is_noisy(record),
        noise=[line.plain for line in run_tables.noisy(record)],
        gate=gate,
        gate_card=_verdict_card(page, gate) if gate else None,
        growth=_growth_cards(page, record, groups) if record.sweep else [],
        fastest=[]
        if record.gate or record.sweep or run_tables.too_busy(record)
        else _fastest(number, groups, baseline),
        times=cards,
        verification=_verification(rows),
        notes=[*(note.plain for note in run_tables.notes(record)), *_note_on_intervals(cards)],
        samples=_samples(page, rows),
    )


def _times_card(page: _Page, record: Record, group: times.Group, baseline: str) -> Card:
    card = Card(times.table_of_times(group, baseline, run_tables.too_busy(record)))
    if group.ranked and not record.sweep:
        card.figures.append(page.figure("Median and 95 % interval", plots.bars(group, baseline)))
        roofline = plots.roofline(group, record)
        if roofline:
            card.figures.append(page.figure("Rates and the machine's limits; dashed: NumPy's GEMM", roofline))
        card.figures.append(page.figure(*plots.samples(group)))
    return card


def _note_on_intervals(cards: list[Card]) -> list[str]:
    """Return the meaning of `NO_INTERVAL`, if it is used."""
    texts = (cell.text for card in cards for line in card.table.lines for cell in line.cells)
    if any(formatting.NO_INTERVAL in text for text in texts):
        return [f"{formatting.NO_INTERVAL}: no interval: too noisy for a statement, or too few processes"]
    return []


def _fastest(number: int, groups: list[times.Group], baseline: str) -> list[Fastest]:
    ranked = [(place, group) for place, group in enumerate(groups) if group.ranked]
    titles = selection.titles(group.workload for _, group in ranked)
    return [
        Fastest(
            titles[group.workload],
            f"times-{number}-{place}",
            next(iter(group.ranked)),
            *plots.fastest(group, baseline),
        )
        for place, group in ranked
    ]


def _verification(rows: dict[str, Row]) -> Table:
    table = run_tables.errors([*rows.values()])
    for (name, row), line in zip(rows.items(), table.lines, strict=True):
        line.row, line.words = name, f"{row.data} {row.status}"
    return table


def _growth_cards(page: _Page, record: Record, groups: list[times.Group]) -> list[Card]:
    found = growths(record)
    notes = [*sweep_tables.sentences(record), *sweep_tables.note_on_misfit(found)]
    grown = Card(sweep_tables.growth_table(found), notes=notes)
    grown.figures = [page.figure(*one) for group in groups for one in plots.scaling(record, group)]
    threads = Card(sweep_tables.threads_table(efficiencies(record)))
    threads.figures = [page.figure(*one) for group in groups for one in plots.threads(record, group)]
    return [card for card in (grown, threads) if card.figures or card.table.lines]


def _verdict_card(page: _Page, of: contents.Verdicts) -> Card:
    card = Card(of.table, headline=of.summary, notes=of.notes)
    if of.plot["marks"]:
        card.figures.append(page.figure("Ratio of the times, with its 95 % interval", of.plot))
    return card


def _samples(page: _Page, rows: dict[str, Row]) -> list[tuple[str, dict[str, Any]]]:
    return [(name, page.row_data[name]) for name in rows if name in page.row_data]


def _kind(record: Record) -> str:
    return "Gate" if record.gate else "Sweep" if record.sweep else "Run"


def _title(records: list[Record]) -> str:
    return f"lcbench: {', '.join(map(_name, records))}"


def _name(record: Record) -> str:
    """Return the kind and the name of a record: the saved one, or else what was measured."""
    kind = _kind(record)
    if Path(record.path).parent.name == files.baselines_folder().name:
        return f"{kind} {Path(record.path).stem}"
    if record.gate:
        return f"{kind}: {gate_tables.heading(record.gate)}"
    names = list(dict.fromkeys(row.implementation for row in record.rows))
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return f"{kind} of {', '.join(names[:MOST_NAMES])}{more}"


@cache
def _template() -> Any:
    environment = Environment(
        loader=PackageLoader("lcbench.report.page"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    environment.globals["arrows_note"] = selection.ARROWS
    return environment.get_template("page.html")


def _text(*path: str) -> str:
    """Return the text of a file of this package."""
    return resources.files("lcbench.report.page").joinpath(*path).read_text(encoding="utf-8")
