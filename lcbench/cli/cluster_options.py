"""Which cluster ``--impl dask`` computes on: the option that all commands share which take implementations."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

import click
from click.core import ParameterSource

SCHEDULER_VARIABLE = "LCBENCH_SCHEDULER"
"""Through it the processes of a command know of it; `lcbench.losses.cluster.connection` reads it."""


def _tell_every_process(context: click.Context, option: click.Parameter, scheduler: str | None) -> None:
    if scheduler is not None:
        os.environ[SCHEDULER_VARIABLE] = scheduler


scheduler_option: Any = click.option(
    "--scheduler",
    metavar="ADDRESS",
    help="Of the Dask cluster for --impl dask: tcp://HOST:8786, or a scheduler file. Default: processes started here.",
    expose_value=False,
    callback=_tell_every_process,
)


def warn_if_unused(implementations: Iterable[str]) -> None:
    """Says on stderr that --scheduler has no effect, where it was given and none of `implementations` is dask.

    implementations: as they were typed, separated by commas or not. Of what is resumed they are not known.
    """
    context = click.get_current_context()
    given = context.get_parameter_source("scheduler") is ParameterSource.COMMANDLINE
    names = {name.strip() for value in implementations for name in value.split(",")}
    if given and not context.params.get("resume") and "dask" not in names:
        click.echo("--scheduler has no effect: only --impl dask computes on a cluster", err=True)
