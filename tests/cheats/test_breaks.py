"""Broken functions: each one fails only its own row, with the reason. Everything else is measured and kept."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from commands import lcbench
from results import as_printed

BREAKS = Path(__file__).with_name("breaks.py")

SIZE = ("--loss", "softmax", "--rows", "2000", "--features", "33", "--classes", "3", "--blocks", "3", "--budget", "0")

REASONS = {
    "kills_itself": ("crashed", r"^killed by SIGKILL \(out of memory\?\)$"),
    "segfaults": ("crashed", "^killed by SIGSEGV$"),
    "exits": ("crashed", "^exited with status 1: enough$"),
    "exits_at_once": ("crashed", "^exited with status 3"),
    "hangs": ("timeout", "^no answer for 5 s$"),
    "raises_later": ("crashed", "^ArithmeticError: not again$"),
}

STILL_MEASURED = ("forks", "shouts", "closes_files")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    functions = [f"{BREAKS}:softmax_loss_{name}" for name in (*REASONS, *STILL_MEASURED) if name != "hangs"]
    return folder, lcbench(folder, "run", "--impl", ",".join(["numpy", *functions]), *SIZE, "--json")


@pytest.fixture(scope="module")
def hangs(tmp_path_factory):
    """Run separately with a short timeout, which the others could exceed on a busy machine."""
    folder = tmp_path_factory.mktemp("run")
    return lcbench(folder, "run", "--impl", f"{BREAKS}:softmax_loss_hangs", *SIZE, "--timeout", "5", "--json")


@pytest.fixture(scope="module")
def rows(run, hangs):
    found = [row for done in (run[1], hangs) for row in json.loads(done.stdout)["rows"]]
    return {row["implementation"].removeprefix("breaks.py:softmax_loss_"): row for row in found}


def test_exit_code_is_2_and_the_record_is_kept(run):
    folder, done = run
    assert done.returncode == 2
    [result] = folder.glob("results/*.json")
    assert json.loads(done.stdout) == as_printed(result)


def test_every_function_is_listed_here(rows):
    assert set(rows) == {"numpy", *REASONS, *STILL_MEASURED}


@pytest.mark.parametrize("name", REASONS)
def test_broken_function_fails_its_own_row(rows, name):
    status, reason = REASONS[name]
    assert (rows[name]["status"], rows[name]["median_s"], rows[name]["blocks"]) == (status, None, [])
    assert re.search(reason, rows[name]["reason"]), rows[name]["reason"]


@pytest.mark.parametrize("name", ["numpy", *STILL_MEASURED])
def test_other_functions_are_measured(rows, name):
    assert (rows[name]["status"], rows[name]["reason"]) == ("ok", "")
    assert len(rows[name]["blocks"]) == 3
