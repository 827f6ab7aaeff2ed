"""Names of rows in other tools."""

from __future__ import annotations

import pytest

from lcbench.errors import LcbenchError
from lcbench.report.exports import trackers
from results import record, row
from results_to_export import NOTHING_TIMED, RESULT, TIMED, sides


def test_a_name_has_the_workload():
    one = row("numpy", loss="svm", dtype="float64", rows=7, features=5, classes=3, data="cifar10", threads=2)
    assert trackers.full_name(one) == "svm/numpy[7x5x3-float64-cifar10-2]"


@pytest.mark.parametrize(
    "difference",
    [
        {"implementation": "naive"},
        {"loss": "svm"},
        {"dtype": "float64"},
        {"rows": 501},
        {"features": 3072},
        {"classes": 11},
        {"data": "cifar10"},
        {"threads": 2},
        {"device": "simulator"},
        {"side": "head"},
    ],
)
def test_rows_that_differ_have_names_that_differ(difference):
    assert trackers.full_name(row(**difference)) != trackers.full_name(row())


def test_the_sides_of_a_gate_are_told_apart():
    assert [trackers.group(one) for one in sides("base", "control", "head")] == [
        "softmax.base",
        "softmax.control",
        "softmax.head",
    ]


def test_only_correct_rows_on_the_device_have_a_time():
    assert [one.implementation for one in trackers.timed(RESULT)] == TIMED


@pytest.mark.parametrize("empty", [NOTHING_TIMED, record()])
def test_a_result_without_times_is_an_error(empty):
    with pytest.raises(LcbenchError, match=f"no row of result {empty.id} has a time to export"):
        trackers.timed(empty)
