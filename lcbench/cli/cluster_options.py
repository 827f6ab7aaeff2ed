"""Which cluster ``--impl dask`` computes on: the option that all commands share which take implementations."""

from __future__ import annotations

import os
from typing import Any

import click

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
