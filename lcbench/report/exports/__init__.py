"""What other tools read: a result in their formats, and verdicts in those that a CI service shows."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lcbench.record import Record

FORMATS = {
    "csv": "tables",
    "markdown": "tables",
    "junit": "ci",
    "bencher": "trackers",
    "github-action-benchmark": "trackers",
    "pytest-benchmark": "trackers",
}
"""The formats that a result has, and the module in this package that writes each, imported only then."""


def export(record: Record, form: str) -> str:
    """`record` as the text of a file in the format `form`, one of `FORMATS`.

    Raises LcbenchError where the format holds nothing but times and the record has none.
    """
    text: str = getattr(import_module(f"{__name__}.{FORMATS[form]}"), form.replace("-", "_"))(record)
    return text
