"""Holds results against each other: what ``lcbench compare`` does."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from lcbench.api.problem import require

if TYPE_CHECKING:
    from lcbench.judge.verdicts import Judgement
    from lcbench.record import Record


def compare(base: Record | str | Path, new: Record | str | Path, fail_above: float = 0.20) -> Judgement:
    """Holds the record `new` against `base` (records, files or saved names): slower by more than `fail_above`?"""
    from lcbench import record
    from lcbench.judge import verdicts

    def as_record(value: Record | str | Path) -> Record:
        return value if isinstance(value, record.Record) else record.find(str(value))

    require(fail_above >= 0, f"fail_above is {fail_above}: it cannot be negative")
    return verdicts.compare(as_record(base), as_record(new), fail_above)
