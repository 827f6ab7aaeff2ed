"""Measurements: ``lcbench run``, ``sweep`` and ``gate``. A run is a sweep over its numbers of rows."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import msgspec

from lcbench import __version__, files, record
from lcbench.errors import LcbenchError, NotSaved, require
from lcbench.progress import NoteCallback, ProgressCallback, no_note, no_progress
from lcbench.ranges import FLOATS
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
    from lcbench.measure.gate import GatePlan, GateResult, Pair
    from lcbench.measure.schedule import Plan, ScheduleState, Target
    from lcbench.measure.selection import ResolvedTarget
    from lcbench.measure.sides import GateSide
    from lcbench.measure.workload import Size
    from lcbench.record import Record, Row, Sweep

Axes = Mapping[str, list[int | str]]

LONG_S = 120.0
"""Minimum duration in seconds of a sweep that is announced before its first generation."""

PLANTED = 0.05
"""Relative slowdown that the self-test of a gate injects."""


def run(
    implementations: str | Iterable[str] = (),
    *,
    baseline: str = "",
    progress: ProgressCallback = no_progress,
    note: NoteCallback = no_note,
    **settings: Any,
) -> Record:
    """Time and verify implementations, write the record into the results folder and return it.

    Parameters
    ----------
    implementations
        Names as ``--impl`` takes them; empty means every implementation that runs here.
    baseline
        What is measured beside user code if nothing else is named.
    progress
        Called with the progress.
    note
        Called with lines for the user.
    **settings
        Fields of `lcbench.settings.RunSettings`; losses and rows can be single values.

    Raises
    ------
    LcbenchError
        If nothing can be measured.
    LossError
        If an implementation is unknown or cannot be loaded.
    NotSaved
        If the record cannot be written.
    """
    chosen = RunSettings.from_keywords({"implementations": implementations, **settings})
    with (
        record.reserved(chosen.save),
        _unchanging() as changed,
        _plan_of(chosen, {}, note, progress, baseline) as (plan, refused, unstable),
    ):
        from lcbench.measure import schedule

        machine = MachineAtStart()
        state = schedule.run_schedule(plan, progress)
        machine.tell(changed(), note)
    return write_record(
        machine,
        chosen.save,
        state.rows + refused,
        unstable,
        limits=state.limits,
        ceilings=state.peaks,
        interrupted=state.interrupted,
    )


def sweep(
    axes: Mapping[str, str | Iterable[int | str]],
    implementations: str | Iterable[str] = (),
    *,
    progress: ProgressCallback = no_progress,
    note: NoteCallback = no_note,
    **settings: Any,
) -> Record:
    """Time and verify implementations at every point of one or two axes, write the record and return it.

    After each generation, the unfinished sweep is saved in a file, from which `resume_sweep` continues.

    Parameters
    ----------
    axes
        Values of each axis by its name (rows, features, classes, batch, threads, dtype), or a text as ``--axis``
        takes it, such as "1e2:1e5" or "lin:1:8:8".
    implementations
        As in `run`.
    progress
        Called with the progress.
    note
        Called with lines for the user.
    **settings
        Fields of `lcbench.settings.SweepSettings`.

    Raises
    ------
    LcbenchError
        If nothing can be measured.
    LossError
        If an implementation is unknown or cannot be loaded.
    NotSaved
        If the record cannot be written.
    KeyboardInterrupt
        After Ctrl-C.
    """
    chosen = SweepSettings.from_keywords({"implementations": implementations, **settings})
    from lcbench.measure import axes as axis

    wanted = record.Sweep(axes=axis.resolve(axes), settings=msgspec.to_builtins(chosen))
    chosen.validate_axes(wanted.axes)
    machine = MachineAtStart()
    unfinished = machine.record(rows=[], sweep=wanted, interrupted=True)
    file = files.new_file_path(files.sweeps_folder(), ".json")
    return _measure_sweep(unfinished, wanted, file, machine, progress, note)


def resume_sweep(
    file: Path | str | None = None,
    *,
    progress: ProgressCallback = no_progress,
    note: NoteCallback = no_note,
) -> Record:
    """Continue the unfinished sweep in `file` with its own settings; None means the newest unfinished sweep.

    Call `note` with each file that cannot be read and is skipped. Raise LcbenchError if there is no unfinished sweep,
    or if it was started on another machine or with other package versions.
    """
    from lcbench.host import machine as machines

    file = Path(file) if file else newest_unfinished_sweep(note)
    unfinished = record.read(file)
    if unfinished.sweep is None or not unfinished.interrupted:
        raise LcbenchError(f"{file} is no unfinished sweep: 'lcbench sweep --resume' continues the newest")
    _require_resumable(file, unfinished.sweep)
    machine = MachineAtStart()
    here = machines.facts()
    if unfinished.fingerprint != machines.fingerprint(here):
        raise LcbenchError(f"{file} was started on another machine: a sweep must be measured on one machine")
    if unfinished.machine.get("versions") != here["versions"]:
        raise LcbenchError(f"{file} was started with other versions of Python packages: start a new sweep")
    return _measure_sweep(unfinished, unfinished.sweep, file, machine, progress, note)


def _require_resumable(file: Path, sweep: Sweep) -> None:
    """Raise LcbenchError if the axes or settings of a sweep are not those that `sweep` would have written."""
    from lcbench.measure import axes

    try:
        settings = SweepSettings.from_mapping(sweep.settings)
        require(axes.resolve(sweep.axes) == sweep.axes, "the values of an axis are not in ascending order")
        settings.validate_axes(sweep.axes)
        with record.reserved(settings.save):
            pass
    except LcbenchError as error:
        raise LcbenchError(f"{file} cannot be resumed: {error}; start a new sweep") from None


def newest_unfinished_sweep(note: NoteCallback = no_note) -> Path:
    """Return the file of the unfinished sweep that was started last; call `note` with each unreadable file.

    Raise LcbenchError if there is none.
    """
    for file in reversed(files.stored(files.sweeps_folder(), ".json")):
        try:
            record.read(file)
        except LcbenchError as error:
            note(f"skipped: {error}")
        else:
            return file
    raise LcbenchError(f"no unfinished sweep in {files.sweeps_folder()}: --axis starts one")


def seconds_left(unfinished: Record) -> float:
    """Return an estimate of the seconds that the remaining generations take, from the duration of the completed ones.

    The first generation includes compilation, so the estimate tends to be too high.
    """
    from lcbench.measure.schedule import FEWEST_GENERATIONS

    assert unfinished.sweep
    assert unfinished.sweep.rounds
    done, spent_s = unfinished.sweep.rounds, unfinished.sweep.spent_s
    settings = SweepSettings.from_mapping(unfinished.sweep.settings)
    fitting = int(settings.budget_s * done / spent_s) if spent_s else settings.blocks
    generations = min(settings.blocks, max(FEWEST_GENERATIONS, fitting))
    return max(0, generations - done) * spent_s / done


def gate(
    base: str,
    head: str = ".",
    implementations: str | Iterable[str] = (),
    *,
    progress: ProgressCallback = no_progress,
    note: NoteCallback = no_note,
    **settings: Any,
) -> Record:
    """Measure base and head in turn, write the record and return it.

    `lcbench.stats.gate.judge_gate` computes the verdicts from the record.

    Parameters
    ----------
    base, head
        A git revision, a folder, a Python interpreter or environment, or an implementation (a file, a function in a
        file, or a name from the catalog). A base of 40 zeros, which git writes for no commit, has nothing. What base
        does not have is new: head is checked, and nothing is compared.
    implementations
        What to measure if base and head are not implementations; empty means ``numba-parallel``, which is for source
        trees of lcbench itself.
    progress
        Called with the progress.
    note
        Called with a line for each file that changed meanwhile.
    **settings
        Fields of `lcbench.settings.GateSettings`.

    Raises
    ------
    LcbenchError
        If nothing can be measured, or too little for a verdict.
    LossError
        If an implementation is unknown or cannot be loaded.
    NotSaved
        If the record cannot be written.
    """
    chosen = GateSettings.from_keywords({"base": base, "head": head, "implementations": implementations, **settings})
    from lcbench.measure import gate, selection, sides
    from lcbench.stats import gate as verdicts

    with (
        record.reserved(chosen.save),
        _unchanging() as changed,
        sides.open_sides(chosen.base, chosen.head, chosen.build) as (base_side, head_side),
    ):
        names = selection.split_names(chosen.implementations)
        pairs = gate.pair_targets(base_side, head_side, names, chosen.selected_losses, chosen.timeout_s)
        if not chosen.planted:
            gate.require_own_code(base_side, head_side, names)
        pairs = gate.by_use_of_pixels(checked_pairs(pairs, head_side, chosen.timeout_s, progress), chosen.dtype)
        plan = gate_plan(base_side, head_side, pairs, chosen)

        def decided(result: GateResult) -> bool:
            judged = verdicts.judge_gate(result.rows, gate_record(plan, result))
            return all(comparison.verdict != "inconclusive" for comparison in judged.comparisons)

        machine = MachineAtStart()
        result = gate.measure_gate(plan, decided, progress)
        machine.tell(changed(), note)
        setup = gate_record(plan, result)
    return write_record(machine, chosen.save, result.rows, gate=setup, interrupted=result.interrupted)


def gate_plan(base: GateSide, head: GateSide, pairs: list[Pair], settings: GateSettings) -> GatePlan:
    """Return the plan of a gate, with the number of generations that its verdicts need."""
    from lcbench.measure.gate import GatePlan
    from lcbench.stats import gate as verdicts

    return GatePlan(
        base,
        head,
        tuple(pairs),
        settings,
        verdicts.generations_needed(sum(len(pair.losses) for pair in pairs if not pair.is_new) or 1),
        lambda rows: verdicts.generations_for(rows, settings.fail_above, settings.precision),
    )


def gate_record(plan: GatePlan, result: GateResult) -> record.Gate:
    """Return the setup of a gate as its record holds it."""
    return record.Gate(
        base=_side_record(plan.base),
        head=_side_record(plan.head),
        fail_above=plan.settings.fail_above,
        budget_s=plan.budget_s,
        precision=plan.settings.precision,
        planted=plan.settings.planted,
        new=[pair.name for pair in plan.pairs if pair.is_new],
        orders=result.orders,
        interim_analyses=result.interim_analyses,
        started_s=result.started_s,
        spent_s=result.spent_s,
    )


def checked_pairs(pairs: list[Pair], head: GateSide, timeout_s: float, progress: ProgressCallback) -> list[Pair]:
    """Return the pairs, in which a function of head that is wrong or unstable has this problem."""
    from lcbench.checks import runner

    heads = {pair.head: pair.losses for pair in pairs if not pair.head_problem}
    verdicts = runner.judge(heads, timeout_s, progress, head.place)
    found = []
    for pair in pairs:
        failed = [verdict for verdict in verdicts.get(pair.head, []) if verdict.status != "ok"]
        problem = (failed[0].status, failed[0].reason) if failed else pair.head_problem
        found.append(replace(pair, head_problem=problem))
    return found


def _unchanging() -> AbstractContextManager[Callable[[], list[str]]]:
    from lcbench.usercode.source import unchanging

    return unchanging()


def _side_record(side: GateSide) -> record.Side:
    return record.Side(
        given=side.given,
        kind=side.kind,
        revision=side.revision,
        dirty=side.dirty,
        python=side.python,
        versions=side.versions,
    )


def _measure_sweep(
    unfinished: Record,
    sweep: Sweep,
    file: Path,
    machine: MachineAtStart,
    progress: ProgressCallback,
    note: NoteCallback,
) -> Record:
    """Measure what is missing in `unfinished`, which is saved in `file` meanwhile; write and return the record."""
    from lcbench.measure import axes, schedule

    settings = SweepSettings.from_mapping(sweep.settings)
    warned = ""
    with (
        record.reserved(settings.save),
        _unchanging() as changed,
        _plan_of(settings, sweep.axes, note, progress) as (plan, refused, unstable),
    ):
        least_s = schedule.least_s(plan)
        if least_s > LONG_S and not sweep.rounds:
            note(f"{len(axes.points(sweep.axes)):,} points: this takes about {least_s / 60:.0f} minutes or more")

        def save(state: ScheduleState) -> None:
            nonlocal warned
            first = not file.exists()
            sweep.rounds, sweep.spent_s = state.rounds, state.spent_s
            unfinished.rows, unfinished.ceilings = state.rows + refused, state.peaks
            unfinished.limits = state.limits
            try:
                record.write_unfinished(file, unfinished)
            except LcbenchError as error:  # the measurement goes on
                if str(error) != warned:
                    note(f"warning: {error}")
                warned = str(error)
                return
            if first:
                progress(_progress_line(unfinished, file))

        state = schedule.begin_schedule(plan)
        if sweep.rounds:
            if state.limits and not unfinished.limits:
                raise LcbenchError(f"{file} was started by an older lcbench, without turns: start a new sweep")
            state.rows = _rows_to_continue(state.rows, unfinished.rows, file)
            state.limits = _rows_to_continue(state.limits, unfinished.limits, file)
            state.peaks, state.rounds, state.spent_s = unfinished.ceilings, sweep.rounds, sweep.spent_s
            progress(_progress_line(unfinished, file))
        schedule.run_schedule(plan, progress, state, save)
        machine.tell(changed(), note)
    if state.interrupted:
        if file.exists():
            note(f"complete generations are saved: 'lcbench sweep --resume {file}' continues")
        raise KeyboardInterrupt
    finished = write_record(
        machine,
        settings.save,
        state.rows + refused,
        unstable,
        limits=state.limits,
        ceilings=state.peaks,
        sweep=sweep,
        command=unfinished.command,
    )
    file.unlink(missing_ok=True)
    return finished


def _progress_line(unfinished: Record, file: Path) -> str:
    """Return a line on the completed generations, the remaining time, and how to continue."""
    assert unfinished.sweep
    left_s = seconds_left(unfinished)
    left = f"{left_s:.0f} s" if left_s < 120 else f"{left_s / 60:.0f} min"
    return (
        f"generation {unfinished.sweep.rounds} is done, about {left} to go; "
        f"saved in {file} until finished: 'lcbench sweep --resume' continues from there"
    )


def _rows_to_continue(empty: list[Row], rows: list[Row], file: Path) -> list[Row]:
    """Return the rows of an unfinished sweep that correspond to the `empty` ones: the first, in the same order.

    Raise LcbenchError if they are others.
    """
    kept = rows[: len(empty)]
    if [row.implementation for row in kept] != [row.implementation for row in empty]:
        raise LcbenchError(f"{file} has other implementations than are available now: start a new sweep")
    for old, new in zip(kept, empty, strict=True):
        for field in (*new.workload._fields, "threads"):
            there, here = getattr(old, field), getattr(new, field)
            if there != here:
                raise LcbenchError(
                    f"{file} has rows with {field} {there}, and its settings give {here}: start a new sweep"
                )
        if old.code and new.code and old.code != new.code:
            raise LcbenchError(
                f"the code of {old.implementation} has changed since {file} was begun: start a new sweep"
            )
    return kept


Unstable = dict[tuple[str, str], str]
"""Reasons why a user's function is unstable, by the name of its rows and the loss."""


