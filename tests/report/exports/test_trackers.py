"""Names of rows, and formats of Bencher, github-action-benchmark and pytest-benchmark."""

from __future__ import annotations

import csv
import json
import statistics
import subprocess
import sys
from math import inf

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


def bmf_benchmarks(text):
    """Return the benchmarks of a document, after checking it against the description of the format.

    https://bencher.dev/docs/reference/bencher-metric-format/: an object of benchmarks, each an object of measures, each
    an object with a number `value` and optional numbers `lower_value` and `upper_value`. A name of a benchmark has at
    most 1024 characters, and one of a measure 64.
    """
    benchmarks = json.loads(text, parse_constant=lambda constant: pytest.fail(f"{constant} is no JSON"))
    for benchmark, measures in benchmarks.items():
        assert 0 < len(benchmark) <= 1024
        for measure, metric in measures.items():
            assert 0 < len(measure) <= 64
            assert {"value"} <= set(metric) <= {"value", "lower_value", "upper_value"}
            assert all(type(number) in (int, float) for number in metric.values())
            assert metric.get("lower_value", -inf) <= metric["value"] <= metric.get("upper_value", inf)
    return benchmarks


def custom_entries(text):
    """Return the entries of a document, after checking it against the types that github-action-benchmark declares."""
    entries = json.loads(text, parse_constant=lambda constant: pytest.fail(f"{constant} is no JSON"))
    for entry in entries:
        assert {"name", "unit", "value"} <= set(entry) <= {"name", "unit", "value", "range", "extra"}
        assert type(entry.pop("value")) in (int, float)
        assert all(isinstance(text, str) for text in entry.values())
    names = [entry["name"] for entry in entries]
    assert len(set(names)) == len(names)  # it finds the previous value of a benchmark by the name
    return entries


@pytest.mark.parametrize(
    "result", [RESULT, record(*sides("base", "control", "head")), record(row("a", [1e-9]), row("b", [1e6, 1.1e6]))]
)
def test_bencher_and_github_action_benchmark_can_read_every_result(result):
    names = [trackers.full_name(one) for one in trackers.timed(result)]
    assert list(bmf_benchmarks(export(result, "bencher"))) == names
    assert [entry["name"] for entry in custom_entries(export(result, "github-action-benchmark"))] == names


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


def compared(folder, *results, options=()):
    """Return the lines of the table that ``pytest-benchmark compare`` writes of exported results, as dictionaries."""
    files = []
    for number, result in enumerate(results, 1):
        files.append(folder / f"{number:04}_export.json")
        files[-1].write_text(export(result, "pytest-benchmark"))
    done = subprocess.run(
        [sys.executable, "-m", "pytest_benchmark", "compare", "--csv=table", *options, *map(str, files)],
        cwd=folder,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    with (folder / "table.csv").open() as table:
        return done.stdout, list(csv.DictReader(table))


def test_pytest_benchmark_itself_compares_two_exports(tmp_path):
    slower = record(row("numpy", blocks=[[4e-3, 4.4e-3], [4.2e-3]], calls=[3, 4], threads=2))
    shown, lines = compared(tmp_path, RESULT, slower)
    assert {line["name"].split("[")[0] for line in lines} == {"softmax/numpy", "softmax/mine.py:softmax_loss"}
    numpy = [line for line in lines if line["name"].startswith("softmax/numpy")]
    medians = sorted(float(line["median"]) for line in numpy)
    assert medians == pytest.approx([2.1e-3, 4.2e-3])
    assert {(line["rounds"], line["iterations"]) for line in numpy} == {("2", "3")}
    assert "softmax/numpy" in shown
    assert "(2.0" in shown  # relative to the fastest of the group


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
