"""``lcbench gradcheck`` on a user's file and on the catalog."""

from __future__ import annotations

import json
import re

import pytest

from commands import invoke, lcbench

HOMEWORK = """
import numpy as np
from lcbench.losses import vectorized

def svm_loss_vectorized(W, X, y, reg):
    print("hello")
    return vectorized.svm_loss(W, X, y, reg)

def svm_loss_without_gradient_of_reg(W, X, y, reg):
    loss, dW = vectorized.svm_loss(W, X, y, reg)
    return loss, dW - 2 * reg * W

def softmax_loss_old(W, X, y, reg):
    loss, dW = vectorized.softmax_loss(W.T, X.T, y, reg / 2)
    return loss, dW.T

def softmax_loss_raising(W, X, y, reg):
    if len(X) == 40:
        raise RuntimeError("no\\nroom")
    return vectorized.softmax_loss(W, X, y, reg)

def softmax_loss_transposed(W, X, y, reg):
    loss, dW = vectorized.softmax_loss(W, X, y, reg)
    return loss, dW.T

def softmax_loss_todo(W, X, y, reg):
    return 0.0, np.zeros(W.shape)
"""

FEW = ("--rows", "40", "--coordinates", "4")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("homework")
    (folder / "mine.py").write_text(HOMEWORK)
    return folder


@pytest.fixture(scope="module")
def output(folder):
    return lcbench(folder, "gradcheck", "mine.py", *FEW)


def test_every_function_has_a_verdict(output):
    text = " ".join(output.stdout.split())
    assert "svm_loss_vectorized: right (of 4 weights " in text
    assert "svm_loss_without_gradient_of_reg: wrong: " in text
    assert "softmax_loss_old: right, under the 2015 convention" in text
    assert "softmax_loss_raising: not checked: line 19: RuntimeError: no " in text
    assert "softmax_loss_transposed: wrong: gradient is transposed" in text
    assert "softmax_loss_todo: not checked: unfinished: returns zeros" in text
    assert text.endswith("2 right, 2 wrong, 2 not checked")


def test_known_mistake_is_named_and_every_weight_is_wrong(output):
    table = output.stdout.partition("svm_loss_without_gradient_of_reg: h ")[2].partition("gradients compared")[0]
    assert [line.split()[-1] for line in table.splitlines()[-5:-1]] == ["wrong"] * 4
    assert "the regularisation is missing from the gradient" in " ".join(output.stdout.split())


def test_a_line_and_a_small_example_show_the_mistake(output):
    shown = output.stdout.rpartition("svm_loss_without_gradient_of_reg: wrong")[2]
    assert re.search(r"^  line \d+: ", shown, re.MULTILINE)
    assert re.search(r"^  loss +(\S+)  \1$", shown, re.MULTILINE)
    assert re.search(r"^  dW\[\d, \d\] +\S+  \S+$", shown, re.MULTILINE)


def test_wrong_gradient_is_exit_code_4_and_user_output_is_not_in_tables(output):
    assert output.returncode == 4
    assert "hello" not in output.stdout
    assert output.stderr.startswith("data: 40 rows, synthetic images shaped like CIFAR-10")
    assert max(map(len, output.stdout.splitlines())) <= 80


def test_json_of_given_weights_and_margin(folder):
    done = invoke(folder, "gradcheck", "numpy", "--loss", "svm", "--margin", "100", "--h", "1e-3", "--rows", "40",
                  "--at", "3072,0", "--at", "0,9", "--json")  # fmt: skip
    assert done.returncode == 0
    content = json.loads(done.stdout)
    assert (content["data"], content["rows"], content["features"], content["h"]) == ("synthetic", 40, 3073, 1e-3)
    [report] = content["reports"]
    assert (report["implementation"], report["loss"], report["status"], report["margin"]) == ("numpy", "svm", "ok", 100)
    assert [coordinate["at"] for coordinate in report["found"]["coordinates"]] == [[3072, 0], [0, 9]]
    assert [way["name"] for way in report["found"]["ways"]] == ["numerical", "analytic", "both"]
    assert report["found"]["ways"][0]["whole_evaluations"] == 2 * 30_730


def test_seed_determines_the_weights(folder):
    def at(seed):
        done = invoke(folder, "gradcheck", "--loss", "svm", *FEW, "--seed", seed, "--json")
        return [coordinate["at"] for coordinate in json.loads(done.stdout)["reports"][0]["found"]["coordinates"]]

    assert at("1") == at("1") != at("2")


def test_missing_loss_is_not_checked(folder):
    done = invoke(folder, "gradcheck", "mine.py:svm_loss_vectorized", "--loss", "softmax", *FEW)
    assert done.returncode == 2
    assert "not checked: offers svm only" in done.stdout


def test_functions_of_another_loss_are_skipped(folder):
    (folder / "both.py").write_text(
        "from lcbench.losses.vectorized import *\n"
        "def svm_loss_a(W, X, y, reg): return svm_loss(W, X, y, reg)\n"
        "def softmax_loss_a(W, X, y, reg): return softmax_loss(W, X, y, reg)\n"
    )
    done = invoke(folder, "gradcheck", "both.py", "--loss", "svm", *FEW)
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1] == "1 right, 0 wrong"


