"""What CI services read: JUnit's XML, and the workflow commands and job summary of GitHub Actions.

JUnit as Jenkins, GitLab and others read it: a test case a row, a suite for all. There is no standard, only its readers.
This keeps to the schema of Jenkins' xUnit plugin (junit-10.xsd) and to what GitLab reads: counts in the suite, whose
time has three decimals; no exponents in a case's time, no properties, and no two cases of one name.

GitHub: https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands; it shows ten errors and
ten warnings a step, so the summary holds what does not fit.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

from lcbench.record import Record, Row
from lcbench.report.exports import trackers
from lcbench.report.tables import compare as compare_tables
from lcbench.stats.verdicts import Comparison

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 cannot hold, not even escaped."""


class _Case(NamedTuple):
    """A test case: `element` is failure, error, skipped, or none where it passed."""

    group: str
    row: Row
    element: str | None
    kind: str
    message: str


def junit(record: Record) -> str:
    """A record: `failure` where a row is wrong, `error` where it fell over, `skipped` where it cannot run here.

    `time` is the median in seconds a call. A simulated row passes or fails without one.
    """
    found = [_Case(trackers.group(row), row, *_measured(row)) for row in record.rows]
    return _document("lcbench", datetime.fromisoformat(record.created), found)


def _measured(row: Row) -> tuple[str | None, str, str]:
    element = {"wrong": "failure", "crashed": "error", "timeout": "error", "unavailable": "skipped"}.get(row.status)
    message = row.reason or ("right, simulated: no time" if row.device == "simulator" else "")
    return element, row.status, message


def junit_verdicts(comparisons: Sequence[Comparison], fail_above: float, heading: str) -> str:
    """Comparisons: `failure` where slower or wrong, `error` where not measured, `skipped` where inconclusive.

    `time` is the new median in seconds a call. fail_above: the growth allowed, 0.05 is 5 %. heading: what was compared.
    """
    found = [_Case(one.new.loss, one.new, *_judged(one, fail_above)) for one in comparisons]
    return _document(compare_tables.report_title(heading), datetime.now(UTC), found)


def _judged(comparison: Comparison, fail_above: float) -> tuple[str | None, str, str]:
    elements = {"slower": "failure", "wrong": "failure", "inconclusive": "skipped", "not measured": "error"}
    verdict = comparison.verdict
    return elements.get(verdict), verdict, compare_tables.statement(comparison, fail_above)


def _document(heading: str, created: datetime, found: Sequence[_Case]) -> str:
    elements = [case.element for case in found]
    counts = {
        "tests": str(len(found)),
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
            "time": f"{sum(case.row.median_s or 0.0 for case in found if case.row.ranked):.3f}",
            "timestamp": created.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S"),
        },
    )
    for case in found:
        suite.append(_test_case(case))
    ElementTree.indent(suites)
    # ASCII with character references is the same in every encoding, that of the terminal included.
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ElementTree.tostring(suites, encoding="us-ascii").decode()}\n'


def _test_case(case: _Case) -> ElementTree.Element:
    row, message = case.row, _text(case.message)
    element = ElementTree.Element("testcase", {"classname": f"lcbench.{case.group}", "name": _text(trackers.name(row))})
    if row.ranked and row.median_s:
        element.set("time", _seconds(row.median_s))
    if case.element:
        ElementTree.SubElement(element, case.element, {"type": case.kind, "message": message}).text = message
    elif message:
        ElementTree.SubElement(element, "system-out").text = message
    return element


def _seconds(value: float) -> str:
    return f"{value:.9f}"


def _text(value: str) -> str:
    return _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", value)


SUMMARY = "GITHUB_STEP_SUMMARY"
"""The variable that names the file of the job's summary."""

_COMMANDS = {"slower": "error", "wrong": "error", "not measured": "error", "inconclusive": "warning"}


def github_verdicts(comparisons: Sequence[Comparison], fail_above: float, heading: str) -> str:
    """A workflow command a line: an error for what fails the job, a warning where it is open, a notice that sums up."""
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
    return "\n".join(lines) + "\n"


def append_summary(markdown: str) -> None:
    """Adds `markdown` to the job's summary; does nothing outside of GitHub Actions."""
    name = os.environ.get(SUMMARY)
    if name:
        with Path(name).open("a", encoding="utf-8") as file:
            file.write(f"{markdown}\n")


def _command(command: str, title: str, message: str) -> str:
    return f"::{command} title={_property(title)}::{_data(message)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
