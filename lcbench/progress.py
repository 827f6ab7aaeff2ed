"""Progress of long work: the callback that reports it, and its display on the command line."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from rich.console import Console

MIN_STAGE_S = 2.0
"""Stages that take less time are not shown by a `delayed` callback."""

REFRESH_S = 0.5
"""Minimum time between two drawings of the bars."""

LINE_INTERVAL_S = 15.0
"""Time between two lines about the same stage if standard error is not a terminal."""


class ProgressCallback(Protocol):
    """Callback with the stage of the work, the number of finished steps, their total, and details of the last step.

    If `total` is 0, `stage` is a line to be shown once.
    """

    def __call__(self, stage: str, done: int = 0, total: int = 0, detail: str = "") -> None:
        """Receive the latest state."""


NoteCallback = Callable[[str], None]
"""Callback with a note for the user: one line of text."""


def no_progress(stage: str, done: int = 0, total: int = 0, detail: str = "") -> None:
    """Ignore the progress."""


def no_note(line: str) -> None:
    """Ignore the note."""


def delayed(progress: ProgressCallback) -> ProgressCallback:
    """Return a callback that forwards to `progress` only stages that have taken longer than `MIN_STAGE_S`."""
    starts: dict[str, float] = {}

    def forward(stage: str, done: int = 0, total: int = 0, detail: str = "") -> None:
        if monotonic() - starts.setdefault(stage, monotonic()) > MIN_STAGE_S:
            progress(stage, done, total, detail)

    return forward


@contextmanager
def show_progress(quiet: bool = False) -> Iterator[ProgressCallback]:
    """Show progress on standard error: a bar per stage on a terminal, otherwise lines; nothing if `quiet`."""
    if quiet:
        yield no_progress
        return
    from rich.console import Console

    console = Console(stderr=True, markup=False, highlight=False, emoji=False)
    if console.is_terminal:
        with _bars(console) as progress:
            yield progress
    else:
        yield _Lines()


@contextmanager
def _bars(console: Console) -> Iterator[ProgressCallback]:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

    name, detail = (TextColumn(f"{{task.{field}}}", markup=False) for field in ("description", "fields[detail]"))
    columns = (name, BarColumn(20), MofNCompleteColumn(), TimeRemainingColumn(), detail)
    # No thread refreshes the bars, since that would disturb measurements: they are drawn when progress is reported.
    with Progress(*columns, console=console, transient=True, auto_refresh=False) as bars:
        tasks: dict[str, TaskID] = {}
        drawn = 0.0

        def progress(stage: str, done: int = 0, total: int = 0, detail: str = "") -> None:
            nonlocal drawn
            if not total:
                console.print(stage, soft_wrap=True)
                return
            if stage not in tasks:
                for task in bars.tasks:
                    if task.finished:
                        bars.remove_task(tasks.pop(task.description))
                tasks[stage] = bars.add_task(stage, total=total, detail=detail)
            bars.update(tasks[stage], completed=done, total=total, detail=detail)
            if done == total or monotonic() - drawn > REFRESH_S:
                bars.refresh()
                drawn = monotonic()

        yield progress


class _Lines:
    """Callback that prints a line at the end of each stage, and every `LINE_INTERVAL_S` before.

    Stages of a single step are not printed.
    """

    def __init__(self) -> None:
        self._times: dict[str, tuple[float, float]] = {}
        """Time of the start of each stage, and of its last line."""

    def __call__(self, stage: str, done: int = 0, total: int = 0, detail: str = "") -> None:
        line, now, left = stage, monotonic(), ""
        if total:
            start, last_line = self._times.setdefault(stage, (now, now))
            if total == 1 or (done < total and now - last_line < LINE_INTERVAL_S):
                return
            if done < total:
                self._times[stage] = start, now
                left = f", {(now - start) / max(done, 1) * (total - done):.0f} s left"
            else:
                del self._times[stage]
            line = f"{stage}: {done:,} of {total:,} in {now - start:.0f} s{left}{detail and '; '}{detail}"
        print(line, file=sys.stderr, flush=True)
