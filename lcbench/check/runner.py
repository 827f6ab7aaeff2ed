"""Every implementation asked for, checked in a worker process of its own."""

from __future__ import annotations

from lcbench.check.checking import CheckJob
from lcbench.losses.implementation import LOSSES
from lcbench.losses.resolve import is_user_code
from lcbench.measure import selection
from lcbench.measure.messages import Found
from lcbench.measure.selection import Candidate
from lcbench.measure.surroundings.covariates import usable_cores
from lcbench.progress import ProgressCallback, no_progress
from lcbench.record import Checked
from lcbench.workers import process
from lcbench.workers.messages import Failed


def check(
    names: list[str], dtypes: list[str], patience_s: float, progress: ProgressCallback = no_progress
) -> list[Checked]:
    """One report a loss and dtype of everything that `names` stand for; none is every implementation that runs here.

    dtypes: none is float32 and float64, and float64 alone for a user's code. Raises LossError for a name that means
    nothing.
    """
    names = selection.split_names(names)
    files = [name for name in names if is_user_code(name)]
    known = [name for name in names if name not in files]
    subjects: list[Candidate | Found] = []
    if known or not files:
        subjects += selection.select(known, list(LOSSES))
    for name in files:
        subjects += selection.discover(name, patience_s)

    reports: list[Checked] = []
    for number, subject in enumerate(subjects):
        if isinstance(subject, Found):
            progress("implementations", number, len(subjects), subject.implementation)
            reports += _check_found(subject, dtypes, patience_s)
        else:
            progress("implementations", number, len(subjects), subject.name)
            reports += _check_candidate(subject, dtypes, patience_s)
    return reports


def _check_candidate(candidate: Candidate, dtypes: list[str], patience_s: float) -> list[Checked]:
    if candidate.unavailable:
        return _nothing(candidate.name, candidate.losses, "unavailable", candidate.unavailable)
    simulator = candidate.device == "simulator"
    return _check(candidate.name, candidate.losses, dtypes or ["float32", "float64"], patience_s, simulator)


def _check_found(found: Found, dtypes: list[str], patience_s: float) -> list[Checked]:
    if found.problem:
        status = "wrong" if found.kind == "wrong" else found.kind or "unavailable"
        reports = _nothing(found.implementation, tuple(found.losses) or ("?",), status, found.problem)
    else:
        reports = _check(found.implementation, tuple(found.losses), dtypes or ["float64"], patience_s)
    for report in reports:
        report.users = True
        report.file_notes = found.notes
    return reports


def _check(
    name: str, losses: tuple[str, ...], dtypes: list[str], patience_s: float, simulator: bool = False
) -> list[Checked]:
    """A loss and dtype that ends the process costs its own report only: the rest goes on in another process."""
    variables = process.environment(usable_cores(), None, simulator)
    cells = [(loss, dtype) for loss in losses for dtype in dtypes]
    reports: list[Checked] = []
    while cells:
        events = process.work(CheckJob(implementation=name, cells=cells), variables, patience_s)
        answered = [event for event in events if isinstance(event, Checked)]
        reports += answered
        failed = next((event for event in events if isinstance(event, Failed)), None)
        if failed is None:
            break
        if process.unanswered(events) is None:
            return reports + _nothing(name, losses, failed.status, failed.reason)
        loss, dtype = cells[len(answered)]
        reports.append(Checked(implementation=name, loss=loss, dtype=dtype, status=failed.status, reason=failed.reason))
        cells = cells[len(answered) + 1 :]
    return reports


def _nothing(name: str, losses: tuple[str, ...], status: str, reason: str) -> list[Checked]:
    return [Checked(implementation=name, loss=loss, dtype="", status=status, reason=reason) for loss in losses]
