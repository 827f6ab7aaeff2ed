"""``lcbench doctor`` as a user runs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest


def lcbench(*arguments, **environment):
    return subprocess.run(
        [sys.executable, "-m", "lcbench", *arguments],
        env={**os.environ, "COLUMNS": "80", **environment},
        capture_output=True,
        encoding="utf-8",
        check=False,
        timeout=120,
    )


@pytest.fixture(scope="module")
def report():
    done = lcbench("doctor", OMP_NUM_THREADS="10000", PYTHONIOENCODING="utf-8")
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_the_report_fits_eighty_columns_of_plain_text(report):
    assert max(map(len, report.splitlines())) <= 80
    assert "\x1b" not in report


@pytest.mark.parametrize("word", ["processor", "usable", "Numba workqueue", "BLAS", "GPU", "numpy", "fingerprint"])
def test_the_report_speaks_of(report, word):
    assert word in report


def test_a_disturbance_stands_beside_its_remedy(report):
    text = " ".join(report.split())
    assert "OMP_NUM_THREADS=10000, more than" in text
    assert "unset OMP_NUM_THREADS" in text


def test_json_holds_the_same():
    done = lcbench("doctor", "--json", OMP_NUM_THREADS="10000", NUMBA_NUM_THREADS="1")
    assert (done.returncode, done.stderr) == (0, "")
    report = json.loads(done.stdout)
    assert set(report) == {"fingerprint", "machine", "numba", "findings"}
    assert report["machine"]["environment"]["OMP_NUM_THREADS"] == "10000"
    assert report["numba"]["threads"] == 1
    assert report["numba"]["threading_layers"]["workqueue"] is None
    assert any("OMP_NUM_THREADS=10000" in finding["what"] and finding["remedy"] for finding in report["findings"])


def test_the_examples_of_its_help_work():
    shown = lcbench("doctor", "--help").stdout
    examples = [line.split() for line in shown.splitlines()[-2:]]
    assert [words[0] for words in examples] == ["lcbench", "lcbench"]
    for words in examples:
        assert lcbench(*words[1:]).returncode == 0