@contextmanager
def _plan_of(
    settings: RunSettings, axes: Axes, note: NoteCallback, progress: ProgressCallback, baseline: str = ""
) -> Iterator[tuple[Plan, list[Row], Unstable]]:
    """Yield the plan, whose data exists for the duration, the rows that cannot be measured, and what is unstable.

    User's functions are checked first: wrong ones are not measured, nor in float64 those of single precision. baseline:
    as in `run`. Call `note` with remarks on users' files and functions.
    """
    from lcbench.checks import runner
    from lcbench.measure import schedule, selection

    names = selection.split_names(settings.implementations)
    resolved = selection.select_targets(names, settings.selected_losses, settings.timeout_s)
    resolved = selection.with_baseline(resolved, baseline)
    row_names = selection.row_names(resolved)
    _show_skipped(resolved, note)
    available = {each.name: each.losses for each in resolved if not each.unavailable}
    verdicts = {
        (name, verdict.loss): verdict
        for name, found in runner.judge(available, settings.timeout_s, progress).items()
        for verdict in found
    }
    for (name, _), verdict in verdicts.items():
        for limit in verdict.notes:
            note(f"{row_names[name]}: right, but {limit}")

    def why_not(each: ResolvedTarget, loss: str, dtype: str) -> tuple[str, str] | None:
        if each.unavailable:
            return each.status, each.unavailable
        verdict = verdicts.get((each.name, loss))
        if verdict and verdict.status == "wrong":
            return "wrong", verdict.reason
        if verdict and verdict.single_precision and dtype == "float64":
            return "unavailable", f"{runner.SINGLE_PRECISION}: measure it with --dtype float32"
        return None

    with open_data(settings, axes, note) as (size, rows):
        measured, refused = [], []
        by_name = {each.name: each for each in resolved}
        for target in _targets(resolved, settings, axes, size, rows):
            reasons = {cell: why_not(by_name[target.name], cell[0], cell[1].dtype) for cell in target.cells}
            cells = tuple(cell for cell, reason in reasons.items() if reason is None)
            if cells:
                measured.append(replace(target, cells=cells))
            if target.pixels != "converts":  # the reason is that of the row without the conversion
                refused += [(replace(target, cells=(cell,)), reason) for cell, reason in reasons.items() if reason]
        plan = schedule.Plan(tuple(measured), settings)
        unstable = {
            (row_names[name], loss): verdict.reason
            for (name, loss), verdict in verdicts.items()
            if verdict.status == "unstable"
        }
        yield (
            plan,
            [row for target, reason in refused for row in schedule.refused_rows(target, *reason, plan)],
            unstable,
        )


