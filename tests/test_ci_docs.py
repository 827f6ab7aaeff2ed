"""docs/ci.md is correct: its tables agree with the program and the action."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from lcbench.errors import ExitCode
from lcbench.report.exports import FORMATS

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "docs" / "ci.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", TEXT, flags=re.MULTILINE | re.DOTALL)


def rows_of(heading):
    """Return the first two columns of the table whose first column is `heading`, as a dictionary."""
    table = re.search(rf"^\| {heading} \|.*\n\|[-| ]+\n((?:\|.*\n)+)", TEXT, flags=re.MULTILINE)
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in table[1].splitlines()]
    return {first.strip("`| "): second.strip("`| ") for first, second, *_ in cells}


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
