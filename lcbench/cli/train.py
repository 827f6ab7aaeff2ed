"""``lcbench train``: a linear classifier, from the first weights to a model file."""

from __future__ import annotations

import os
import sys
from contextlib import redirect_stdout
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lcbench.cli.options import SettingsCommand, recipe_options, require_alone
from lcbench.errors import ExitCode, LcbenchError

if TYPE_CHECKING:
    from lcbench.learn.model import Model


RESUME = ("resume", "threads", "scheduler", "stream", "as_json", "quiet")
"""Options that go with a resumed training."""


@click.command(
    cls=SettingsCommand,
    settings="lcbench.learn.recipe:Recipe",
    epilog="\b\nExamples:\n  lcbench train --data synthetic --loss svm\n"
    "  lcbench train --data synthetic --solver lbfgs --iterations 20 --output best.h5",
)
@recipe_options("training", listed=False)
@click.option("--threads", type=click.IntRange(1, 1024), help="Of every library. Default: all usable cores.")
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Of the model. Default: a new file in results/models.",
)
@click.option(
    "--stream",
    is_flag=True,
    default=None,
    help="Read the rows of an HDF5 file as they are needed: same result. By itself where they would not fit in memory.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
@click.option("--quiet", is_flag=True, help="No progress.")
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

    Without options: softmax on CIFAR-10's pixels, as the assignment does it. Weights, curves and settings go to one
    HDF5 file, which is a checkpoint meanwhile: after a crash, --resume FILE comes to the same result.
    """
    if threads is not None:  # before any library that uses them is imported
        from lcbench.workers.process import THREAD_VARIABLES

        os.environ.update(dict.fromkeys(THREAD_VARIABLES, str(threads)))
    from lcbench.api import learn
    from lcbench.progress import show_progress

    # what a user's own implementation prints is no result
    with show_progress(quiet) as progress, redirect_stdout(sys.stderr):
        reading: dict[str, Any] = {"stream": stream, "progress": progress, "note": partial(click.echo, err=True)}
        if resume:
            require_alone(context, "--resume goes on as the training was begun", RESUME)
            model, path = learn.resume_training(resume, **reading)
        else:
            model, path = learn.train(output=output, **reading, **settings)
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
            f"begun on {model.threads} threads, resumed on {thread_count()}: sums were added in another order, and the "
            "last digits may differ",
            err=True,
        )
    if model.status == "diverged":
        raise LcbenchError(
            f"training diverged: the loss is not finite after {model.step:,} steps; try a learning rate below "
            f"{model.recipe.learning_rate:g} or less regularisation (the curves until then are in {path})"
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
