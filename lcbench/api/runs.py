"""What Python code asks of lcbench: the same things as the command line, returning objects instead of printing."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, cast, get_args

from lcbench.errors import LcbenchError
from lcbench.losses import catalog
from lcbench.losses.implementation import LOSSES, Implementation

if TYPE_CHECKING:
    from lcbench.judge.verdicts import Judgement
    from lcbench.measure.schedule import Contender, Watcher
    from lcbench.measure.selection import Candidate
    from lcbench.measure.workload import DataName, Size
    from lcbench.record import Record


def implementation(name: str) -> Implementation:
    """The implementation that `name` stands for: a catalogue name, or anything that ``--impl`` takes.

    Raises `lcbench.losses.errors.LossError` where it cannot be had.
    """
    from lcbench.losses.resolve import resolve

    return resolve(name)


def implementations() -> dict[str, str | None]:
    """Every name in the catalogue, with the reason why it cannot run here, or None where it can."""
    reasons = {name: catalog.why_unavailable(entry) for name, entry in catalog.CATALOG.items()}
    return {name: str(reason) if reason else None for name, reason in reasons.items()}


def run(
    implementations: str | Iterable[str] = (),
    *,
    losses: str | Iterable[str] = LOSSES,
    rows: int | Iterable[int] = (),
    features: int = 3073,
    classes: int = 10,
    dtype: str = "float32",
    data: str = "synthetic",
    threads: int | None = None,
    blocks: int = 20,
    budget_s: float = 36.0,
    patience_s: float = 60.0,
    seed: int | None = None,
    save: str | None = None,
    watch: Watcher | None = None,
) -> Record:
    """Times implementations, each verified, and writes the record into the results folder.

    implementations: names as ``--impl`` takes them; none is every one that runs here. rows: sizes; none is `dev` (500,
    every implementation) and `train` (10,000, all but `naive`). threads: for every library; None is every core that may
    be used. save: also keep the record as a named baseline.
    Raises LcbenchError or LossError where nothing can be measured.
    """
    from lcbench import record
    from lcbench.judge import estimates
    from lcbench.measure import machine, schedule, selection, workload
    from lcbench.measure.covariates import usable_cores
    from lcbench.measure.schedule import Plan
    from lcbench.measure.workload import Size

    implementations = [implementations] if isinstance(implementations, str) else implementations
    losses = [losses] if isinstance(losses, str) else list(losses)
    rows = [rows] if isinstance(rows, int) else list(dict.fromkeys(rows))
    _require(dtype in ("float32", "float64"), f"dtype is {dtype!r}: float32 and float64 can be measured")
    known = get_args(workload.DataName)
    _require(data in known, f"data is {data!r}: there is {' and '.join(known)}")
    _require(bool(losses) and set(losses) <= set(LOSSES), f"losses are {losses}: there is {' and '.join(LOSSES)}")
    _require(min([features, *rows]) >= 1, "rows and features must be at least 1")
    _require(classes >= 2, "classes must be at least 2")
    _require(blocks >= 1, "blocks must be at least 1")
    _require(threads is None or threads >= 1, "threads must be at least 1")
    record.require_writable(save)

    wanted = [loss for loss in LOSSES if loss in losses]
    chosen = selection.select(selection.split_names(implementations), wanted, patience_s)
    shape = (features, classes, dtype, cast(workload.DataName, data))
    contenders = _contenders(chosen, [Size(count, *shape) for count in rows], shape)
    refused = {candidate.name: candidate for candidate in chosen if candidate.unavailable}
    plan = Plan(
        tuple(contender for contender in contenders if contender.name not in refused),
        threads=threads or usable_cores(),
        blocks=blocks,
        budget_s=budget_s,
        patience_s=patience_s,
        seed=seed,
    )
    measured = schedule.run(plan, watch or (lambda progress: None))
    for contender in contenders:
        if contender.name in refused:
            measured.rows += schedule.refused(
                contender, refused[contender.name].status, refused[contender.name].unavailable, plan
            )
    facts = machine.facts()
    revision, dirty = _git()
    result = record.new(
        lcbench=installed_version(),
        command=sys.argv[1:],
        git_revision=revision,
        git_dirty=dirty,
        fingerprint=machine.fingerprint(facts),
        machine=cast("dict[str, object]", facts),
        ceilings=measured.ceilings,
        rows=measured.rows,
        interrupted=measured.interrupted,
    )
    estimates.complete(result)
    if any(row.blocks for row in result.rows):
        record.write(result, save)
    return result


def _contenders(
    candidates: list[Candidate], asked: list[Size], shape: tuple[int, int, str, DataName]
) -> list[Contender]:
    """Who takes part on what: the sizes asked for, or the default ones, of which the naive loops get the small one."""
    from lcbench.measure import selection, workload
    from lcbench.measure.schedule import Contender

    dev, train = (workload.Size(rows, *shape) for rows in workload.DEFAULT_ROWS)

    def sizes(candidate: Candidate) -> list[Size]:
        if candidate.device == "simulator":
            return [workload.SIMULATOR_SIZE]
        return asked or ([dev] if candidate.name == "naive" else [dev, train])

    row_names = selection.row_names(candidates)
    return [
        Contender(
            candidate.name,
            candidate.device,
            tuple((loss, size) for size in sizes(candidate) for loss in candidate.losses),
            row_names[candidate.name],
        )
        for candidate in candidates
    ]


def compare(base: Record | str | Path, new: Record | str | Path, fail_above: float = 0.05) -> Judgement:
    """Holds the record `new` against `base` (records, files or saved names): slower by more than `fail_above`?"""
    from lcbench import record
    from lcbench.judge import verdicts

    def as_record(value: Record | str | Path) -> Record:
        return value if isinstance(value, record.Record) else record.find(str(value))

    if fail_above < 0:
        raise LcbenchError(f"fail_above is {fail_above}: it cannot be negative")
    return verdicts.compare(as_record(base), as_record(new), fail_above)


def _require(condition: bool, otherwise: str) -> None:
    if not condition:
        raise LcbenchError(otherwise)


def installed_version() -> str:
    """The version of lcbench."""
    from importlib.metadata import version

    return version("lcbench")


def _git() -> tuple[str | None, bool | None]:
    """Revision of the checkout in the current directory, and whether it has changes; None outside of one."""
    try:
        revision = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True, timeout=10)
        status = subprocess.run(
            ["git", "status", "--porcelain", "-uno"], capture_output=True, text=True, check=True, timeout=10
        )
    except (OSError, subprocess.SubprocessError):
        return None, None
    return revision.stdout.strip(), bool(status.stdout.strip())
