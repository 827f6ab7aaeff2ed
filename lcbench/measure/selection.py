"""From the names that a user gives to contenders: who takes part, on what, and who cannot and why."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from lcbench.losses import catalog
from lcbench.losses.implementation import Device, LossError, LossName, Unavailable, UnknownImplementation
from lcbench.measure.messages import DiscoverJob, FunctionFound, ReachJob, Trying
from lcbench.settings import TIMEOUT_S
from lcbench.usercode.discovery import is_user_code
from lcbench.workers import process
from lcbench.workers.messages import Failed
from lcbench.workers.process import HERE, Place


@dataclass(frozen=True)
class ResolvedTarget:
    """An implementation by name.

    losses: what it offers of what was asked for. unavailable: why it cannot take part, or empty.
    """

    name: str
    device: Device = "cpu"
    losses: tuple[LossName, ...] = ()
    unavailable: str = ""
    status: str = "unavailable"


def split_names(values: Iterable[str]) -> list[str]:
    """Names from repeated, comma-separated options, each once.

    Raises UnknownImplementation for a value without a name in it, which would otherwise ask for everything.
    """
    values = list(values)
    if any(not value.strip(" ,") for value in values):
        raise UnknownImplementation("an implementation's name is empty; 'lcbench impls' lists all")
    return list(dict.fromkeys(name.strip() for value in values for name in value.split(",") if name.strip()))


def select_targets(names: list[str], losses: list[LossName], timeout_s: float = TIMEOUT_S) -> list[ResolvedTarget]:
    """Candidates for `names`; no name, or "all", is every implementation that runs here.

    User code is looked at in a worker process, and whether the machines can be reached on which one computes that was
    named. Raises UnknownImplementation or CannotLoad, and Unavailable where the only one cannot reach its machines.
    A function named twice takes part once.
    """
    everything = not names or "all" in names
    candidates: list[ResolvedTarget] = []
    if everything:
        for name in catalog.CATALOG:
            candidate = _from_catalog(name, losses)
            if name in names or not (candidate.unavailable or catalog.CATALOG[name].by_name_only):
                candidates.append(candidate)
    for name in names:
        if name == "all" or (everything and name in catalog.CATALOG):
            continue
        if is_user_code(name):
            candidates += from_user(name, losses, timeout_s)
        else:
            candidates.append(_from_catalog(name, losses))
    candidates = [_reached(candidate, names, timeout_s) for candidate in candidates]
    return list({candidate.name: candidate for candidate in candidates}.values())


def row_names(candidates: Iterable[ResolvedTarget]) -> dict[str, str]:
    """What the rows of each candidate are called: without the folders of its file, where that tells it apart."""
    short = {candidate.name: _without_folders(candidate.name) for candidate in candidates}
    taken = Counter(short.values())
    return {name: short_name if taken[short_name] == 1 else name for name, short_name in short.items()}


def _without_folders(name: str) -> str:
    file, colon, function = name.rpartition(":")
    return f"{Path(file).name}:{function}" if colon and file.endswith(".py") else name


def _from_catalog(name: str, losses: list[LossName]) -> ResolvedTarget:
    entry = catalog.find(name)
    reason = catalog.why_unavailable(entry)
    offered = tuple(loss for loss in entry.losses if loss in losses)
    unavailable = ""
    if reason:
        unavailable = f"{reason}; {reason.install}" if reason.install else str(reason)
    elif not offered:
        unavailable = f"offers {' and '.join(entry.losses)} only"
    return ResolvedTarget(name, catalog.device_here(entry), offered, unavailable)


def _reached(candidate: ResolvedTarget, names: list[str], timeout_s: float) -> ResolvedTarget:
    """The candidate, unavailable where it computes on machines that cannot be reached.

    Raises Unavailable where it is all that was asked for: there is nothing to measure.
    """
    entry = catalog.CATALOG.get(candidate.name)
    if candidate.unavailable or entry is None or not os.environ.get(entry.scheduler_variable):
        return candidate
    events = process.work(ReachJob(implementation=entry.name), process.environment(1, None), timeout_s)
    failed = next((event for event in events if isinstance(event, Failed)), None)
    if failed is None:
        return candidate
    if names == [candidate.name]:
        raise Unavailable(failed.reason)
    return replace(candidate, unavailable=failed.reason, status=failed.status)


def discover(spec: str, timeout_s: float = TIMEOUT_S, place: Place = HERE) -> list[FunctionFound]:
    """What the user's file, module or entry point holds, found in a worker process, since it may do anything.

    A function that ends the process is told with its `problem` and costs the others nothing. Raises LossError with one
    line where nothing can be had from `spec`.
    """
    found: list[FunctionFound] = []
    skip = 0
    while True:
        events = process.work(DiscoverJob(spec=spec, skip=skip), process.environment(1, None), timeout_s, place)
        found += [event for event in events if isinstance(event, FunctionFound)]
        failed = next((event for event in events if isinstance(event, Failed)), None)
        if failed is None:
            return found
        if failed.status == "unavailable":
            raise LossError(failed.reason)
        tried = next((event for event in reversed(events) if isinstance(event, Trying)), None)
        if tried is None:
            problem = f"{failed.reason}, while it was loaded"
            return [*found, FunctionFound(implementation=spec, losses=[], problem=problem, kind=failed.status)]
        found.append(
            FunctionFound(
                implementation=tried.implementation, losses=tried.losses, problem=failed.reason, kind=failed.status
            )
        )
        skip = tried.index + 1


def from_user(spec: str, losses: list[LossName], timeout_s: float, place: Place = HERE) -> list[ResolvedTarget]:
    """The functions of a user's for `losses`, looked at in a worker process at `place`.

    Raises LossError where there is none.
    """
    candidates = []
    for found in discover(spec, timeout_s, place):
        # Which loss a function was meant to be cannot be known where it failed and its name does not say.
        offered = tuple(loss for loss in losses if loss in (found.losses or losses))
        if offered and found.problem:
            status = found.kind if found.kind in ("wrong", "crashed", "timeout") else "unavailable"
            candidates.append(ResolvedTarget(found.implementation, "cpu", offered, found.problem, status))
        elif offered:
            candidates.append(ResolvedTarget(found.implementation, "cpu", offered))
    if not candidates:
        raise UnknownImplementation(f"{spec} has no function for the loss asked for ({', '.join(losses)})")
    return candidates
