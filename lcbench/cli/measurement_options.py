"""What is measured and how: the options that ``run``, ``sweep`` and ``gate`` share, and those of the first two."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import click

from lcbench.cli import completion_values as complete
from lcbench.cli.cluster_options import scheduler_option, warn_if_unused
from lcbench.cli.parameters import COUNT, Seconds

batch_option: Any = click.option(
    "--batch", type=COUNT, metavar="N", help="Each call computes on N rows, drawn at random, and gathers them."
)
stream_option: Any = click.option(
    "--stream",
    is_flag=True,
    help="Leave X on disk and read it block by block in every call; so are files that would not fit in memory.",
)
blocks_option: Any = click.option(
    "--blocks", type=click.IntRange(1), default=20, show_default=True, help="Most processes an implementation."
)
baseline_option: Any = click.option(
    "--baseline",
    default="numpy",
    show_default=True,
    metavar="NAME",
    shell_complete=complete.implementation,
    help="What speed-ups are relative to.",
)

_OPTIONS = (
    click.option("--loss", "losses", multiple=True, type=click.Choice(["svm", "softmax"]), help="Default: both."),
    click.option("--features", type=click.IntRange(1), default=3073, show_default=True, help="Columns of X."),
    click.option("--classes", type=click.IntRange(2), default=10, show_default=True),
    click.option("--dtype", type=click.Choice(["float32", "float64"]), default="float32", show_default=True),
    click.option(
        "--threads", type=click.IntRange(1, 1024), help="Threads of every library. Default: all usable cores."
    ),
    click.option(
        "--timeout",
        "patience_s",
        type=Seconds(1),
        default=60.0,
        show_default=True,
        metavar="SECONDS",
        help="A process that says nothing for so long is given up.",
    ),
    scheduler_option,
    click.option("--seed", type=click.IntRange(0), help="Of the random order of processes and inputs."),
    click.option(
        "--save", metavar="NAME", shell_complete=complete.baselines, help="Also keep the result under this name."
    ),
)
_NAMES = ("losses", "features", "classes", "dtype", "threads", "patience_s", "seed", "save")


def measurement_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the options; the command gets them as `measurement`, by the names that `lcbench.api` has for them."""

    @wraps(command)
    def with_measurement(**options: Any) -> Any:
        measurement = {name: options.pop(name) for name in _NAMES}
        measurement["losses"] = measurement["losses"] or ("svm", "softmax")
        sides = (options.get("base"), options.get("head"))  # of a gate, which may be implementations
        warn_if_unused([*options["implementations"], *(side for side in sides if side)])
        return command(measurement=measurement, **options)

    for option in reversed(_OPTIONS):
        with_measurement = option(with_measurement)
    return with_measurement
