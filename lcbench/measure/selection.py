"""Selection of implementations: which of the names that a user gives can be measured, on which losses and devices."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from lcbench.losses import catalog
from lcbench.losses.implementation import LOSSES, Device, LossError, LossName, Unavailable, UnknownImplementation
from lcbench.measure.messages import DiscoverJob, FunctionFound, NothingFound, ReachJob, Trying
from lcbench.settings import TIMEOUT_S
from lcbench.usercode.discovery import NotFound, is_user_code
from lcbench.usercode.source import SUFFIXES
from lcbench.workers import process
from lcbench.workers.messages import Failed
from lcbench.workers.process import HERE, Place


@dataclass(frozen=True)
class ResolvedTarget:
    """Implementation that a name resolves to.

    losses: the requested losses that it offers. unavailable: why it cannot be measured, or empty; `status` is the
    status of its rows in that case. notes: on skipped parts of the user's file, one line each.
    """

    name: str
    device: Device = "cpu"
    losses: tuple[LossName, ...] = ()
    unavailable: str = ""
    status: str = "unavailable"
    notes: tuple[str, ...] = ()

    @property
    def file(self) -> str:
        """Path or module before the function's name."""
        return self.name.rpartition(":")[0] or self.name


def split_names(values: Iterable[str]) -> list[str]:
    """Return the distinct names in repeated, comma-separated options.

    Raise UnknownImplementation for a value that contains no name: an empty list of names would mean everything.
    """
    values = list(values)
    if any(not value.strip(" ,") for value in values):
        raise UnknownImplementation("an implementation's name is empty; 'lcbench impls' lists all")
    return list(dict.fromkeys(name.strip() for value in values for name in value.split(",") if name.strip()))


def select_targets(names: list[str], losses: list[LossName], timeout_s: float = TIMEOUT_S) -> list[ResolvedTarget]:
    """Return the distinct targets for `names`; no name, or "all", means every implementation that runs here.

    User code is loaded in a worker process. Another one checks whether an implementation that computes on other
    machines reaches them. Raise UnknownImplementation or CannotLoad for a name that cannot be resolved, and Unavailable
    if the only name is that of an implementation which cannot reach its machines.
    """
    everything = not names or "all" in names
    targets: list[ResolvedTarget] = []
    if everything:
        for name in catalog.CATALOG:
            target = _from_catalog(name, losses)
            if name in names or not (target.unavailable or catalog.CATALOG[name].by_name_only):
                targets.append(target)
    for name in names:
        if name == "all" or (everything and name in catalog.CATALOG):
            continue
        if is_user_code(name):
            targets += user_targets(name, losses, timeout_s)
        else:
            targets.append(_from_catalog(name, losses))
    targets = [_check_reachable(target, names, timeout_s) for target in targets]
    return list({target.name: target for target in targets}.values())


def with_baseline(targets: list[ResolvedTarget], baseline: str) -> list[ResolvedTarget]:
    """Return the targets and, before them, an implementation of the catalog to compare with, on the same losses.

    It is added if all targets are user code, at least one of which can be measured.
    """
    offered = {loss for target in targets if not target.unavailable for loss in target.losses}
    if baseline not in catalog.CATALOG or not offered or any(target.name in catalog.CATALOG for target in targets):
        return targets
    return [_from_catalog(baseline, [loss for loss in LOSSES if loss in offered]), *targets]


def row_names(targets: Iterable[ResolvedTarget]) -> dict[str, str]:
    """Return the row name of each target: its name without the folders of its file, unless that is ambiguous."""
    short = {target.name: _without_folders(target.name) for target in targets}
    taken = Counter(short.values())
    return {name: short_name if taken[short_name] == 1 else name for name, short_name in short.items()}


def _without_folders(name: str) -> str:
    file, colon, function = name.rpartition(":")
    return f"{Path(file).name}:{function}" if colon and file.endswith(SUFFIXES) else name


def _from_catalog(name: str, losses: list[LossName]) -> ResolvedTarget:
    entry = catalog.find(name)
    reason = catalog.why_unavailable(entry)
    offered = tuple(loss for loss in entry.losses if loss in losses)
    unavailable = str(reason) if reason else ""
    if not reason and not offered:
        unavailable = f"offers {' and '.join(entry.losses)} only"
    return ResolvedTarget(name, catalog.device_here(entry), offered, unavailable)


def _check_reachable(target: ResolvedTarget, names: list[str], timeout_s: float) -> ResolvedTarget:
    """Return the target, marked as unavailable if it computes on machines that cannot be reached.

    Raise Unavailable if it is the only one requested, since nothing could be measured.
    """
    entry = catalog.CATALOG.get(target.name)
    if target.unavailable or entry is None or not os.environ.get(entry.scheduler_variable):
        return target
    events = process.work(ReachJob(implementation=entry.name), process.environment(1, None), timeout_s)
    failed = next((event for event in events if isinstance(event, Failed)), None)
    if failed is None:
        return target
    if names == [target.name]:
        raise Unavailable(failed.reason)
    return replace(target, unavailable=failed.reason, status=failed.status)


def discover(spec: str, timeout_s: float = TIMEOUT_S, place: Place = HERE) -> list[FunctionFound]:
    """Return the functions in the user's file, module or entry point, found in a worker process.

    A function that ends the process has a `problem`; the search continues with the next function in a new process.
    Raise LossError with one line if `spec` cannot be loaded at all, NotFound if it does not exist.
    """
    found: list[FunctionFound] = []
    skip = 0
    while True:
        events = process.work(
            DiscoverJob(spec=spec, skip=skip, tree=place.tree), process.environment(1, None), timeout_s, place
        )
        found += [event for event in events if isinstance(event, FunctionFound)]
        for event in events:
            if isinstance(event, NothingFound):
                raise NotFound(event.reason)
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


def user_targets(spec: str, losses: list[LossName], timeout_s: float, place: Place = HERE) -> list[ResolvedTarget]:
    """Return the user's functions for `losses`, found in a worker process at `place`.

    Raise NotFound if `spec` does not exist, UnknownImplementation if it has none, and LossError if it cannot be loaded.
    """
    targets = []
    for found in discover(spec, timeout_s, place):
        # If a function failed and its name does not contain its loss, it could be meant for any.
        offered = tuple(loss for loss in losses if loss in (found.losses or losses))
        if offered:
            refused = found.kind if found.kind in ("wrong", "crashed", "timeout") else "unavailable"
            notes = tuple(found.notes)
            targets.append(ResolvedTarget(found.implementation, "cpu", offered, found.problem, refused, notes))
    if not targets:
        raise UnknownImplementation(f"{spec} has no function for the requested loss ({', '.join(losses)})")
    return targets
