"""``lcbench features``: what a linear classifier sees better than pixels, computed once and kept."""

from __future__ import annotations

import click

from lcbench.cli import completion as complete


@click.command(epilog="\b\nExamples:\n  lcbench features --list\n  lcbench features colour --data synthetic")
@click.argument("names", nargs=-1, metavar="[NAME]...", shell_complete=complete.features)
@click.option("--list", "only_list", is_flag=True, help="List the features that there are, as without NAME.")
@click.option(
    "--words",
    type=click.IntRange(2, 100_000),
    help="Visual words to learn; an image has four numbers for each. Default: 1600.",
)
@click.option(
    "--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the patches that words are learnt from."
)
@click.option("--data", type=click.Choice(["cifar10", "synthetic"]), default="cifar10", show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
@click.option("--quiet", is_flag=True, help="No progress.")
def features(
    names: tuple[str, ...], only_list: bool, words: int | None, seed: int, data: str, as_json: bool, quiet: bool
) -> None:
    """Compute features of images, and keep them for training.

    Each is computed for the images that train, validate and test, and found again by the content of those images.
    Visual words are learnt from the training images only.
    """
    from lcbench.api import datasets
    from lcbench.progress import show_progress

    computed = []
    if not only_list:
        with show_progress(quiet) as progress:
            computed = datasets.features(names, words=words, seed=seed, data=data, progress=progress)
    from lcbench.datasets.features.catalog import WORDS
    from lcbench.report import style
    from lcbench.report.tables import features as features_tables

    if as_json:
        from dataclasses import asdict

        _print_json([asdict(one) for one in computed] or features_tables.catalog_list(words or WORDS))
        return
    console = style.console()
    for table in features_tables.computed(computed) if computed else features_tables.catalog_table(words or WORDS):
        console.print(table)


def _print_json(listed: object) -> None:
    import json

    click.echo(json.dumps({"features": listed}, indent=1))
