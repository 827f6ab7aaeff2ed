"""docs/json.md describes what ``--json`` prints."""

from __future__ import annotations

import json
import re
from importlib import import_module
from pathlib import Path

import pytest

from commands import invoke
from lcbench.api.checks import GradientChecks
from lcbench.api.machine import Diagnosis
from lcbench.cli import main
from lcbench.learn.search.search_file import Search
from lcbench.record import CheckResult
from lcbench.stats.gate import GateVerdicts
from lcbench.stats.history import History
from lcbench.stats.verdicts import Judgement

SECTIONS = dict(
    re.findall(
        r"^## `lcbench (\w+)`\n(.*?)(?=^## |\Z)",
        (Path(main.__file__).parents[2] / "docs/json.md").read_text(),
        re.M | re.S,
    )
)


SEARCH = {"revisions", "commits", "culprit", "suspects", "skipped", "steps", "conclusions"}
"""Fields of a gate with --revisions; tests/test_bisect.py looks at what is printed."""


def documented(command):
    """Return the fields in the first column of the command's section."""
    return {
        name
        for line in SECTIONS[command].splitlines()
        if line.startswith("| `")
        for name in re.findall(r"`(\w+)`", line.split("|")[1])
    }


def has_json(command):
    return any("--json" in option.opts for option in getattr(import_module(f"lcbench.cli.{command}"), command).params)


def test_every_command_with_json_is_documented():
    assert {name for name in main.COMMANDS if has_json(name)} == {*SECTIONS, "run", "sweep"}


@pytest.mark.parametrize(
    ("command", "struct", "more"),
    [
        ("doctor", Diagnosis, set()),
        ("check", CheckResult, set()),
        ("gradcheck", GradientChecks, set()),
        ("gate", GateVerdicts, {"exit_code", "record", *SEARCH}),
        ("compare", Judgement, set()),
        ("history", History, set()),
        ("search", Search, {"file"}),
    ],
)
def test_documented_fields_are_those_of_the_struct(command, struct, more):
    fields = getattr(struct, "__struct_fields__", None) or tuple(struct.__dataclass_fields__)
    assert documented(command)
    assert documented(command) <= {*fields, *more}


@pytest.mark.parametrize("arguments", ["impls", "features --list", "reproduce softmax-layer"])
def test_documented_fields_are_printed(tmp_path, arguments):
    printed = json.loads(invoke(tmp_path, *arguments.split(), "--json").stdout)
    assert documented(arguments.partition(" ")[0]) == set(printed)
