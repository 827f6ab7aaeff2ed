"""``lcbench search``: hyperparameter search on the validation rows."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import click

from lcbench.cli.options import (
    SettingsCommand,
    also_unsaved,
    force_option,
    integer,
    json_option,
    quiet_option,
    recipe_options,
    require_alone,
    user_code_timeout_option,
)
from lcbench.errors import ExitCode, LcbenchError


@click.command(
    cls=SettingsCommand,
    settings="lcbench.learn.recipe:Recipe",
    epilog="\b\nExamples:\n  lcbench search --data synthetic --loss svm --lr 1e-7,5e-5 --reg 2.5e4,5e4\n"
    "  lcbench search --data synthetic --random 5 --lr 1e-8:1e-6 --iterations 200",
)
@recipe_options("search", listed=True)
@click.option(
    "--random",
    type=integer("trials"),
    metavar="N",
    help="Draw N random points instead of a grid: log-uniform in a range LOW:HIGH, uniform in a list.",
)
@click.option(
    "--workers",
    type=integer("workers"),
    help="Number of worker processes. Default: usable cores divided by --threads.",
)
@click.option("--threads", type=integer("threads"), default=1, show_default=True, help="Threads per worker process.")
@click.option("--refit-all", is_flag=True, help="Refit the best recipe on training and validation rows.")
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Search file, in JSON; the model is written next to it. Default: a new file in results/searches.",
)
@force_option
@user_code_timeout_option
@json_option
@quiet_option
@click.pass_context
def search(
    context: click.Context,
    settings: dict[str, Any],
    random: int | None,
    workers: int | None,
    threads: int,
    refit_all: bool,
    output: Path | None,
    force: bool,
    timeout_s: float,
    resume: Path | None,
    as_json: bool,
    quiet: bool,
) -> ExitCode:
    """Search for hyperparameters on the validation rows.

    Every combination of the given values, or every random point, is trained in a worker process. Options that are not
    given have defaults by data, loss and solver; without --lr, also a linear schedule of 6000 steps. The recipe with
    the best validation accuracy (on ties, the smaller learning rate, then the larger reg) is trained again, tested and
    saved.

    After a crash or Ctrl-C, --resume FILE continues the search to the same result.
    """
    from lcbench.api import learn
    from lcbench.progress import show_progress

    with show_progress(quiet) as progress:
        options: dict[str, Any] = {
            "workers": workers,
            "timeout_s": timeout_s,
            "progress": progress,
            "note": partial(click.echo, err=True),
        }
        if resume:
            require_alone(context, "search", ("resume", "workers", "timeout_s", "scheduler", "as_json", "quiet"))
            (found, path), unsaved = also_unsaved(learn.resume_search, resume, **options)
        else:
            from lcbench.learn.search.search_file import AXES

            axes = {name: settings.pop(name) for name in AXES if name in settings}
            (found, path), unsaved = also_unsaved(
                learn.search,
                axes=axes, random=random, threads=threads, refit_all=refit_all, output=output, force=force,
                **options, **settings,
            )  # fmt: skip
    try:
        if as_json:
            from lcbench.learn.search import search_file

            click.echo(search_file.to_json(found, file=str(path)))
        else:
            from lcbench.report import style
            from lcbench.report.tables import search as search_tables

            console = style.console()
            for table in search_tables.tables(found, path):
                console.print(table, soft_wrap=False)
    finally:
        click.echo(f"search: {path}", err=True)
    if unsaved:
        raise unsaved
    if not found.refit:
        raise LcbenchError("no trial produced a model: try smaller learning rates or less regularisation")
    return ExitCode.OK
