"""--scheduler, which every command has that takes implementations."""

from __future__ import annotations

import os

import click
import pytest
from click.testing import CliRunner

from lcbench.cli.cluster_options import SCHEDULER_VARIABLE, scheduler_option
from lcbench.losses.cluster import connection


def test_the_address_reaches_the_cluster_through_the_variable_that_it_is_read_from(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert SCHEDULER_VARIABLE == connection.SCHEDULER_VARIABLE
    monkeypatch.setenv(SCHEDULER_VARIABLE, "tcp://before:1")

    @click.command()
    @scheduler_option
    def command() -> None:
        click.echo(os.environ[SCHEDULER_VARIABLE])

    assert CliRunner().invoke(command).output == "tcp://before:1\n"
    assert CliRunner().invoke(command, ["--scheduler", "tcp://after:2"]).output == "tcp://after:2\n"


@pytest.mark.parametrize("name", ["run", "train", "search"])
def test_commands_have_it(name: str) -> None:
    from importlib import import_module

    command = getattr(import_module(f"lcbench.cli.{name}"), name)
    assert any("--scheduler" in option.opts for option in command.params)
