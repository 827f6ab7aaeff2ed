"""Formats of CI services: JUnit XML, and the workflow commands and the job summary of GitHub Actions.

JUnit XML has no standard. This module follows the schema of Jenkins' xUnit plugin (junit-10.xsd) and the parser of
GitLab: one suite with a test case for each row; the suite has counts and a time with three decimals; the time of a case
has no exponent; there are no properties, and no two cases have the same name.

GitHub's workflow commands: https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands. GitHub
shows at most ten errors and ten warnings of a step; the job summary has all of them.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

from lcbench.errors import LcbenchError
from lcbench.record import Record, Row
from lcbench.report import formatting
from lcbench.report.exports import trackers
from lcbench.report.tables import compare as compare_tables
from lcbench.report.tables.run import SIMULATED
from lcbench.stats.verdicts import Comparison


class _Case(NamedTuple):
    """Test case. element: failure, error, skipped, or None if it passed."""

    group: str
    row: Row
    element: str | None
    kind: str
    message: str


def junit(record: Record) -> str:
    """Return a record as JUnit XML.

    A wrong row is a `failure`, a crash or timeout an `error`, an unavailable row is `skipped`. `time` is the median in
    seconds per call; simulated rows have none. An unstable row has a time, and the reason as `system-out`.
    """
    cases = [_Case(trackers.group(row), row, *_row_outcome(row)) for row in record.rows]
    return _document("lcbench", datetime.fromisoformat(record.created), cases)


def _row_outcome(row: Row) -> tuple[str | None, str, str]:
    element = {"wrong": "failure", "crashed": "error", "timeout": "error", "unavailable": "skipped"}.get(row.status)
    message = (
        f"unstable: {row.reason}"
        if row.status == "unstable"
        else row.reason or (f"right; {SIMULATED}" if row.device == "simulator" else "")
    )
    return element, row.status, message


def junit_verdicts(comparisons: Sequence[Comparison], fail_above: float, heading: str, note: str = "") -> str:
    """Return comparisons as JUnit XML.

    Slower and wrong are a `failure`, not measured is an `error`, inconclusive is `skipped`. `time` is the new median in
    seconds per call.

    fail_above: allowed slowdown, 0.05 is 5 %. heading: what was compared. note: `system-out` of the suite.
    """
    cases = [_Case(one.new.loss, one.new, *_verdict_outcome(one, fail_above)) for one in comparisons]
    return _document(compare_tables.report_title(heading), datetime.now(UTC), cases, note)


def _verdict_outcome(comparison: Comparison, fail_above: float) -> tuple[str | None, str, str]:
    elements = {"slower": "failure", "wrong": "failure", "inconclusive": "skipped", "not measured": "error"}
    verdict = comparison.verdict
    return elements.get(verdict), verdict, compare_tables.statement(comparison, fail_above)


def _document(heading: str, created: datetime, cases: Sequence[_Case], note: str = "") -> str:
    elements = [case.element for case in cases]
    counts = {
        "tests": str(len(cases)),
        "failures": str(elements.count("failure")),
        "errors": str(elements.count("error")),
    }
    suites = ElementTree.Element("testsuites", {"name": "lcbench", **counts})
    suite = ElementTree.SubElement(
        suites,
        "testsuite",
        {
            "name": _text(heading),
            **counts,
            "skipped": str(elements.count("skipped")),
            "time": f"{sum(case.row.median_s or 0.0 for case in cases if case.row.timed):.3f}",
            "timestamp": created.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S"),
        },
    )
    for case in cases:
        suite.append(_test_case(case))
    if note:
        ElementTree.SubElement(suite, "system-out").text = _text(note)
    ElementTree.indent(suites)
    # ASCII with character references is valid in every encoding, including that of the terminal.
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ElementTree.tostring(suites, encoding="us-ascii").decode()}\n'


def _test_case(case: _Case) -> ElementTree.Element:
    row, message = case.row, _text(case.message)
    element = ElementTree.Element("testcase", {"classname": f"lcbench.{case.group}", "name": _text(trackers.name(row))})
    if row.timed and row.median_s:
        element.set("time", f"{row.median_s:.9f}")
    if case.element:
        ElementTree.SubElement(element, case.element, {"type": case.kind, "message": message}).text = message
    elif message:
        ElementTree.SubElement(element, "system-out").text = message
    return element


def _text(value: str) -> str:
    return formatting.NOT_XML.sub("\N{REPLACEMENT CHARACTER}", value)


SUMMARY = "GITHUB_STEP_SUMMARY"
"""Environment variable with the path of the job summary."""

_COMMANDS = {
    "slower": "error", "wrong": "error", "not measured": "error", "inconclusive": "warning", "new": "notice",
}  # fmt: skip


def github_verdicts(comparisons: Sequence[Comparison], fail_above: float, heading: str, note: str = "") -> str:
    """Return workflow commands, one per line.

    Failures are errors, inconclusive verdicts are warnings. A new implementation is a notice, and so are the summary
    and `note` if it has text.
    """
    title = compare_tables.report_title(heading)
    lines = [
        _command(
            _COMMANDS[comparison.verdict],
            f"{title}: {comparison.verdict}",
            f"{compare_tables.subject(comparison)}: {compare_tables.statement(comparison, fail_above)}",
        )
        for comparison in sorted(comparisons, key=lambda comparison: compare_tables.ORDER.index(comparison.verdict))
        if comparison.verdict in _COMMANDS
    ]
    lines.append(_command("notice", title, compare_tables.summary(comparisons, fail_above)))
    if note:
        lines.append(_command("notice", title, note))
    return "\n".join(lines) + "\n"


def append_summary(markdown: str) -> None:
    """Append `markdown` to the job summary; do nothing outside GitHub Actions.

    Raise LcbenchError if it cannot be written.
    """
    name = os.environ.get(SUMMARY)
    if name:
        try:
            with Path(name).open("a", encoding="utf-8", errors="backslashreplace") as file:
                file.write(f"{markdown}\n")
        except OSError as error:
            raise LcbenchError(f"cannot write {SUMMARY}={name}: {error.strerror}") from None


def _command(command: str, title: str, message: str) -> str:
    return f"::{command} title={_property(title)}::{_data(message)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
