"""Stored results: comparison, history, export, plots and HTML reports."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from lcbench.errors import LcbenchError, require
from lcbench.losses.implementation import did_you_mean
from lcbench.progress import NoteCallback, ProgressCallback, no_note, no_progress

if TYPE_CHECKING:
    from lcbench.record import Record, Row
    from lcbench.stats.history import History
    from lcbench.stats.verdicts import Judgement, Latest

CLOCKS_DIFFER = timedelta(minutes=5)
"""Time by which a result of another machine may seem to be in the future."""

PAGE_ENDINGS = (".html", ".htm")


def compare(
    base: Record | str | Path,
    new: Record | str | Path | None = None,
    fail_above: float = 0.10,
    *,
    note: NoteCallback = no_note,
) -> Judgement:
    """Compare the record `new` with `base`; a row is slower if it is by more than `fail_above`.

    If rows whose code and settings did not change show that the machine was slower or faster, the change beyond that
    decides.

    Parameters
    ----------
    base
        Record, file or name of a baseline.
    new
        The same; None means the newest record that is not of a gate.
    fail_above
        Largest tolerated slowdown, as a fraction.
    note
        Called with the newest record's file, and with the files that were passed over.
    """
    require(fail_above >= 0, f"fail_above is {fail_above}: it cannot be negative")
    newer = _record_of(new, "compare with", lambda each: each.gate is None, note)
    older = _record_of(base, "compare with")
    from lcbench.stats import verdicts

    return verdicts.compare_records(older, newer, fail_above)


def history(
    implementations: str | Iterable[str] = (),
    *,
    losses: str | Iterable[str] = (),
    rows: int | Iterable[int] = (),
    since: datetime | str | None = None,
    note: NoteCallback = no_note,
) -> History:
    """Return the times of all results of this machine in chronological order, and where they changed.

    Parameters
    ----------
    implementations
        Names, also separated by commas, of the implementations to select; empty means all.
    losses
        Losses to select; empty means all.
    rows
        Numbers of rows to select; empty means all.
    since
        A time (UTC if it has no zone), an ISO 8601 date, or a git revision that was measured.
    note
        Called with the files that were passed over.
    """
    from lcbench import record
    from lcbench.host import machine
    from lcbench.stats import history as histories

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
    found = histories.history(record.newest_first(note), machine.fingerprint(machine.facts()), wanted, begin)
    _require_series(found, names, begin)
    return found


def _begin(since: datetime | str | None) -> datetime | str | None:
    """Return a time with its zone, or the hash of a revision."""
    begin: datetime | None
    if isinstance(since, str):
        from lcbench.measure import sides

        try:
            begin = datetime.fromisoformat(since)
        except ValueError:
            return sides.git_revision(since) or since
    else:
        begin = since
    return begin.replace(tzinfo=UTC) if begin and begin.tzinfo is None else begin


def _require_series(found: History, names: set[str], begin: datetime | str | None) -> None:
    """Raise LcbenchError with a list of what exists if there is nothing for a name or since `begin`."""
    if isinstance(begin, str) and not found.records and found.revisions:
        measured = ", ".join(revision[:10] for revision in found.revisions[:5])
        raise LcbenchError(
            f"no result has revision '{begin}', and it is not a date like 2026-01-31; newest: {measured}"
        )
    if not found.records:
        when = " since then" if begin else ""
        others = f"; {found.elsewhere} of other machines{_difference_of_newest()}" if found.elsewhere else ""
        raise LcbenchError(f"no result of this machine{when}{others}; 'lcbench run' makes one")
    for name in sorted(names - set(found.implementations)):
        there = ", ".join(found.implementations) or "none"
        hint = did_you_mean(name, found.implementations, f"there is {there}")
        raise LcbenchError(f"no result of '{name}': {hint}")
    if not found.series:
        raise LcbenchError(f"none of {found.records} results has a time for that; leave out --loss, --rows or --impl")


def _difference_of_newest() -> str:
    """Return in what the machine of the newest result differs from this one, in parentheses, or nothing."""
    from lcbench import record
    from lcbench.host import machine

    newest = next(record.newest_first(), None)
    found = machine.machine_differences(machine.facts(), newest.machine) if newest else []
    return f" (the newest has {'; '.join(found[:2])})" if found else ""


def latest(note: NoteCallback = no_note) -> list[Latest]:
    """Return the newest result of every implementation on this machine, grouped by workload.

    note: called with the files that were passed over. Raise LcbenchError if there is none.
    """
    from lcbench import record
    from lcbench.host import machine
    from lcbench.stats import verdicts

    groups = verdicts.latest(record.newest_first(note), machine.fingerprint(machine.facts()))
    require(bool(groups), "no result of this machine yet; 'lcbench run' makes one")
    return groups


def _record_of(
    result: Record | str | Path | None,
    purpose: str,
    fit: Callable[[Record], bool] = lambda record: True,
    note: NoteCallback = no_note,
) -> Record:
    """Return the record that is given or named, or the newest one for which `fit` is true.

    purpose: verb for the error message. note: called with the file of the newest one, and with those that were passed
    over.
    """
    from lcbench import record

    if isinstance(result, record.Record):
        return result
    if result is not None:
        return record.find(str(result))
    with closing(record.newest_first(note)) as records:
        newest = next(filter(fit, records), None)
    if newest is None:
        raise LcbenchError(f"no result to {purpose}; 'lcbench run' makes one")
    ahead = datetime.fromisoformat(newest.created) > datetime.now(UTC) + CLOCKS_DIFFER
    note(
        f"newest result: {newest.path}"
        + (f", dated in the future ({newest.created}): was the clock set back?" if ahead else "")
    )
    return newest


def export(
    result: Record | str | Path | None = None,
    form: str = "csv",
    *,
    output: Path | None = None,
    note: NoteCallback = no_note,
) -> str:
    """Return a result, by default the newest, as text in the format `form`, one of `lcbench.report.exports.FORMATS`.

    Parameters
    ----------
    result
        Record, file or name.
    form
        Format.
    output
        File to write as well, atomically.
    note
        Called with the newest result's file, with the files that were passed over, and with the number of rows that
        have no time.
    """
    from lcbench.report import exports

    require(form in exports.FORMATS, f"form is {form!r}: there is {', '.join(exports.FORMATS)}")
    chosen = _record_of(result, "export", note=note)
    text = exports.export(chosen, form)
    if output:
        exports.write(output, text)
    untimed = sum(not row.ranked for row in chosen.rows)
    if untimed:
        note(f"{untimed} of {len(chosen.rows)} rows have no time: wrong, simulated or not measured")
    return text


def write_report(
    *results: Record | str | Path,
    output: Path | None = None,
    baseline: str = "numpy",
    note: NoteCallback = no_note,
) -> Path:
    """Write results, by default the newest, as one HTML page, and return its file.

    Parameters
    ----------
    *results
        Records, files or names.
    output
        By default a file in `files.reports_folder()`, named after the first result.
    baseline
        Implementation that speed-ups are relative to.
    note
        Called with the newest result's file, and with the files that were passed over.

    Raises
    ------
    LcbenchError
        If a result or row does not exist, or the page cannot be written.
    """
    from lcbench import files

    if output:
        require(output.suffix.lower() in PAGE_ENDINGS, f"cannot write {output}: a page is .html")
        files.require_parent_folder(output)
        files.require_replaceable(output)
    found = [_record_of(result, "report", note=note) for result in results or (None,)]
    records = list({each.id: each for each in found}.values())
    names = list(dict.fromkeys(row.implementation for each in records for row in each.rows))
    if baseline not in (*names, "numpy"):
        hint = did_you_mean(baseline, names, f"there is {', '.join(names) or 'none'}")
        raise LcbenchError(f"--baseline {baseline}: no such row; {hint}")
    from lcbench.report.page import page

    path = output or files.reports_folder() / f"{Path(records[0].path).stem}.html"
    files.write_file(path, page.html(records, baseline), "; --output names another file")
    return path


def plot(
    kind: str,
    *files: Path | str,
    output: Path | None = None,
    dpi: int = 160,
    progress: ProgressCallback = no_progress,
    note: NoteCallback = no_note,
) -> Path:
    """Draw a plot of files, by default of the newest suitable ones, and return the file of the plot.

    Parameters
    ----------
    kind
        One of `lcbench.report.plots.KINDS`.
    *files
        Results, models or searches.
    output
        A .png or .svg file; by default beside the first file.
    dpi
        Pixels per inch of a PNG file.
    progress
        Called with the progress.
    note
        Called with warnings.

    Raises
    ------
    LcbenchError
        If a file does not fit the kind, or matplotlib is missing.
    """
    from lcbench.files import require_parent_folder, require_replaceable, write_file
    from lcbench.report import plots

    chosen = plots.find_kind(kind)
    if output:
        plots.output_format(chosen, output)
        require_parent_folder(output)
        require_replaceable(output)
    from lcbench.report.plots.files import resolve_files

    named = resolve_files(chosen, [str(file) for file in files], note)
    path = output or named[0].with_name(f"{named[0].stem}-{chosen.name}{chosen.suffix}")
    content = plots.render_plot(
        chosen, named, plots.output_format(chosen, path), dpi, progress, lambda line: note(f"warning: {line}")
    )
    write_file(path, content, "; --output names another file")
    return path


def plot_all(
    *files: Path | str,
    output: Path | None = None,
    dpi: int = 160,
    progress: ProgressCallback = no_progress,
    note: NoteCallback = no_note,
) -> list[Path]:
    """Draw all plots that the files allow, by default of the newest file of each type, and return the plots' files.

    output: folder, by default `files.plots_folder()`. note: called with the file of each plot, with the reason for each
    plot that is left out, and with warnings. Raise LcbenchError if there is no plot.
    """
    from lcbench.files import plots_folder, require_folder, require_parent_folder, write_file
    from lcbench.report import plots

    if output:
        require_parent_folder(output)
        require_folder(output)
    from lcbench.report.plots.files import find_plots

    passed_over: dict[str, None] = {}  # the same for many kinds of plots
    planned, unread = find_plots([str(file) for file in files], passed_over.setdefault)
    for line in passed_over:
        note(line)
    for reason in unread:
        note(f"left out: {reason}")
    warnings: list[str] = []
    drawn = []
    for number, each in enumerate(planned):
        progress("plots", number, len(planned))
        path = (output or plots_folder()) / each.file_name
        try:
            content = plots.render_plot(each.kind, each.files, each.form, dpi, warn=warnings.append)
        except LcbenchError as error:
            note(f"left out: {each.file_name}: {error}")
            continue
        write_file(path, content, "; --output names another folder")
        note(f"plot: {path}")
        drawn.append(path)
    for line in dict.fromkeys(warnings):
        note(f"warning: {line}")
    require(bool(drawn), "no plot was drawn")
    return drawn