MOST_NOTES = 3
"""Number of skipped parts of a file that are shown before a measurement."""


def _show_skipped(resolved: list[ResolvedTarget], note: NoteCallback) -> None:
    """Show which parts of the users' files were skipped."""
    notes = {Path(each.file).name: each.notes for each in resolved if each.notes}
    for file, lines in notes.items():
        for line in lines[:MOST_NOTES]:
            note(f"{file}: {line}")
        if len(lines) > MOST_NOTES:
            note(f"{file}: {len(lines) - MOST_NOTES} more such lines; 'lcbench check {file}' shows them")


def _targets(
    resolved: list[ResolvedTarget], settings: RunSettings, axes: Axes, size: Size, rows: list[int]
) -> list[Target]:
    """Return the targets with their cells; a target has one number of threads and one use of pixels."""
    from lcbench.losses import catalog
    from lcbench.measure import selection, workload
    from lcbench.measure.axes import points
    from lcbench.measure.pixels import uses_of_pixels
    from lcbench.measure.schedule import Target

    sizes: dict[Any, list[Size]] = {}  # by number of threads
    for point in points({**axes, "rows": list(rows)}):
        threads = point.pop("threads", settings.threads)
        sizes.setdefault(threads, []).append(replace(size, **cast("dict[str, Any]", point)))
    simulator_sizes: dict[Any, list[Size]] = {None: [workload.SIMULATOR_SIZE]}
    small_sizes = {settings.threads: [replace(size, rows=min(*rows, *workload.DEFAULT_ROWS))]}
    rows_given = bool(settings.row_counts or axes)

    def sizes_of(each: ResolvedTarget) -> dict[Any, list[Size]]:
        if each.device == "simulator":
            return simulator_sizes
        return small_sizes if each.name == "naive" and not rows_given else sizes

    row_names = selection.row_names(resolved)
    targets = []
    for each in resolved:
        by_use: dict[Any, list[Size]] = {}  # by number of threads and use of pixels
        for threads, its_sizes in sizes_of(each).items():
            for size in its_sizes:
                for use in uses_of_pixels(each.name, size.dtype):
                    by_use.setdefault((threads, use), []).append(size)
        targets += [
            Target(
                each.name,
                each.device,
                tuple((loss, size) for size in its_sizes for loss in each.losses),
                row_names[each.name],
                each.device != "cpu" or catalog.on_cluster(each.name),
                threads,
                use,
            )
            for (threads, use), its_sizes in by_use.items()
        ]
    return targets


