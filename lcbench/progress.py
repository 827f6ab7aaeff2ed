"""Progress of long work: the callback that reports it, and its display on the command line."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from threading import Event, Lock, Thread
from time import monotonic
from typing import TYPE_CHECKING, Protocol

from lcbench.units import duration

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
def show_progress(quiet: bool = False, timing: bool = False) -> Iterator[ProgressCallback]:
    """Show progress on standard error: a bar per stage on a terminal, otherwise lines; nothing if `quiet`.

    timing: whether times are measured meanwhile. Otherwise a thread shows how long a stage has taken, also while
    nothing is reported. It would disturb measurements, in which the display changes when something is reported.
    """
    if quiet:
        yield no_progress
        return
    from rich.console import Console

    console = Console(stderr=True, markup=False, highlight=False, emoji=False)
    if console.is_terminal:
        with _bars(console, timing) as progress:
            yield progress
        return
    lines = _Lines()
    with _every(LINE_INTERVAL_S / 3, lines.tick) if not timing else nullcontext():
        yield lines


@contextmanager
def _every(seconds: float, do: Callable[[], None]) -> Iterator[None]:
    """Call `do` in a thread about every `seconds` until the end of the context."""
    ended = Event()

    def repeat() -> None:
        while not ended.wait(seconds):
            do()

    thread = Thread(target=repeat, name="progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


@contextmanager
def _bars(console: Console, timing: bool) -> Iterator[ProgressCallback]:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TaskID, TextColumn
    from rich.text import Text

    class TimesColumn(ProgressColumn):
        def render(self, task: Task) -> Text:
            """Return the time that has passed, and the time that is left if it can be estimated."""
            left = "" if task.finished or not task.time_remaining else f", {duration(task.time_remaining)} left"
            return Text(f"{duration(task.elapsed or 0.0)}{left}")

    name, detail = (TextColumn(f"{{task.{field}}}", markup=False) for field in ("description", "fields[detail]"))
    columns = (name, BarColumn(16), MofNCompleteColumn(), TimesColumn(), detail)
    shown = Progress(
        *columns, console=console, transient=True, auto_refresh=not timing, refresh_per_second=1 / REFRESH_S
    )
    with shown as bars:
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

    Stages of a single step are printed only if they take that long.
    """

    def __init__(self) -> None:
        self._stages: dict[str, _Stage] = {}
        self._lock = Lock()

    def __call__(self, stage: str, done: int = 0, total: int = 0, detail: str = "") -> None:
        with self._lock:
            if not total:
                print(stage, file=sys.stderr, flush=True)
                return
            now = monotonic()
            state = self._stages.setdefault(stage, _Stage(now, now))
            state.done, state.total, state.detail = done, total, detail
            if done >= total:
                del self._stages[stage]
                if total > 1 or state.shown:
                    self._print(stage, state, now)
            elif now - state.last_line >= LINE_INTERVAL_S:
                self._print(stage, state, now)

    def tick(self) -> None:
        """Print a line on each stage of which nothing was printed for `LINE_INTERVAL_S`."""
        with self._lock:
            now = monotonic()
            for stage, state in self._stages.items():
                if now - state.last_line >= LINE_INTERVAL_S:
                    self._print(stage, state, now)

    def _print(self, stage: str, state: _Stage, now: float) -> None:
        passed_s = now - state.start
        left = ""
        if 0 < state.done < state.total:
            left = f", {duration(passed_s / state.done * (state.total - state.done))} left"
        line = f"{stage}: {state.done:,} of {state.total:,} in {duration(passed_s)}{left}"
        print(line + (f"; {state.detail}" if state.detail else ""), file=sys.stderr, flush=True)
        state.last_line, state.shown = now, True


@dataclass
class _Stage:
    """State of a stage whose progress is printed as lines: times of its start and of its last line, and its progress.

    shown: whether a line was printed.
    """

    start: float
    last_line: float
    done: int = 0
    total: int = 0
    detail: str = ""
    shown: bool = False
