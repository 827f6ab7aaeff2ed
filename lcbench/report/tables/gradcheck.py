"""Tables of ``lcbench gradcheck``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from rich.text import Text

from lcbench.checks.gradcheck import GradientReport
from lcbench.checks.gradient import Coordinate, GradientCheck, GradientMethod
from lcbench.report import formatting
from lcbench.report.table import NUMBER, PLAIN, SCIENTIFIC, SECONDS, Cell, Column, Mood, Table
from lcbench.report.tables.check import why

MOODS: dict[str, Mood] = {"right": "", "kink": "open", "wrong": "bad"}
COLOURS = {"ok": "green", "wrong": "bold red", "unchecked": "bold yellow"}


def tables(reports: list[GradientReport], step: float) -> Iterator[Table | Text]:
    """Yield two tables and a verdict for each report, and a summary.

    step: step of the central differences.
    """
    file = ""
    for report in reports:
        if _file(report) != file:
            file = _file(report)
            yield Text(file, style="bold")
        if report.found:
            yield _coordinates(report, report.found, step)
            yield Text()
            yield _methods(report.found)
        yield _verdict(report)
        yield Text()
    yield _summary(reports)


def _file(report: GradientReport) -> str:
    """Return the file of a user's function, or an empty string."""
    return report.implementation.rpartition(":")[0]


def _label(report: GradientReport) -> str:
    """Return the implementation and its loss, or the name of a user's function."""
    function = report.implementation.rpartition(":")[2]
    return function if _file(report) else f"{function} {report.loss}"


def _coordinates(report: GradientReport, found: GradientCheck, step: float) -> Table:
    margin = "" if report.margin is None else f", margin {report.margin:g}"
    return Table(
        f"{_label(report)}: h {step:g}{margin}",
        found.coordinates,
        Column("at", lambda coordinate: "{},{}".format(*coordinate.at), PLAIN),
        Column("numerical", lambda coordinate: f"{coordinate.numerical:.8g}", PLAIN),
        Column("analytic", lambda coordinate: f"{coordinate.analytic:.8g}", PLAIN),
        Column("error", "relative_error", SCIENTIFIC),
        Column("verdict", lambda coordinate: Cell(_coordinate_verdict(coordinate), mood=MOODS[coordinate.verdict])),
    )


def _coordinate_verdict(coordinate: Coordinate) -> str:
    """Return the verdict, and what explains a large error: the nearest kink and the number of others, or rounding."""
    if coordinate.verdict == "kink" and coordinate.nearest_kink:
        more = f", +{coordinate.kinks - 1}" if coordinate.kinks > 1 else ""
        return f"kink: row {coordinate.nearest_kink.row}, class {coordinate.nearest_kink.wrong_class}{more}"
    return f"{coordinate.verdict}, except for {coordinate.because}" if coordinate.because else coordinate.verdict


def _methods(found: GradientCheck) -> Table:
    def numerical(name: str) -> Callable[[GradientMethod], Any]:
        return lambda method: getattr(method, name) if method.name != "analytic" else None

    return Table(
        "gradients compared",
        found.ways,
        Column("gradient", "name"),
        Column(f"{len(found.coordinates)} weights", numerical("seconds"), SECONDS),
        Column("losses", numerical("evaluations"), NUMBER),
        Column("all weights", "whole_seconds", SECONDS),
        Column("losses", "whole_evaluations", NUMBER),
        Column("worst error", "worst_error", SCIENTIFIC),
        Column("against", "against"),
    )


def _verdict(report: GradientReport) -> Text:
    text = Text(f"{_label(report)}: ")
    under = f", under the {report.convention}" if report.convention else ""
    text.append({"ok": "right", "unchecked": "not checked"}.get(report.status, report.status) + under,
                style=COLOURS[report.status])  # fmt: skip
    if report.reason:
        text.append(f": {report.reason}")
    if report.found and report.status != "unchecked":
        text.append(f" ({_counted(report.found)})")
    return text.append("".join(f"\n  {line}" for line in why(report.line, report.code, report.example)))


def _counted(found: GradientCheck) -> str:
    kinks, worst = found.count("kink"), formatting.scientific(found.worst_error())
    words = f"of {len(found.coordinates)} weights {found.count('right')} right, {found.count('wrong')} wrong"
    if not kinks:
        return f"{words}; worst relative error {worst}"
    if kinks == len(found.coordinates):
        return f"{words}, {kinks} at kinks; worst relative error {worst} at them"
    away = formatting.scientific(found.worst_error(kinks=False))
    return f"{words}, {kinks} at kinks; worst relative error {away} away from kinks, {worst} at them"


def _summary(reports: list[GradientReport]) -> Text:
    count = {status: sum(report.status == status for report in reports) for status in ("ok", "wrong", "unchecked")}
    unchecked = f", {count['unchecked']} not checked" if count["unchecked"] else ""
    return Text(f"{count['ok']} right, {count['wrong']} wrong{unchecked}")
