"""``lcbench search``: many trainings, and the best of them by the validation rows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lcbench.cli.recipe_options import recipe_options, require_alone
from lcbench.errors import LcbenchError
from lcbench.exit_codes import ExitCode

if TYPE_CHECKING:
    from lcbench.learn.search.points import Axis
    from lcbench.learn.search.search_file import Search


class AxisType(click.ParamType):
    """Values, "1e-7,5e-7", or a range that is even in the logarithm, "1e-8:1e-6:5" or "1e-8:1e-6"."""

    name = "list"

    def __init__(self, whole: bool = False, zero: bool = False) -> None:
        self.whole, self.zero = whole, zero

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> Axis:
        """The axis. Fails as a usage error where it is none."""
        from lcbench.learn.search.points import Range

        if not isinstance(value, str):
            axis: Axis = value
            return axis
        if ":" not in value:
            return [self._number(text, parameter, context) for text in value.split(",")]
        ends = value.split(":")
        if len(ends) > 3:
            self.fail(f"'{value}' is no range: write LOW:HIGH:COUNT", parameter, context)
        if len(ends) == 3 and not ends[2].strip().isdecimal():
            self.fail(f"'{ends[2]}' in '{value}' is no number of values: write LOW:HIGH:COUNT", parameter, context)
        low, high = (self._number(text, parameter, context) for text in ends[:2])
        try:
            return Range(low, high, int(ends[2]) if len(ends) == 3 else None)
        except LcbenchError as error:
            self.fail(str(error), parameter, context)

    def _number(self, text: str, parameter: click.Parameter | None, context: click.Context | None) -> float:
        from math import isfinite

        try:
            number = int(text) if self.whole else float(text)
        except ValueError:
            kind = "whole number" if self.whole else "number"
            self.fail(f"'{text.strip()}' is no {kind}: write 1,2,3 or LOW:HIGH:COUNT", parameter, context)
        if not isfinite(number) or number < 0 or (number == 0 and not self.zero):
            self.fail(f"{text.strip()} is not {'0 or more' if self.zero else 'above 0'}", parameter, context)
        return number


RESUME = ("resume", "workers", "as_json", "quiet")
"""Options that go with a resumed search."""


@click.command(
    epilog="\b\nExamples:\n  lcbench search --data synthetic --loss svm --lr 1e-7,5e-5 --reg 2.5e4,5e4\n"
    "  lcbench search --data synthetic --random 5 --lr 1e-8:1e-6 --reg 1:1e4 --iterations 200"
)
@recipe_options
@click.option("--learning-rate", "--lr", type=AxisType(), metavar="LIST", help="1e-7,5e-7 or 1e-8:1e-6:5, five values.")
@click.option("--reg", type=AxisType(zero=True), metavar="LIST", help="Factors of sum(W * W), written likewise.")
@click.option("--batch", type=AxisType(whole=True), metavar="LIST", help="Rows of a step. [200]")
@click.option("--margin", type=AxisType(), metavar="LIST", help="Of the svm loss. [1]")
@click.option(
    "--random",
    type=click.IntRange(1, 100_000),
    metavar="N",
    help="Draw N points at random instead of a grid: log-uniformly from LOW:HIGH, or one of the values.",
)
@click.option("--workers", type=click.IntRange(1, 1024), help="Processes. Default: as many as the cores hold.")
@click.option("--threads", type=click.IntRange(1, 1024), default=1, show_default=True, help="Of each worker.")
@click.option("--refit-all", is_flag=True, help="Train the best on training and validation rows.")
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Of the search, JSON; the model goes beside it. Default: a new file in results/searches.",
)
@click.option(
    "--resume",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Go on with a search that was broken off, as it was begun.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")
@click.option("--quiet", is_flag=True, help="No progress.")
@click.pass_context
def search(
    context: click.Context,
    settings: dict[str, Any],
    random: int | None,
    workers: int | None,
    threads: int,
    refit_all: bool,
    output: Path | None,
    resume: Path | None,
    as_json: bool,
    quiet: bool,
    **axes: Axis | None,
) -> ExitCode:
    """Search for hyperparameters on the validation rows.

    Every combination of the values, or random points, is trained in a process of its own, one on each core; what is
    not given is chosen by data, loss and solver, without --lr also a linear schedule over 6000 steps. The best by
    validation accuracy (of equal ones the smaller learning rate, then the larger reg) is trained once more, tested and
    kept.

    After a crash or Ctrl-C, --resume FILE comes to the same result.
    """
    from lcbench.api import searches

    with _watching(quiet) as watch:
        if resume:
            require_alone(context, "--resume goes on as the search was begun", RESUME)
            found, path = searches.resume(resume, workers=workers, **watch)
        else:
            given = {name: axis for name, axis in axes.items() if axis is not None}
            found, path = searches.search(
                axes=given, random=random, workers=workers, threads=threads, refit_all=refit_all, output=output,
                **watch, **settings,
            )  # fmt: skip
    if as_json:
        from lcbench.learn.search import search_file

        click.echo(search_file.to_json(found, file=str(path)))
    else:
        from lcbench.report import search_tables, style

        console = style.console()
        for table in search_tables.tables(found, path):
            console.print(table, soft_wrap=False)
    click.echo(f"search: {path}", err=True)
    if not found.refit:
        raise LcbenchError(
            "no trial gave a model: where they diverged, try smaller learning rates or less regularisation"
        )
    return ExitCode.OK


SECONDS_BETWEEN_LINES = 5.0
"""Of progress, where standard error is no terminal."""


@contextmanager
def _watching(quiet: bool) -> Iterator[dict[str, Any]]:
    """Gives what `lcbench.api.searches` tells its progress to, and shows it on standard error meanwhile.

    Where the search is stopped, it says how to go on.
    """
    from time import monotonic

    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from lcbench.cli.stages import stages
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
