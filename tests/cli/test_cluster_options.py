"""--scheduler, which every command has that takes implementations."""

from __future__ import annotations

import os

import click
import pytest
from click.testing import CliRunner

from lcbench.cli.options import SCHEDULER_VARIABLE, scheduler_option, warn_if_unused
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


@pytest.mark.parametrize(
    ("arguments", "warned"),
    [
        (["--impl", "numpy,jax", "--scheduler", "tcp://a:1"], True),
        (["--scheduler", "tcp://a:1"], True),
        (["--scheduler", "tcp://a:1", "--impl", "numpy, dask"], False),
        (["--scheduler", "tcp://a:1", "--resume", "file"], False),
        (["--impl", "numpy"], False),
    ],
)
def test_a_scheduler_of_which_nobody_makes_use_is_told(
    monkeypatch: pytest.MonkeyPatch, arguments: list[str], warned: bool
) -> None:
    monkeypatch.setenv(SCHEDULER_VARIABLE, "tcp://before:1")  # that it is there says nothing about this command

    @click.command()
    @click.option("--impl", multiple=True)
    @click.option("--resume")
    @scheduler_option
    def command(impl: tuple[str, ...], resume: str | None) -> None:
        warn_if_unused(impl)

    output = CliRunner().invoke(command, arguments).output
    assert output == ("--scheduler has no effect: only --impl dask computes on a cluster\n" if warned else "")


@pytest.mark.parametrize("command", ["run", "sweep", "gate", "train", "search"])
def test_commands_tell_it(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from lcbench.cli.main import lcbench

    monkeypatch.setenv(SCHEDULER_VARIABLE, "")
    # each ends at once, over something that is looked at later
    wrong = {"gate": ["--base", "no-such-base"], "sweep": ["--axis", "none=1,2"]}.get(command, ["--data", "none.h5"])
    result = CliRunner().invoke(lcbench, [command, "--impl", "numpy", "--scheduler", "tcp://a:1", *wrong])
    assert result.exception
    assert "--scheduler has no effect" in result.output
    assert CliRunner().invoke(lcbench, [command, "--impl", "numpy", *wrong]).output.count("--scheduler") == 0
