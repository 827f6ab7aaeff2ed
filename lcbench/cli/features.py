"""``lcbench features``: what a linear classifier sees better than pixels, computed once and kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from lcbench.cli import completion_values as complete

if TYPE_CHECKING:
    from lcbench.report.features_tables import Computed


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
    from lcbench.datasets.features.catalogue import WORDS
    from lcbench.report import features_tables, style

    words = words or WORDS
    wanted = [name for argument in names for name in argument.split(",") if name]
    console = style.console()
    if only_list or not wanted:
        if as_json:
            _print_json(features_tables.listed(words))
        else:
            for table in features_tables.catalogue(words):
                console.print(table)
        return
    computed = _compute(wanted, words, seed, data, quiet)
    if as_json:
        from dataclasses import asdict

        _print_json([asdict(one) for one in computed])
    else:
        for table in features_tables.computed(computed):
            console.print(table)


def _compute(names: list[str], words: int, seed: int, data: str, quiet: bool) -> list[Computed]:
    from time import perf_counter

    from lcbench import paths
    from lcbench.datasets import examples
    from lcbench.datasets import features as offered
    from lcbench.datasets.features.catalogue import find_usable
    from lcbench.progress import show_progress
    from lcbench.report.features_tables import Computed

    for name in names:  # before the images are read
        find_usable(name)
    splits = examples.cifar10(paths.cifar10_file()) if data == "cifar10" else examples.synthetic_images()
    images = {"train": splits.train.array, "validation": splits.validation.array, "test": splits.test.array}
    told: list[str] = []
    results = []
    with show_progress(quiet) as show:

        def progress(stage: str, done: int = 0, total: int = 0, detail: str = "") -> None:
            told.append(stage)
            show(stage, done, total, detail)

        for name in names:
            told.clear()
            start = perf_counter()
            found = offered.of([name], images, images["train"], words=words, seed=seed, progress=progress)
            seconds = perf_counter() - start
            results.append(
                Computed(
                    name,
                    dimensions=found["train"].shape[1],
                    rows=sum(map(len, found.values())),
                    seconds=seconds,
                    kept=not told,  # what is read from the cache makes no progress to be told of
                    files={
                        split: str(file)
                        for split, file in offered.files(name, images, images["train"], words=words, seed=seed).items()
                    },
                )
            )
            del found  # the next one may be as large
    return results


def _print_json(listed: object) -> None:
    import json

    click.echo(json.dumps({"features": listed}, indent=1))
