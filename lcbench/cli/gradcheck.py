"""``lcbench gradcheck``: the analytic gradient against the numerical one."""

from __future__ import annotations

from typing import Any, Literal

import click

from lcbench.cli.check import checks, show
from lcbench.cli.options import Finite
from lcbench.errors import ExitCode


class Coordinate(click.ParamType):
    """One weight, ROW,CLASS."""

    name = "coordinate"

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> tuple[int, int]:
        """The two numbers. Fails as a usage error where they are none, or outside W."""
        row, comma, klass = str(value).partition(",")
        if not (comma and row.strip().isdecimal() and klass.strip().isdecimal()):
            self.fail(f"'{value}' is no weight: write its row and its class, as in 3072,0", parameter, context)
        at = int(row), int(klass)
        if at[0] >= FEATURES or at[1] >= CLASSES:
            self.fail(f"W has the rows 0 to {FEATURES - 1} and the classes 0 to {CLASSES - 1}", parameter, context)
        return at


FEATURES, CLASSES = 3073, 10
"""Of W: the pixels of a CIFAR-10 image and the bias, and its classes."""


@click.command(
    epilog="\b\nExamples:\n  lcbench gradcheck --loss svm --h 1e-3 --margin 100\n"
    "  lcbench gradcheck numpy,numba-parallel --at 0,3 --at 3072,0"
)
@checks
@click.option("--loss", type=click.Choice(["svm", "softmax"]), help="Default: both.")
@click.option(
    "--h",
    "step",
    type=Finite(0, 1, min_open=True),
    default=1e-5,
    show_default=True,
    help="The numerical gradient is (f(W + h) - f(W - h)) / 2h.",
)
@click.option(
    "--margin",
    type=Finite(0, 1e6, min_open=True),
    metavar="M",
    help="Of the SVM's hinge, max(0, s_j - s_y + M). Default: 1.",
)
@click.option(
    "--coordinates",
    "count",
    type=click.IntRange(1, FEATURES * CLASSES),
    default=10,
    show_default=True,
    metavar="N",
    help="How many weights, chosen at random.",
)
@click.option("--at", type=Coordinate(), multiple=True, metavar="ROW,CLASS", help="This weight instead; repeatable.")
@click.option("--rows", type=click.IntRange(1), default=500, show_default=True, metavar="N", help="Images.")
@click.option(
    "--data",
    type=click.Choice(["synthetic", "cifar10"]),
    help="Default: cifar10 where it was downloaded, else synthetic images of the same shape.",
)
@click.option("--reg", type=Finite(0, 1e9), default=50.0, show_default=True, help="Strength of the regularisation.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of W, the images and the weights.")
def gradcheck(
    targets: tuple[str, ...],
    implementations: tuple[str, ...],
    loss: Literal["svm", "softmax"] | None,
    step: float,
    margin: float | None,
    count: int,
    at: tuple[tuple[int, int], ...],
    rows: int,
    data: Literal["synthetic", "cifar10"] | None,
    reg: float,
    seed: int,
    timeout: float,
    as_json: bool,
    quiet: bool,
) -> ExitCode:
    """Is the gradient right? Numerical against analytic, in float64.

    Centred differences of a function's own loss against its own gradient, weight by weight, on images and a small
    random W. Where a difference misses the slope because a hinge has none between W - h and W + h, the kink is named;
    where because h is too small or too large, that is said. What is wrong is wrong at every h.

    Without arguments: numpy. With FILE.py: every function in it that has the signature (W, X, y, reg).

    Exit status: 0 all right, 4 a gradient is wrong, 2 something could not be checked.
    """
    from lcbench.api.checks import gradcheck
    from lcbench.progress import show_progress
    from lcbench.report.tables import gradcheck as gradcheck_tables

    with show_progress(quiet) as progress:
        found = gradcheck(
            [*targets, *implementations],
            loss=loss,
            h=step,
            margin=margin,
            coordinates=at or count,
            rows=rows,
            data=data,
            reg=reg,
            seed=seed,
            timeout_s=timeout,
            progress=progress,
            note=lambda line: click.echo(line, err=True),
        )
    return show(found, found.reports, gradcheck_tables.tables(found.reports, step), as_json)
