"""Output of ``lcbench doctor``."""

from __future__ import annotations

import json

import pytest

from commands import invoke, lcbench
from lcbench import __version__
from lcbench.host.disturbances import Finding, score

EXAMPLES = (["doctor", "--no-noise"], ["doctor", "--seconds", "3", "--json"])


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    done = lcbench(tmp_path_factory.mktemp("empty"), "doctor", "--seconds", "1", "--quiet", OMP_NUM_THREADS="10000")
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_report_is_plain_text_of_80_columns(report):
    assert max(map(len, report.splitlines())) <= 80
    assert "\x1b" not in report


@pytest.mark.parametrize(
    "word",
    [
        "processor", "usable", "Numba workqueue", "BLAS", "GPU", "numpy", "fingerprint", "spread", "other load",
        "Score ",
    ],
)  # fmt: skip
def test_report_contains(report, word):
    assert word in report


def test_finding_has_a_remedy(report):
    text = " ".join(report.split())
    assert "OMP_NUM_THREADS=10000, more than" in text
    assert "unset OMP_NUM_THREADS" in text


def test_json_contents(tmp_path):
    done = lcbench(tmp_path, *EXAMPLES[1], "--quiet", OMP_NUM_THREADS="10000", NUMBA_NUM_THREADS="1")
    assert (done.returncode, done.stderr) == (0, "")
    report = json.loads(done.stdout)
    own = ["lcbench", "lcbench_revision"]
    assert list(report) == [*own, "fingerprint", "machine", "numba", "conditions", "noise", "findings", "score"]
    assert report["lcbench"] == __version__
    assert report["machine"]["environment"]["OMP_NUM_THREADS"] == "10000"
    assert report["numba"]["threads"] == 1
    assert report["numba"]["threading_layers"]["workqueue"] is None
    assert "numa_nodes" in report["conditions"]
    threads = [finding for finding in report["findings"] if "OMP_NUM_THREADS=10000" in finding["what"]]
    assert [finding["severity"] for finding in threads] == ["high"]
    assert threads[0]["remedy"]
    noise = report["noise"]
    assert len(noise["processes"]) == 4 * noise["generations"] >= 8
    assert min(second for each in noise["processes"] for turn in each["turns"] for second in turn["samples"]) > 0
    assert noise["seconds"] > 0
    assert noise["spread"] > 0
    assert 0 <= noise["meanwhile"]["others"] <= 1
    assert noise["detectable_60_s"] > 0
    findings = [Finding(**finding) for finding in report["findings"]]
    assert report["score"] == score(findings, noise["detectable_60_s"]) < score(findings)


def test_no_noise(tmp_path):
    assert lcbench(tmp_path, *EXAMPLES[0]).returncode == 0
    done = lcbench(tmp_path, *EXAMPLES[0], "--json")
    assert (done.returncode, done.stderr) == (0, "")
    report = json.loads(done.stdout)
    assert report["noise"] is None
    assert report["score"] == score(Finding(**finding) for finding in report["findings"])


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "soon"])
def test_invalid_seconds_are_usage_errors(tmp_path, seconds):
    done = invoke(tmp_path, "doctor", f"--seconds={seconds}")
    assert (done.returncode, done.stdout) == (2, "")
    assert "--seconds" in done.stderr


def test_help_shows_the_tested_examples(tmp_path):
    shown = invoke(tmp_path, "doctor", "--help").stdout
    assert [line.split() for line in shown.splitlines()[-2:]] == [["lcbench", *words] for words in EXAMPLES]
