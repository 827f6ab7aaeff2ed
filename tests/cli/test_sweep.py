"""Output and files of ``lcbench sweep`` on the smallest sizes."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys

import pytest

from commands import environment, invoke, lcbench
from lcbench.errors import LcbenchError, NotSaved
from results import as_printed
from simulated_sweeps import sweep

TINY = ("--features", "33", "--classes", "3", "--loss", "softmax", "--budget", "0")
TWO = ("--blocks", "2")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("sweeps")


@pytest.fixture(scope="module")
def swept(folder):
    return lcbench(folder, "sweep", "--axis", "rows=10:100", "--impl", "numpy,naive", *TINY, *TWO, "--save", "curve")


def test_exponents_are_printed_and_the_record_is_written(folder, swept):
    assert swept.returncode == 0, swept.stderr
    lines = swept.stdout.splitlines()
    assert any(line.startswith("softmax: 33 features, 3 classes, float32,") for line in lines)  # below the noise
    assert max(map(len, lines)) <= 80
    start = lines.index("Growth: a call takes fixed + c x rows ^ p seconds")
    assert {line.split()[0] for line in lines[start + 3 : start + 5]} == {"numpy", "naive"}
    [file] = folder.glob("results/*.json")
    assert swept.stderr.splitlines()[-1] == f"result: {file.relative_to(folder)}"
    content = json.loads(file.read_text())
    assert content["sweep"]["axes"] == {"rows": [10, 22, 46, 100]}
    assert [len(row["processes"]) for row in content["rows"]] == [2] * 8
    assert {row["status"] for row in content["rows"]} == {"ok"}
    assert all(0 < row["error_grad"] < 1e-5 for row in content["rows"])
    footprints = {ceiling["footprint"] for ceiling in content["ceilings"]}
    assert footprints == {rows * 33 * 4 for rows in (10, 22, 46, 100)}
    assert [(row["rows"], len(row["processes"])) for row in content["limits"]] == [(10, 2), (22, 2), (46, 2), (100, 2)]
    assert not list(folder.glob("results/sweeps/*"))
    assert json.loads((folder / "results" / "baselines" / "curve.json").read_text()) == content


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_tables_are_printed_though_the_result_cannot_be_written(tmp_path, monkeypatch, options):
    measured = sweep("rows", [10, 100, 1000], {"numpy": lambda rows: 1e-6 * rows})

    def fail(*arguments, **settings):
        raise NotSaved(LcbenchError("cannot write it: No space left on device"), measured)

    monkeypatch.setattr("lcbench.api.measure.sweep", fail)
    done = invoke(tmp_path, "sweep", "--axis", "rows=10:1000", "--impl", "numpy", *options)
    assert (done.returncode, done.stderr) == (2, "error: cannot write it: No space left on device\n")
    assert ('"sweep": {' if options else "Growth: ") in done.stdout


def test_compare_does_not_list_sweeps(folder, swept):
    done = lcbench(folder, "compare")
    assert "numpy" not in done.stdout


def test_json_is_the_record_of_two_crossed_axes(tmp_path):
    axes = ("--axis", "threads=1,2", "--axis", "dtype=float32,float64")
    done = invoke(tmp_path, "sweep", *axes, "--rows", "20", "--impl", "numpy", *TINY, *TWO, "--quiet", "--json")
    assert done.returncode == 0, done.stderr
    [file] = (tmp_path / "results").glob("*.json")
    content = json.loads(done.stdout)
    assert content == as_printed(file)
    assert [(row["threads"], row["dtype"], row["rows"]) for row in content["rows"]] == [
        (1, "float32", 20),
        (1, "float64", 20),
        (2, "float32", 20),
        (2, "float64", 20),
    ]
    assert done.stderr.splitlines() == [f"result: {file.relative_to(tmp_path)}"]


def test_killed_sweep_resumes_to_one_record(tmp_path):
    command = [sys.executable, "-m", "lcbench", "sweep", "--axis", "rows=10,20", "--impl", "numpy", *TINY[:-2]]
    killed = subprocess.Popen(
        [*command, "--blocks", "4", "--budget", "600"],
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )
    assert killed.stderr
    line = killed.stderr.readline()
    killed.kill()
    killed.communicate()
    assert killed.returncode == -signal.SIGKILL
    [file] = (tmp_path / "results" / "sweeps").glob("*.json")
    assert re.match(
        rf"generation 1 is done, about \d+ (s|min) to go; saved in {file.relative_to(tmp_path)} until finished", line
    )
    before = json.loads(file.read_text())
    assert before["sweep"]["rounds"] >= 1

    other = tmp_path / "other.json"
    other.write_text(json.dumps(before | {"fingerprint": "another"}))
    refused = lcbench(tmp_path, "sweep", "--resume", "other.json")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert (
        refused.stderr == "error: other.json was started on another machine: a sweep must be measured on one machine\n"
    )

    done = lcbench(tmp_path, "sweep", "--resume")
    assert done.returncode == 0, done.stderr
    [finished] = (tmp_path / "results").glob("*.json")
    after = json.loads(finished.read_text())
    for row, kept in zip(after["rows"], before["rows"], strict=True):
        assert [process["generation"] for process in row["processes"]] == [0, 1, 2, 3]
        estimated = {"seconds": None}  # only known for a finished sweep
        assert [each | estimated for each in row["processes"][: len(kept["processes"])]] == kept["processes"]
    assert after["sweep"]["rounds"] == 4
    assert after["command"] == before["command"]
    assert not file.exists()


def test_help_has_80_columns(tmp_path):
    assert max(map(len, invoke(tmp_path, "sweep", "--help").stdout.splitlines())) <= 80


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "error: --axis is missing, as in --axis rows=1e2:1e5; the axes are rows, "),
        (["--axis", "rowz=1:10"], "error: no axis 'rowz': did you mean 'rows'?"),
        (["--axis", "rows=1:10", "--rows", "5"], "error: --rows is given, and rows is an axis: leave one of them out"),
        (
            ["--axis", "rows=1e2:1e5:99999999"],
            "error: axis 'rows': 99,999,999 points are too many: ",
        ),
        (["--axis", "rows=1e2:1e30"], "error: axis 'rows': 1e30 is not from 1 to 1,000,000,000,000"),
        (["--axis", "rows=1:10", "--impl", "nunpy"], "error: no implementation 'nunpy': did you mean 'numpy'?"),
        (["--axis", "rows=10,60000", "--data", "cifar10"], "error: "),
        (["--axis", "rows=10,20", "--data", "nowhere.csv"], "error: no file nowhere.csv"),
        (
            ["--axis", "batch=5,50", "--rows", "20"],
            "error: a batch of 50 cannot be drawn from 20 rows: choose more rows",
        ),
        (["--axis", "batch=5,10", "--stream"], "error: a batch is drawn from rows in memory"),
        (["--axis", "features=5,10", "--stream"], "error: features cannot be an axis with"),
        (["--axis", "rows=1:10", "--axis", "rows=2"], "error: axis 'rows' is given twice"),
        (["--resume"], "error: no unfinished sweep in results/sweeps: --axis starts one"),
        (["--resume", "gone.json"], "error: cannot read gone.json: No such file or directory"),
        (
            ["--resume", "--blocks", "9"],
            "Error: --resume uses the settings of the interrupted sweep: leave out --blocks",
        ),
        (
            ["--axis", "rows=1:10", "--most-seconds-a-call", "0"],
            "Error: Invalid value for '--most-call' / '--most-seconds-a-call'",
        ),
    ],
)
def test_invalid_input_is_one_line_error(tmp_path, arguments, message):
    done = invoke(tmp_path, "sweep", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[-1].startswith(message)
    assert not list(tmp_path.glob("results/**/*.json"))
