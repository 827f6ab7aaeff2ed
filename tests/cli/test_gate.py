"""Output and exit codes of ``lcbench gate``."""

from __future__ import annotations

import itertools
import json
import subprocess
import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest

from commands import invoke, lcbench
from lcbench import record
from lcbench.errors import LcbenchError, NotSaved
from lcbench.measure import gate
from lcbench.measure.turns import MOST_ROUNDS
from results import record as make_record
from results import row as make_row

LOSS = """import numpy as np
def softmax_loss(W, X, y, reg):
    rows = np.arange(len(y))
    scores = X @ W
    p = np.exp(scores - scores.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    loss = -np.log(p[rows, y]).mean() + reg * np.sum(W * W)
    p[rows, y] -= 1
    return loss, X.T @ p / len(y) + 2 * reg * W
"""
TINY = ("--rows", "20", "--features", "33", "--classes", "3", "--budget", "50")


@pytest.fixture(autouse=True)
def short_rounds(monkeypatch):
    monkeypatch.setattr(gate, "PACE", replace(gate.PACE, rounds_s=0.3))


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "old.py").write_text(LOSS)
    (tmp_path / "new.py").write_text(LOSS)
    return tmp_path


def test_two_files(folder, monkeypatch):
    # the clock advances one second per reading, so the number of generations does not depend on the machine
    monkeypatch.setattr(gate, "monotonic", itertools.count().__next__)
    files = ("--junit", "junit.xml", "--markdown", "page.md", "--save", "mine")
    done = invoke(folder, "gate", "--base", "old.py", "--head", "new.py", *TINY, *files)
    assert done.returncode in (0, 1, 3), done.stderr  # depends on the noise
    for words in ("head / base", "softmax_loss", "control, base against itself", "threshold 3.0 %"):
        assert words in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert len(ET.parse(folder / "junit.xml").getroot().findall(".//testcase")) == 1
    assert "softmax_loss" in (folder / "page.md").read_text()

    kept = record.read(folder / "results" / "baselines" / "mine.json")
    assert {row.side for row in kept.rows} == {"base", "control", "head"}
    numbers = list(range(len(kept.gate.orders)))
    for row in kept.rows:
        processes = 2 if row.side == "head" else 1
        assert [process.generation for process in row.processes] == sorted(processes * numbers)
        assert all(gate.PACE.rounds <= len(process.turns) <= MOST_ROUNDS for process in row.processes)
    assert kept.gate.started_s < kept.gate.spent_s  # of a clock that is not that of the rounds
    assert kept.gate.interim_analyses[-1].blocks == len(kept.gate.orders)


def test_wrong_head_is_exit_code_4_with_a_reason_in_json(folder):
    (folder / "new.py").write_text(LOSS.replace("2 * reg", "3 * reg"))
    done = lcbench(folder, "gate", "--base", "old.py", "--head", "new.py", *TINY, "--json")
    assert done.returncode == 4, done.stderr
    content = json.loads(done.stdout)
    assert content["exit_code"] == 4
    [comparison] = content["comparisons"]
    assert comparison["verdict"] == "wrong"
    assert comparison["new"]["reason"]
    assert (comparison["new"]["blocks"], comparison["new"]["processes"]) == ([], [])


def test_unstable_head_is_exit_code_4(folder):
    (folder / "new.py").write_text(LOSS.replace(" - scores.max(axis=1, keepdims=True)", ""))
    done = invoke(folder, "gate", "--base", "old.py", "--head", "new.py", *TINY)
    assert done.returncode == 4, done.stderr
    assert "unstable on head: right only up to scores of about 710" in " ".join(done.stdout.split())


