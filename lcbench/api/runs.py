"""Times implementations: what ``lcbench run`` does."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, cast

from lcbench.api.origin import Start
from lcbench.api.problem import require, require_problem
from lcbench.losses.implementation import LOSSES

if TYPE_CHECKING:
    from lcbench.measure.schedule import Contender, Watcher
    from lcbench.measure.selection import Candidate
    from lcbench.measure.workload import DataName, Size
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
    from lcbench.measure import schedule, selection, workload
    from lcbench.measure.schedule import Plan
    from lcbench.measure.surroundings.covariates import usable_cores
    from lcbench.measure.workload import Size

    implementations = [implementations] if isinstance(implementations, str) else implementations
    losses = [losses] if isinstance(losses, str) else list(losses)
    rows = [rows] if isinstance(rows, int) else list(dict.fromkeys(rows))
    require_problem(losses, rows, features, classes, dtype, data, threads)
    require(blocks >= 1, "blocks must be at least 1")
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
    start = Start()
    measured = schedule.run(plan, watch or (lambda progress: None))
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
