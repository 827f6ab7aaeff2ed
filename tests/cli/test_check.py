"""``lcbench check`` as a user runs it on a file of homework."""

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
    # the layout of 2015
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
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("homework")
    (folder / "softmax.py").write_text(HOMEWORK)
    return folder


@pytest.fixture(scope="module")
def in_words(folder):
    return lcbench(folder, "check", "softmax.py")


def test_every_function_has_its_verdict(in_words):
    text = " ".join(in_words.stdout.split())
    assert "softmax_loss_vectorized: right (softmax; " in text
    assert "softmax_loss_old: right, under the 2015 layout: W (C, D), X (D, N)" in text
    assert "svm_loss_unstable: crashed (float64): killed by SIGABRT" in text
    assert in_words.stdout.splitlines()[-1] == "2 right, 3 wrong, 1 not checked"


def test_a_known_mistake_is_named_in_one_line(in_words):
    lines = [line.strip() for line in in_words.stdout.splitlines()]
    for function, verdict, mistake in (
        (
            "softmax_loss_unshifted",
            "wrong (float64):",
            "exp overflows: each row's maximum is not subtracted first (scores of",
        ),
        ("softmax_loss_without_gradient_of_reg", "wrong:", "the regularisation is missing from the gradient"),
        ("svm_loss_remembering", "wrong (float64):", "returns the result of an earlier call (X"),
    ):
        line = lines.index(f"{function}: {verdict}")
        assert lines[line + 1].startswith(mistake)


def test_something_wrong_is_exit_code_4(in_words):
    assert (in_words.returncode, in_words.stderr) == (4, "")
    assert max(map(len, in_words.stdout.splitlines())) <= 80


def test_one_function_as_json(folder):
    done = lcbench(folder, "check", "softmax.py:softmax_loss_vectorized", "--dtype", "float32", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    [report] = json.loads(done.stdout)
    assert (report["loss"], report["dtype"], report["status"], report["users"]) == ("softmax", "float32", "ok", True)


def test_the_catalogues_own_as_a_table(folder):
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
def test_a_misspelt_name_is_one_line(folder, arguments, message):
    done = invoke(folder, "check", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    [line] = done.stderr.splitlines()
    assert message in line


def answers(monkeypatch, *processes):
    """Lets the workers answer so, one list of events each; returns the jobs that they were given."""
    jobs, events = [], iter(processes)

    def work(job, variables, timeout_s):
        jobs.append(job)
        return next(events)

    monkeypatch.setattr(process, "work", work)
    return jobs


def right(loss, dtype):
    return CheckResult(implementation="numpy", loss=loss, dtype=dtype)


def test_a_loss_and_dtype_that_ends_the_process_costs_its_own_report_only(monkeypatch):
    svm32, softmax32 = right("svm", "float32"), right("softmax", "float32")
    jobs = answers(
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


def test_what_cannot_be_begun_is_told_once_a_loss(monkeypatch):
    answers(monkeypatch, [Failed("unavailable", "no driver")])
    reports = runner.check(["numpy"], ["float32"], 60.0)
    assert [(r.loss, r.status, r.reason) for r in reports] == [(loss, "unavailable", "no driver") for loss in LOSSES]
