"""``lcbench gradcheck``: analytic gradients against numerical gradients."""

from __future__ import annotations

from functools import partial
from typing import Any, Literal

import click

from lcbench.cli.check import check_options, print_reports
from lcbench.cli.options import FiniteFloat, integer, refuse_unused
from lcbench.errors import ExitCode

FEATURES, CLASSES = 3073, 10
"""Shape of W: the pixels of a CIFAR-10 image and the bias, and the classes."""


class Coordinate(click.ParamType):
    """Coordinate of a weight, ROW,CLASS."""

    name = "coordinate"

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> tuple[int, int]:
        """Return the row and the class, or fail with a usage error."""
        row, comma, klass = str(value).partition(",")
        if not (comma and row.strip().isdecimal() and klass.strip().isdecimal()):
            self.fail(f"'{value}' is not a weight: write its row and class, as in 3072,0", parameter, context)
        at = int(row), int(klass)
        if at[0] >= FEATURES or at[1] >= CLASSES:
            self.fail(f"W has rows 0 to {FEATURES - 1} and classes 0 to {CLASSES - 1}", parameter, context)
        return at


@click.command(
    epilog="\b\nExamples:\n  lcbench gradcheck --loss svm --h 1e-3 --margin 100\n"
    "  lcbench gradcheck numpy,numba-parallel --at 0,3 --at 3072,0"
)
@check_options
@click.option("--loss", type=click.Choice(["svm", "softmax"]), help="Loss to check. Default: both.")
@click.option(
    "--h",
    "step",
    type=FiniteFloat(0, 1, min_open=True),
    default=1e-5,
    show_default=True,
    help="Step of the numerical gradient, (f(W + h) - f(W - h)) / 2h.",
)
@click.option(
    "--margin",
    type=FiniteFloat(0, 1e6, min_open=True),
    metavar="M",
    help="Margin of the SVM loss, max(0, s_j - s_y + M). Default: 1.",
)
@click.option(
    "--coordinates",
    "count",
    type=click.IntRange(1, FEATURES * CLASSES),
    default=10,
    show_default=True,
    metavar="N",
    help="Number of random weights to check.",
)
@click.option(
    "--at", type=Coordinate(), multiple=True, metavar="ROW,CLASS", help="Weight to check instead; repeatable."
)
@click.option("--rows", type=integer("rows"), default=500, show_default=True, metavar="N", help="Number of images.")
@click.option(
    "--data",
    type=click.Choice(["synthetic", "cifar10"]),
    help="Images. Default: cifar10 if it is downloaded, else synthetic images of the same shape.",
)
@click.option("--reg", type=FiniteFloat(0, 1e9), default=50.0, show_default=True, help="Regularisation strength.")
@click.option(
    "--seed",
    type=integer("seed"),
    default=0,
    show_default=True,
    help="Random seed for W, the images and the checked weights.",
)
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
    """Check analytic gradients against numerical ones.

    Central differences of a function's loss are compared with its gradient, weight by weight, in float64, on images
    and a small random W. A difference is not counted as an error if it is caused by a kink of the hinge loss between
    W - h and W + h, or by an h that is too small or too large; the report names the cause. A gradient is wrong only if
    it is wrong at every h.

    Default: numpy. With FILE.py: every function in it with the signature (W, X, y, reg).

    Exit status: 0 if all are right, 4 if a gradient is wrong, 2 if one could not be checked.
    """
    if at:
        refuse_unused("--at names the weights", "count")
    if loss == "softmax":
        refuse_unused("softmax has no margin", "margin")
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
            note=partial(click.echo, err=True),
        )
    return print_reports(found, found.reports, gradcheck_tables.tables(found.reports, step), as_json)
