"""Output and files of ``lcbench search``, also after it was stopped."""

from __future__ import annotations

import json
import signal
import subprocess
import sys

import numpy as np
import psutil
import pytest

from commands import TIMEOUT_S, environment, invoke, lcbench, wait_until
from lcbench import files
from lcbench.learn import model
from lcbench.learn.search import search_file

QUICK = ("--data", "points.csv", "--impl", "numpy", "--iterations", "300", "--report-every", "300")
RATES = ("--lr", "1e-3,1e-2,1e30", "--reg", "1e-3:1e-1:2")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("searches")
    stream = np.random.default_rng(0)
    y = stream.integers(0, 3, 400)
    X = stream.normal(size=(400, 2)) + np.array([[0, 0], [2, 0], [0, 2]])[y]
    rows = "".join(f"{a:.6f},{b:.6f},{'xyz'[c]}\n" for (a, b), c in zip(X, y, strict=True))
    (folder / "points.csv").write_text("a,b,kind\n" + rows)
    return folder


@pytest.fixture(scope="module")
def searched(folder):
    return lcbench(folder, "search", *QUICK, *RATES, "--output", "s.json", "--workers", "2")


def results(search):
    """Return the results that must not depend on the order of trials or on the worker processes."""
    return [(trial.recipe, trial.status, trial.validation_accuracy, trial.loss) for trial in search.trials]


def same_model(one, other):
    return np.array_equal(one.W, other.W) and np.array_equal(one.curves.losses, other.curves.losses)


def test_best_recipe_is_refitted_to_the_same_model_and_tested(folder, searched):
    assert searched.returncode == 0
    search = search_file.read(folder / "s.json")
    assert [trial.status for trial in search.trials] == ["finished"] * 4 + ["diverged"] * 2
    best, refit = search.trials[search.refit.trial], search.refit
    assert best.validation_accuracy == max(trial.validation_accuracy for trial in search.trials[:4])
    assert refit.accuracy["validation"] == best.validation_accuracy
    assert refit.accuracy["train"] == best.train_accuracy
    kept = model.read(folder / refit.model)
    assert kept.accuracy == refit.accuracy
    assert kept.recipe == best.recipe
    assert kept.curves.losses[-1] == best.loss


def test_tables_have_80_columns(searched):
    text = searched.stdout
    assert max(map(len, text.splitlines())) <= 80
    assert text.count("diverged") == 1 + 2 + 2
    assert "rows are learning rates, columns are reg" in text
    assert "test accuracy" in text
    assert "s.h5" in text
    assert "'lcbench search --resume s.json' continues after a crash" in searched.stderr


def test_best_model_equals_that_of_train(folder, searched):
    search = search_file.read(folder / "s.json")
    recipe = search.trials[search.refit.trial].recipe
    numbers = ("--lr", str(recipe.learning_rate), "--reg", str(recipe.reg), "--threads", "1")
    assert lcbench(folder, "train", *QUICK, *numbers, "--output", "t.h5").returncode == 0
    assert same_model(model.read(folder / "t.h5"), model.read(folder / "s.h5"))


def test_result_does_not_depend_on_the_number_of_workers(folder, searched):
    alone = lcbench(folder, "search", *QUICK, *RATES, "--output", "alone.json", "--workers", "1", "--json", "--quiet")
    assert (alone.returncode, alone.stderr) == (0, "search: alone.json\n")
    assert json.loads(alone.stdout) == {"file": "alone.json"} | json.loads((folder / "alone.json").read_text())
    assert results(search_file.read(folder / "alone.json")) == results(search_file.read(folder / "s.json"))
    assert same_model(model.read(folder / "alone.h5"), model.read(folder / "s.h5"))


