"""``lcbench run``: times of implementations, verified, as tables and a result file."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import click

from lcbench.cli import completion as complete
from lcbench.cli.options import (
    COUNTS,
    SettingsCommand,
    also_unsaved,
    arrangement_options,
    baseline_option,
    batch_option,
    blocks_option,
    budget_option,
    flatten,
    implementations_option,
    json_option,
    measurement_options,
    print_result_file,
    quiet_option,
    stream_option,
    with_default_data,
)
from lcbench.errors import ExitCode, LcbenchError

if TYPE_CHECKING:
    from lcbench.record import Record
    from lcbench.report.table import Arrangement


@click.command(
    cls=SettingsCommand,
    settings="lcbench.settings:RunSettings",
    epilog="\b\nExamples:\n  lcbench run softmax.py\n"
    "  lcbench run --impl numpy,numba-parallel --rows 5000 --save before",
)
@click.argument("targets", nargs=-1, metavar="[FILE.py[:FUNCTION] | NAME]...", shell_complete=complete.implementations)
@implementations_option(
    "Same as an argument: a name from 'lcbench impls', FILE.py, FILE.py:FUNCTION, MODULE:FUNCTION or 'all'. "
    "Repeat the option, or separate names by commas. Default: all that run on this machine."
)
@click.option(
    "--rows",
    multiple=True,
    type=COUNTS,
    callback=flatten,
    metavar="N",
    help="Rows of X, such as 500,5000 or 2M; repeatable. Default: 500, and also 10,000 except for naive. Streamed "
    "files: all rows.",
)
@click.option(
    "--data",
    metavar="NAME|FILE",
    shell_complete=complete.data,
    help="cifar10, synthetic, or an HDF5, NPZ or CSV file. Default: cifar10 if it is downloaded, else synthetic images "
    "of the same shape.",
)
@stream_option
@batch_option
@blocks_option
@budget_option
@measurement_options
@baseline_option
@arrangement_options
@click.option("--require-gpu", is_flag=True, help="Fail if there is no GPU, instead of using the simulator.")
@json_option
@quiet_option
def run(
    settings: dict[str, Any],
    targets: tuple[str, ...],
    baseline: str,
    arrangement: Arrangement,
    require_gpu: bool,
    as_json: bool,
    quiet: bool,
) -> ExitCode:
    """Time implementations and verify every result.

    The loss of every timed call, and the gradient of the last call in every sample, are compared with a float64 oracle.
    Each implementation runs in several generations of worker processes, which take turns in random order.

    If only code of your own is named, the baseline is measured beside it, on the same losses.

    Statistics of the samples are columns on request: --columns time,min,mean,std,quartiles.
    """
    if require_gpu:
        from lcbench.losses.cuda.backend import why_no_gpu

        reason = why_no_gpu()
        if reason:
            raise LcbenchError(f"--require-gpu: {reason}")

    from lcbench import api, record
    from lcbench.progress import show_progress
    from lcbench.report import style
    from lcbench.report.tables import run as run_tables
    from lcbench.settings import RunSettings

    arrangement.require_known(run_tables.columns(baseline=baseline))
    if targets:
        settings["implementations"] = [*targets, *settings.get("implementations", ())]
    settings = with_default_data(RunSettings, settings, {})
    with show_progress(quiet, timing=True) as progress:
        options: dict[str, Any] = {"progress": progress, "note": partial(click.echo, err=True), "baseline": baseline}
        result, unsaved = also_unsaved(api.run, **options, **settings)
    names = dict.fromkeys(row.implementation for row in result.rows)
    if baseline != "numpy" and baseline not in names:
        click.echo(f"--baseline {baseline}: no such row; there is {', '.join(names)}", err=True)
    _print_data(result, settings["data"])
    try:
        if as_json:
            click.echo(record.to_json(result))
        else:
            console = style.console()
            for table in run_tables.tables(result, baseline, arrangement):
                console.print(table)
            for sentence in run_tables.conclusions(result):
                console.print(sentence)
    finally:
        print_result_file(result)
    code = _exit_code(result)
    if unsaved and code is ExitCode.OK:
        raise unsaved
    return code


def _print_data(result: Record, data: str) -> None:
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
    # A requested implementation that is unavailable or crashed must not pass in CI.
    return ExitCode.OK if statuses and statuses <= {"ok", "unstable"} else ExitCode.ERROR