@contextmanager
def open_data(
    settings: RunSettings, axes: Axes | None = None, note: NoteCallback = no_note
) -> Iterator[tuple[Size, list[int]]]:
    """Yield the size of the problem, without its number of rows, and the numbers of rows to measure.

    A file determines its own numbers of features and classes. If X is streamed, the default is all of its rows; X of a
    file is also streamed if it does not fit in memory, which `note` is told. Temporary data exists for the duration.
    Raise LcbenchError if the data does not exist or has too few rows.
    """
    from lcbench.measure.workload import DEFAULT_ROWS, Size

    rows = [int(value) for value in (axes or {}).get("rows", settings.row_counts)]
    size = Size(0, settings.features, settings.classes, settings.dtype, settings.data, settings.batch, settings.stream)
    if settings.data not in NAMED_DATA:
        dtypes = [str(dtype) for dtype in (axes or {}).get("dtype", [settings.dtype])]
        yield _size_of_file(Path(settings.data), size, rows, dtypes, note)
    elif not settings.stream:
        yield size, rows or list(DEFAULT_ROWS)
    elif settings.data == "cifar10":
        yield size, rows or [CIFAR10_ROWS]
    else:
        rows = rows or [CIFAR10_ROWS]
        from lcbench.datasets import synthetic

        with files.temporary_folder("synth") as folder:
            file = Path(folder) / "synthetic.h5"
            # a file needs a row of each class; the first rows do not depend on the number of rows
            written = max(*rows, synthetic.rows_of_all_classes(size.classes))
            hint = ": choose fewer rows, or another folder with TMPDIR"
            synthetic.write_hdf5(file, written, max(1, size.features - 1), size.classes, hint=hint)
            yield replace(size, file=file), rows


