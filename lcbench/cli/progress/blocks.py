"""The progress bar of a measurement: on standard error, with the time left, and only on a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from lcbench.measure.schedule import Progress, Watcher
    from lcbench.record import Record


@contextmanager
def watching(quiet: bool) -> Iterator[Watcher]:
    """Gives the function that a run tells its progress to, and shows it meanwhile.

    Repainted once a second at most, so that painting does not disturb what is measured.
    """
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    from lcbench.report import style

    console = style.console(stderr=True)
    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("{task.description}"))
    with Bar(
        *columns, console=console, transient=True, refresh_per_second=1, disable=quiet or not console.is_terminal
    ) as bar:
        task = bar.add_task("starting", total=None)

        def watch(progress: Progress) -> None:
            bar.update(task, completed=progress.done, total=progress.planned, description=progress.now)

        yield watch


@contextmanager
def sweeping(quiet: bool) -> Iterator[dict[str, Any]]:
    """Gives what `lcbench.api.sweeps` tells its progress to, and shows it; where stopped, says how to go on."""
    import click

    from lcbench.api import sweeps

    file: Path | None = None

    def begun(path: Path, unfinished: Record) -> None:
        nonlocal file
        file = path
        if not quiet:
            assert unfinished.sweep
            click.echo(
                f"round {unfinished.sweep.rounds} is done, about {_duration(sweeps.seconds_left(unfinished))} to go; "
                f"kept until finished: {path}, with which 'lcbench sweep --resume' goes on",
                err=True,
            )

    try:
        with watching(quiet) as watch:
            yield {"watch": watch, "begun": begun, "note": lambda line: click.echo(line, err=True)}
    except KeyboardInterrupt:
        if file and file.exists():
            click.echo(f"what whole rounds have measured is kept: 'lcbench sweep --resume {file}' goes on", err=True)
        raise


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
