"""``lcbench evaluate``: how good a trained model is, class by class."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from lcbench.learn.evaluation import Evaluation


@click.command(epilog="\b\nExamples:\n  lcbench evaluate\n  lcbench evaluate --split validation --json")
@click.argument("model", required=False, type=click.Path(dir_okay=False, path_type=Path), metavar="[MODEL.h5]")
@click.option(
    "--split",
    type=click.Choice(["train", "validation", "test"]),
    default="test",
    show_default=True,
    help="Of the data.",
)
@click.option(
    "--data", metavar="WHAT", help="Other data of the same shape: cifar10, synthetic or a file. Default: as trained."
)
@click.option(
    "--stream", is_flag=True, default=None, help="Read cifar10's rows as they are needed; HDF5 files' always are."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")
@click.option("--quiet", is_flag=True, help="No progress.")
def evaluate(model: Path | None, split: str, data: str | None, stream: bool | None, as_json: bool, quiet: bool) -> None:
    """How good is a model? By class, and what is taken for what.

    Without MODEL.h5: the newest in results/models.
    """
    from lcbench.api import learn
    from lcbench.progress import show_progress

    with show_progress(quiet) as progress:
        found = learn.evaluate(model, split, data, progress, stream, partial(click.echo, err=True))
    if not found.as_trained:
        click.echo(
            f"{found.source} is no longer what {found.model} was trained on: rows that it was trained on may be among these",
            err=True,
        )
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
        "data": found.source,
        "split": found.split,
        "rows": found.rows,
        "accuracy": found.accuracy,
        "standard_error": found.standard_error,
        "class_accuracy": dict(zip(found.class_names, accuracies, strict=True)),
        "confusion": found.confusion.tolist(),
    }
