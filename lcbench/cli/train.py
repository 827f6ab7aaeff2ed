"""``lcbench train``: a linear classifier, trained and written to a model file."""

from __future__ import annotations

import os
import sys
from contextlib import redirect_stdout
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lcbench.cli.options import SettingsCommand, json_option, quiet_option, recipe_options, require_alone
from lcbench.errors import ExitCode, LcbenchError

if TYPE_CHECKING:
    from lcbench.learn.model import Model


@click.command(
    cls=SettingsCommand,
    settings="lcbench.learn.recipe:Recipe",
    epilog="\b\nExamples:\n  lcbench train --data synthetic --loss svm\n"
    "  lcbench train --data synthetic --solver lbfgs --iterations 20 --output best.h5",
)
@recipe_options("training", listed=False)
@click.option(
    "--threads", type=click.IntRange(1, 1024), help="Number of threads of every library. Default: all usable cores."
)
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Model file. Default: a new file in results/models.",
)
@click.option(
    "--stream",
    is_flag=True,
    default=None,
    help="Read the rows of an HDF5 file as needed, with the same result. Automatic if they do not fit in memory.",
)
@json_option
@quiet_option
@click.pass_context
def train(
    context: click.Context,
    settings: dict[str, Any],
    threads: int | None,
    output: Path | None,
    resume: Path | None,
    stream: bool | None,
    as_json: bool,
    quiet: bool,
) -> ExitCode:
    """Train a linear classifier: SGD, L-BFGS or random search.

    Default: a softmax classifier of the pixels of CIFAR-10, trained as in the cs231n assignment. Weights, curves and
    settings are written to one HDF5 file. During training it is a checkpoint: after a crash, --resume FILE continues to
    the same result.
    """
    if threads is not None:  # set before the libraries that read them are imported
        from lcbench.workers.process import THREAD_VARIABLES

        os.environ.update(dict.fromkeys(THREAD_VARIABLES, str(threads)))
    from lcbench.api import learn
    from lcbench.progress import show_progress

    # user code may print; stdout is for the result only
    with show_progress(quiet) as progress, redirect_stdout(sys.stderr):
        options: dict[str, Any] = {"stream": stream, "progress": progress, "note": partial(click.echo, err=True)}
        if resume:
            require_alone(context, "training", ("resume", "threads", "scheduler", "stream", "as_json", "quiet"))
            model, path = learn.resume_training(resume, **options)
        else:
            model, path = learn.train(output=output, **options, **settings)
    if as_json:
        click.echo(_json(model, path))
    else:
        from lcbench.report import style
        from lcbench.report.tables import train as train_tables

        style.console().print(train_tables.trained(model))
    click.echo(f"model: {path}", err=True)
    from lcbench.losses.jit import thread_count

    if resume and model.threads != thread_count():
        click.echo(
            f"started with {model.threads} threads, resumed with {thread_count()}: sums are in another order, and the "
            "last digits may differ",
            err=True,
        )
    if model.status == "diverged":
        raise LcbenchError(
            f"training diverged: the loss is not finite after {model.step:,} steps; try a learning rate below "
            f"{model.recipe.learning_rate:g} or less regularisation (the curves are in {path})"
        )
    return ExitCode.OK


def _json(model: Model, path: Path) -> str:
    import msgspec

    fields = {
        "file": str(path),
        "status": model.status,
        "steps": model.step,
        "seconds": float(model.curves.seconds[-1]),
        "accuracy": model.accuracy,
        "recipe": model.recipe,
    }
    return msgspec.json.format(msgspec.json.encode(fields), indent=1).decode()
