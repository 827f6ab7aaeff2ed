"""``lcbench check`` on a user's file and on the catalog."""

from __future__ import annotations

import json

import pytest

from commands import invoke, lcbench
from lcbench.checks import runner
from lcbench.losses.implementation import LOSSES
from lcbench.record import CheckResult
from lcbench.workers import process
from lcbench.workers.messages import Began, Failed

HOMEWORK = """
import os
import numpy as np
from lcbench.losses import vectorized

def softmax_loss_vectorized(W, X, y, reg):
    print("hello")
    return vectorized.softmax_loss(W, X, y, reg)

def softmax_loss_old(W, X, y, reg):
    # array layout of the 2015 assignments
    loss, dW = vectorized.softmax_loss(W.T, X.T, y, reg)
    return loss, dW.T

def svm_loss_unstable(W, X, y, reg):
    if len(X) == 101:
        os.abort()
    return vectorized.svm_loss(W, X, y, reg)

def softmax_loss_unshifted(W, X, y, reg):
    p = np.exp(X @ W)
    p /= p.sum(axis=1, keepdims=True)
    loss = -np.log(p[np.arange(len(X)), y]).mean() + reg * np.sum(W * W)
    p[np.arange(len(X)), y] -= 1
    return loss, X.T @ p / len(X) + 2 * reg * W

def softmax_loss_without_gradient_of_reg(W, X, y, reg):
    loss, dW = vectorized.softmax_loss(W, X, y, reg)
    return loss, dW - 2 * reg * W

remembered = {}

def svm_loss_remembering(W, X, y, reg):
    if X.shape not in remembered:
        remembered[X.shape] = vectorized.svm_loss(W, X, y, reg)
    return remembered[X.shape]

def softmax_loss_interrupting(W, X, y, reg):
    raise KeyboardInterrupt
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("homework")
    (folder / "softmax.py").write_text(HOMEWORK)
    return folder


@pytest.fixture(scope="module")
def output(folder):
    return lcbench(folder, "check", "softmax.py")


def test_every_function_has_a_verdict(output):
    text = " ".join(output.stdout.split())
    assert "softmax_loss_vectorized: right (softmax; " in text
    assert "softmax_loss_old: right, under the 2015 layout: W (C, D), X (D, N)" in text
    assert "svm_loss_unstable: crashed (float64): killed by SIGABRT" in text
    assert output.stdout.splitlines()[-1] == "2 right, 2 wrong, 1 unstable, 2 not checked"
    assert "softmax_loss_interrupting: raises: line 39: KeyboardInterrupt" in text


def test_known_mistakes_are_named(output):
    lines = [line.strip() for line in output.stdout.splitlines()]
    for function, verdict, mistake in (
        (
            "softmax_loss_unshifted",
            "unstable (float64):",
            "right only up to scores of about 710; subtract the maximum of each row",
        ),
        ("softmax_loss_without_gradient_of_reg", "wrong:", "the regularisation is missing from the gradient"),
        ("svm_loss_remembering", "wrong (float64):", "returns the result of an earlier call (X"),
    ):
        line = lines.index(f"{function}: {verdict}")
        assert lines[line + 1].startswith(mistake)


def test_a_line_and_a_small_example_show_the_mistake(output):
    lines = [line.strip() for line in output.stdout.splitlines()]
    unshifted = lines[lines.index("softmax_loss_unshifted: unstable (float64):") :]
    assert "line 21: p = np.exp(X @ W)" in unshifted
    without = lines[lines.index("softmax_loss_without_gradient_of_reg: wrong:") :]
    assert without[2].startswith("line 28: ")
    assert without[3].startswith("W = np.array([[")
    assert "expected  actual" in without[6]
    loss, first = (line.split() for line in without[7:9])
    assert loss[0] == "loss"
    assert loss[1] == loss[2]
    assert first[0].startswith("dW[")
    assert first[-1] != first[-2]


def test_wrong_result_is_exit_code_4(output):
    assert (output.returncode, output.stderr) == (4, "")
    assert max(map(len, output.stdout.splitlines())) <= 80


def test_json_of_one_function(folder):
    done = lcbench(folder, "check", "softmax.py:softmax_loss_vectorized", "--dtype", "float32", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    [report] = json.loads(done.stdout)
    assert (report["loss"], report["dtype"], report["status"], report["users"]) == ("softmax", "float32", "ok", True)


def test_table_of_a_catalog_implementation(folder):
    done = lcbench(folder, "check", "--impl", "numpy")
    assert (done.returncode, done.stderr) == (0, "")
    rows = [line.split() for line in done.stdout.splitlines() if line.startswith("numpy")]
    assert [(row[1], row[2], row[-1]) for row in rows] == [
        (loss, dtype, "right") for loss in LOSSES for dtype in ("float32", "float64")
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nunpy"], "error: no implementation 'nunpy': did you mean 'numpy'?"),
        (["softmx.py"], "error: softmx.py: no such file; did you mean softmax.py?"),
        (["softmax.py:softmax_los_vectorized"], "there is no softmax_los_vectorized; did you mean softmax_loss_vec"),
    ],
)
def test_misspelled_name_is_one_line_error(folder, arguments, message):
    done = invoke(folder, "check", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    [line] = done.stderr.splitlines()
    assert message in line


def fake_workers(monkeypatch, *processes):
    """Replace the worker processes by lists of events, one per process, and return the jobs that they receive."""
    jobs, events = [], iter(processes)

    def work(job, variables, timeout_s, place):
        jobs.append(job)
        return next(events)

    monkeypatch.setattr(process, "work", work)
    return jobs


def right(loss, dtype):
    return CheckResult(implementation="numpy", loss=loss, dtype=dtype)


def test_crash_affects_only_its_own_loss_and_dtype(monkeypatch):
    svm32, softmax32 = right("svm", "float32"), right("softmax", "float32")
    jobs = fake_workers(
        monkeypatch,
        [Began(0), svm32, Began(1), Failed("crashed", "killed by SIGSEGV")],
        [Began(0), softmax32, Began(1), Failed("timeout", "no answer")],
    )
    reports = runner.check(["numpy"], [], 60.0)
    assert [(r.loss, r.dtype, r.status) for r in reports] == [
        ("svm", "float32", "ok"),
        ("svm", "float64", "crashed"),
        ("softmax", "float32", "ok"),
        ("softmax", "float64", "timeout"),
    ]
    assert jobs[1].cells == [("softmax", "float32"), ("softmax", "float64")]


def test_unavailable_implementation_has_one_report_per_loss(monkeypatch):
    fake_workers(monkeypatch, [Failed("unavailable", "no driver")])
    reports = runner.check(["numpy"], ["float32"], 60.0)
    assert [(r.loss, r.status, r.reason) for r in reports] == [(loss, "unavailable", "no driver") for loss in LOSSES]
