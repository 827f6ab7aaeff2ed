"""The progress of training, on standard error: steps, loss and accuracies, as a bar, or as lines where it is no
terminal."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from lcbench.learn.recipe import Recipe
    from lcbench.learn.training import Look

SECONDS_BETWEEN_LINES = 5.0
"""Where it is no terminal."""


@contextmanager
def watching(quiet: bool) -> Iterator[dict[str, Any]]:
    """Gives what `lcbench.api.trainings` tells its progress to: begun, look and watch; shows it meanwhile."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from lcbench.cli.progress.stages import stages
    from lcbench.report import style

    console = style.console(stderr=True)
    columns = (BarColumn(20), MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("{task.description}"))
    bar = Progress(
        *columns, console=console, transient=True, refresh_per_second=4, disable=quiet or not console.is_terminal
    )
    task = bar.add_task("")
    spoken, file = 0.0, ""

    def begun(path: Path, recipe: Recipe) -> None:
        nonlocal file
        file = str(path)
        if not quiet:
            console.print(f"checkpoints: {path} (--resume goes on with it after a crash)", soft_wrap=True)
        bar.update(task, total=recipe.iterations)
        bar.start()

    def look(look: Look) -> None:
        nonlocal spoken
        loss = f"loss {look.loss:.4g}  " if look.step else ""
        line = f"{loss}train {style.percent(look.train_accuracy)}  validation {style.percent(look.validation_accuracy)}"
        bar.update(task, completed=look.step, description=line)
        if not (quiet or console.is_terminal) and monotonic() - spoken > SECONDS_BETWEEN_LINES:
            spoken = monotonic()
            console.print(f"step {look.step:,}: {line}", soft_wrap=True)

    with stages() as watch:
        try:
            yield {"begun": begun, "look": look} | ({} if quiet else {"watch": watch})
        except KeyboardInterrupt:
            bar.stop()
            if file:
                console.print(f"'lcbench train --resume {file}' goes on from here", soft_wrap=True)
            raise
        finally:
            bar.stop()
