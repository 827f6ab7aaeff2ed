"""Which processes were disturbed by something else on the machine: told by their covariates, never by their times.

A disturbed block is left out of every statement; its samples stay in the record.
"""

from __future__ import annotations

from lcbench.record import Covariates, Row

STOLEN = 0.02
"""Share of a core's time that the hypervisor may give to others."""

WAITED = 0.25
"""Share of its length in which something may have waited for a CPU; a process of its own threads alone stays below."""


MOST_DISTURBED = 0.5
"""Share of disturbed blocks above which leaving them out would say nothing of the rest: the machine is simply busy."""


def kept_blocks(*rows: Row) -> list[int]:
    """The blocks that all of `rows` have and in which none was disturbed; all where that would leave too few."""
    common = range(min(len(row.blocks) for row in rows))
    quiet = [block for block in common if not any(_was_disturbed(row, block) for row in rows)]
    return quiet if len(quiet) >= (1 - MOST_DISTURBED) * len(common) else list(common)


def _was_disturbed(row: Row, block: int) -> bool:
    known = row.covariates[block : block + 1]
    return any(why_disturbed(covariates, row.threads) for covariates in known)


def why_disturbed(covariates: Covariates, threads: int) -> str | None:
    """What disturbed the process, in a few words; None where nothing is known to have done so."""
    seconds = covariates.seconds
    if seconds <= 0:
        return None
    if covariates.steal_s is not None and covariates.steal_s > STOLEN * seconds * threads:
        return "the hypervisor gave the CPU to others"
    if covariates.throttled_periods:
        return "the container's processor time was used up"
    if covariates.pressure_s is not None and covariates.pressure_s > WAITED * seconds:
        return "something waited for a CPU"
    return None
