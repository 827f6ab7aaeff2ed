"""Times implementations along axes: what ``lcbench sweep`` does."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lcbench.api.origin import Start
from lcbench.api.problem import require, require_problem
from lcbench.errors import LcbenchError
from lcbench.losses.implementation import LOSSES
from lcbench.progress import NoteCallback, ProgressCallback, no_note, no_progress

if TYPE_CHECKING:
    from lcbench.api.data import Data
    from lcbench.measure.schedule import Contender, Plan, Run
    from lcbench.measure.selection import Candidate
    from lcbench.measure.workload import Size
    from lcbench.record import Record, Row, Sweep

DEFAULT_ROWS = 10_000
"""Where rows are no axis."""

LONG_S = 120.0
"""Who will wait longer is told before the first round."""


def sweep(
    axes: Mapping[str, str | Iterable[int | str]],
    implementations: str | Iterable[str] = (),
    *,
    losses: str | Iterable[str] = LOSSES,
    rows: int = DEFAULT_ROWS,
    features: int = 3073,
    classes: int = 10,
    batch: int | None = None,
    dtype: str = "float32",
    data: str = "synthetic",
    stream: bool = False,
    threads: int | None = None,
    blocks: int = 20,
    budget_s: float = 100.0,
    most_call_s: float = 1.0,
    patience_s: float = 60.0,
    seed: int | None = None,
    save: str | None = None,
    progress: ProgressCallback = no_progress,
    note: NoteCallback = no_note,
) -> Record:
    """Times implementations at every point of one axis or two, each verified, and writes the record.

    axes: by name (rows, features, classes, batch, threads, dtype) the values, or a text as ``--axis`` takes it:
    "1e2:1e5", "lin:1:8:8". implementations: names as ``--impl`` takes them; none is every one that runs here. rows to
    threads: as `lcbench.run` takes them, what is no axis. most_call_s: where a call would take longer, going by smaller
    problems, it is left out. Until it is finished, the sweep is kept in a file after each round, and `resume` goes on
    with it. Raises LcbenchError or LossError where nothing can be measured, and KeyboardInterrupt after Ctrl-C.
    """
    from lcbench import paths, record
    from lcbench.measure import axes as axis
    from lcbench.record import Sweep

    settings = {
        "implementations": [implementations] if isinstance(implementations, str) else list(implementations),
        "losses": [losses] if isinstance(losses, str) else list(losses),
        "rows": rows,
        "features": features,
        "classes": classes,
        "batch": batch,
        "dtype": dtype,
        "data": data,
        "stream": stream,
        "threads": threads,
        "blocks": blocks,
        "budget_s": budget_s,
        "most_call_s": most_call_s,
        "patience_s": patience_s,
        "seed": seed,
        "save": save,
    }
    require(blocks >= 1, "blocks must be at least 1")
    require(most_call_s > 0, "most_call_s must be above 0")
    wanted = Sweep(axes=axis.resolve(axes), settings=settings)
    _require_points(wanted)
    record.require_writable(save)
    begins = Start()
    unfinished = begins.record(rows=[], sweep=wanted, interrupted=True)
    file = paths.new_file(paths.sweeps_folder(), ".json")
    return _measure(unfinished, file, begins, progress, note)


def resume(
    file: Path | str | None = None,
    *,
    progress: ProgressCallback = no_progress,
    note: NoteCallback = no_note,
) -> Record:
    """Goes on with the unfinished sweep in `file`, with its own settings; None is the newest unfinished one.

    Files that cannot be read are passed over, and `note` is told which. Raises LcbenchError where there is none, or it
    was begun on another machine or with other versions.
    """
    from lcbench import record
    from lcbench.measure import machine

    file = Path(file) if file else newest(note)
    unfinished = record.read(file)
    if unfinished.sweep is None or not unfinished.interrupted:
        raise LcbenchError(f"{file} is no unfinished sweep: 'lcbench sweep --resume' goes on with the newest")
    begins = Start()
    here = machine.facts()
    if unfinished.fingerprint != machine.fingerprint(here):
        raise LcbenchError(f"{file} was begun on another machine: times of two machines are no sweep")
    if unfinished.machine.get("versions") != here["versions"]:
        raise LcbenchError(f"{file} was begun with other versions of Python's packages: begin a new sweep")
    return _measure(unfinished, file, begins, progress, note)


def newest(note: NoteCallback = no_note) -> Path:
    """The file of the unfinished sweep that was begun last, of those that can be read; `note` is told of the others.

    Raises LcbenchError without one.
    """
    from lcbench import paths, record

    for file in sorted(paths.sweeps_folder().glob("*.json"), reverse=True):
        try:
            record.read(file)
        except LcbenchError as error:
            note(f"passed over: {error}")
        else:
            return file
    raise LcbenchError(f"no unfinished sweep in {paths.sweeps_folder()}: --axis begins one")


def seconds_left(unfinished: Record) -> float:
    """About how long the rounds that are still to come will take, going by those that are done.

    The first compiles as well, so that it is rather less.
    """
    from lcbench.measure.schedule import FEWEST_BLOCKS

    assert unfinished.sweep
    assert unfinished.sweep.rounds
    done, spent_s, settings = unfinished.sweep.rounds, unfinished.sweep.spent_s, unfinished.sweep.settings
    fitting = int(settings["budget_s"] * done / spent_s) if spent_s else settings["blocks"]
    rounds = min(settings["blocks"], max(FEWEST_BLOCKS, fitting))
    return max(0, rounds - done) * spent_s / done


def _measure(unfinished: Record, file: Path, begins: Start, progress: ProgressCallback, note: NoteCallback) -> Record:
    """Measures what is missing in `unfinished`, which `file` keeps meanwhile, and writes the finished record."""
    from lcbench import record
    from lcbench.judge import estimates
    from lcbench.measure import axes, schedule, selection

    assert unfinished.sweep
    sweep, settings = unfinished.sweep, unfinished.sweep.settings
    wanted = [loss for loss in LOSSES if loss in settings["losses"]]
    chosen = selection.select(selection.split_names(settings["implementations"]), wanted, settings["patience_s"])
    refused = {candidate.name: candidate for candidate in chosen if candidate.unavailable}
    with _opened(sweep, note) as data:
        contenders = _contenders(chosen, sweep, data)
        plan = _plan([contender for contender in contenders if contender.name not in refused], settings)
        least_s = _least_s(plan)
        if least_s > LONG_S and not sweep.rounds:
            note(f"{len(axes.points(sweep.axes)):,} points: this takes about {least_s / 60:.0f} minutes or more")
        missing: list[Row] = []
        for contender in contenders:
            if contender.name in refused:
                candidate = refused[contender.name]
                missing += schedule.refused(contender, candidate.status, candidate.unavailable, plan)

        def keep(measured: Run) -> None:
            first = not file.exists()
            sweep.rounds, sweep.spent_s = measured.rounds, measured.spent_s
            unfinished.rows, unfinished.ceilings = measured.rows + missing, measured.ceilings
            record.write_to(file, unfinished)
            if first:
                progress(_kept(unfinished, file))

        measured = schedule.begin(plan)
        if sweep.rounds:
            measured.rows = _same(measured.rows, unfinished.rows, file)
            measured.ceilings, measured.rounds, measured.spent_s = unfinished.ceilings, sweep.rounds, sweep.spent_s
            progress(_kept(unfinished, file))
        schedule.run(plan, progress, measured, keep)
    if measured.interrupted:
        if file.exists():
            note(f"what whole rounds have measured is kept: 'lcbench sweep --resume {file}' goes on")
        raise KeyboardInterrupt
    finished = begins.record(ceilings=measured.ceilings, rows=measured.rows + missing, sweep=sweep)
    finished.command = unfinished.command
    estimates.complete(finished)
    if any(row.blocks for row in finished.rows):
        record.write(finished, settings["save"])
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


def _least_s(plan: Plan) -> float:
    """Seconds that sampling alone takes, in as many rounds as there are at least."""
    from lcbench.measure.schedule import FEWEST_BLOCKS

    return min(FEWEST_BLOCKS, plan.blocks) * plan.cell_s * sum(len(each.cells) for each in plan.contenders)


def _opened(sweep: Sweep, note: NoteCallback) -> AbstractContextManager[Data]:
    """The rows to be measured on. Raises LcbenchError where an axis asks for others than there are."""
    from lcbench.api import data
    from lcbench.measure.workload import GENERATED

    settings = sweep.settings
    for name in ("features", "classes"):
        fixed = settings["stream"] or settings["data"] not in GENERATED
        require(name not in sweep.axes or not fixed, f"{name} are no axis of {settings['data']}: its file fixes them")
    rows = [int(value) for value in sweep.axes.get("rows", [settings["rows"]])]
    return data.opened(
        settings["data"],
        settings["stream"],
        rows,
        settings["features"],
        settings["classes"],
        settings["dtype"],
        note=note,
    )


def _same(wanted: list[Row], rows: list[Row], file: Path) -> list[Row]:
    """What `file` has of rows of which nothing is measured yet: they come first in it, in the same order."""
    kept = rows[: len(wanted)]
    if [(row.implementation, row.workload) for row in kept] != [(row.implementation, row.workload) for row in wanted]:
        raise LcbenchError(f"{file} has other implementations than there are now: begin a new sweep")
    return kept


def _plan(contenders: list[Contender], settings: Mapping[str, Any]) -> Plan:
    from lcbench.measure.schedule import Plan
    from lcbench.measure.surroundings.covariates import usable_cores

    names = ("blocks", "budget_s", "patience_s", "seed", "most_call_s")
    most = max((contender.threads or 0 for contender in contenders), default=0)
    return Plan(
        tuple(contenders),
        threads=most or settings["threads"] or usable_cores(),
        **{name: settings[name] for name in names},
    )


def _contenders(candidates: list[Candidate], sweep: Sweep, data: Data) -> list[Contender]:
    """Who takes part on which points: a contender has one number of threads."""
    from lcbench.measure import axes, selection, workload
    from lcbench.measure.schedule import Contender

    of_threads: dict[Any, list[Size]] = {}
    for point in axes.points(sweep.axes):
        at: dict[str, Any] = {**sweep.settings, **point}
        size = data.size(at["rows"], at["batch"])
        varied: dict[str, Any] = {name: point[name] for name in ("features", "classes", "dtype") if name in point}
        of_threads.setdefault(at["threads"], []).append(replace(size, **varied))
    row_names = selection.row_names(candidates)
    return [
        Contender(
            candidate.name,
            candidate.device,
            tuple((loss, size) for size in sizes for loss in candidate.losses),
            row_names[candidate.name],
            threads,
        )
        for candidate in candidates
        for threads, sizes in (
            {None: [workload.SIMULATOR_SIZE]} if candidate.device == "simulator" else of_threads
        ).items()
    ]


def _require_points(sweep: Sweep) -> None:
    """Raises LcbenchError where a point of the sweep is no problem that can be measured."""
    import numpy as np

    settings, axes = sweep.settings, sweep.axes

    def values(name: str) -> list[Any]:
        return list(axes.get(name) or [settings[name]])

    require_problem(
        settings["losses"],
        values("rows"),
        min(values("features")),
        min(values("classes")),
        values("dtype")[0],
        values("threads")[0],
    )
    require(
        not (settings["stream"] and (settings["batch"] or "batch" in axes)),
        "a batch is drawn from rows in memory: leave either the batch or the streaming out",
    )
    most = max(values("rows")) * max(values("features")) * max(np.dtype(dtype).itemsize for dtype in values("dtype"))
    require(
        most <= np.iinfo(np.intp).max,
        f"X of {max(values('rows')):,} x {max(values('features')):,} is more than an array can have",
    )
    batches = [batch for batch in values("batch") if batch is not None]
    require(
        not batches or max(batches) <= min(values("rows")),
        f"a batch of {max(batches, default=0):,} is drawn from {min(values('rows')):,} rows: choose more rows",
    )
