"""Checks of all implementations that a user names, in worker processes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, cast

import msgspec
from msgspec.structs import replace

from lcbench.checks.checking import SINGLE_PRECISION as SINGLE_PRECISION
from lcbench.checks.checking import CheckJob
from lcbench.checks.gradcheck import GradientJob, GradientReport, Reported, Status
from lcbench.host.counters import usable_cores
from lcbench.losses.implementation import LOSSES, LossName
from lcbench.measure import selection
from lcbench.measure.messages import FunctionFound
from lcbench.measure.selection import ResolvedTarget
from lcbench.progress import ProgressCallback, no_progress
from lcbench.record import CheckResult
from lcbench.usercode.discovery import is_user_code
from lcbench.workers import process
from lcbench.workers.messages import Failed
from lcbench.workers.process import HERE, Place

FEWEST_THREADS = 4
"""Number of threads of Numba in a check of a user's function, at least."""

Target = ResolvedTarget | FunctionFound
"""Implementation of the catalog, or a user's function."""


def check(
    names: Iterable[str], dtypes: list[str], timeout_s: float, progress: ProgressCallback = no_progress
) -> list[CheckResult]:
    """Check all targets that `names` stand for; return a result per loss and dtype.

    names: empty means every implementation that runs here. dtypes: empty means float32 and float64, or float64 alone
    for a user's function. Raise LossError for an unknown name.
    """
    results: list[CheckResult] = []
    targets = _targets(names, list(LOSSES), timeout_s)
    for number, (_, target) in enumerate(targets):
        progress("check", number, len(targets), _name(target))
        if isinstance(target, FunctionFound):
            results += _check_function(target, dtypes or ["float64"], timeout_s)
        else:
            results += _check_from_catalog(target, dtypes or ["float32", "float64"], timeout_s)
    return results


def _check_function(target: FunctionFound, dtypes: list[str], timeout_s: float) -> list[CheckResult]:
    losses = target.losses or ["?"]
    if target.problem:
        results = _unchecked(target.implementation, losses, target.kind or "unavailable", target.problem)
        if target.kind == "wrong" and target.losses:  # its result is shown, if there is one
            shown = _check(target.implementation, target.losses, ["float64"], timeout_s, mistake=target.problem)
            if len(shown) == len(results) and all(each.reason == target.problem for each in shown):
                results = shown
                for result in results:
                    result.dtype = ""  # it is wrong in any
    else:
        results = _check(target.implementation, losses, dtypes, timeout_s)
    for result in results:
        result.users, result.file_notes = True, target.notes
    return results


def _check_from_catalog(target: ResolvedTarget, dtypes: list[str], timeout_s: float) -> list[CheckResult]:
    losses: list[str] = [*target.losses] or ["?"]
    if target.unavailable:
        return _unchecked(target.name, losses, "unavailable", target.unavailable)
    return _check(target.name, losses, dtypes, timeout_s, target.device == "simulator")


def judge(
    functions: dict[str, tuple[LossName, ...]],
    timeout_s: float,
    progress: ProgressCallback = no_progress,
    place: Place = HERE,
) -> dict[str, list[CheckResult]]:
    """Check the users' functions among `functions`, as `check` does by default, before they are measured.

    functions: losses by name. Return the results by name: right, unstable or wrong. A function that crashes or is too
    slow has none, since that depends on the inputs: the measurement decides.
    """
    users = [name for name in functions if is_user_code(name)]
    results = {}
    for number, name in enumerate(users):
        progress("check", number, len(users), name)
        checked = _check(name, functions[name], ["float64"], timeout_s, place=place)
        results[name] = [result for result in checked if result.status in ("ok", "unstable", "wrong")]
    return results


def _check(
    name: str,
    losses: Iterable[str],
    dtypes: list[str],
    timeout_s: float,
    simulator: bool = False,
    mistake: str = "",
    place: Place = HERE,
) -> list[CheckResult]:
    results: list[CheckResult] = []
    cells = [(cast(LossName, loss), dtype) for loss in losses for dtype in dtypes]
    job = CheckJob(implementation=name, cells=cells, mistake=mistake)
    for cell, event in _answers(job, timeout_s, simulator, place):
        if isinstance(event, CheckResult):
            results.append(event)
        elif cell:
            loss, dtype = cell
            failed = CheckResult(implementation=name, loss=loss, dtype=dtype, status=event.status, reason=event.reason)
            results.append(failed)
        else:
            results += _unchecked(name, losses, event.status, event.reason)
    return results


