"""Which processes were disturbed by something else on the machine: told by their counters, never by their times.

A disturbed block is left out of every statement; its samples stay in the record.
"""

from __future__ import annotations

from lcbench.record import Counters, ProcessResult, Row

STOLEN = 0.02
"""Share of a core's time that the hypervisor may give to others."""

WAITED = 0.25
"""Share of its length in which something may have waited for a CPU; a process of its own threads alone stays below."""


MOST_DISTURBED = 0.5
"""Share of disturbed blocks above which leaving them out would say nothing of the rest: the machine is simply busy."""


def kept_blocks(*rows: Row) -> list[int]:
    """The blocks that all of `rows` have and in which none was disturbed; all where that would leave too few."""
    common = range(min(len(row.processes) for row in rows))
    quiet = [block for block in common if not any(why_disturbed(row.processes[block], row.threads) for row in rows)]
    return quiet if len(quiet) >= (1 - MOST_DISTURBED) * len(common) else list(common)


def why_disturbed(process: ProcessResult, threads: int) -> str | None:
    """What disturbed the process, in a few words; None where nothing is known to have done so."""
    reasons = (_disturbance(turn.counters, threads) for turn in process.turns if turn.counters)
    return next((reason for reason in reasons if reason), None)


def _disturbance(counters: Counters, threads: int) -> str | None:
    seconds = counters.seconds
    if seconds <= 0:
        return None
    if counters.steal_s is not None and counters.steal_s > STOLEN * seconds * threads:
        return "the hypervisor gave the CPU to others"
    if counters.throttled_periods:
        return "the container's processor time was used up"
    if counters.pressure_s is not None and counters.pressure_s > WAITED * seconds:
        return "something waited for a CPU"
    return None