def _size_of_file(
    file: Path, size: Size, rows: list[int], dtypes: list[str], note: NoteCallback
) -> tuple[Size, list[int]]:
    from lcbench.measure import workload

    found = workload.file_shape(file)
    most = max(rows, default=found.rows)
    require(most <= found.rows, f"{file} has {found.rows:,} training rows, but {most:,} were requested")
    require(
        (size.features, size.classes) in ((CIFAR10_FEATURES, CIFAR10_CLASSES), (found.features, found.classes)),
        f"{file} has {found.features:,} features, including the column of ones, and {found.classes:,} classes: "
        "leave --features and --classes out",
    )
    size = replace(
        size,
        features=found.features,
        classes=found.classes,
        data=file.name,
        file=file,
        file_itemsize=found.dtype.itemsize,
    )
    pixels = not set(dtypes) <= set(FLOATS)
    require(
        found.dtype == "uint8" or not pixels,
        f"{file} has {found.dtype} numbers and no uint8 pixels: leave the dtype uint8 out",
    )
    if not size.streamed and found.on_disk and not workload.fits_in_memory(replace(size, rows=most)):
        require(not pixels, f"{file}: X of {most:,} rows does not fit in memory: choose fewer, or leave uint8 out")
        size = replace(size, streamed=True)
        note(f"{file}: X of {most:,} rows does not fit in memory; it is streamed from the file")
    if not rows:
        rows = [found.rows] if size.streamed else sorted({min(count, found.rows) for count in workload.DEFAULT_ROWS})
    return size, rows


