"""docs/ci.md is correct: its commands can be parsed, and its tables agree with the program."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest
import yaml

from lcbench.cli import main
from lcbench.errors import ExitCode
from lcbench.report.exports import FORMATS

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "docs" / "ci.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", TEXT, flags=re.MULTILINE | re.DOTALL)


def commands():
    """Yield the lcbench commands in code blocks and in the text, without shell syntax."""
    lines = [line for _, block in BLOCKS for line in block.splitlines() if "uses:" not in line]
    inline = re.findall(r"`(lcbench [^`]+)`", TEXT)
    for text in lines + inline:
        yield from re.findall(r"\blcbench (?:gate|run|compare|doctor|export|check)\b[^|;)#]*", text)


def rows_of(heading):
    """Return the first two columns of the table whose first column is `heading`, as a dictionary."""
    table = re.search(rf"^\| {heading} \|.*\n\|[-| ]+\n((?:\|.*\n)+)", TEXT, flags=re.MULTILINE)
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in table[1].splitlines()]
    return {first.strip("`| "): second.strip("`| ") for first, second, *_ in cells}


def test_commands_are_found():
    assert {command.split()[1] for command in commands()} == {"gate", "run", "compare", "doctor", "export"}


@pytest.mark.parametrize("command", sorted(set(commands())))
def test_commands_can_be_parsed(command):
    _, name, *words = shlex.split(command)
    own = main.lcbench.get_command(click.Context(main.lcbench), name)
    if words or name != "export":
        own.make_context(name, words)  # only parses the arguments


@pytest.mark.parametrize("block", [block for language, block in BLOCKS if language == "yaml"])
def test_yaml_is_valid(block):
    assert yaml.safe_load(block)


def test_inputs_agree_with_the_action():
    inputs = yaml.safe_load((ROOT / "action.yml").read_text())["inputs"]
    documented = rows_of("input")
    assert list(documented) == list(inputs)
    for name in ("head", "fail-above", "inconclusive", "python-version", "artifact"):
        assert documented[name] == inputs[name]["default"]


def test_inputs_of_the_example_exist():
    workflow = yaml.safe_load(BLOCKS[0][1])
    steps = workflow["jobs"]["gate"]["steps"]
    assert set(steps[-1]["with"]) <= set(rows_of("input"))


def test_all_exit_codes_are_documented():
    in_ci = [code for code in ExitCode if code < 128]
    assert [int(code) for code in rows_of("code")] == in_ci


def test_all_formats_are_documented():
    assert list(rows_of("format")) == list(FORMATS)


@pytest.mark.parametrize("target", sorted(set(re.findall(r"\]\((?!http)([^)#]+)\)", TEXT))))
def test_links_are_valid(target):
    assert (ROOT / "docs" / target).exists()
