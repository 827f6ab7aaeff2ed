"""Dishonest functions, each in a file of this folder: each one gets the status "wrong" with a reason, and no time."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from commands import lcbench

pytestmark = pytest.mark.serial

FILES = sorted(file for file in Path(__file__).parent.glob("*.py") if not file.name.startswith(("test_", "breaks")))

SIZE = ("--loss", "softmax", "--rows", "2000", "--features", "257", "--classes", "10", "--blocks", "3", "--budget", "0",
        "--threads", "1")  # fmt: skip
"""Enough rows for a call to take longer than a look-up in a cache."""

CACHES = r"^caches its results(: \S+ ms on new W and y, |, or works ahead: )"

REASONS = {
    "returns_the_previous_result.py:softmax_loss": "it is the result of another call's inputs$",
    "remembers_by_address.py:softmax_loss_of_X": "it is the result of another call's inputs$",
    "remembers_by_address.py:softmax_loss_of_W": "it is the result of another call's inputs$",
    "remembers_by_address_but_for_reg.py:softmax_loss": "^gradient is off by ",
    "remembers_by_contents.py:softmax_loss": "it is the result of another call's inputs$",
    "remembers_by_contents_but_for_reg.py:softmax_loss": CACHES,
    "sleeps_less_the_second_time.py:softmax_loss": CACHES,
    "knows_when_its_turn_begins.py:softmax_loss_of_contents": CACHES,
    "knows_when_its_turn_begins.py:softmax_loss_of_fewer_rows": "^gradient is off by ",
    "notices_gaps_of_time.py:softmax_loss_after_the_warm_up": CACHES,
    "notices_gaps_of_time.py:softmax_loss_within_a_batch": CACHES,
    "works_ahead.py:softmax_loss_always": f"{CACHES}|^works between its calls: ",
    "works_ahead.py:softmax_loss_in_turns": CACHES,
    "works_while_it_is_stopped.py:softmax_loss_in_a_child_that_is_continued": (
        "^works in the background: [0-9]+ ms while it was stopped$"
    ),
    "does_less_the_second_time.py:softmax_loss": "^gradient is off by ",
    "writes_half_of_the_gradient.py:softmax_loss": "^gradient (holds NaN|is off by) ",
    "finishes_later.py:softmax_loss": "^gradient (holds NaN|is off by) ",
    "promises_a_result.py:softmax_loss": r"^returns before its result is ready: \S+ ms until it returns, ",
    "computes_when_read.py:softmax_loss": "^must return .* as a number and an array",
    "slows_down_the_clocks.py:softmax_loss_of_ours": r"^tampers with the clock: one shows \S+ s, another \S+ s$",
    "slows_down_the_clocks.py:softmax_loss_of_time": r"^tampers with the clock: replaces time\.\w+$",
    "slows_down_the_clocks.py:softmax_loss_of_everyone": r"^tampers with the clock: one shows \S+ s, another \S+ s$",
    "changes_its_inputs.py:softmax_loss_of_W": "^changes its input W$",
    "changes_its_inputs.py:softmax_loss_of_X": "^changes its input X$",
    "changes_its_inputs.py:softmax_loss_of_y": "^changes its input y$",
}


IN_VAIN = {"works_while_it_is_stopped.py:softmax_loss_in_a_child": 0.01}
"""Functions whose trick does not succeed, and the seconds that they cannot save."""


UNCHECKED = (
    "-c",
    "from lcbench.checks import runner; runner.judge = lambda *_: {}; from lcbench.cli.main import main; main()",
)
"""Arguments of Python that measure functions without a check, which would find some of them before."""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    implementations = ",".join(["numpy", *map(str, FILES)])
    folder = tmp_path_factory.mktemp("run")
    return lcbench(folder, "run", "--impl", implementations, *SIZE, "--json", program=UNCHECKED)


@pytest.fixture(scope="module")
def rows(run):
    return {row["implementation"]: row for row in json.loads(run.stdout)["rows"]}


def test_exit_code_is_4(run):
    assert run.returncode == 4


def test_every_cheat_is_listed_here(rows):
    assert set(rows) == {"numpy", *REASONS, *IN_VAIN}


def test_honest_function_is_measured_beside_them(rows):
    assert rows["numpy"]["status"] == "ok"
    assert len(rows["numpy"]["blocks"]) == 3


@pytest.mark.parametrize("name", REASONS)
def test_cheat_has_a_reason_and_no_time(rows, name, tmp_path):
    row = rows[name]
    for _ in range(2):
        # Times reveal it, and on a busy machine they may not: no verdict is better than a false one.
        if row["status"] == "wrong" or not re.search("caches its results|works ahead|returns before", REASONS[name]):
            break
        again = lcbench(tmp_path, "run", "--impl", Path(__file__).with_name(name), *SIZE, "--json", program=UNCHECKED)
        row = next(row for row in json.loads(again.stdout)["rows"] if row["implementation"] != "numpy")
    refused = "unavailable" if name.startswith("computes_when_read") else "wrong"  # it returns no array
    assert (row["status"], row["median_s"], row["blocks"]) == (refused, None, [])
    assert re.search(REASONS[name], row["reason"]), row["reason"]


@pytest.mark.parametrize("name", IN_VAIN)
def test_time_contains_the_work_that_was_to_be_hidden(rows, name):
    assert rows[name]["status"] == "ok", rows[name]["reason"]
    assert all(process["seconds"] >= IN_VAIN[name] for process in rows[name]["processes"])