@pytest.mark.parametrize(
    "names", [["numpy,mine.py:svm_loss_vectorized"], ["numpy", "--impl", "mine.py:svm_loss_vectorized"]]
)
def test_several_implementations(folder, names):
    done = invoke(folder, "gradcheck", *names, "--loss", "svm", *FEW, "--json")
    reports = json.loads(done.stdout)["reports"]
    assert [report["implementation"] for report in reports] == ["numpy", "mine.py:svm_loss_vectorized"]
    assert [report["found"]["coordinates"] for report in reports[:1]] == [reports[1]["found"]["coordinates"]]


def test_margin_applies_to_svm_only(folder):
    done = invoke(folder, "gradcheck", "--margin", "5", *FEW)
    assert done.returncode == 0
    assert done.stderr.splitlines()[0] == "--margin 5 is for svm: softmax has none"
    assert "numpy svm: h 1e-05, margin 5" in done.stdout
    assert "numpy softmax: h 1e-05\n" in "\n".join(line.rstrip() for line in done.stdout.splitlines())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nunpy"], "error: no implementation 'nunpy': did you mean 'numpy'?"),
        (["mne.py"], "error: mne.py: no such file; did you mean mine.py?"),
        (["mine.py:svm_loss_vectorised"], "there is no svm_loss_vectorised; did you mean svm_loss_vectorized"),
        (["--data", "cifar10"], "'lcbench download' fetches it"),
    ],
)
def test_invalid_input_is_one_line_error(folder, arguments, message):
    done = invoke(folder, "gradcheck", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr.splitlines()[-1]
    assert len(done.stderr.splitlines()) <= 2  # the first line names the data


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--at", "3073,0"], "W has rows 0 to 3072 and classes 0 to 9"),
        (["--at", "3,10"], "W has rows 0 to 3072 and classes 0 to 9"),
        (["--at", "3"], "'3' is not a weight: write its row and class"),
        (["--h", "0"], "0.0 is not in the range"),
        (["--h", "nan"], "nan is not a finite number"),
        (["--reg", "1e308"], "1e+308 is not in the range"),
        (["--margin", "-1"], "-1.0 is not in the range"),
        (["--loss", "softmax", "--margin", "2"], "--margin has no effect: softmax has no margin; leave it out"),
        (["--coordinate", "3"], "--coordinates"),
    ],
)
def test_invalid_option_is_a_usage_error(folder, arguments, message):
    done = invoke(folder, "gradcheck", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr


ENDING = """
import ctypes, os, sys
from lcbench.losses import vectorized

def on_images(do):
    def svm_loss(W, X, y, reg):
        if len(X) == 40:
            do()
        return vectorized.svm_loss(W, X, y, reg)
    return svm_loss

def forever():
    while True:
        pass

svm_loss_leaves = on_images(lambda: os._exit(5))
svm_loss_exits = on_images(lambda: sys.exit(5))
svm_loss_loops = on_images(forever)
svm_loss_segfaults = on_images(lambda: ctypes.string_at(0))
svm_loss_right = on_images(lambda: None)
"""


def test_crash_or_timeout_affects_only_its_own_function(tmp_path):
    (tmp_path / "ending.py").write_text(ENDING)
    done = lcbench(tmp_path, "gradcheck", "ending.py", "--loss", "svm", *FEW, "--timeout", "5")
    text = " ".join(done.stdout.split())
    assert "svm_loss_leaves: not checked: exited with status 5" in text
    assert "svm_loss_exits: not checked: line 17: SystemExit: 5" in text
    assert "svm_loss_loops: not checked: no answer for 5 s" in text
    assert "svm_loss_segfaults: not checked: killed by SIGSEGV" in text
    assert text.endswith("1 right, 0 wrong, 4 not checked")
    assert done.returncode == 2


ODD = """
import ctypes, os, sys, threading, time
from lcbench.losses import vectorized
"""
ODD_STATEMENTS = {
    "base": "raise GeneratorExit('gone')",
    "segfaults": "ctypes.string_at(0)",
    "exits": "os._exit(0)",
    "loops": "[0 for _ in iter(int, 1)]",
    "forks": "os.fork()",
    "closes": "os.closerange(0, 3)",
    "waits": "threading.Thread(target=time.sleep, args=(1000,)).start()",
}


@pytest.mark.parametrize("rows", [None, 40])
def test_user_code_that_dies_loops_or_forks(tmp_path, rows):
    """rows: number of rows for which the statements are executed; None: always, also when functions are looked for."""
    functions = [
        f"def softmax_loss_{name}(W, X, y, reg):\n"
        f"    if {'True' if rows is None else f'len(X) == {rows}'}: {statement}\n"
        "    return vectorized.softmax_loss(W, X, y, reg)\n"
        for name, statement in ODD_STATEMENTS.items()
    ]
    (tmp_path / "odd.py").write_text(ODD + "\n".join(functions))
    asked = ("--rows", "40", "--coordinates", "2", "--timeout", "5", "--json", "--quiet")
    done = invoke(tmp_path, "gradcheck", "odd.py", *asked)
    assert done.returncode == 2
    reports = json.loads(done.stdout)["reports"]
    found = {each["implementation"].rpartition("loss_")[2]: (each["status"], each["reason"]) for each in reports}
    assert list(found) == list(ODD_STATEMENTS)
    for name in ("forks", "closes", "waits"):
        assert found[name] == ("ok", "")
    for name, words in (
        ("base", "GeneratorExit: gone"),
        ("segfaults", "killed by SIGSEGV"),
        ("exits", "exited with status 0"),
        ("loops", "no answer for 5 s"),
    ):
        assert found[name][0] == "unchecked"
        assert words in found[name][1]
