"""The tables of ``lcbench check``."""

from __future__ import annotations

from collections.abc import Iterator

from rich.table import Column, Table
from rich.text import Text

from lcbench.record import Checked
from lcbench.report import style


def tables(reports: list[Checked]) -> Iterator[Table | Text]:
    """The catalogue's implementations as a table, a user's functions one by one in words."""
    known = [report for report in reports if not report.users]
    if known:
        yield _table(known)
    for name in dict.fromkeys(report.implementation for report in reports if report.users):
        yield from _in_words(name, [report for report in reports if report.implementation == name])
    yield _summary(reports)


def _table(reports: list[Checked]) -> Table:
    table = style.table(
        "against the float64 oracle",
        Column("implementation", no_wrap=True),
        "loss",
        "dtype",
        style.number("cases"),
        style.number("loss error"),
        style.number("gradient error"),
        "result",
    )
    for report in reports:
        ok = report.status == "ok"
        result = "right" if ok else f"{report.status}: {report.reason}"
        if report.device == "simulator":
            result += f", simulated ({report.left_out} cases too large)" if ok else " (simulated)"
        table.add_row(
            report.implementation,
            report.loss,
            report.dtype,
            str(report.cases) if report.dtype else style.MISSING,
            style.scientific(report.error_loss) if ok else style.MISSING,
            style.scientific(report.error_grad) if ok else style.MISSING,
            Text(result, style="" if ok else "bold red" if report.status == "wrong" else "yellow"),
        )
    return table


def _in_words(name: str, reports: list[Checked]) -> Iterator[Text]:
    for note in dict.fromkeys(note for report in reports for note in report.notes):
        yield Text(f"  note: {note}", style="dim")
    failed = next((report for report in reports if report.status != "ok"), None)
    text = Text(f"{name}: ", style="bold")
    if failed:
        where = f" ({failed.dtype})" if failed.dtype else ""
        yield text.append(
            f"{failed.status}{where}: {failed.reason}", style="red" if failed.status == "wrong" else "yellow"
        )
        return
    convention = reports[0].convention
    verdict = f"right, under the {convention}" if convention else "right"
    dtypes = " and ".join(dict.fromkeys(report.dtype for report in reports))
    cases = sum(report.cases for report in reports)
    yield text.append(verdict, style="green").append(
        f" ({reports[0].loss}; {cases} cases in {dtypes})", style="not bold"
    )


def _summary(reports: list[Checked]) -> Text:
    wrong = sum(report.status == "wrong" for report in reports)
    right = sum(report.status == "ok" for report in reports)
    other = len(reports) - wrong - right
    return Text(f"{right} right, {wrong} wrong" + (f", {other} not checked" if other else ""))
