"""``lcbench train``: a linear classifier, trained and written to a model file."""

from __future__ import annotations

import os
from functools import partial
from math import inf, isfinite, nan
from pathlib import Path
from typing import TYPE_CHECKING, Any

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

if TYPE_CHECKING:
    from lcbench.learn.model import Model


@click.command(
    cls=SettingsCommand,
    settings="lcbench.learn.recipe:Recipe",
    epilog="\b\nExamples:\n  lcbench train --data synthetic --loss svm\n"
    "  lcbench train --data synthetic --solver lbfgs --iterations 20",
)
@recipe_options("training", listed=False)
@click.option(
    "--threads", type=integer("threads"), help="Number of threads of every library. Default: all usable cores."
)
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Model file. Default: a new file in results/models.",
)
@force_option
@user_code_timeout_option
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
    force: bool,
    timeout_s: float,
    resume: Path | None,
    stream: bool | None,
    as_json: bool,
    quiet: bool,
) -> ExitCode:
    """Train a linear classifier: SGD, L-BFGS or random search.

    Default: a softmax classifier of the pixels of CIFAR-10, trained as in the cs231n assignment. Weights, curves and
    settings are written to one HDF5 file. During training it is a checkpoint: after a crash, --resume FILE continues to
    the same result. Your own code runs in a worker process.

    Exit status: 0 if a model was trained, 4 if --impl is wrong, 2 if training diverged or failed.
    """
    if threads is not None:  # set before the libraries that read them are imported
        from lcbench.workers.process import THREAD_VARIABLES

        os.environ.update(dict.fromkeys(THREAD_VARIABLES, str(threads)))
    from lcbench.api import learn
    from lcbench.progress import show_progress

    with show_progress(quiet) as progress:
        options: dict[str, Any] = {
            "stream": stream,
            "timeout_s": timeout_s,
            "progress": progress,
            "note": partial(click.echo, err=True),
        }
        if resume:
            free = ("resume", "threads", "timeout_s", "scheduler", "stream", "as_json", "quiet")
            require_alone(context, "training", free)
            (model, path), unsaved = also_unsaved(learn.resume_training, resume, **options)
        else:
            (model, path), unsaved = also_unsaved(learn.train, output=output, force=force, **options, **settings)
    if as_json:
        click.echo(_json(model, path))
    else:
        from lcbench.report import style
        from lcbench.report.tables import train as train_tables

        style.console().print(train_tables.trained(model))
    if unsaved:
        raise unsaved
    click.echo(f"model: {path}", err=True)
    from lcbench.losses.jit import thread_count

    if resume and model.threads != thread_count():
        click.echo(
            f"started with {model.threads} threads, resumed with {thread_count()}: sums are in another order, and the "
            "last digits may differ",
            err=True,
        )
    if model.status == "diverged":
        raise LcbenchError(f"{_divergence(model)} (the curves are in {path})")
    return ExitCode.OK


def _divergence(model: Model) -> str:
    """Return how the training diverged and what to change."""
    recipe, losses = model.recipe, model.curves.losses
    last = float(losses[-1]) if losses.size else nan
    how = f"the loss grew from {losses[0]:.4g} to {last:.4g} in" if isfinite(last) else "the loss is not finite after"
    # A step multiplies the weights by 1 - 2 rate reg, and with momentum m this is stable up to 2 rate reg = 2 + 2 m.
    largest = (1 + recipe.momentum) / recipe.reg if recipe.reg and recipe.solver == "sgd" else inf
    advice = f"try a learning rate below {min(largest, recipe.learning_rate):.3g} or less regularisation"
    return f"training diverged: {how} {model.step:,} steps; {advice}"


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
