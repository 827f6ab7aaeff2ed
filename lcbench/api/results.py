"""Holds results against each other: what ``lcbench compare`` and ``lcbench history`` do."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from lcbench.api.problem import require
from lcbench.errors import LcbenchError
from lcbench.losses.errors import did_you_mean

if TYPE_CHECKING:
    from lcbench.judge.history import History
    from lcbench.judge.verdicts import Judgement
    from lcbench.record import Record, Row


def compare(base: Record | str | Path, new: Record | str | Path, fail_above: float = 0.20) -> Judgement:
    """Holds the record `new` against `base` (records, files or saved names): slower by more than `fail_above`?"""
    from lcbench import record
    from lcbench.judge import verdicts

    def as_record(value: Record | str | Path) -> Record:
        return value if isinstance(value, record.Record) else record.find(str(value))

    require(fail_above >= 0, f"fail_above is {fail_above}: it cannot be negative")
    return verdicts.compare(as_record(base), as_record(new), fail_above)


def history(
    implementations: str | Iterable[str] = (),
    *,
    losses: str | Iterable[str] = (),
    rows: int | Iterable[int] = (),
    since: datetime | str | None = None,
) -> History:
    """What every result of this machine says, over time, and where a time changed.

    implementations: names as they stand in the results, or several with commas; losses and rows likewise, none is all.
    since: a time (UTC where it names no zone), an ISO 8601 date, or a git revision that was measured.
    """
    from lcbench import record
    from lcbench.judge import history as judged
    from lcbench.measure import machine

    implementations = [implementations] if isinstance(implementations, str) else implementations
    names = {name.strip() for text in implementations for name in text.split(",")}
    losses = {losses} if isinstance(losses, str) else set(losses)
    sizes = {rows} if isinstance(rows, int) else set(rows)

    def wanted(row: Row) -> bool:
        return (
            (not names or row.implementation in names)
            and (not losses or row.loss in losses)
            and (not sizes or row.rows in sizes)
        )

    begin = _begin(since)
    found = judged.history(record.newest_first(), machine.fingerprint(machine.facts()), wanted, begin)
    _require_series(found, names, begin)
    return found


def _begin(since: datetime | str | None) -> datetime | str | None:
    """A time with its zone, or a revision by its digits."""
    begin: datetime | None
    if isinstance(since, str):
        from lcbench.measure.gating import git

        try:
            begin = datetime.fromisoformat(since)
        except ValueError:
            return git.revision(since) or since
    else:
        begin = since
    return begin.replace(tzinfo=UTC) if begin and begin.tzinfo is None else begin


def _require_series(found: History, names: set[str], begin: datetime | str | None) -> None:
    """Raises LcbenchError, which says what is there, where nothing is."""
    if isinstance(begin, str) and not found.records and found.revisions:
        measured = ", ".join(revision[:10] for revision in found.revisions[:5])
        raise LcbenchError(f"no result of a revision '{begin}', nor is it a date like 2026-01-31; newest: {measured}")
    if not found.records:
        when = " since then" if begin else ""
        others = f"; {found.elsewhere} of other machines{_the_newest_of_them()}" if found.elsewhere else ""
        raise LcbenchError(f"no result of this machine{when}{others}; 'lcbench run' makes one")
    for name in sorted(names - set(found.implementations)):
        there = ", ".join(found.implementations) or "none"
        hint = did_you_mean(name, found.implementations, f"there is {there}")
        raise LcbenchError(f"no result of '{name}': {hint}")
    if not found.series:
        raise LcbenchError(f"none of {found.records} results has a time for that; leave out --loss, --rows or --impl")


def _the_newest_of_them() -> str:
    """In what the machine of the newest result differs from this one."""
    from lcbench import record
    from lcbench.measure import machine

    newest = next(record.newest_first(), None)
    found = machine.differences(machine.facts(), newest.machine) if newest else []
    return f" (the newest has {'; '.join(found[:2])})" if found else ""
