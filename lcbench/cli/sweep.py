"""``lcbench sweep``: times along an axis, and how they grow."""

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
    baseline_option,
    batch_option,
    blocks_option,
    budget_option,
    measurement_options,
    stream_option,
    with_data_here,
)
from lcbench.errors import ExitCode, LcbenchError

if TYPE_CHECKING:
    from lcbench.record import Record

NEWEST = "newest"


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
    help="What varies: rows, features, classes, batch, threads or dtype; at most two. VALUES are LOW:HIGH (three "
    "points a decade), LOW:HIGH:COUNT, both even in the logarithm, lin:LOW:HIGH:COUNT, or a list as 1,2,4.",
)
@click.option(
    "--impl",
    "implementations",
    multiple=True,
    metavar="NAME",
    shell_complete=complete.implementations,
    help="Implementation, as for 'lcbench run'. Default: all that run here.",
)
@click.option("--rows", type=COUNT, show_default=True, metavar="N", help="Rows of X, as 5000 or 2M.")
@batch_option
@click.option(
    "--data",
    metavar="NAME|FILE",
    help="cifar10, synthetic, or your own HDF5, NPZ or CSV. Default: cifar10 where it was downloaded and all points "
    "fit it, else synthetic images of the same shape.",
)
@stream_option
@blocks_option
@budget_option
@click.option(
    "--most-seconds-a-call",
    "most_call_s",
    type=Seconds(0, min_open=True),
    show_default=True,
    metavar="SECONDS",
    help="Points where a call would take longer, going by smaller ones, are left out.",
)
@measurement_options
@baseline_option
@click.option(
    "--resume",
    is_flag=False,
    flag_value=NEWEST,
    metavar="[FILE]",
    help="Go on with an unfinished sweep, with its own settings. Default: the newest.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the record instead of tables.")
@click.option("--quiet", is_flag=True, help="No progress bar.")
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
    """How does it grow? Times along rows, classes, threads and others.

    Every point is measured and verified as 'lcbench run' does it, in several processes, and all are interleaved. Tells
    the exponents with which times grow, where caches end, where one implementation passes another, and what threads
    gain. Until it is finished, it is kept in a file after every round, and --resume goes on with it.
    """
    from lcbench import record
    from lcbench.api import measure
    from lcbench.losses import catalog
    from lcbench.progress import show_progress
    from lcbench.report import style
    from lcbench.report.tables import sweep as sweep_tables
    from lcbench.settings import SweepSettings
    from lcbench.usercode.discovery import is_user_code

    if not is_user_code(baseline):
        catalog.find(baseline)
    given = [name for name in context.params if context.get_parameter_source(name) == ParameterSource.COMMANDLINE]
    with show_progress(quiet) as progress:
        tell: dict[str, Any] = {"progress": progress, "note": partial(click.echo, err=True)}
        if resume is not None:
            _require_alone(given)
            result = measure.resume_sweep(None if resume == NEWEST else Path(resume), **tell)
        else:
            values = _axes(axes, given)
            result = measure.sweep(values, **tell, **with_data_here(SweepSettings, settings, values))
    if as_json:
        click.echo(record.to_json(result))
    else:
        console = style.console()
        for table in sweep_tables.tables(result, baseline):
            console.print(table)
    if result.path:
        click.echo(f"result: {result.path}", err=True)
    return _exit_code(result)


def _axes(texts: tuple[str, ...], given: list[str]) -> dict[str, list[int | str]]:
    """The axes with their values. Raises LcbenchError where an axis is fixed by its own option as well."""
    from lcbench.measure import axes

    if not texts:
        raise LcbenchError(f"--axis is missing, as in --axis rows=1e2:1e5: what varies, of {', '.join(axes.AXES)}")
    values = axes.parse(texts)
    twice = next((name for name in values if name in given), None)
    if twice:
        raise LcbenchError(f"--{twice} is given, and {twice} is an axis: leave one of them out")
    return values


def _require_alone(given: list[str]) -> None:
    """Raises LcbenchError where settings are given beside --resume: the sweep has its own."""
    own = {"resume", "baseline", "as_json", "quiet"}
    other = next((name for name in given if name not in own), None)
    if other:
        option = {"implementations": "impl", "axes": "axis", "losses": "loss"}.get(other, other.replace("_", "-"))
        raise LcbenchError(f"--resume goes on with the sweep's own settings: leave out --{option}")


def _exit_code(result: Record) -> ExitCode:
    if any(row.status == "wrong" for row in result.rows):
        return ExitCode.WRONG
    measured = {row.implementation for row in result.rows if row.processes}
    # Points that would take too long are left out on purpose; whoever has none at all, or fell over, is not.
    fine = all(row.status in ("ok", "unavailable") and row.implementation in measured for row in result.rows)
    return ExitCode.OK if measured and fine else ExitCode.ERROR
