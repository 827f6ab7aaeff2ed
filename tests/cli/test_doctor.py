"""Output of ``lcbench doctor``."""

from __future__ import annotations

import json
from unittest import mock

import msgspec
import pytest

from commands import invoke, lcbench
from lcbench import __version__
from lcbench.host.disturbances import Finding, score
from lcbench.measure import noise

EXAMPLES = (["doctor", "--no-noise"], ["doctor", "--seconds", "3", "--json"])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("empty")


@pytest.fixture(scope="module")
def found(folder):
    done = lcbench(folder, *EXAMPLES[1], "--quiet", OMP_NUM_THREADS="10000", NUMBA_NUM_THREADS="1")
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def report(folder, found):
    """The tables, with the noise that was measured for the report in JSON."""
    measured = msgspec.convert(found["noise"], noise.Noise)
    with mock.patch.object(noise, "measure_noise", return_value=measured):
        done = invoke(folder, "doctor", "--seconds", "1", "--quiet", OMP_NUM_THREADS="10000")
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


def test_json_contents(found):
    own = ["lcbench", "lcbench_revision"]
    assert list(found) == [*own, "fingerprint", "machine", "numba", "conditions", "noise", "findings", "score"]
    assert found["lcbench"] == __version__
    assert found["machine"]["environment"]["OMP_NUM_THREADS"] == "10000"
    assert found["numba"]["threads"] == 1
    assert found["numba"]["threading_layers"]["workqueue"] is None
    assert "numa_nodes" in found["conditions"]
    threads = [finding for finding in found["findings"] if "OMP_NUM_THREADS=10000" in finding["what"]]
    assert [finding["severity"] for finding in threads] == ["high"]
    assert threads[0]["remedy"]
    measured = found["noise"]
    assert len(measured["processes"]) == 4 * measured["generations"] >= 8
    assert min(second for each in measured["processes"] for turn in each["turns"] for second in turn["samples"]) > 0
    assert measured["seconds"] > 0
    assert measured["spread"] > 0
    assert 0 <= measured["meanwhile"]["others"] <= 1
    assert measured["detectable_60_s"] > 0
    findings = [Finding(**finding) for finding in found["findings"]]
    assert found["score"] == score(findings, measured["detectable_60_s"]) < score(findings)


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
