"""Whatever shows progress can be told not to."""

from __future__ import annotations

import inspect
from importlib import import_module

import click
import pytest

from lcbench.cli.main import COMMANDS

SHOWING = [name for name in COMMANDS if "show_progress" in inspect.getsource(import_module(f"lcbench.cli.{name}"))]


@pytest.mark.parametrize("name", SHOWING)
def test_progress_has_its_quiet(name):
    command: click.Command = getattr(import_module(f"lcbench.cli.{name}"), name)
    assert "--quiet" in [spelling for parameter in command.params for spelling in parameter.opts]


def test_some_show_progress():
    assert {"run", "check", "train", "search", "doctor", "download"} < set(SHOWING)