def _unchecked(name: str, losses: Iterable[str], status: str, reason: str) -> list[CheckResult]:
    return [CheckResult(implementation=name, loss=loss, dtype="", status=status, reason=reason) for loss in losses]


def gradcheck(
    names: Iterable[str], job: GradientJob, timeout_s: float, progress: ProgressCallback = no_progress
) -> list[GradientReport]:
    """Check the gradients of all targets that `names` stand for; return a report per loss of `job`.

    A function with a wrong gradient is checked, too, to show where it is wrong. names: empty means numpy.
    Raise LossError for an unknown name.
    """
    names = selection.split_names(names) or ["numpy"]
    targets = [
        (name, target)
        for name, target in _targets(names, list(job.cells), timeout_s)
        # "all" leaves out targets in the simulator
        if isinstance(target, FunctionFound) or target.device != "simulator" or name in names
    ]
    targets.sort(key=lambda each: names.index(each[0]) if each[0] in names else names.index("all"))
    reports: list[GradientReport] = []
    has_report: dict[str, bool] = {}
    for number, (name, target) in enumerate(targets):
        progress("gradcheck", number, len(targets), _name(target))
        found = _gradcheck(target, job, timeout_s)
        reports += found
        has_report[name] = has_report.get(name, False) or bool(found)
    for name in has_report:
        if not has_report[name]:  # functions for other losses have no report, unless the file has no other function
            offered = dict.fromkeys(loss for each, target in targets if each == name for loss in target.losses)
            reason = f"offers {' and '.join(offered)} only"
            reports.append(GradientReport(name, " and ".join(job.cells), "unchecked", reason))
    return reports


def _gradcheck(target: Target, job: GradientJob, timeout_s: float) -> list[GradientReport]:
    name, mistake = _name(target), ""

    def without_comparison(status: Status, reason: str, losses: Iterable[str]) -> list[GradientReport]:
        margins = {"svm": job.margin}
        return [GradientReport(name, loss, status, reason, margin=margins.get(loss)) for loss in losses]

    if isinstance(target, FunctionFound):
        mistake = target.problem
        cells = [loss for loss in job.cells if loss in (target.losses or LOSSES)]
        if mistake and target.kind != "wrong":
            return without_comparison("unchecked", mistake, cells)
    else:
        cells = list(target.losses)
        if target.unavailable:
            return without_comparison("unchecked", target.unavailable, cells or [" and ".join(job.cells)])
        if target.device == "simulator":
            reason = "Numba's CUDA simulator is too slow for images; use 'lcbench check', which has small cases"
            return without_comparison("unchecked", reason, cells)
    reports: list[GradientReport] = []
    for cell, event in _answers(replace(job, implementation=name, cells=cells, mistake=mistake), timeout_s):
        if isinstance(event, Reported):
            reports.append(msgspec.msgpack.decode(event.report, type=GradientReport))
        else:
            reports += without_comparison("unchecked", event.reason, [cell] if cell else cells)
    return reports or (without_comparison("wrong", mistake, cells) if mistake else [])


def _targets(names: Iterable[str], losses: list[LossName], timeout_s: float) -> list[tuple[str, Target]]:
    """Return each target with the name that stands for it. Raise LossError for an unknown name."""
    names = selection.split_names(names)
    files = [name for name in names if is_user_code(name)]
    known = [name for name in names if name not in files]
    targets: list[tuple[str, Target]] = []
    if known or not files:
        targets += [(target.name, target) for target in selection.select_targets(known, losses, timeout_s)]
    return targets + [(name, found) for name in files for found in selection.discover(name, timeout_s)]


def _name(target: Target) -> str:
    return target.implementation if isinstance(target, FunctionFound) else target.name


def _answers(
    job: CheckJob | GradientJob, timeout_s: float, simulator: bool = False, place: Place = HERE
) -> Iterator[tuple[Any, Any]]:
    """Yield (None, answer) of the cells, in order, and (cell, Failed) for a cell that ended the worker process.

    After such a cell, another process continues with the rest. (None, Failed) means that no cell could begin.
    """
    variables = process.environment(usable_cores(), None, simulator)
    if is_user_code(job.implementation):  # a race needs threads that interrupt each other
        variables["NUMBA_NUM_THREADS"] = str(max(FEWEST_THREADS, usable_cores()))
    while job.cells:
        events = process.work(job, variables, timeout_s, place)
        yield from ((None, event) for event in events if isinstance(event, job.answers))
        failed = next((event for event in events if isinstance(event, Failed)), None)
        if failed is None:
            return
        at = process.unanswered(events)
        if at is None:
            yield None, failed
            return
        yield job.cells[at], failed
        job = replace(job, cells=job.cells[at + 1 :])
