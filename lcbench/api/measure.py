"""What measures: ``lcbench run``, ``sweep`` and ``gate``. A run is a sweep along its numbers of rows."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import msgspec

from lcbench import files, record
from lcbench.errors import LcbenchError, require
from lcbench.progress import NoteCallback, ProgressCallback, no_note, no_progress
from lcbench.settings import (
    CIFAR10_CLASSES,
    CIFAR10_FEATURES,
    CIFAR10_ROWS,
    NAMED_DATA,
    GateSettings,
    RunSettings,
    SweepSettings,
)

if TYPE_CHECKING:
    from lcbench.measure.gate import GateResult
    from lcbench.measure.schedule import Plan, ScheduleState, Target
    from lcbench.measure.selection import ResolvedTarget
    from lcbench.measure.sides import GateSide
    from lcbench.measure.workload import Size
    from lcbench.record import Record, Row, Sweep

Axes = Mapping[str, list[int | str]]

LONG_S = 120.0
"""Who will wait longer is told before the first round."""

PLANTED = 0.05
"""The slowdown by which a gate tests itself."""


def run(
    implementations: str | Iterable[str] = (),
    *,
    progress: ProgressCallback = no_progress,
    note: NoteCallback = no_note,
    **settings: Any,
) -> Record:
    """Times implementations, each verified, and writes the record into the results folder.

    implementations: names as ``--impl`` takes them; none is every one that runs here. settings: the fields of
    `lcbench.settings.RunSettings`; losses and rows may be one or several.
    Raises LcbenchError or LossError where nothing can be measured.
    """
    chosen = RunSettings.from_keywords({"implementations": implementations, **settings})
    record.require_writable(chosen.save)
    with _planned(chosen, {}, note) as (plan, refused):
        from lcbench.measure import schedule

        begins = MachineAtStart()
        measured = schedule.run_schedule(plan, progress)
    return _written(
        begins, chosen.save, measured.rows + refused, ceilings=measured.ceilings, interrupted=measured.interrupted
    )


def sweep(
    axes: Mapping[str, str | Iterable[int | str]],
    implementations: str | Iterable[str] = (),
    *,
    progress: ProgressCallback = no_progress,
    note: NoteCallback = no_note,
    **settings: Any,
) -> Record:
    """Times implementations at every point of one axis or two, each verified, and writes the record.

    axes: by name (rows, features, classes, batch, threads, dtype) the values, or a text as ``--axis`` takes it:
    "1e2:1e5", "lin:1:8:8". implementations: as `run` takes them. settings: the fields of
    `lcbench.settings.SweepSettings`. Until it is finished, the sweep is kept in a file after each round, and
    `resume_sweep` goes on with it. Raises LcbenchError or LossError where nothing can be measured, and
    KeyboardInterrupt after Ctrl-C.
    """
    chosen = SweepSettings.from_keywords({"implementations": implementations, **settings})
    from lcbench.measure import axes as axis

    wanted = record.Sweep(axes=axis.resolve(axes), settings=msgspec.to_builtins(chosen))
    chosen.validate_axes(wanted.axes)
    record.require_writable(chosen.save)
    begins = MachineAtStart()
    unfinished = begins.record(rows=[], sweep=wanted, interrupted=True)
    file = files.new_file_path(files.sweeps_folder(), ".json")
    return _swept(unfinished, wanted, file, begins, progress, note)


def resume_sweep(
    file: Path | str | None = None,
    *,
    progress: ProgressCallback = no_progress,
    note: NoteCallback = no_note,
) -> Record:
    """Goes on with the unfinished sweep in `file`, with its own settings; None is the newest unfinished one.

    Files that cannot be read are passed over, and `note` is told which. Raises LcbenchError where there is none, or it
    was begun on another machine or with other versions.
    """
    from lcbench.host import machine

    file = Path(file) if file else newest_unfinished_sweep(note)
    unfinished = record.read(file)
    if unfinished.sweep is None or not unfinished.interrupted:
        raise LcbenchError(f"{file} is no unfinished sweep: 'lcbench sweep --resume' goes on with the newest")
    begins = MachineAtStart()
    here = machine.facts()
    if unfinished.fingerprint != machine.fingerprint(here):
        raise LcbenchError(f"{file} was begun on another machine: times of two machines are no sweep")
    if unfinished.machine.get("versions") != here["versions"]:
        raise LcbenchError(f"{file} was begun with other versions of Python's packages: begin a new sweep")
    return _swept(unfinished, unfinished.sweep, file, begins, progress, note)


def newest_unfinished_sweep(note: NoteCallback = no_note) -> Path:
    """The file of the unfinished sweep that was begun last, of those that can be read; `note` is told of the others.

    Raises LcbenchError without one.
    """
    for file in sorted(files.sweeps_folder().glob("*.json"), reverse=True):
        try:
            record.read(file)
        except LcbenchError as error:
            note(f"passed over: {error}")
        else:
            return file
    raise LcbenchError(f"no unfinished sweep in {files.sweeps_folder()}: --axis begins one")


def seconds_left(unfinished: Record) -> float:
    """About how long the rounds that are still to come will take, going by those that are done.

    The first compiles as well, so that it is rather less.
    """
    from lcbench.measure.schedule import FEWEST_BLOCKS

    assert unfinished.sweep
    assert unfinished.sweep.rounds
    done, spent_s = unfinished.sweep.rounds, unfinished.sweep.spent_s
    settings = SweepSettings.from_mapping(unfinished.sweep.settings)
    fitting = int(settings.budget_s * done / spent_s) if spent_s else settings.blocks
    rounds = min(settings.blocks, max(FEWEST_BLOCKS, fitting))
    return max(0, rounds - done) * spent_s / done


def gate(
    base: str,
    head: str = ".",
    implementations: str | Iterable[str] = (),
    *,
    progress: ProgressCallback = no_progress,
    **settings: Any,
) -> Record:
    """Measures base and head in turn and writes the record, of which `lcbench.stats.gate.judge_gate` makes the
    verdicts.

    base, head: a git revision, a folder, a Python interpreter or environment, or an implementation (a file, a file's
    function or a catalog's name). implementations: what to measure where they are none; none is ``numba-parallel``.
    settings: the fields of `lcbench.settings.GateSettings`.
    Raises LcbenchError or LossError where nothing can be measured, or not enough for a verdict.
    """
    chosen = GateSettings.from_keywords({"base": base, "head": head, "implementations": implementations, **settings})
    record.require_writable(chosen.save)

    from lcbench.measure import gate, selection, sides
    from lcbench.stats import gate as judgement

    with sides.open_sides(chosen.base, chosen.head, chosen.build) as (base_side, head_side):
        names = selection.split_names(chosen.implementations)
        compared = gate.pair_targets(base_side, head_side, names, chosen.selected_losses, chosen.timeout_s)
        count = sum(len(pair.losses) for pair in compared)
        plan = gate.GatePlan(base_side, head_side, tuple(compared), chosen, judgement.blocks_needed(count))
        how = record.Gate(
            base=_described(base_side),
            head=_described(head_side),
            fail_above=chosen.fail_above,
            budget_s=plan.budget_s,
            planted=chosen.planted,
        )

        def decided(measured: GateResult) -> bool:
            how.orders, how.interim_analyses = measured.orders, measured.interim_analyses
            return all(
                comparison.verdict != "inconclusive"
                for comparison in judgement.judge_gate(measured.rows, how).comparisons
            )

        begins = MachineAtStart()
        measured = gate.measure_gate(plan, decided, progress)
        how.orders, how.interim_analyses = measured.orders, measured.interim_analyses
    return _written(begins, chosen.save, measured.rows, gate=how, interrupted=measured.interrupted)


def _described(side: GateSide) -> record.Side:
    return record.Side(
        given=side.given,
        kind=side.kind,
        revision=side.revision,
        dirty=side.dirty,
        python=side.python,
        versions=side.versions,
    )


def _swept(
    unfinished: Record,
    sweep: Sweep,
    file: Path,
    begins: MachineAtStart,
    progress: ProgressCallback,
    note: NoteCallback,
) -> Record:
    """Measures what is missing in `unfinished`, which `file` keeps meanwhile, and writes the finished record."""
    from lcbench.measure import axes, schedule

    settings = SweepSettings.from_mapping(sweep.settings)
    with _planned(settings, sweep.axes, note) as (plan, refused):
        least_s = schedule.least_s(plan)
        if least_s > LONG_S and not sweep.rounds:
            note(f"{len(axes.points(sweep.axes)):,} points: this takes about {least_s / 60:.0f} minutes or more")

        def keep(measured: ScheduleState) -> None:
            first = not file.exists()
            sweep.rounds, sweep.spent_s = measured.rounds, measured.spent_s
            unfinished.rows, unfinished.ceilings = measured.rows + refused, measured.ceilings
            record.write_unfinished(file, unfinished)
            if first:
                progress(_kept(unfinished, file))

        measured = schedule.begin_schedule(plan)
        if sweep.rounds:
            measured.rows = _same(measured.rows, unfinished.rows, file)
            measured.ceilings, measured.rounds, measured.spent_s = unfinished.ceilings, sweep.rounds, sweep.spent_s
            progress(_kept(unfinished, file))
        schedule.run_schedule(plan, progress, measured, keep)
    if measured.interrupted:
        if file.exists():
            note(f"what whole rounds have measured is kept: 'lcbench sweep --resume {file}' goes on")
        raise KeyboardInterrupt
    finished = _written(
        begins,
        settings.save,
        measured.rows + refused,
        ceilings=measured.ceilings,
        sweep=sweep,
        command=unfinished.command,
    )
    file.unlink(missing_ok=True)
    return finished


def _kept(unfinished: Record, file: Path) -> str:
    """Return the line on what is done and how to go on with it."""
    assert unfinished.sweep
    left_s = seconds_left(unfinished)
    left = f"{left_s:.0f} s" if left_s < 120 else f"{left_s / 60:.0f} min"
    return (
        f"round {unfinished.sweep.rounds} is done, about {left} to go; "
        f"kept until finished: {file}, with which 'lcbench sweep --resume' goes on"
    )


def _same(wanted: list[Row], rows: list[Row], file: Path) -> list[Row]:
    """What `file` has of rows of which nothing is measured yet: they come first in it, in the same order."""
    kept = rows[: len(wanted)]
    if [(row.implementation, row.workload) for row in kept] != [(row.implementation, row.workload) for row in wanted]:
        raise LcbenchError(f"{file} has other implementations than there are now: begin a new sweep")
    return kept


@contextmanager
def _planned(settings: RunSettings, axes: Axes, note: NoteCallback) -> Iterator[tuple[Plan, list[Row]]]:
    """What is to be measured, while its data is there, and the rows of who cannot take part."""
    from lcbench.measure import schedule, selection

    names = selection.split_names(settings.implementations)
    chosen = selection.select_targets(names, settings.selected_losses, settings.timeout_s)
    unavailable = {candidate.name: candidate for candidate in chosen if candidate.unavailable}
    with opened(settings, axes, note) as (size, rows):
        contenders = _contenders(chosen, settings, axes, size, rows)
        plan = schedule.Plan(tuple(each for each in contenders if each.name not in unavailable), settings)
        refused: list[Row] = []
        for contender in contenders:
            if candidate := unavailable.get(contender.name):
                refused += schedule.refused_rows(contender, candidate.status, candidate.unavailable, plan)
        yield plan, refused


def _contenders(
    candidates: list[ResolvedTarget], settings: RunSettings, axes: Axes, size: Size, rows: list[int]
) -> list[Target]:
    """Who takes part on which points; a contender has one number of threads."""
    from lcbench.measure import selection, workload
    from lcbench.measure.axes import points
    from lcbench.measure.schedule import Target

    sizes: dict[Any, list[Size]] = {}  # by the number of threads
    for point in points({**axes, "rows": list(rows)}):
        threads = point.pop("threads", settings.threads)
        sizes.setdefault(threads, []).append(replace(size, **cast("dict[str, Any]", point)))
    simulated: dict[Any, list[Size]] = {None: [workload.SIMULATOR_SIZE]}
    small = {settings.threads: [replace(size, rows=min(*rows, *workload.DEFAULT_ROWS))]}
    asked = bool(settings.row_counts or axes)

    def sizes_of(candidate: ResolvedTarget) -> dict[Any, list[Size]]:
        if candidate.device == "simulator":
            return simulated
        return small if candidate.name == "naive" and not asked else sizes

    row_names = selection.row_names(candidates)
    return [
        Target(
            candidate.name,
            candidate.device,
            tuple((loss, size) for size in its_sizes for loss in candidate.losses),
            row_names[candidate.name],
            threads,
        )
        for candidate in candidates
        for threads, its_sizes in sizes_of(candidate).items()
    ]


@contextmanager
def opened(
    settings: RunSettings, axes: Axes | None = None, note: NoteCallback = no_note
) -> Iterator[tuple[Size, list[int]]]:
    """Where the rows come from: the problem but for its number of rows, and those numbers.

    A file says itself how many features and classes it has. X stays on disk where it is to be streamed, all of it where
    no number of rows is asked for; a file's does so too where it would not fit in memory, and `note` is told. Raises
    LcbenchError where there is no such data, or not so many rows.
    """
    from lcbench.measure.workload import DEFAULT_ROWS, Size

    rows = [int(value) for value in (axes or {}).get("rows", settings.row_counts)]
    size = Size(0, settings.features, settings.classes, settings.dtype, settings.data, settings.batch, settings.stream)
    if settings.data not in NAMED_DATA:
        yield _of_file(Path(settings.data), size, rows, note)
    elif not settings.stream:
        yield size, rows or list(DEFAULT_ROWS)
    elif settings.data == "cifar10":
        yield size, rows or [CIFAR10_ROWS]
    else:
        rows = rows or [CIFAR10_ROWS]
        from lcbench.datasets import synthetic

        with files.temporary_folder("synth") as folder:
            file = Path(folder) / "synthetic.h5"
            # a file has a row of each class, and begins with the same rows however many it has
            written = max(*rows, synthetic.rows_of_all_classes(size.classes))
            synthetic.write_file(file, written, max(1, size.features - 1), size.classes)
            yield replace(size, file=file), rows


def _of_file(file: Path, size: Size, rows: list[int], note: NoteCallback) -> tuple[Size, list[int]]:
    from lcbench.measure import workload

    found = workload.file_shape(file)
    most = max(rows, default=found.rows)
    require(most <= found.rows, f"{file} has {found.rows:,} rows to train on, {most:,} were asked for")
    require(
        (size.features, size.classes) in ((CIFAR10_FEATURES, CIFAR10_CLASSES), (found.features, found.classes)),
        f"{file} has {found.features:,} features, the ones column included, and {found.classes:,} classes: "
        "leave --features and --classes out",
    )
    size = replace(
        size, features=found.features, classes=found.classes, data=file.name, file=file, file_itemsize=found.itemsize
    )
    if not size.streamed and found.on_disk and not workload.fits_in_memory(replace(size, rows=most)):
        size = replace(size, streamed=True)
        note(f"{file}: X of {most:,} rows would not fit in memory; streamed from the file")
    if not rows:
        rows = [found.rows] if size.streamed else sorted({min(count, found.rows) for count in workload.DEFAULT_ROWS})
    return size, rows


class MachineAtStart:
    """The machine when a measurement begins: to be made before it, so that its own load is not held against it."""

    def __init__(self) -> None:
        from lcbench.host import machine
        from lcbench.host.conditions import BackgroundObserver, conditions

        self._facts = machine.facts()
        self._conditions = conditions(self._facts)
        self._observer = BackgroundObserver()

    def record(self, **fields: Any) -> Record:
        """A record of this machine, this checkout and this command, created now, with `fields` measured."""
        from lcbench.host import disturbances, machine
        from lcbench.measure import sides

        found = disturbances.findings(self._facts, self._conditions, self._observer.read())
        revision = sides.git_revision()
        return record.new(
            lcbench=installed_version(),
            git_revision=revision,
            git_dirty=sides.git_has_changes() if revision else None,
            fingerprint=machine.fingerprint(self._facts),
            machine=cast("dict[str, object]", self._facts),
            score=disturbances.score(found),
            findings=[f"{finding.severity}: {finding.what}" for finding in found],
            **{"command": sys.argv[1:], **fields},
        )


def _written(begins: MachineAtStart, save: str | None, rows: list[Row], **fields: Any) -> Record:
    """The record with its estimates, written where anything was measured."""
    from lcbench.stats import estimates

    found = begins.record(rows=rows, **fields)
    estimates.complete_record(found)
    if any(row.processes for row in found.rows):
        record.write(found, save)
    return found


def installed_version() -> str:
    """The version of lcbench."""
    from importlib.metadata import version

    return version("lcbench")
