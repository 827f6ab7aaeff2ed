"""The progress of work in several stages, on standard error: a bar each with the time left, or lines where it is no
terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic

SECONDS_BETWEEN_LINES = 15.0
"""Where it is no terminal, in a stage that takes long."""


@contextmanager
def stages(quiet: bool = False) -> Iterator[Callable[[str, int, int], None]]:
    """Gives the function (what, done, planned) that work tells its progress to; shows it meanwhile, unless `quiet`."""
    if quiet:
        yield lambda what, done, planned: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

    from lcbench.report import style

    console = style.console(stderr=True)
    if not console.is_terminal:
        yield _Lines(console.print)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bars:
        tasks: dict[str, TaskID] = {}

        def watch(what: str, done: int, planned: int) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(what)
            bars.update(tasks[what], completed=done, total=planned)

        yield watch


class _Lines:
    """A line when a stage is done, and now and then before."""

    def __init__(self, show: Callable[[str], None]) -> None:
        self._show = show
        self._begun: dict[str, float] = {}
        self._shown: dict[str, float] = {}

    def __call__(self, what: str, done: int, planned: int) -> None:
        now = monotonic()
        begun = self._begun.setdefault(what, now)
        if done < planned and now - self._shown.setdefault(what, now) < SECONDS_BETWEEN_LINES:
            return
        self._shown[what] = now
        took = now - begun
        left = "" if done >= planned else f", {took / max(done, 1) * (planned - done):.0f} s left"
        self._show(f"{what}: {done:,} of {planned:,} in {took:.0f} s{left}")
