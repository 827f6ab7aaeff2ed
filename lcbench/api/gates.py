"""Holds head against base, measured in turn: what ``lcbench gate`` does."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from lcbench.api.origin import Start
from lcbench.api.problem import require, require_named, require_problem
from lcbench.losses.implementation import LOSSES
from lcbench.progress import ProgressCallback, no_progress

if TYPE_CHECKING:
    from lcbench import record
    from lcbench.measure.gating.in_turn import Measured
    from lcbench.measure.gating.sides import Side
    from lcbench.record import Record

ROWS = 5000
"""Large enough for every core to have its share, small enough for a dozen blocks in a minute."""

BUDGET_S = 60.0
"""Seconds for a gate of which nobody has said how long it may take: it may take longer where no verdict is possible in
so short a time."""

PLANTED = 0.05
"""The slowdown by which a gate tests itself."""


def gate(
    base: str,
    head: str = ".",
    implementations: str | Iterable[str] = (),
    *,
    losses: str | Iterable[str] = LOSSES,
    rows: int = ROWS,
    features: int = 3073,
    classes: int = 10,
    dtype: str = "float32",
    data: str = "synthetic",
    threads: int | None = None,
    fail_above: float = 0.03,
    budget_s: float | None = None,
    patience_s: float = 60.0,
    seed: int | None = None,
    build: str | None = None,
    planted: float = 0.0,
    save: str | None = None,
    progress: ProgressCallback = no_progress,
) -> Record:
    """Measures base and head in turn and writes the record, of which `lcbench.judge.gate.judge` makes the verdicts.

    base, head: a git revision, a folder, a Python interpreter or environment, or an implementation (a file, a file's
    function or a catalogue's name). implementations: what to measure where they are none; none is ``numba-parallel``.
    fail_above: how much slower head may be, 0.03 is 3 %. budget_s: for everything; none is a minute, or as long as it
    takes until a verdict is possible. build: shell command that is run in each checked-out revision.
    planted: makes head slower by that much, to see whether it is noticed.
    Raises LcbenchError or LossError where nothing can be measured, or not enough for a verdict.
    """
    from lcbench import record
    from lcbench.judge import estimates
    from lcbench.judge import gate as judgement
    from lcbench.measure import selection
    from lcbench.measure.gating import in_turn, pairs, sides
    from lcbench.measure.surroundings.covariates import usable_cores
    from lcbench.measure.workload import Size

    implementations = [implementations] if isinstance(implementations, str) else implementations
    wanted = [losses] if isinstance(losses, str) else list(losses)
    require_problem(wanted, [rows], features, classes, dtype, threads)
    require_named(data)
    require(0 <= fail_above < 1, f"fail_above is {fail_above}: a share between 0 and 1 is needed")
    require(budget_s is None or budget_s > 0, "the budget must be above 0 seconds")
    record.require_writable(save)

    with sides.opened(base, head, build) as (base_side, head_side):
        names = selection.split_names(implementations)
        compared = pairs.pair(base_side, head_side, names, [loss for loss in LOSSES if loss in wanted], patience_s)
        count = sum(len(pair.losses) for pair in compared)
        plan = in_turn.Plan(
            base_side,
            head_side,
            tuple(compared),
            Size(rows, features, classes, dtype, data),
            threads=threads or usable_cores(),
            budget_s=budget_s or BUDGET_S,
            fewest_blocks=judgement.blocks_needed(count),
            stretches=budget_s is None,
            patience_s=patience_s,
            planted=planted,
            seed=seed,
        )

        how = record.Gate(
            base=_described(base_side),
            head=_described(head_side),
            fail_above=fail_above,
            budget_s=plan.budget_s,
            planted=planted,
        )

        def decided(measured: Measured) -> bool:
            how.orders, how.looks = measured.orders, measured.looks
            return all(
                comparison.verdict != "inconclusive" for comparison in judgement.judge(measured.rows, how).comparisons
            )

        start = Start()
        measured = in_turn.measure(plan, decided, progress)
        how.orders, how.looks = measured.orders, measured.looks
        result = start.record(rows=measured.rows, gate=how, interrupted=measured.interrupted)
    estimates.complete(result)
    if any(row.blocks for row in result.rows):
        record.write(result, save)
    return result


def _described(side: Side) -> record.Side:
    from lcbench import record

    return record.Side(
        given=side.given,
        kind=side.kind,
        revision=side.revision,
        dirty=side.dirty,
        python=side.python,
        versions=side.versions,
    )
