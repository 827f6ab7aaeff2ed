"""The progress of a search: trials done and to come, and the best so far."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from lcbench.learn.search.search_file import Search

SECONDS_BETWEEN_LINES = 5.0
"""Of progress, where standard error is no terminal."""


@contextmanager
def watching(quiet: bool) -> Iterator[dict[str, Any]]:
    """Gives what `lcbench.api.searches` tells its progress to, and shows it on standard error meanwhile.

    Where the search is stopped, it says how to go on.
    """
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from lcbench.cli.progress.stages import stages
    from lcbench.report import style

    console = style.console(stderr=True)
    columns = (BarColumn(20), MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("{task.description}"))
    bar = Progress(*columns, console=console, transient=True, disable=quiet or not console.is_terminal)
    state: dict[str, Any] = {}

    def begun(path: Path, search: Search) -> None:
        done = len(search.trials) - len(search.waiting)
        state.update(path=path, search=search, before=done, began=monotonic(), spoken=monotonic())
        state["task"] = bar.add_task("", total=len(search.trials) - done)
        if search.waiting and not quiet:
            rest = f"{done} of {len(search.trials)} trials are done; " if done else f"{len(search.trials)} trials; "
            console.print(
                f"{rest}they go to {path}; 'lcbench search --resume {path}' goes on after a crash", soft_wrap=True
            )
        bar.start()

    def tried(search: Search) -> None:
        state["search"] = search
        left = len(search.waiting)
        done = len(search.trials) - left - state["before"]
        best = f"best validation {style.percent(_best_so_far(search))}"
        bar.update(state["task"], completed=done, description=best)
        now = monotonic()
        if not quiet and not console.is_terminal and now - state["spoken"] > SECONDS_BETWEEN_LINES:
            state["spoken"] = now
            seconds = (now - state["began"]) / done * left
            console.print(f"{left} of {len(search.trials)} trials left, about {seconds:.0f} s; {best}", soft_wrap=True)

    with stages() as watch:
        try:
            yield {"begun": begun, "tried": tried} | ({} if quiet else {"watch": watch})
        except KeyboardInterrupt:
            bar.stop()
            if state:
                left = len(state["search"].waiting)
                console.print(
                    f"{left} of {len(state['search'].trials)} trials are left; best validation "
                    f"{style.percent(_best_so_far(state['search']))}; "
                    f"'lcbench search --resume {state['path']}' goes on",
                    soft_wrap=True,
                )
            raise
        finally:
            bar.stop()


def _best_so_far(search: Search) -> float | None:
    accuracies = [trial.validation_accuracy for trial in search.trials if trial.validation_accuracy is not None]
    return max(accuracies, default=None)
