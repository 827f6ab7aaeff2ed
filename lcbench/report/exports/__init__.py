"""What other tools read: a result in their formats, and verdicts in those that a CI service shows.

One file a format. `FORMATS` names the module of each, so that naming them imports none.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lcbench.record import Record

FORMATS = {
    "csv": "csv",
    "markdown": "markdown",
    "junit": "junit",
    "bencher": "bencher",
    "github-action-benchmark": "github_action_benchmark",
    "pytest-benchmark": "pytest_benchmark",
}
"""The formats that a result has, and the module in this package that writes each."""


def export(record: Record, form: str) -> str:
    """`record` as the text of a file in the format `form`, one of `FORMATS`.

    Raises LcbenchError where the format holds nothing but times and the record has none.
    """
    text: str = import_module(f"{__name__}.{FORMATS[form]}").result(record)
    return text
