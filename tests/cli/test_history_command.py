"""``lcbench history`` on results in which one implementation became slower."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

import lcbench as python
from commands import invoke
from lcbench import record
from lcbench.host import machine
from results import record as make_record
from results import row

TIMES = [1e-3, 1.01e-3, 0.99e-3, 1e-3, 1.2e-3, 1.21e-3, 1.19e-3, 1.2e-3]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Folder with eight results of this machine, one per day, and one of another machine."""
    folder = tmp_path_factory.mktemp("work")
    here = machine.fingerprint(machine.facts())
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LCBENCH_RESULTS", str(folder / "results"))
        for day, time in enumerate(TIMES):
            measured = make_record(
                row("numba-parallel", [0.99 * time, time, 1.01 * time]),
                row(medians=[2e-3, 2.02e-3, 1.98e-3], loss="svm", rows=20),
                fingerprint=here,
                git_revision=f"{day}" * 40,
            )
            measured.created = (datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=day)).isoformat()
            record.write(measured)
        record.write(make_record(row(medians=[1.0, 1.0]), fingerprint="another"))
    (folder / "results" / "20260101T000000Z-broken.json").write_text("{")
    return folder


PASSED_OVER = "passed over: results/20260101T000000Z-broken.json is not an lcbench result: Input data was truncated\n"


def test_tables_show_the_change(folder):
    done = invoke(folder, "history")
    assert (done.returncode, done.stderr) == (0, PASSED_OVER)
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert "\x1b" not in done.stdout
    text = " ".join(done.stdout.split())
    assert "numba-parallel: slower, 1.20 [" in text
    assert f"changed with it: git {'3' * 10} -> {'4' * 10}" in text
    assert "8 results of this machine from 2026-01-01 to 2026-01-08 (UTC); 1 of other machines left out" in text


def test_columns_are_chosen(folder):
    lines = invoke(folder, "history", "--columns", "last,results").stdout.splitlines()
    assert lines[1].split() == ["implementation", "last", "results"]


def test_json_is_the_only_output(folder):
    done = invoke(folder, "history", "--json")
    assert (done.returncode, done.stderr) == (0, PASSED_OVER)
    content = json.loads(done.stdout)
    series = {fields["implementation"]: fields for fields in content["series"]}
    assert series["numpy"]["workload"]["loss"] == "svm"
    assert series["numpy"]["changes"] == []
    [change] = series["numba-parallel"]["changes"]
    assert (change["before"], change["after"]) == (3, 4)
    assert change["ratio"][1] < 1.2 < change["ratio"][2]


@pytest.mark.parametrize(
    ("options", "names", "points"),
    [
        (["--impl", "numpy"], ["numpy"], 8),
        (["--impl", "numpy,numba-parallel", "--loss", "softmax"], ["numba-parallel"], 8),
        (["--rows", "20"], ["numpy"], 8),
        (["--since", "2026-01-06", "--rows", "20"], ["numpy"], 3),
        (["--since", "2026-01-06T12:00+01:00", "--rows", "20"], ["numpy"], 2),
        (["--since", "44444", "--rows", "20"], ["numpy"], 4),
    ],
)
def test_filters(folder, options, names, points):
    content = json.loads(invoke(folder, "history", "--json", *options).stdout)
    assert [series["implementation"] for series in content["series"]] == names
    assert [len(series["points"]) for series in content["series"]] == [points]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--impl", "nunpy"], "error: no result of 'nunpy': did you mean 'numpy'?"),
        (["--impl", "zzz"], "error: no result of 'zzz': there is numba-parallel, numpy"),
        (["--rows", "21"], "error: none of 8 results has a time for that; leave out --loss, --rows or --impl"),
        (
            ["--since", "then"],
            "error: no result has revision 'then', and it is not a date like 2026-01-31; newest: 777777",
        ),
        (["--since", "2027-01-01"], "error: no result of this machine since then; 'lcbench run' makes one"),
    ],
)
def test_no_match_is_one_line_error(folder, options, message):
    done = invoke(folder, "history", *options)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.removeprefix(PASSED_OVER).startswith(message)
    assert len(done.stderr.splitlines()) == 2


def test_no_result_is_one_line_error(tmp_path):
    done = invoke(tmp_path, "history")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: no result of this machine; 'lcbench run' makes one\n"


def test_python_api(folder, monkeypatch):
    monkeypatch.setenv("LCBENCH_RESULTS", str(folder / "results"))
    [series] = python.history("numba-parallel", since=datetime(2026, 1, 1)).series
    assert [change.slower for change in series.changes] == [True]