def test_finished_search_is_printed_again(folder, searched):
    again = lcbench(folder, "search", "--resume", "s.json")
    assert (again.returncode, again.stdout) == (0, searched.stdout)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_stopped_search_resumes_to_the_same_result(folder, how):
    slow = ("--iterations", "6000", "--random", "5", "--lr", "1e-3:1e-1", "--reg", "1e-4:1e-1", "--workers", "2")
    name = how.name.lower()
    lcbench(folder, "search", *QUICK, *slow, "--output", f"{name}-whole.json")
    path = folder / f"{name}.json"
    process = subprocess.Popen(
        [sys.executable, "-m", "lcbench", "search", *QUICK, *slow, "--output", path.name],
        cwd=folder, env=environment(TMPDIR=str(folder)), stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    wait_until(lambda: process.poll() is not None or (path.exists() and len(search_file.read(path).waiting) <= 3))
    workers = psutil.Process(process.pid).children(recursive=True)
    assert workers
    process.send_signal(how)
    _, errors = process.communicate(timeout=TIMEOUT_S)
    _, alive = psutil.wait_procs(workers, timeout=TIMEOUT_S)
    assert not alive
    assert not list(folder.glob("lcbench-search-*"))
    if how == signal.SIGINT:
        assert process.returncode == 130
        assert f"'lcbench search --resume {path.name}' continues" in errors.splitlines()[-3]
    unfinished = search_file.read(path)
    assert unfinished.waiting
    assert unfinished.refit is None
    done = [trial for trial in unfinished.trials if trial.status != "waiting"]

    refused = lcbench(folder, "search", *QUICK, *slow, "--output", path.name)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert f"is an interrupted search: --resume {path.name} continues it" in refused.stderr

    resumed = lcbench(folder, "search", "--resume", path.name, "--workers", "1")
    assert resumed.returncode == 0
    whole = search_file.read(folder / f"{name}-whole.json")
    found = search_file.read(path)
    assert results(found) == results(whole)
    assert (found.refit.trial, found.refit.accuracy) == (whole.refit.trial, whole.refit.accuracy)
    assert same_model(model.read(folder / found.refit.model), model.read(folder / whole.refit.model))
    assert all(trial in found.trials for trial in done)  # including their seconds: finished trials are not repeated


def test_refit_on_all_rows(folder):
    done = lcbench(folder, "search", *QUICK, "--lr", "1e-2", "--reg", "1e-3", "--refit-all", "--output", "all.json")
    assert done.returncode == 0
    assert set(search_file.read(folder / "all.json").refit.accuracy) == {"train", "test"}
    assert "training and validation rows" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--lr", "1e-7:"], "Error: Invalid value for '--learning-rate' / '--lr': '' is not a number"),
        (["--lr", "1e-7:1e-6"], "error: learning_rate 1e-07:1e-06: how many values?"),
        (["--lr", "1e-6:1e-7:3"], "Error: Invalid value for '--learning-rate' / '--lr': invalid range 1e-06:1e-07:3"),
        (["--lr", "0"], "Error: Invalid value for '--learning-rate' / '--lr': 0 is not above 0"),
        (["--reg", "nan"], "Error: Invalid value for '--reg': nan is not from 0 to 1e+30"),
        (["--batch", "1.5"], "Error: Invalid value for '--batch': '1.5' is not an integer"),
        (["--solver", "lbfgs", "--lr", "1"], "error: learning_rate: a setting of the sgd solver"),
        (["--solver", "lbfgs", "--batch", "1"], "error: batch: L-BFGS takes all rows at once"),
        (["--loss", "softmax", "--margin", "1,2"], "error: margin: a setting of the svm loss"),
        (["--impl", "nunpy"], "error: no implementation 'nunpy': did you mean 'numpy'?"),
        (["--output", "s.h5"], "error: s.h5: the search is JSON"),
        (
            ["--resume", "missing.json"],
            "Error: --resume uses the settings of the interrupted search: leave out --data, --impl",
        ),
        (["--regs", "1"], "Error: No such option '--regs'"),
        (["--refit-all", "--patience", "2"], "error: refit_all leaves no validation rows for early stopping"),
    ],
)
def test_invalid_input_is_one_line_error(folder, arguments, message):
    before = set(folder.rglob("*"))
    done = invoke(folder, "search", *QUICK, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[-1].startswith(message)
    assert set(folder.rglob("*")) == before


WRONG = """
from lcbench.losses import vectorized
def softmax_loss(W, X, y, reg):
    loss, dW = vectorized.softmax_loss(W, X, y, reg)
    return loss, 2 * dW
"""


def test_wrong_user_code_has_the_exit_code_of_a_wrong_result(folder):
    (folder / "wrong.py").write_text(WRONG)
    before = set(folder.rglob("*"))
    done = invoke(folder, "search", *QUICK, "--impl", "wrong.py", "--output", "wrong.json")
    assert (done.returncode, done.stdout) == (4, "")
    assert "wrong.py: in the gradient, doubled" in done.stderr
    assert set(folder.rglob("*")) == before


def test_a_search_or_its_model_is_replaced_with_force_only(folder, searched):
    before = (folder / "s.json").read_bytes()
    one = ("search", *QUICK, "--lr", "1e-2", "--reg", "1e-3", "--workers", "1")
    done = invoke(folder, *one, "--output", "s.json")
    assert done.returncode == 2
    assert "s.json is a search already: --force replaces it" in done.stderr
    (folder / "n.h5").write_bytes((folder / "s.h5").read_bytes())
    done = invoke(folder, *one, "--output", "n.json")
    assert "n.h5 is a model already: --force replaces it" in done.stderr
    assert (folder / "s.json").read_bytes() == before
    done = lcbench(folder, *one, "--output", "n.json", "--force")
    assert done.returncode == 0
    assert len(search_file.read(folder / "n.json").trials) == 1


def test_two_searches_at_once_do_not_write_the_same_file(folder):
    one = ("search", *QUICK, "--lr", "1e-2", "--reg", "1e-3", "--workers", "1")
    for name in ("both.json", "both.h5"):
        with files.locked(folder / name):
            done = invoke(folder, *one, "--output", "both.json")
        assert (done.returncode, done.stdout) == (2, "")
        assert f"{name} is being written by another process" in done.stderr


def test_search_without_a_model_is_exit_code_2(folder):
    done = lcbench(folder, "search", *QUICK, "--lr", "1e30", "--reg", "1,2", "--output", "diverged.json")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("error: no trial produced a model")
    assert done.stdout.count("diverged") == 3
    assert not (folder / "diverged.h5").exists()


def test_search_on_changed_data_cannot_be_resumed(folder, tmp_path):
    path = tmp_path / "other.json"
    search = search_file.read(folder / "diverged.json")
    search_file.write(
        path, search_file.Search(**{f: getattr(search, f) for f in search.__struct_fields__} | {"fingerprint": "0"})
    )
    done = lcbench(folder, "search", "--resume", str(path))
    assert (done.returncode, done.stdout) == (2, "")
    assert "searched on different data from this points.csv: start a new search" in done.stderr
