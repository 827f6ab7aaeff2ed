"""``lcbench evaluate``: accuracy and confusion matrix of a trained model."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lcbench.cli import completion as complete
from lcbench.cli.options import json_option, quiet_option

if TYPE_CHECKING:
    from lcbench.learn.evaluation import Evaluation


@click.command(epilog="\b\nExamples:\n  lcbench evaluate\n  lcbench evaluate --split validation --json")
@click.argument(
    "model",
    required=False,
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="[MODEL.h5]",
    shell_complete=complete.models,
)
@click.option(
    "--split",
    type=click.Choice(["train", "validation", "test"]),
    default="test",
    show_default=True,
    help="Split of the data to evaluate on.",
)
@click.option(
    "--data",
    metavar="NAME|FILE",
    shell_complete=complete.data,
    help="Other data with the same columns: cifar10, synthetic or a file. Default: the data of the training.",
)
@click.option(
    "--stream",
    is_flag=True,
    default=None,
    help="Read the rows of cifar10 from disk as needed. Automatic for HDF5 files.",
)
@json_option
@quiet_option
def evaluate(model: Path | None, split: str, data: str | None, stream: bool | None, as_json: bool, quiet: bool) -> None:
    """Evaluate a model: class accuracies and confusion matrix.

    Default: the newest model in results/models whose training has finished.
    """
    from lcbench.api import learn
    from lcbench.progress import show_progress

    with show_progress(quiet) as progress:
        found = learn.evaluate(model, split, data, progress, stream, partial(click.echo, err=True))
    if not found.as_trained:
        click.echo(
            f"{found.source} has changed since {found.model} was trained on it: "
            "the evaluated rows may include training rows",
            err=True,
        )
    if found.status == "unfinished":
        left = f"{found.steps:,} of {found.iterations:,} steps"
        click.echo(
            f"{found.model} is an interrupted training, at {left}: 'lcbench train --resume' continues it", err=True
        )
    elif found.status == "diverged":
        click.echo(f"{found.model} is a diverged training: its accuracy means little", err=True)
    if as_json:
        import json

        click.echo(json.dumps(_fields(found), indent=1))
        return
    from lcbench.report import style
    from lcbench.report.tables import train as train_tables

    console = style.console()
    console.print(train_tables.evaluated(found))
    console.print(train_tables.per_class(found))
    console.print(train_tables.confusion(found))


def _fields(found: Evaluation) -> dict[str, Any]:
    accuracies = [None if accuracy != accuracy else accuracy for accuracy in found.class_accuracy.tolist()]
    return {
        "model": str(found.model),
        "written": found.written or None,
        "status": found.status,
        "steps": found.steps,
        "data": found.source,
        "split": found.split,
        "rows": found.rows,
        "accuracy": found.accuracy,
        "standard_error": found.standard_error,
        "class_accuracy": dict(zip(found.class_names, accuracies, strict=True)),
        "confusion": found.confusion.tolist(),
    }
