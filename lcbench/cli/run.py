"""``lcbench run``: times implementations, each verified, into tables and a result file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from lcbench.cli import completion as complete
from lcbench.cli.options import (
    COUNTS,
    SettingsCommand,
    baseline_option,
    batch_option,
    blocks_option,
    budget_option,
    joined,
    measurement_options,
    stream_option,
    with_data_here,
)
from lcbench.errors import ExitCode, LcbenchError

if TYPE_CHECKING:
    from lcbench.record import Record


@click.command(
    cls=SettingsCommand,
    settings="lcbench.settings:RunSettings",
    epilog="\b\nExamples:\n  lcbench run\n  lcbench run --impl numpy,numba-parallel --rows 5000 --save before",
)
@click.option(
    "--impl",
    "implementations",
    multiple=True,
    metavar="NAME",
    shell_complete=complete.implementations,
    help="Implementation: a name from 'lcbench impls', FILE.py, FILE.py:FUNCTION, MODULE:FUNCTION or 'all'. "
    "Repeat it, or separate names by commas. Default: all that run here.",
)
@click.option(
    "--rows",
    multiple=True,
    type=COUNTS,
    callback=joined,
    metavar="N",
    help="Rows of X, as 500,5000 or 2M; repeatable. Default: 500 for all, and 10,000 for all but naive; streamed: all.",
)
@click.option(
    "--data",
    metavar="NAME|FILE",
    help="cifar10, synthetic, or your own HDF5, NPZ or CSV. Default: cifar10 where it was downloaded, else synthetic "
    "images of the same shape.",
)
@stream_option
@batch_option
@blocks_option
@budget_option
@measurement_options
@baseline_option
@click.option("--require-gpu", is_flag=True, help="Fail where there is no GPU, instead of using the simulator.")
@click.option("--json", "as_json", is_flag=True, help="Print the record instead of tables.")
@click.option("--quiet", is_flag=True, help="No progress bar.")
def run(
    settings: dict[str, Any],
    baseline: str,
    require_gpu: bool,
    as_json: bool,
    quiet: bool,
) -> ExitCode:
    """How fast is it? Times, each verified, and a result file.

    The loss of every timed call, and the gradient of the last one in every sample, are held against a float64 oracle.
    Each implementation runs in several processes, interleaved in random order with the others'.
    """
    if require_gpu:
        from lcbench.losses.cuda.backend import why_no_gpu

        reason = why_no_gpu()
        if reason:
            raise LcbenchError(f"--require-gpu: {reason}")

    from lcbench import api, record
    from lcbench.losses import catalog
    from lcbench.progress import show_progress
    from lcbench.report import style
    from lcbench.report.tables import run as run_tables
    from lcbench.settings import RunSettings
    from lcbench.usercode.discovery import is_user_code

    if not is_user_code(baseline):
        catalog.find(baseline)
    settings = with_data_here(RunSettings, settings, {})
    with show_progress(quiet) as progress:
        result = api.run(progress=progress, note=lambda line: click.echo(line, err=True), **settings)
    if baseline != "numpy" and baseline not in {row.implementation for row in result.rows}:
        names = ", ".join(dict.fromkeys(row.implementation for row in result.rows))
        click.echo(f"--baseline {baseline}: no such row; there is {names}", err=True)
    _say_which_data(result, settings["data"])
    if as_json:
        click.echo(record.to_json(result))
    else:
        console = style.console()
        for table in run_tables.tables(result, baseline):
            console.print(table)
    if result.path:
        click.echo(
            f"{'stopped early; what was measured is in' if result.interrupted else 'result:'} {result.path}", err=True
        )
    return _exit_code(result)


def _say_which_data(result: Record, data: str) -> None:
    from lcbench import files
    from lcbench.settings import CIFAR10_CLASSES, CIFAR10_FEATURES, NAMED_DATA

    if data not in NAMED_DATA:
        click.echo(f"data: {data}", err=True)
        return
    if any(row.data == "cifar10" for row in result.rows):
        click.echo(f"data: CIFAR-10 from {files.cifar10_file()}", err=True)
        return
    fits = any((row.features, row.classes) == (CIFAR10_FEATURES, CIFAR10_CLASSES) for row in result.rows)
    hint = "; 'lcbench download' fetches the real ones" if fits else ""
    click.echo(f"data: synthetic images shaped like CIFAR-10, from a fixed seed{hint}", err=True)


def _exit_code(result: Record) -> ExitCode:
    if result.interrupted:
        return ExitCode.STOPPED
    statuses = {row.status for row in result.rows}
    if "wrong" in statuses:
        return ExitCode.WRONG
    # Asked for by name and not measured, or fallen over on the way: no job may take that for a pass.
    return ExitCode.OK if statuses == {"ok"} else ExitCode.ERROR
