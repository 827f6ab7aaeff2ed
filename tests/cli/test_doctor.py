"""``lcbench doctor`` as a user runs it."""

from __future__ import annotations

import json

import pytest

from commands import invoke, lcbench
from lcbench.host.disturbances import Finding, score

EXAMPLES = (["doctor", "--no-noise"], ["doctor", "--seconds", "3", "--json"])


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    done = lcbench(tmp_path_factory.mktemp("empty"), "doctor", "--seconds", "1", OMP_NUM_THREADS="10000")
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_the_report_fits_eighty_columns_of_plain_text(report):
    assert max(map(len, report.splitlines())) <= 80
    assert "\x1b" not in report


@pytest.mark.parametrize(
    "word",
    [
        "processor", "usable", "Numba workqueue", "BLAS", "GPU", "numpy", "fingerprint", "spread", "other load",
        "Score: ",
    ],
)  # fmt: skip
def test_the_report_speaks_of(report, word):
    assert word in report


def test_a_disturbance_stands_beside_its_remedy(report):
    text = " ".join(report.split())
    assert "OMP_NUM_THREADS=10000, more than" in text
    assert "unset OMP_NUM_THREADS" in text


def test_json_holds_the_same(tmp_path):
    done = lcbench(tmp_path, *EXAMPLES[1], OMP_NUM_THREADS="10000", NUMBA_NUM_THREADS="1")
    assert (done.returncode, done.stderr) == (0, "")
    report = json.loads(done.stdout)
    assert list(report) == ["fingerprint", "machine", "numba", "conditions", "noise", "findings", "score"]
    assert report["machine"]["environment"]["OMP_NUM_THREADS"] == "10000"
    assert report["numba"]["threads"] == 1
    assert report["numba"]["threading_layers"]["workqueue"] is None
    assert "numa_nodes" in report["conditions"]
    said = [finding for finding in report["findings"] if "OMP_NUM_THREADS=10000" in finding["what"]]
    assert [finding["severity"] for finding in said] == ["high"]
    assert said[0]["remedy"]
    noise = report["noise"]
    assert len(noise["blocks"]) >= 3
    assert min(second for block in noise["blocks"] for second in block) > 0
    assert 0 <= noise["meanwhile"]["others"] <= 1
    assert noise["detectable_60_s"] > 0
    found = [Finding(**finding) for finding in report["findings"]]
    assert report["score"] == score(found, noise["spread"]) < score(found)


def test_without_noise_nothing_is_timed(tmp_path):
    assert lcbench(tmp_path, *EXAMPLES[0]).returncode == 0
    done = lcbench(tmp_path, *EXAMPLES[0], "--json")
    assert (done.returncode, done.stderr) == (0, "")
    report = json.loads(done.stdout)
    assert report["noise"] is None
    assert report["score"] == score(Finding(**finding) for finding in report["findings"])


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "soon"])
def test_seconds_that_are_none_are_refused(tmp_path, seconds):
    done = invoke(tmp_path, "doctor", f"--seconds={seconds}")
    assert (done.returncode, done.stdout) == (2, "")
    assert "--seconds" in done.stderr


def test_the_examples_of_its_help_are_those_that_are_run_here(tmp_path):
    shown = invoke(tmp_path, "doctor", "--help").stdout
    assert [line.split() for line in shown.splitlines()[-2:]] == [["lcbench", *words] for words in EXAMPLES]
