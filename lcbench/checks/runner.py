"""Everything that a user names, checked in worker processes: losses against the oracle, gradients against slopes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
from msgspec.structs import replace

from lcbench.checks.checking import CheckJob
from lcbench.checks.reports import GradientJob, GradientReport, Reported, Status
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

Subjects = list[tuple[str, ResolvedTarget | FunctionFound]]
"""What is to be checked, each with the name that stands for it; a function of a user's is a Found."""


def _subjects(names: Iterable[str], losses: list[LossName], timeout_s: float) -> Subjects:
    """Raises LossError for a name that means nothing."""
    names = selection.split_names(names)
    files = [name for name in names if is_user_code(name)]
    known = [name for name in names if name not in files]
    subjects: Subjects = []
    if known or not files:
        subjects += [(each.name, each) for each in selection.select_targets(known, losses, timeout_s)]
    return subjects + [(name, found) for name in files for found in selection.discover(name, timeout_s)]


def _name(subject: ResolvedTarget | FunctionFound) -> str:
    return subject.implementation if isinstance(subject, FunctionFound) else subject.name


def _answers(job: CheckJob | GradientJob, timeout_s: float, simulator: bool = False) -> Iterator[tuple[Any, Any]]:
    """Each cell that ended the process, with the Failed that says how, and (None, answer) of the others, in order.

    Such a cell costs its own answer only: the rest goes on in another process. (None, Failed): nothing more can be had.
    """
    variables = process.environment(usable_cores(), None, simulator)
    while job.cells:
        events = process.work(job, variables, timeout_s)
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


def check(
    names: Iterable[str], dtypes: list[str], timeout_s: float, progress: ProgressCallback = no_progress
) -> list[CheckResult]:
    """One report a loss and dtype of everything that `names` stand for; none is every implementation that runs here.

    dtypes: none is float32 and float64, and float64 alone for a user's code. Raises LossError for a name that means
    nothing.
    """
    reports: list[CheckResult] = []
    subjects = _subjects(names, list(LOSSES), timeout_s)
    for number, (_, subject) in enumerate(subjects):
        progress("check", number, len(subjects), _name(subject))
        reports += _check(subject, dtypes, timeout_s)
    return reports


def _check(subject: ResolvedTarget | FunctionFound, dtypes: list[str], timeout_s: float) -> list[CheckResult]:
    name, users = _name(subject), isinstance(subject, FunctionFound)
    losses = tuple(subject.losses) or ("?",)

    def nothing(status: str, reason: str) -> list[CheckResult]:
        return [CheckResult(implementation=name, loss=loss, dtype="", status=status, reason=reason) for loss in losses]

    problem = subject.problem if isinstance(subject, FunctionFound) else subject.unavailable
    reports: list[CheckResult] = []
    if problem:
        reports = nothing((subject.kind if isinstance(subject, FunctionFound) else "") or "unavailable", problem)
    else:
        dtypes = dtypes or (["float64"] if users else ["float32", "float64"])
        job = CheckJob(implementation=name, cells=[(loss, dtype) for loss in losses for dtype in dtypes])
        for cell, event in _answers(
            job, timeout_s, not isinstance(subject, FunctionFound) and subject.device == "simulator"
        ):
            if isinstance(event, CheckResult):
                reports.append(event)
            elif cell:
                fields = dict(zip(("loss", "dtype"), cell, strict=True))
                reports.append(CheckResult(implementation=name, **fields, status=event.status, reason=event.reason))
            else:
                reports += nothing(event.status, event.reason)
    if isinstance(subject, FunctionFound):
        for report in reports:
            report.users, report.file_notes = True, subject.notes
    return reports


def gradcheck(
    names: Iterable[str], job: GradientJob, timeout_s: float, progress: ProgressCallback = no_progress
) -> list[GradientReport]:
    """One report for each loss of `job` of everything that `names` stand for; none is numpy.

    A function whose gradient is wrong is checked all the same, to show where. Raises LossError for a name that means
    nothing.
    """
    names = selection.split_names(names) or ["numpy"]
    subjects = [
        (name, subject)
        for name, subject in _subjects(names, list(job.cells), timeout_s)
        if isinstance(subject, FunctionFound)
        or subject.device != "simulator"
        or name in names  # of all, those that can
    ]
    subjects.sort(key=lambda each: names.index(each[0]) if each[0] in names else names.index("all"))
    reports: list[GradientReport] = []
    told: dict[str, bool] = {}
    for number, (name, subject) in enumerate(subjects):
        progress("gradcheck", number, len(subjects), _name(subject))
        found = _gradcheck(subject, job, timeout_s)
        reports += found
        told[name] = told.get(name, False) or bool(found)
    for name in told:
        if not told[name]:  # of a file, the functions for another loss are passed over, but not all of them
            has = dict.fromkeys(loss for each, subject in subjects if each == name for loss in subject.losses)
            reason = f"offers {' and '.join(has)} only"
            reports.append(GradientReport(name, " and ".join(job.cells), "unchecked", reason))
    return reports


def _gradcheck(subject: ResolvedTarget | FunctionFound, job: GradientJob, timeout_s: float) -> list[GradientReport]:
    name, known = _name(subject), tuple(subject.losses)

    def nothing(status: Status, reason: str, losses: Iterable[str]) -> list[GradientReport]:
        margins = {"svm": job.margin}
        return [GradientReport(name, loss, status, reason, margin=margins.get(loss)) for loss in losses]

    if isinstance(subject, FunctionFound):
        cells = [loss for loss in job.cells if loss in (known or LOSSES)]
        if subject.problem and subject.kind != "wrong":
            return nothing("unchecked", subject.problem, cells)
    else:
        cells = list(subject.losses)
        if subject.unavailable:
            return nothing("unchecked", subject.unavailable, cells or [" and ".join(job.cells)])
        if subject.device == "simulator":
            slow = "Numba's CUDA simulator is too slow for images; 'lcbench check' looks at small ones"
            return nothing("unchecked", slow, cells)
    mistake = subject.problem if isinstance(subject, FunctionFound) else ""
    reports: list[GradientReport] = []
    for cell, event in _answers(replace(job, implementation=name, cells=cells, mistake=mistake), timeout_s):
        if isinstance(event, Reported):
            reports.append(msgspec.msgpack.decode(event.report, type=GradientReport))
        else:
            reports += nothing("unchecked", event.reason, [cell] if cell else cells)
    return reports or (nothing("wrong", mistake, cells) if mistake else [])
