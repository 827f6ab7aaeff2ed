"""``lcbench sweep``: times along one or two axes, and how they grow."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from lcbench.cli import completion as complete
from lcbench.cli.options import (
    COUNT,
    Seconds,
    SettingsCommand,
    also_unsaved,
    baseline_option,
    batch_option,
    blocks_option,
    budget_option,
    implementations_option,
    json_option,
    measurement_options,
    print_result_file,
    quiet_option,
    require_alone,
    stream_option,
    with_default_data,
)
from lcbench.errors import ExitCode, LcbenchError

if TYPE_CHECKING:
    from lcbench.record import Record

NEWEST = "newest"
"""Value of --resume without a file."""


@click.command(
    cls=SettingsCommand,
    settings="lcbench.settings:SweepSettings",
    epilog="\b\nExamples:\n"
    "  lcbench sweep --axis rows=1e2:1e5 --impl numpy,numba-parallel\n"
    "  lcbench sweep --axis threads=1,2 --axis rows=500,5000 --impl numba-parallel",
)
@click.option(
    "--axis",
    "axes",
    multiple=True,
    metavar="NAME=VALUES",
    shell_complete=complete.axes,
    help="Axis to vary: rows, features, classes, batch, threads or dtype; at most two. VALUES are a logarithmic range "
    "LOW:HIGH (three points per decade) or LOW:HIGH:COUNT, a linear range lin:LOW:HIGH:COUNT, or a list 1,2,4.",
)
@implementations_option("Implementation, as in 'lcbench run'. Default: all that run on this machine.")
@click.option("--rows", type=COUNT, show_default=True, metavar="N", help="Rows of X, such as 5000 or 2M.")
@batch_option
@click.option(
    "--data",
    metavar="NAME|FILE",
    shell_complete=complete.data,
    help="cifar10, synthetic, or an HDF5, NPZ or CSV file. Default: cifar10 if it is downloaded and all points fit it, "
    "else synthetic images of the same shape.",
)
@stream_option
@blocks_option
@budget_option
@click.option(
    "--most-call",
    "--most-seconds-a-call",
    "most_call_s",
    type=Seconds.within("most_call_s"),
    show_default=True,
    metavar="SECONDS",
    help="Skip points whose calls would take longer, extrapolated from smaller points.",
)
@measurement_options
@baseline_option
@click.option(
    "--resume",
    is_flag=False,
    flag_value=NEWEST,
    metavar="[FILE]",
    help="Resume an unfinished sweep, with its own settings; Python files that it names are run. Default: the newest.",
)
@json_option
@quiet_option
@click.pass_context
def sweep(
    context: click.Context,
    axes: tuple[str, ...],
    settings: dict[str, Any],
    baseline: str,
    resume: str | None,
    as_json: bool,
    quiet: bool,
) -> ExitCode:
    """Time implementations along rows, threads or other axes.

    Every point is measured and verified as in 'lcbench run', in several worker processes that are interleaved with
    those of the other points. The tables show the exponents of the growth, the sizes at which caches are exceeded, the
    crossings of implementations and the speed-up by threads. An unfinished sweep is stored after every round, and
    --resume continues it.
    """
    from lcbench import record
    from lcbench.api import measure
    from lcbench.progress import show_progress
    from lcbench.report import style
    from lcbench.report.tables import sweep as sweep_tables
    from lcbench.settings import SweepSettings

    with show_progress(quiet, timing=True) as progress:
        callbacks: dict[str, Any] = {"progress": progress, "note": partial(click.echo, err=True)}
        if resume is not None:
            require_alone(context, "sweep", ("resume", "baseline", "scheduler", "as_json", "quiet"))
            result, unsaved = also_unsaved(
                measure.resume_sweep, None if resume == NEWEST else Path(resume), **callbacks
            )
        else:
            values = _parse_axes(axes, context)
            settings = with_default_data(SweepSettings, settings, values)
            result, unsaved = also_unsaved(measure.sweep, values, **callbacks, **settings)
    try:
        if as_json:
            click.echo(record.to_json(result))
        else:
            console = style.console()
            for table in sweep_tables.tables(result, baseline):
                console.print(table)
    finally:
        print_result_file(result)
    code = _exit_code(result)
    if unsaved and code is ExitCode.OK:
        raise unsaved
    return code


def _parse_axes(texts: tuple[str, ...], context: click.Context) -> dict[str, list[int | str]]:
    """Return the values of each axis. Raise LcbenchError if an axis is also fixed by its own option."""
    from lcbench.measure import axes

    if not texts:
        raise LcbenchError(f"--axis is missing, as in --axis rows=1e2:1e5; the axes are {', '.join(axes.AXES)}")
    values = axes.parse(texts)
    for name in values:
        if context.get_parameter_source(name) == ParameterSource.COMMANDLINE:
            raise LcbenchError(f"--{name} is given, and {name} is an axis: leave one of them out")
    return values


def _exit_code(result: Record) -> ExitCode:
    if any(row.status == "wrong" for row in result.rows):
        return ExitCode.WRONG
    measured = {row.implementation for row in result.rows if row.processes}
    # Points that would take too long are skipped on purpose. An implementation without any point is an error.
    fine = all(
        row.status in ("ok", "unstable", "unavailable") and row.implementation in measured for row in result.rows
    )
    return ExitCode.OK if measured and fine else ExitCode.ERROR
