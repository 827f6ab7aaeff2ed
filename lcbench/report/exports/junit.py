"""JUnit's XML, as Jenkins, GitLab and others read it: a test case a row, a suite for all.

There is no standard, only its readers. This keeps to the schema of Jenkins' xUnit plugin (junit-10.xsd) and to what
GitLab reads: counts in the suite, whose time has three decimals; no exponents in a case's time, no properties, and no
two cases of one name.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple
from xml.etree import ElementTree

from lcbench.judge.verdicts import Comparison
from lcbench.record import Record, Row
from lcbench.report import compare_tables
from lcbench.report.exports import cases

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 cannot hold, not even escaped."""


class _Case(NamedTuple):
    """A test case: `element` is failure, error, skipped, or none where it passed."""

    group: str
    row: Row
    element: str | None
    kind: str
    message: str


def result(record: Record) -> str:
    """A record: `failure` where a row is wrong, `error` where it fell over, `skipped` where it cannot run here.

    `time` is the median in seconds a call. A simulated row passes or fails without one.
    """
    found = [_Case(cases.group(row), row, *_measured(row)) for row in record.rows]
    return _document("lcbench", datetime.fromisoformat(record.created), found)


def _measured(row: Row) -> tuple[str | None, str, str]:
    element = {"wrong": "failure", "crashed": "error", "timeout": "error", "unavailable": "skipped"}.get(row.status)
    message = row.reason or ("right, simulated: no time" if row.device == "simulator" else "")
    return element, row.status, message


def verdicts(comparisons: Sequence[Comparison], fail_above: float, heading: str) -> str:
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
    element = ElementTree.Element("testcase", {"classname": f"lcbench.{case.group}", "name": _text(cases.name(row))})
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
