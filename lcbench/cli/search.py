"""``lcbench search``: many trainings, and the best of them by the validation rows."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import click

from lcbench.cli.options import SettingsCommand, recipe_options, require_alone
from lcbench.errors import ExitCode, LcbenchError

RESUME = ("resume", "workers", "scheduler", "as_json", "quiet")
"""Options that go with a resumed search."""


@click.command(
    cls=SettingsCommand,
    settings="lcbench.learn.recipe:Recipe",
    epilog="\b\nExamples:\n  lcbench search --data synthetic --loss svm --lr 1e-7,5e-5 --reg 2.5e4,5e4\n"
    "  lcbench search --data synthetic --random 5 --lr 1e-8:1e-6 --reg 1:1e4 --iterations 200",
)
@recipe_options("search", listed=True)
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
) -> ExitCode:
    """Search for hyperparameters on the validation rows.

    Every combination of the values, or random points, is trained in a process of its own, one on each core; what is
    not given is chosen by data, loss and solver, without --lr also a linear schedule over 6000 steps. The best by
    validation accuracy (of equal ones the smaller learning rate, then the larger reg) is trained once more, tested and
    kept.

    After a crash or Ctrl-C, --resume FILE comes to the same result.
    """
    from lcbench.api import learn
    from lcbench.progress import show_progress

    with show_progress(quiet) as progress:
        tell: dict[str, Any] = {"progress": progress, "note": partial(click.echo, err=True)}
        if resume:
            require_alone(context, "--resume goes on as the search was begun", RESUME)
            found, path = learn.resume_search(resume, workers=workers, **tell)
        else:
            from lcbench.learn.search.points import AXES

            axes = {name: settings.pop(name) for name in AXES if name in settings}
            found, path = learn.search(
                axes=axes, random=random, workers=workers, threads=threads, refit_all=refit_all, output=output,
                **tell, **settings,
            )  # fmt: skip
    if as_json:
        from lcbench.learn.search import search_file

        click.echo(search_file.to_json(found, file=str(path)))
    else:
        from lcbench.report import style
        from lcbench.report.tables import search as search_tables

        console = style.console()
        for table in search_tables.tables(found, path):
            console.print(table, soft_wrap=False)
    click.echo(f"search: {path}", err=True)
    if not found.refit:
        raise LcbenchError(
            "no trial gave a model: where they diverged, try smaller learning rates or less regularisation"
        )
    return ExitCode.OK
