"""Output of ``lcbench export``."""

from __future__ import annotations

import json

import pytest

from commands import invoke
from lcbench import record
from lcbench.report.exports import FORMATS
from results import record as make_record
from results import row


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Folder with an older result, saved as "before", and a newer one with a wrong row."""
    folder = tmp_path_factory.mktemp("work")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LCBENCH_RESULTS", str(folder / "results"))
        record.write(make_record(row("older", [1e-3, 1.1e-3]), created="2026-01-01T00:00:00+00:00"), "before")
        record.write(make_record(row("newer", [2e-3, 2.1e-3]), row("bad", status="wrong", reason="no")), "after")
        record.write(make_record(row("none", status="unavailable"), created="2025-01-01T00:00:00+00:00"), "empty")
    return folder


@pytest.mark.parametrize("form", FORMATS)
def test_newest_result_in_every_format(folder, form):
    done = invoke(folder, "export", "--format", form)
    assert done.returncode == 0
    assert "newer" in done.stdout
    assert "older" not in done.stdout
    [newest, untimed] = done.stderr.splitlines()
    assert newest.startswith("newest result: results/20260102T030405Z-")
    assert untimed == "1 of 2 rows have no time: wrong, simulated or not measured"


def test_an_older_result_than_the_newest_is_named(folder):
    (folder / "results" / "20990101T000000Z-torn.json").write_text("{")
    try:
        done = invoke(folder, "export", "--format", "csv")
        assert done.returncode == 0
        [torn, used, _] = done.stderr.splitlines()
        assert torn.startswith("passed over: results/20990101T000000Z-torn.json is not an lcbench result: ")
        assert used.startswith("newest result: results/20260102T030405Z-")
    finally:
        (folder / "results" / "20990101T000000Z-torn.json").unlink()


def test_a_result_of_the_future_is_named(tmp_path):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LCBENCH_RESULTS", str(tmp_path / "results"))
        record.write(make_record(row(medians=[1e-3]), created="2999-01-01T00:00:00+00:00"))
    done = invoke(tmp_path, "export", "--format", "csv")
    assert "dated in the future (2999-01-01T00:00:00+00:00): was the clock set back?" in done.stderr


def test_saved_result_to_a_file(folder):
    printed = invoke(folder, "export", "before", "--format", "bencher").stdout
    done = invoke(folder, "export", "before", "--format", "bencher", "--output", "out/bmf.json")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert (folder / "out" / "bmf.json").read_text() == printed
    assert list(json.loads(printed)) == ["softmax/older[500x3073x10-float32-synthetic-1]"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["befor", "--format", "csv"], "error: no result 'befor' in results; saved names: after, before, empty"),
        (["--format", "xml"], "Error: Invalid value for '--format': 'xml' is not one of "),
        ([], "Error: Missing option '--format'. Choose from:"),
        (["before", "--format", "csv", "--output", "results"], "'results' is a directory."),
        (["before", "--format", "csv", "--output", "results/baselines/before.json"], "which is not replaced"),
    ],
)
def test_invalid_input_is_an_error(folder, arguments, message):
    done = invoke(folder, "export", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr


def test_result_without_times_writes_no_file(folder):
    done = invoke(folder, "export", "empty", "--format", "bencher", "--output", "none.json")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: no row of result ")
    assert not (folder / "none.json").exists()


def test_no_result_is_one_line_error(tmp_path):
    done = invoke(tmp_path, "export", "--format", "csv")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: no result to export; 'lcbench run' makes one\n"
