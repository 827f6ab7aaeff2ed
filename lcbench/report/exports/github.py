"""What a step of GitHub Actions tells: annotations by workflow commands, and the summary of the job.

https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands; GitHub shows ten errors and ten
warnings a step, so the summary holds what does not fit.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from lcbench.judge.verdicts import Comparison
from lcbench.report import compare_tables

SUMMARY = "GITHUB_STEP_SUMMARY"
"""The variable that names the file of the job's summary."""

_COMMANDS = {"slower": "error", "wrong": "error", "not measured": "error", "inconclusive": "warning"}


def verdicts(comparisons: Sequence[Comparison], fail_above: float, heading: str) -> str:
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