class MachineAtStart:
    """State of the machine before a measurement. Create it first, since the measurement itself is a load."""

    def __init__(self) -> None:
        from lcbench.host import machine
        from lcbench.host.conditions import BackgroundObserver, conditions

        self._facts = machine.facts()
        self._conditions = conditions(self._facts)
        self._observer = BackgroundObserver()
        self._told: list[str] = []

    def tell(self, lines: list[str], note: NoteCallback) -> None:
        """Call `note` with findings on the measurement itself, which are kept in the record."""
        self._told += lines
        for line in lines:
            note(line)

    def record(self, **fields: Any) -> Record:
        """Return a new record of this machine, checkout and command, with the given fields."""
        from lcbench.host import disturbances, machine
        from lcbench.measure import sides

        found = disturbances.findings(self._facts, self._conditions, self._observer.read())
        revision = sides.git_revision()
        own_revision, own_changes = sides.revision_of_lcbench()
        unknown = "" if revision else sides.why_no_revision()
        return record.new(
            lcbench=__version__,
            lcbench_revision=own_revision,
            lcbench_dirty=own_changes,
            git_revision=revision,
            git_dirty=sides.git_has_changes() if revision else None,
            fingerprint=machine.fingerprint(self._facts),
            machine=cast("dict[str, object]", self._facts),
            score=disturbances.score(found),
            findings=[f"{finding.severity}: {finding.what}" for finding in found]
            + ([f"low: the git revision is unknown: {unknown}"] if unknown else [])
            + [f"medium: {line}" for line in self._told],
            **{"command": [without_folders(argument) for argument in sys.argv[1:]], **fields},
        )


def without_folders(argument: str) -> str:
    """Return an argument with absolute paths reduced to their names: a record is passed on, folders are private."""
    return re.sub(r"(?<![\w.~:/-])(?:~|[A-Za-z]:)?[/\\](?:[^/\\,=\s]+[/\\])*(?=[^/\\,=\s])", "", argument)


def write_record(
    machine: MachineAtStart, save: str | None, rows: list[Row], unstable: Unstable | None = None, **fields: Any
) -> Record:
    """Return the record with its estimates; write it if anything was measured. Raise NotSaved if that fails."""
    from lcbench.stats import estimates

    found = machine.record(rows=rows, **fields)
    estimates.complete_record(found)
    for row in found.rows:
        reason = (unstable or {}).get((row.implementation.removesuffix(record.CONVERTS), row.loss))
        if reason and row.status == "ok":
            row.status, row.reason = "unstable", reason
    if any(row.processes for row in found.rows):
        try:
            record.write(found, save)
        except LcbenchError as error:
            raise NotSaved(error, found) from None
    return found
