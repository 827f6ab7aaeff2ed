"""Progress of work that takes long: the callback that is told of it, and what the command line shows of it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from rich.console import Console

MIN_STAGE_S = 2.0
"""What takes less is over before it is read about."""

SECONDS_BETWEEN_LINES = 15.0
"""Where standard error is no terminal, in a stage that takes long."""


class ProgressCallback(Protocol):
    """Called with the stage of the work, how much of it is done, the total, and details of the latest state.

    With the stage alone: it is a line to be shown once.
    """

    def __call__(self, stage: str, done: int = 0, total: int = 0, detail: str = "") -> None: ...


NoteCallback = Callable[[str], None]
"""Called with a line that the user should know."""


def no_progress(stage: str, done: int = 0, total: int = 0, detail: str = "") -> None:
    """Show nothing."""


def no_note(line: str) -> None:
    """Show nothing."""


def delayed(progress: ProgressCallback) -> ProgressCallback:
    """Return a callback that passes on only stages that have taken longer than `MIN_STAGE_S`."""
    began: dict[str, float] = {}

    def passed_on(stage: str, done: int = 0, total: int = 0, detail: str = "") -> None:
        if monotonic() - began.setdefault(stage, monotonic()) > MIN_STAGE_S:
            progress(stage, done, total, detail)

    return passed_on


@contextmanager
def show_progress(quiet: bool = False) -> Iterator[ProgressCallback]:
    """Show progress on standard error: a bar for each stage on a terminal, otherwise lines; nothing if `quiet`."""
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

    stage_name, detail = (TextColumn(f"{{task.{what}}}", markup=False) for what in ("description", "fields[detail]"))
    columns = (stage_name, BarColumn(20), MofNCompleteColumn(), TimeRemainingColumn(), detail)
    # Painted once a second, so that painting does not disturb what is measured.
    with Progress(*columns, console=console, transient=True, refresh_per_second=1) as bars:
        tasks: dict[str, TaskID] = {}

        def progress(stage: str, done: int = 0, total: int = 0, detail: str = "") -> None:
            if not total:
                console.print(stage, soft_wrap=True)
                return
            if stage not in tasks:
                for task in bars.tasks:
                    if task.finished:
                        bars.remove_task(tasks.pop(task.description))
                tasks[stage] = bars.add_task(stage, total=total, detail=detail)
            bars.update(tasks[stage], completed=done, total=total, detail=detail)

        yield progress


class _Lines:
    """A line when a stage is done, and now and then before; none for a stage that is not divided."""

    def __init__(self) -> None:
        self._times: dict[str, tuple[float, float]] = {}
        """When each stage began, and when it was shown last."""

    def __call__(self, stage: str, done: int = 0, total: int = 0, detail: str = "") -> None:
        line, now, left = stage, monotonic(), ""
        if total:
            began, shown = self._times.setdefault(stage, (now, now))
            if total == 1 or (done < total and now - shown < SECONDS_BETWEEN_LINES):
                return
            if done < total:
                self._times[stage] = began, now
                left = f", {(now - began) / max(done, 1) * (total - done):.0f} s left"
            else:
                del self._times[stage]
            line = f"{stage}: {done:,} of {total:,} in {now - began:.0f} s{left}{detail and '; '}{detail}"
        print(line, file=sys.stderr, flush=True)
