"""Names of rows, and formats of Bencher, github-action-benchmark and pytest-benchmark."""

from __future__ import annotations

import json
import statistics

import pytest

from lcbench.errors import LcbenchError
from lcbench.report.exports import export, trackers
from lcbench.stats.estimates import process_times
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


NUMPY, MINE = "softmax/numpy[500x3073x10-float32-synthetic-2]", (
    "softmax/mine.py:softmax_loss[500x3073x10-float32-synthetic-1]"
)  # fmt: skip
TRACKERS = ("bencher", "github-action-benchmark", "pytest-benchmark")


def read(form, result=RESULT):
    """Return the file as a tool parses it."""
    return json.loads(export(result, form))


def test_bencher_gets_nanoseconds_and_bounds():
    low, high = RESULT.rows[0].ci95_s
    assert read("bencher") == {
        NUMPY: {
            "latency": {
                "value": pytest.approx(2.1e6),
                "lower_value": pytest.approx(low * 1e9),
                "upper_value": pytest.approx(high * 1e9),
            }
        },
        MINE: {"latency": {"value": pytest.approx(3e6)}},
    }
    assert low < 2.1e-3 < high


def test_github_action_benchmark_gets_milliseconds():
    first, second = read("github-action-benchmark")
    assert (first["name"], first["unit"], first["value"]) == (NUMPY, "ms", pytest.approx(2.1))
    assert first["range"].startswith("95 %: ")
    assert first["extra"] == "processes: 2\ndevice: cpu\nthreads: 2"
    assert (second["name"], second["unit"], second["value"]) == (MINE, "ms", pytest.approx(3.0))
    assert "range" not in second


def test_pytest_benchmark_gets_its_own_fields():
    data = [1.0, 2.0, 3.0, 4.0, 100.0]
    file = read("pytest-benchmark", record(row(medians=data), git_revision="abc", git_dirty=True))
    [benchmark] = file["benchmarks"]
    stats = benchmark["stats"]
    assert file["commit_info"] == {"id": "abc", "dirty": True}
    assert stats["data"] == pytest.approx(data)
    assert (stats["min"], stats["max"], stats["total"], stats["rounds"]) == pytest.approx((1.0, 100.0, 110.0, 5))
    assert (stats["mean"], stats["median"], stats["ops"]) == pytest.approx((22.0, 3.0, 5 / 110))
    assert stats["stddev"] == pytest.approx(statistics.stdev(data))
    assert (stats["q1"], stats["q3"], stats["iqr"]) == pytest.approx((2.0, 4.0, 2.0))
    # the fences are at -1 and 7; the standard deviation is 44
    assert (stats["iqr_outliers"], stats["stddev_outliers"], stats["outliers"]) == (1, 1, "1;1")
    assert (stats["ld15iqr"], stats["hd15iqr"]) == pytest.approx((1.0, 4.0))
    [low] = read("pytest-benchmark", record(row(medians=[92.0, 97.0, 98.0, 99.0, 100.0])))["benchmarks"]
    assert low["stats"]["iqr_outliers"] == 1
    assert (low["stats"]["ld15iqr"], low["stats"]["hd15iqr"]) == pytest.approx((97.0, 100.0))


def test_pytest_benchmark_has_a_round_for_each_process():
    numpy, mine = read("pytest-benchmark")["benchmarks"]
    assert numpy["stats"]["data"] == process_times(RESULT.rows[0])
    assert (numpy["stats"]["rounds"], numpy["stats"]["iterations"]) == (2, 3)
    assert (mine["stats"]["rounds"], mine["stats"]["stddev"], mine["stats"]["iqr"]) == (1, 0, 0)
    assert (numpy["fullname"], mine["fullname"]) == (NUMPY, MINE)


def test_the_sides_of_a_gate_stay_apart():
    gate = record(*sides("base", "control", "head"))
    assert len(read("bencher", gate)) == 3
    assert len({entry["name"] for entry in read("github-action-benchmark", gate)}) == 3
    assert len({benchmark["fullname"] for benchmark in read("pytest-benchmark", gate)["benchmarks"]}) == 3


@pytest.mark.parametrize("form", TRACKERS)
def test_rows_without_a_time_are_left_out(form):
    text = export(RESULT, form)
    assert not any(name in text for name in ("wrong.py", "torch", "jax", "cupy", "numba-cuda"))
    assert "NaN" not in text


@pytest.mark.parametrize("form", TRACKERS)
def test_no_format_exports_a_result_without_times(form):
    with pytest.raises(LcbenchError, match="has a time to export"):
        export(NOTHING_TIMED, form)