def test_a_gate_that_is_stopped_before_a_generation_is_complete_says_so(folder, monkeypatch):
    def stop(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(gate._GateMeasurement, "measure_generations", stop)
    done = invoke(folder, "gate", "--base", "old.py", "--head", "new.py", *TINY, "--junit", "junit.xml")
    assert done.returncode == 130
    assert done.stderr.splitlines()[-1].startswith("stopped early: nothing was measured")
    assert "stopped before it was measured" in " ".join(done.stdout.split())
    [error] = ET.parse(folder / "junit.xml").getroot().iter("error")
    assert error.get("message") == "crashed: stopped before it was measured"


def test_wrong_base_is_exit_code_2(folder):
    (folder / "old.py").write_text(LOSS.replace("2 * reg", "3 * reg"))
    done = lcbench(folder, "gate", "--base", "old.py", "--head", "new.py", *TINY)
    assert done.returncode == 2
    assert "not measured on base" in done.stdout


def commit(folder, **files):
    """Write the files into kernels/ and commit them; a file whose content is None is removed."""
    identity = ("-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false")
    kernels = folder / "kernels"
    kernels.mkdir(exist_ok=True)
    for name, content in files.items():
        if content is None:
            (kernels / f"{name}.py").unlink()
        else:
            (kernels / f"{name}.py").write_text(content)
    for arguments in (
        ("init", "-q", "-b", "main"),
        ("add", "-A"),
        (*identity, "commit", "-q", "--allow-empty", "-m", "x"),
    ):
        subprocess.run(["git", *arguments], cwd=folder, check=True)


ADDED = LOSS.replace("softmax_loss", "added_softmax_loss")
NO_COMMIT = "0" * 40


@pytest.mark.parametrize(
    ("base", "impl", "lacking"),
    [
        ("HEAD~1", "kernels/added.py", "base HEAD~1 does not have kernels/added.py:softmax_loss"),
        ("HEAD~1", "kernels/old.py:added_softmax_loss", "base HEAD~1 does not have kernels/old.py:added_softmax_loss"),
        ("HEAD~1", "kernels.added:softmax_loss", "base HEAD~1 does not have kernels.added:softmax_loss"),
        (NO_COMMIT, "kernels/added.py", "there is no base"),
        (NO_COMMIT, "kernels/added.py,kernels/old.py:softmax_loss", "there is no base"),
    ],
)
@pytest.mark.parametrize("wrong", [False, True])
def test_a_kernel_that_base_does_not_have_is_new_and_head_is_checked(tmp_path, base, impl, lacking, wrong):
    kernel = LOSS.replace("2 * reg", "3 * reg") if wrong else LOSS
    commit(tmp_path, old=LOSS)
    commit(tmp_path, old=LOSS + kernel.replace("softmax_loss", "added_softmax_loss"), added=kernel)
    reports = ("--junit", "junit.xml", "--markdown", "page.md")
    done = lcbench(tmp_path, "gate", "--base", base, "--impl", impl, *TINY, "--format", "github", *reports)
    assert done.returncode == (4 if wrong else 0), done.stderr
    line = " ".join(done.stdout.split())
    cases = ET.parse(tmp_path / "junit.xml").getroot().findall(".//testcase")
    assert len(cases) == len(impl.split(","))
    if wrong:
        assert "_loss, softmax: wrong on head: " in line
        assert cases[0].find("failure").get("type") == "wrong"
    else:
        assert f"new: nothing to compare, {lacking}; head is right" in line
        assert cases[0].findtext("system-out") == f"nothing to compare, {lacking}; head is right"
        assert "nothing to compare" in (tmp_path / "page.md").read_text()
        assert f"{len(cases)} new; 3.0 %25 allowed" in line
    assert not list((tmp_path / "results").glob("*.json"))


def test_a_new_kernel_beside_others_does_not_change_their_verdicts(tmp_path, monkeypatch):
    monkeypatch.setattr(gate, "monotonic", itertools.count().__next__)
    commit(tmp_path, old=LOSS)
    commit(tmp_path, old=LOSS + ADDED)
    done = invoke(tmp_path, "gate", "--base", "HEAD~1", "--impl", "kernels/old.py", *TINY, "--json")
    content = json.loads(done.stdout)
    assert done.returncode == content["exit_code"]
    assert content["exit_code"] in (0, 1, 3), done.stderr  # depends on the noise
    measured, new = content["comparisons"]
    assert (measured["new"]["implementation"], new["new"]["implementation"]) == (
        "old.py:softmax_loss",
        "old.py:added_softmax_loss",
    )
    assert measured["ratio"]
    assert (new["verdict"], new["base"]["status"], new["new"]["status"]) == ("new", "unavailable", "ok")
    kept = record.read(tmp_path / content["record"])
    assert kept.gate.new == ["old.py:added_softmax_loss"]


@pytest.mark.parametrize(
    ("head", "impl", "message"),
    [
        (".", "kernels/xxxxxxxxxx.py", "kernels/xxxxxxxxxx.py: no such file; base HEAD~1 does not have it either"),
        (".", "kernels/old.py:gone", "there is no gone; base HEAD~1 does not have it either"),
        (
            "HEAD",
            "kernels/untracked.py",
            "no such file; git does not track it: commit it; base HEAD~1 does not have it",
        ),
        (".", "kernels/removed.py", "--head .: kernels/removed.py: no such file"),
        (".", "kernels.generated:softmax_loss", "no module kernels.generated"),
    ],
)
def test_what_head_does_not_have_or_git_does_not_track_is_an_error(tmp_path, head, impl, message):
    commit(tmp_path, old=LOSS, removed=LOSS)
    commit(tmp_path, removed=None)
    for name in ("untracked", "generated"):
        (tmp_path / "kernels" / f"{name}.py").write_text(LOSS)
    done = lcbench(tmp_path, "gate", "--base", "HEAD~1", "--head", head, "--impl", impl, *TINY)
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "--base is missing"),
        (("--base", "nothing.py"), "nothing.py"),
        (("--base", "nothing"), "--base nothing: no such"),
        (("--base", "old.py"), "so --head must be one too"),
        (("--base", "old.py", "--head", "new.py", "--impl", "numpy"), "--impl cannot be given as well"),
        (("--base", "old.py", "--head", "new.py", "--loss", "svm"), "no function for the requested loss"),
        (("--base", "old.py", "--head", "new.py", "--budget", "1"), "--budget"),
        (("--base", "old.py", "--head", "new.py", "--fail-above", "five"), "not a share"),
        (("--base", ".", "--head", ".", "--impl", "nunpy"), "did you mean 'numpy'"),
        (("--base", "."), "nothing of this repository is measured"),
        (("--base", "old.py", "--head", "new.py", "--junit", "old.py/x.xml"), "old.py"),
    ],
)
def test_invalid_input_is_one_line_error(folder, arguments, message):
    done = invoke(folder, "gate", *arguments, GIT_CEILING_DIRECTORIES=str(folder.parent))
    assert done.returncode == 2
    assert message in done.stderr
    assert not (folder / "results").exists() or not list((folder / "results").glob("*.json"))


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_a_record_that_cannot_be_written_does_not_change_the_exit_code(tmp_path, monkeypatch, options):
    rows = [
        make_row(medians=[factor * seconds for seconds in (1e-3, 1.01e-3, 0.99e-3) * count], side=side)
        for side, factor, count in (("base", 1, 4), ("control", 1, 4), ("head", 2, 8))
    ]
    for each in rows:
        for number, process in enumerate(each.processes):
            process.generation = number % 12
    side = record.Side(given="a.py", kind="implementation", python="", versions={})
    setup = record.Gate(base=side, head=side, fail_above=0.03, budget_s=60.0, orders=12 * ["bchh"])
    measured = make_record(*rows, gate=setup)
    done = {}
    for name in ("kept", "lost"):

        def gate(*_, name=name, **settings):
            if name == "lost":
                raise NotSaved(LcbenchError("cannot write results/x.json: No space left on device"), measured)
            return measured

        monkeypatch.setattr("lcbench.api.gate", gate)
        done[name] = invoke(tmp_path, "gate", "--base", "a.py", "--junit", f"{name}.xml", *options)
    assert done["lost"].returncode == done["kept"].returncode == 3
    assert done["lost"].stdout == done["kept"].stdout
    assert "inconclusive" in done["lost"].stdout
    assert done["lost"].stderr == "warning: cannot write results/x.json: No space left on device\n"
    assert len((tmp_path / "lost.xml").read_text()) == len((tmp_path / "kept.xml").read_text())
