"""``lcbench features``: image features, computed once and stored for training."""

from __future__ import annotations

import click

from lcbench.cli import completion as complete
from lcbench.cli.options import integer, json_option, quiet_option, refuse_unused


@click.command(epilog="\b\nExamples:\n  lcbench features --list\n  lcbench features colour --data synthetic")
@click.argument("names", nargs=-1, metavar="[NAME]...", shell_complete=complete.features)
@click.option("--list", "only_list", is_flag=True, help="List the available features; the default if no NAME is given.")
@click.option(
    "--words",
    type=integer("words"),
    help="Number of visual words to learn, each with four values per image. Default: 1600.",
)
@click.option(
    "--seed", type=integer("seed"), default=0, show_default=True, help="Random seed for learning visual words."
)
@click.option(
    "--data",
    type=click.Choice(["cifar10", "synthetic"]),
    default="cifar10",
    show_default=True,
    help="Images to compute the features of.",
)
@json_option
@quiet_option
def features(
    names: tuple[str, ...], only_list: bool, words: int | None, seed: int, data: str, as_json: bool, quiet: bool
) -> None:
    """Compute image features and store them for training.

    Features are computed for the training, validation and test images. 'lcbench train' identifies stored features by
    the content of the images. Visual words are learned from the training images only.
    """
    from lcbench.api import datasets
    from lcbench.progress import show_progress

    if only_list or not names:
        refuse_unused("the features are only listed", "names", "data", "seed")
    elif not any(name.startswith("words") for name in names):
        refuse_unused("none of these features has visual words", "words", "seed")
    computed = []
    if not only_list:
        with show_progress(quiet) as progress:
            computed = datasets.features(names, words=words, seed=seed, data=data, progress=progress)
    from lcbench.datasets.features.catalog import WORDS
    from lcbench.report import style
    from lcbench.report.tables import features as features_tables

    if as_json:
        import json
        from dataclasses import asdict

        listed = [asdict(one) for one in computed] or features_tables.catalog_list(words or WORDS)
        click.echo(json.dumps({"features": listed}, indent=1))
        return
    console = style.console()
    for table in features_tables.computed(computed) if computed else features_tables.catalog_table(words or WORDS):
        console.print(table)
