"""Times implementations: what ``lcbench run`` does."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from lcbench.api.data import Data, opened, require_there
from lcbench.api.origin import Start
from lcbench.api.problem import require, require_problem
from lcbench.losses.implementation import LOSSES
from lcbench.progress import NoteCallback, ProgressCallback, no_note, no_progress

if TYPE_CHECKING:
    from lcbench.measure.schedule import Contender
    from lcbench.measure.selection import Candidate
    from lcbench.measure.workload import Size
    from lcbench.record import Record


def run(
    implementations: str | Iterable[str] = (),
    *,
    losses: str | Iterable[str] = LOSSES,
    rows: int | Iterable[int] = (),
    features: int = 3073,
    classes: int = 10,
    dtype: str = "float32",
    data: str = "synthetic",
    stream: bool = False,
    batch: int | None = None,
    threads: int | None = None,
    blocks: int = 20,
    budget_s: float = 36.0,
    patience_s: float = 60.0,
    seed: int | None = None,
    save: str | None = None,
    progress: ProgressCallback = no_progress,
    note: NoteCallback = no_note,
) -> Record:
    """Times implementations, each verified, and writes the record into the results folder.

    implementations: names as ``--impl`` takes them; none is every one that runs here. rows: sizes; none is `dev` (500,
    every implementation) and `train` (10,000, all but `naive`), or all that there are where they are streamed.
    data: "synthetic", "cifar10" or a CSV, NPZ or HDF5 file, which says itself how many features and classes it has.
    stream: X stays in its HDF5 file and is read block by block in every call; so it does where a file's would not fit
    in memory, and `note` is told so. batch: each call computes on so many rows, drawn at random, and gathers them.
    threads: for every library; None is every core that may be used. save: also keep the record as a named baseline.
    Raises LcbenchError or LossError where nothing can be measured.
    """
    from lcbench import record
    from lcbench.judge import estimates
    from lcbench.measure import schedule, selection
    from lcbench.measure.schedule import Plan
    from lcbench.measure.surroundings.covariates import usable_cores

    implementations = [implementations] if isinstance(implementations, str) else implementations
    losses = [losses] if isinstance(losses, str) else list(losses)
    rows = [rows] if isinstance(rows, int) else list(dict.fromkeys(rows))
    require_problem(losses, rows, features, classes, dtype, threads)
    require_there(data)
    require(blocks >= 1, "blocks must be at least 1")
    require(batch is None or batch >= 1, "batch must be at least 1")
    require(not (batch and stream), "a batch is drawn from rows in memory: leave either the batch or the streaming out")
    record.require_writable(save)

    wanted = [loss for loss in LOSSES if loss in losses]
    chosen = selection.select(selection.split_names(implementations), wanted, patience_s)
    refused = {candidate.name: candidate for candidate in chosen if candidate.unavailable}
    with opened(data, stream, rows, features, classes, dtype, note) as source:
        contenders = _contenders(chosen, source, bool(rows), batch)
        plan = Plan(
            tuple(contender for contender in contenders if contender.name not in refused),
            threads=threads or usable_cores(),
            blocks=blocks,
            budget_s=budget_s,
            patience_s=patience_s,
            seed=seed,
        )
        start = Start()
        measured = schedule.run(plan, progress)
    for contender in contenders:
        if contender.name in refused:
            measured.rows += schedule.refused(
                contender, refused[contender.name].status, refused[contender.name].unavailable, plan
            )
    result = start.record(ceilings=measured.ceilings, rows=measured.rows, interrupted=measured.interrupted)
    estimates.complete(result)
    if any(row.blocks for row in result.rows):
        record.write(result, save)
    return result


def _contenders(candidates: list[Candidate], data: Data, asked: bool, batch: int | None) -> list[Contender]:
    """Who takes part on what: the sizes asked for, or the default ones, of which the naive loops get the small one."""
    from lcbench.measure import selection, workload
    from lcbench.measure.schedule import Contender

    default = data.rows or list(workload.DEFAULT_ROWS)
    small = min(*default, *workload.DEFAULT_ROWS)

    def sizes(candidate: Candidate) -> list[Size]:
        if candidate.device == "simulator":
            return [workload.SIMULATOR_SIZE]
        rows = [small] if candidate.name == "naive" and not asked else default
        return [data.size(count, batch) for count in rows]

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
