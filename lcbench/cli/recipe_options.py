"""What is trained and how: the options that ``train`` and ``search`` share."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import click

from lcbench.cli import completion_values as complete
from lcbench.cli.cluster_options import scheduler_option, warn_if_unused
from lcbench.cli.parameters import Finite

MOST = 1e30
"""Of a setting: its square is still a float64, and itself a float32."""

POSITIVE = Finite(0, MOST, min_open=True)
NOT_NEGATIVE = Finite(0, MOST)
COUNT = click.IntRange(1, 10**9)

_OPTIONS = (
    click.option(
        "--data",
        default="cifar10",
        show_default=True,
        metavar="WHAT",
        help="cifar10, synthetic, or a CSV, NPZ or HDF5 file of your own.",
    ),
    click.option("--label", metavar="COLUMN", help="Of a CSV: the column of the labels, by name or number."),
    click.option(
        "--features", multiple=True, metavar="NAME", shell_complete=complete.features,
        help="Of images: names from 'lcbench features'. Default: pixels.",
    ),
    click.option("--words", type=click.IntRange(2, 100_000), help="Visual words, where they are among the features."),
    click.option(
        "--scaling",
        type=click.Choice(["none", "mean", "halved", "standard"]),
        help="Less the mean; that over 128; or each column standardised. Default: by data and solver.",
    ),
    click.option("--loss", type=click.Choice(["svm", "softmax"]), default="softmax", show_default=True),
    click.option(
        "--impl", "implementation", default="numba-parallel", show_default=True, metavar="NAME",
        shell_complete=complete.implementation,
        help="As 'lcbench run' takes it: a name, FILE.py, FILE.py:FUNCTION.",
    ),
    scheduler_option,
    click.option("--dtype", type=click.Choice(["float32", "float64"]), default="float32", show_default=True),
    click.option("--solver", type=click.Choice(["sgd", "lbfgs", "random"]), default="sgd", show_default=True),
    click.option("--iterations", type=COUNT, help="Steps."),
    click.option(
        "--epochs", type=Finite(0, 1e6, min_open=True),
        help="Steps by passes over the training rows, each row once a pass.",
    ),
    click.option(
        "--schedule", type=click.Choice(["constant", "step", "linear", "cosine"]), help="Of the learning rate."
    ),
    click.option("--decay", type=POSITIVE, help="Factor of the step schedule. [0.95]"),
    click.option("--decay-every", type=COUNT, metavar="STEPS", help="Of the step schedule. [250]"),
    click.option("--momentum", type=click.FloatRange(0, 1, max_open=True), help="[0]"),
    click.option("--initial-scale", type=NOT_NEGATIVE, help="Standard deviation of the first weights. [0.001]"),
    click.option("--seed", type=click.IntRange(0), default=0, show_default=True),
    click.option("--report-every", type=COUNT, metavar="STEPS", help="Looks at the accuracies. [100]"),
    click.option(
        "--patience", type=COUNT, metavar="LOOKS",
        help="Stop after so many looks without a better validation accuracy, and keep the best weights.",
    ),
)  # fmt: skip
_NAMES = ("data", "label", "features", "words", "scaling", "loss", "implementation", "dtype", "solver", "iterations",
          "epochs", "schedule", "decay", "decay_every", "momentum", "initial_scale", "seed", "report_every",
          "patience")  # fmt: skip

stream_option = click.option(
    "--stream",
    is_flag=True,
    default=None,
    help="Read the rows of an HDF5 file as they are needed: same result. By itself where they would not fit in memory.",
)
"""How the data is read is no part of the recipe: it makes no difference to what comes out."""


def recipe_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the options; the command gets them as `settings`, by the names of `lcbench.learn.recipe.Recipe`."""

    @wraps(command)
    def with_recipe(**options: Any) -> Any:
        settings = {name: options.pop(name) for name in _NAMES}
        settings["features"] = [name for names in settings["features"] for name in names.split(",") if name]
        if settings["epochs"] and settings["iterations"]:
            raise click.UsageError("--iterations and --epochs both say how long: give one.")
        warn_if_unused([settings["implementation"]])
        return command(settings=settings, **options)

    for option in reversed(_OPTIONS):
        with_recipe = option(with_recipe)
    return with_recipe


def require_alone(context: click.Context, why: str, allowed: tuple[str, ...]) -> None:
    """Raises UsageError where an option was given whose name is not among `allowed`: it would be passed over."""
    given = [
        option.opts[0]
        for option in context.command.params
        if option.name not in allowed
        and context.get_parameter_source(str(option.name)) == click.core.ParameterSource.COMMANDLINE
    ]
    if given:
        raise click.UsageError(f"{why}: leave {', '.join(given)} out.")


def use_threads(threads: int | None) -> None:
    """Tells every library how many threads to use. To be called before any of them is imported."""
    if threads is not None:
        import os

        from lcbench.workers.process import THREAD_VARIABLES

        os.environ.update(dict.fromkeys(THREAD_VARIABLES, str(threads)))
