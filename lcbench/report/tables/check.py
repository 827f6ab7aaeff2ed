"""Tables of ``lcbench check``."""

from __future__ import annotations

from collections.abc import Iterator

from rich.padding import Padding
from rich.text import Text

from lcbench.record import CheckResult, Example
from lcbench.report import formatting
from lcbench.report.table import PLAIN, SCIENTIFIC, WORD, Cell, Column, Table
from lcbench.report.tables.run import why_not

WIDTH = 78
"""Characters of a verdict on a user's function. If it is longer, the reason stands on a line of its own."""


def tables(reports: list[CheckResult]) -> Iterator[Table | Text | Padding]:
    """Yield a table of the catalog's implementations, and lines on each of a user's functions."""
    known = [report for report in reports if not report.users]
    if known:
        yield _table(known)
        failed = [report for report in known if report.status != "ok"]
        yield from why_not(failed, lambda report: f"{report.loss} {report.dtype}".strip())
        left_out = max(report.left_out for report in known)
        if left_out:
            yield Text(f"simulated: Numba's CUDA simulator, without the {left_out} cases that are too large for it")
    theirs = [report for report in reports if report.users]
    for file in dict.fromkeys(_file(report) for report in theirs):
        yield from _user_functions(file, [report for report in theirs if _file(report) == file])
    yield _summary(reports)


def _file(report: CheckResult) -> str:
    return report.implementation.rpartition(":")[0] or report.implementation


def _table(reports: list[CheckResult]) -> Table:
    return Table(
        "against the float64 oracle",
        reports,
        Column("implementation", "implementation", WORD),
        Column("loss", "loss"),
        Column("dtype", "dtype"),
        Column("cases", lambda report: report.cases if report.dtype else formatting.MISSING, PLAIN),
        Column("loss error", lambda report: report.error_loss if report.status == "ok" else None, SCIENTIFIC),
        Column("gradient error", lambda report: report.error_grad if report.status == "ok" else None, SCIENTIFIC),
        Column("result", _result),
    )


def _result(report: CheckResult) -> Cell:
    simulated = " (simulated)" if report.device == "simulator" else ""
    if report.status == "ok":
        return Cell(f"right{simulated}")
    return Cell(report.status + simulated, mood="bad" if report.status in ("wrong", "unstable") else "open")


def _user_functions(file: str, reports: list[CheckResult]) -> Iterator[Text | Padding]:
    yield Text(file, style="bold")
    for name in dict.fromkeys(report.implementation for report in reports):
        own = [report for report in reports if report.implementation == name]
        yield Padding(_verdict(name.rpartition(":")[2], own), (0, 0, 0, 2))
    for note in dict.fromkeys(note for report in reports for note in report.file_notes):
        yield Padding(Text(f"note: {note}", style="dim"), (0, 0, 0, 2))


def _verdict(function: str, reports: list[CheckResult]) -> Text:
    """Return the verdict on one function: right and in which convention, or what is wrong."""
    text = Text(f"{function}: ")
    failed = next((report for report in reports if report.status != "ok"), None)
    if failed:
        where = f" ({failed.dtype})" if failed.dtype else ""
        reason = failed.reason.removeprefix(f"{failed.status}: ")
        colour = "red" if failed.status in ("wrong", "unstable") else "yellow"
        verdict = f"{failed.status}{where}:"
        fits = len(f"{text}{verdict} {reason}") <= WIDTH
        text.append(verdict + (" " if fits else "\n  ") + reason, style=colour)
        return text.append("".join(f"\n  {line}" for line in why(failed.line, failed.code, failed.example)))
    convention = reports[0].convention
    dtypes = " and ".join(dict.fromkeys(report.dtype for report in reports))
    cases = sum(report.cases for report in reports)
    text.append(f"right, under the {convention}" if convention else "right", style="green")
    text.append(f" ({reports[0].loss}; {cases} cases, {dtypes})")
    notes = dict.fromkeys(note for report in reports for note in report.notes)
    return text.append("".join(f"\n  but {note}" for note in notes))


def why(line: int | None, code: str, example: Example | None) -> Iterator[str]:
    """Yield lines with a line of the code, and with a small example: its inputs, expected and actual values."""
    if line is not None:
        yield f"line {line}: {code}".removesuffix(": ")
    if example:
        yield from example.inputs
        cells = [("", "expected", "actual"), *example.results]
        first, second = (max(len(row[place]) for row in cells) for place in (0, 1))
        for name, expected, actual in cells:
            yield f"{name:<{first}}  {expected:>{second}}  {actual}"


def _summary(reports: list[CheckResult]) -> Text:
    right, wrong, unstable = (sum(report.status == each for report in reports) for each in ("ok", "wrong", "unstable"))
    other = len(reports) - wrong - right - unstable
    return Text(
        f"{right} right, {wrong} wrong"
        + (f", {unstable} unstable" if unstable else "")
        + (f", {other} not checked" if other else "")
    )
