"""Sweeps in the Python API: measurement, continuation after an interrupt, and errors."""

from __future__ import annotations

import json
import re

import pytest

import lcbench
from fake_generations import FakeSchedule, measured_ok
from lcbench import record
from lcbench.api import measure
from lcbench.errors import LcbenchError, NotSaved
from lcbench.measure import schedule, selection
from lcbench.measure.selection import ResolvedTarget
from lcbench.record import Sweep
from results import record as make_record
from results import row

TINY = {"features": 33, "classes": 3, "losses": "softmax", "data": "synthetic", "budget_s": 0.0}


@pytest.fixture(autouse=True)
def results(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LCBENCH_RESULTS", raising=False)
    return tmp_path / "results"


@pytest.fixture(autouse=True)
def fake(monkeypatch):
    """Substitute for worker processes: every call takes a millisecond, and every workload a second."""
    fake = FakeSchedule(monkeypatch)
    fake.answer = lambda name, cell, generation: measured_ok(generation.number, (1e-3, 1e-3), first_call_s=0.1)
    return fake


def stop_in_generation(number, workloads=2):
    """Return a progress callback that raises KeyboardInterrupt in generation `number`, counted from 1."""

    def progress(stage, done=0, total=0, detail=""):
        if stage == "seconds of measuring" and done >= (number - 1) * workloads:
            raise KeyboardInterrupt

    return progress


def generations(rows):
    """Return the numbers of the generations of each row."""
    return [[process.generation for process in row.processes] for row in rows]


def test_every_point_has_a_row_and_the_record_contains_the_settings(results):
    found = lcbench.sweep({"rows": "10:100:3", "threads": [1, 2]}, "numpy", seed=3, **TINY)
    assert [(row.rows, row.threads) for row in found.rows] == [(10, 1), (32, 1), (100, 1), (10, 2), (32, 2), (100, 2)]
    assert generations(found.rows) == [list(range(schedule.FEWEST_GENERATIONS))] * 6
    assert [row.median_s for row in found.rows] == pytest.approx([1e-3] * 6)
    assert [(row.rows, row.threads) for row in found.limits] == [(10, 2), (32, 2), (100, 2)]
    assert found.sweep.axes == {"rows": [10, 32, 100], "threads": [1, 2]}
    assert (found.sweep.settings["seed"], found.sweep.settings["features"]) == (3, 33)
    [file] = results.glob("*.json")
    assert record.to_json(record.read(file)) == record.to_json(found)
    assert not list(results.glob("sweeps/*"))


def test_a_sweep_continues_after_ctrl_c_from_its_complete_generations(results):
    told, notes = [], []

    def progress(*given):
        told.append(given)
        stop_in_generation(3)(*given)

    with pytest.raises(KeyboardInterrupt):
        lcbench.sweep(
            {"rows": [10, 20]},
            "numpy",
            blocks=5,
            progress=progress,
            note=notes.append,
            **(TINY | {"budget_s": 1e9}),
        )
    file = measure.newest_unfinished_sweep()
    [line] = [stage for stage, *numbers in told if not numbers]
    assert line.startswith("generation 1 is done, about ")
    assert line.endswith(f"; saved in {file} until finished: 'lcbench sweep --resume' continues from there")
    assert notes == [f"complete generations are saved: 'lcbench sweep --resume {file}' continues"]
    kept = record.read(file)
    assert (kept.interrupted, kept.sweep.rounds, kept.sweep.spent_s) == (True, 2, 4.0)
    assert generations(kept.rows) == generations(kept.limits) == [[0, 1], [0, 1]]
    finished = measure.resume_sweep()
    assert (finished.interrupted, finished.sweep.rounds) == (False, 5)
    assert generations(finished.rows) == generations(finished.limits) == [[0, 1, 2, 3, 4]] * 2
    assert not file.exists()


def test_an_invalid_name_in_an_unfinished_sweep_is_an_error_before_measuring(monkeypatch):
    with pytest.raises(KeyboardInterrupt):
        lcbench.sweep({"rows": [10, 20]}, "numpy", progress=stop_in_generation(3), **(TINY | {"budget_s": 1e9}))
    file = measure.newest_unfinished_sweep()
    unfinished = record.read(file)
    unfinished.sweep.settings["save"] = "../../x"
    record.write_unfinished(file, unfinished)
    monkeypatch.setattr(schedule, "run_schedule", None)
    with pytest.raises(LcbenchError, match="is not a valid name for a baseline"):
        measure.resume_sweep()
    assert file.exists()


def test_an_interrupt_in_the_first_generation_leaves_no_file(results):
    with pytest.raises(KeyboardInterrupt):
        lcbench.sweep({"rows": [10, 20]}, "numpy", progress=stop_in_generation(1), **TINY)
    assert not list(results.glob("**/*.json"))
    with pytest.raises(LcbenchError, match="no unfinished sweep"):
        measure.resume_sweep()


def test_a_damaged_file_is_skipped(results):
    with pytest.raises(KeyboardInterrupt):
        lcbench.sweep(
            {"rows": [10, 20]}, "numpy", blocks=5, progress=stop_in_generation(3), **(TINY | {"budget_s": 1e9})
        )
    good = measure.newest_unfinished_sweep()
    damaged = good.with_name("99991231T235959Z-00000000.json")
    damaged.write_bytes(good.read_bytes()[:3000])
    told = []
    finished = measure.resume_sweep(note=told.append)
    assert [len(row.processes) for row in finished.rows] == [5, 5]
    [line] = told
    assert line.startswith(f"skipped: {damaged} is not an lcbench result: ")
    assert damaged.exists()
    with pytest.raises(LcbenchError, match="no unfinished sweep"):
        measure.resume_sweep()


def test_a_sweep_of_an_older_version_can_be_continued(results):
    with pytest.raises(KeyboardInterrupt):
        lcbench.sweep(
            {"rows": [10, 20]}, "numpy", blocks=5, progress=stop_in_generation(3), **(TINY | {"budget_s": 1e9})
        )
    file = measure.newest_unfinished_sweep()
    unfinished = record.read(file)
    unfinished.sweep.settings["patience_s"] = unfinished.sweep.settings.pop("timeout_s")
    record.write_unfinished(file, unfinished)
    assert [len(row.processes) for row in measure.resume_sweep(file).rows] == [5, 5]


def test_a_sweep_that_was_measured_without_turns_cannot_be_continued(results):
    with pytest.raises(KeyboardInterrupt):
        lcbench.sweep({"rows": [10, 20]}, "numpy", progress=stop_in_generation(2), **TINY)
    file = measure.newest_unfinished_sweep()
    unfinished = record.read(file)
    unfinished.limits = []
    record.write_unfinished(file, unfinished)
    with pytest.raises(LcbenchError, match=r"was started by an older lcbench, .*: start a new sweep$"):
        measure.resume_sweep(file)


def test_a_sweep_whose_code_has_changed_cannot_be_continued(results):
    with pytest.raises(KeyboardInterrupt):
        lcbench.sweep({"rows": [10, 20]}, "numpy", progress=stop_in_generation(2), **TINY)
    file = measure.newest_unfinished_sweep()
    unfinished = record.read(file)
    unfinished.rows[0].code = "0123456789ab"
    record.write_unfinished(file, unfinished)
    with pytest.raises(LcbenchError, match=r"the code of numpy has changed since .* was begun: start a new sweep$"):
        measure.resume_sweep(file)


@pytest.mark.parametrize(
    ("rounds", "spent_s", "blocks", "budget_s", "left_s"),
    [(1, 10.0, 20, 100.0, 90.0), (1, 60.0, 20, 100.0, 240.0), (1, 1.0, 5, 100.0, 4.0), (5, 250.0, 20, 100.0, 0.0)],
)
def test_the_remaining_time_is_estimated_from_completed_generations(rounds, spent_s, blocks, budget_s, left_s):
    told = make_record(
        row(), sweep=Sweep(axes={}, settings={"blocks": blocks, "budget_s": budget_s}, rounds=rounds, spent_s=spent_s)
    )
    assert measure.seconds_left(told) == left_s


def test_a_long_sweep_is_announced():
    told = []
    lcbench.sweep({"rows": "lin:1:800:800"}, "numpy", note=told.append, **TINY)
    lcbench.sweep({"rows": [10, 20]}, "numpy", note=told.append, **TINY)
    assert told == ["800 points: this takes about 20 minutes or more"]


def test_a_sweep_with_other_versions_or_a_finished_one_cannot_be_continued(results):
    with pytest.raises(KeyboardInterrupt):
        lcbench.sweep({"rows": [10, 20]}, "numpy", blocks=5, progress=stop_in_generation(2), **TINY)
    file = measure.newest_unfinished_sweep()
    unfinished = record.read(file)
    unfinished.machine["versions"]["numpy"] = "0.1"
    record.write_unfinished(file, unfinished)
    with pytest.raises(LcbenchError, match="other versions"):
        measure.resume_sweep(file)
    finished = lcbench.sweep({"rows": [10]}, "numpy", **TINY)
    with pytest.raises(LcbenchError, match="is no unfinished sweep"):
        measure.resume_sweep(finished.path)


def test_an_unavailable_implementation_has_rows_with_the_reason(monkeypatch):
    targets = [
        ResolvedTarget("numpy", losses=("softmax",)),
        ResolvedTarget("cupy", "cuda", ("softmax",), unavailable="there is no GPU"),
    ]
    monkeypatch.setattr(selection, "select_targets", lambda *arguments: targets)
    found = lcbench.sweep({"rows": [10, 20]}, ["numpy", "cupy"], **TINY)
    assert [(row.implementation, row.status) for row in found.rows] == [
        ("numpy", "ok"),
        ("numpy", "ok"),
        ("cupy", "unavailable"),
        ("cupy", "unavailable"),
    ]
    assert {row.reason for row in found.rows[2:]} == {"there is no GPU"}


@pytest.mark.parametrize(
    ("axes", "settings", "message"),
    [
        ({"rows": [20, 10]}, {}, "the values of an axis are not in ascending order"),
        ({"threads": [1, 2000]}, {}, "axis 'threads': 2000 is not from 1 to 1,024"),
        ({}, {"seed": -1}, "invalid settings: seed must be at least 0"),
        ({}, {"blocks": 0}, "invalid settings: blocks must be at least 1"),
        ({}, {"budget_s": -5}, "invalid settings: budget_s must be at least 0"),
        ({}, {"threads": -1}, "invalid settings: threads must be at least 1"),
        ({}, {"data": "nowhere"}, "no data 'nowhere'"),
        ({}, {"save": "../../x"}, "'../../x' is not a valid name for a baseline"),
        ({}, {"colour": 1}, "no setting 'colour'"),
        ({}, {"features": 50}, "has rows with features 33, and its settings give 50"),
        ({}, {"dtype": "float64"}, "has rows with dtype float32, and its settings give float64"),
        ({"rows": [10, 30]}, {}, "has rows with rows 20, and its settings give 30"),
    ],
)
def test_an_edited_sweep_is_not_continued(axes, settings, message, results):
    with pytest.raises(KeyboardInterrupt):
        lcbench.sweep({"rows": [10, 20]}, "numpy", blocks=5, progress=stop_in_generation(2), **TINY)
    [file] = (results / "sweeps").glob("*.json")
    content = json.loads(file.read_text())
    content["sweep"]["axes"] |= axes
    content["sweep"]["settings"] |= settings
    file.write_text(json.dumps(content))
    with pytest.raises(LcbenchError, match=re.escape(message)) as refused:
        measure.resume_sweep(file)
    assert str(file) in str(refused.value)


@pytest.mark.parametrize(
    ("axes", "settings", "message"),
    [
        ({}, {}, "one or two axes, not 0"),
        ({"row": [1]}, {}, "did you mean 'rows'"),
        ({"rows": [10]}, {"losses": "hinge"}, "losses are"),
        ({"rows": [10**18]}, {}, "axis 'rows': 1000000000000000000 is not from 1 to 1,000,000,000,000"),
        ({"rows": [10**12]}, {"features": 10**8}, "X of 1,000,000,000,000 x 100,000,000 is too large for an array"),
        ({"rows": [10]}, {"blocks": 0}, "blocks must be at least 1"),
        ({"rows": [10]}, {"most_call_s": 0}, "most_call_s must be above 0"),
        ({"batch": [10, 50]}, {"rows": 20}, "a batch of 50 cannot be drawn from 20 rows"),
    ],
)
def test_invalid_sweeps_are_refused(axes, settings, message, results):
    with pytest.raises(LcbenchError, match=message):
        lcbench.sweep(axes, "numpy", **(TINY | settings))
    assert not list(results.glob("**/*.json"))


def test_a_sweep_is_returned_though_it_cannot_be_written(monkeypatch):
    def fail(path, *arguments):
        raise LcbenchError("cannot write it: No space left on device")

    notes = []
    monkeypatch.setattr(record.files, "write_file", fail)
    with pytest.raises(NotSaved, match="No space left on device") as caught:
        lcbench.sweep({"rows": [10, 20]}, "numpy", note=notes.append, **TINY)
    found = caught.value.result
    assert generations(found.rows) == [list(range(schedule.FEWEST_GENERATIONS))] * 2
    assert found.rows[0].median_s == pytest.approx(1e-3)
    assert notes == ["warning: cannot write it: No space left on device"]


def test_a_name_that_is_too_long_is_an_error_before_measuring(monkeypatch):
    monkeypatch.setattr(schedule, "run_schedule", None)
    with pytest.raises(LcbenchError, match="File name too long"):
        lcbench.sweep({"rows": [10, 20]}, "numpy", save=255 * "n", **TINY)
