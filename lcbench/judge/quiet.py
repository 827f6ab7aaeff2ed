"""Which processes were disturbed by something else on the machine: told by their covariates, never by their times."""

from __future__ import annotations

from lcbench.record import Covariates

STOLEN = 0.02
"""Share of a core's time that the hypervisor may give to others."""

WAITED = 0.25
"""Share of its length in which something may have waited for a CPU; a process of its own threads alone stays below."""


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
