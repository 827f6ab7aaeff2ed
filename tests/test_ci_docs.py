"""docs/ci.md says what is so: its commands exist, and its tables are those of the program."""

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
    """Every lcbench command in a block, or in running text with a word behind it, without what the shell adds."""
    lines = [line for _, block in BLOCKS for line in block.splitlines() if "uses:" not in line]
    inline = re.findall(r"`(lcbench [^`]+)`", TEXT)
    for text in lines + inline:
        yield from re.findall(r"\blcbench (?:gate|run|compare|doctor|export|check)\b[^|;)#]*", text)


def rows_of(heading):
    """The first cells of the table under the header that begins with `heading`, as a dictionary to their second."""
    table = re.search(rf"^\| {heading} \|.*\n\|[-| ]+\n((?:\|.*\n)+)", TEXT, flags=re.MULTILINE)
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in table[1].splitlines()]
    return {first.strip("`| "): second.strip("`| ") for first, second, *_ in cells}


def test_there_are_commands():
    assert {command.split()[1] for command in commands()} == {"gate", "run", "compare", "doctor", "export"}


@pytest.mark.parametrize("command", sorted(set(commands())))
def test_a_command_can_be_given(command):
    _, name, *words = shlex.split(command)
    own = main.lcbench.get_command(click.Context(main.lcbench), name)
    if words or name != "export":
        own.make_context(name, words)  # parses them, and runs nothing


@pytest.mark.parametrize("block", [block for language, block in BLOCKS if language == "yaml"])
def test_yaml_can_be_read(block):
    assert yaml.safe_load(block)


def test_the_inputs_are_those_of_the_action():
    inputs = yaml.safe_load((ROOT / "action.yml").read_text())["inputs"]
    documented = rows_of("input")
    assert list(documented) == list(inputs)
    for name in ("head", "fail-above", "inconclusive", "python-version", "artifact"):
        assert documented[name] == inputs[name]["default"]


def test_the_example_gives_inputs_that_exist():
    workflow = yaml.safe_load(BLOCKS[0][1])
    steps = workflow["jobs"]["gate"]["steps"]
    assert set(steps[-1]["with"]) <= set(rows_of("input"))


def test_the_exit_codes_are_all_there():
    in_ci = [code for code in ExitCode if code < 128]
    assert [int(code) for code in rows_of("code")] == in_ci


def test_the_formats_are_all_there():
    assert list(rows_of("format")) == list(FORMATS)


@pytest.mark.parametrize("target", sorted(set(re.findall(r"\]\((?!http)([^)#]+)\)", TEXT))))
def test_links_lead_somewhere(target):
    assert (ROOT / "docs" / target).exists()
