"""Searches in the Python API."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from lcbench.api import learn
from lcbench.datasets import examples
from lcbench.errors import LcbenchError, NotSaved
from lcbench.learn import model
from lcbench.learn.search import search_file
from lcbench.learn.training import splits_of
from small_splits import splits


@pytest.fixture
def table(tmp_path):
    stream = np.random.default_rng(0)
    y = np.arange(120) % 2
    X = stream.normal(size=(120, 3)) + 3 * y[:, None]
    np.savetxt(tmp_path / "t.csv", np.column_stack([X, y]), delimiter=",", header="a,b,c,label", comments="")
    return {"data": str(tmp_path / "t.csv"), "implementation": "numpy", "output": tmp_path / "s.json"}


def test_a_search_has_default_axes_and_reports_its_progress(table):
    told = []
    found, path = learn.search(**table, iterations=20, workers=1, progress=lambda *given: told.append(given))
    trials = len(found.trials)
    assert told[0] == (f"{trials} trials; saved in {path}; 'lcbench search --resume {path}' continues after a crash",)
    assert [given[:3] for given in told[1:]] == [("trials", done, trials) for done in range(1, trials + 1)]
    best = max(trial.validation_accuracy for trial in found.trials)
    assert told[-1][3] == f"best validation {100 * best:.1f} %"
    assert {trial.recipe.schedule for trial in found.trials} == {"linear"}
    assert {trial.recipe.iterations for trial in found.trials} == {20}
    assert set(found.axes) == {"learning_rate", "reg"}
    assert found == search_file.read(path)
    assert found.refit.accuracy["test"] > 0.8


def test_with_given_learning_rates_the_defaults_are_those_of_training(table):
    found, _ = learn.search(**table, axes={"learning_rate": [0.1], "batch": [10, 20]}, epochs=2, workers=1)
    splits = splits_of(found.trials[0].recipe)
    steps = {trial.recipe.batch: trial.recipe.iterations for trial in found.trials}
    assert steps == {batch: round(2 * len(splits.train) / batch) for batch in (10, 20)}
    assert {trial.recipe.schedule for trial in found.trials} == {"constant"}


def test_epochs_replace_the_default_iterations(table):
    found, _ = learn.search(**table, axes={"reg": [0.1]}, epochs=2, workers=1)
    assert {trial.recipe.sampling for trial in found.trials} == {"shuffle"}


def test_a_search_on_rows_that_do_not_fit_in_memory_has_the_same_result(tmp_path, monkeypatch):
    data = splits()
    with h5py.File(tmp_path / "t.h5", "w") as file:
        file["X"], file["y"] = data.train.X, data.train.y
    asked = {"data": str(tmp_path / "t.h5"), "implementation": "numpy", "axes": {"reg": [0.1, 0.2]}, "iterations": 5}
    found, _ = learn.search(**asked, output=tmp_path / "a.json", workers=4)
    monkeypatch.setattr(examples, "memory_available", lambda: 0)
    monkeypatch.setattr(learn, "memory_available", lambda: 2 * 4 * data.train.X.size)
    pools = []
    pool = learn.ProcessPool
    monkeypatch.setattr(learn, "ProcessPool", lambda *given: pools.append(given) or pool(*given))
    notes = []
    streamed, _ = learn.search(**asked, output=tmp_path / "b.json", workers=4, note=notes.append)
    assert [line for line in notes if "streamed from the file" in line]
    assert [size for size, *_ in pools] == [2]
    assert [trial.loss for trial in streamed.trials] == [trial.loss for trial in found.trials]
    assert streamed.refit.accuracy == found.refit.accuracy


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"axes": {"momentum": [0.9]}}, "cannot search momentum: the axes are learning_rate, reg"),
        ({"axes": {"learning_rate": [0.0]}}, "invalid training settings"),
        ({"loss": "hinge"}, "invalid training settings: .*hinge"),
    ],
)
def test_an_invalid_search_leaves_no_file(table, settings, message):
    with pytest.raises(LcbenchError, match=message):
        learn.search(**table, **settings)
    assert not table["output"].exists()


def test_a_search_needs_validation_rows(table, monkeypatch):
    from dataclasses import replace

    all_splits = learn.splits_of

    def without_validation(recipe, *others):
        splits = all_splits(recipe, *others)
        return replace(splits, validation=type(splits.validation)(splits.test.X[:0], splits.test.y[:0]))

    monkeypatch.setattr(learn, "splits_of", without_validation)
    with pytest.raises(LcbenchError, match="has no validation rows, which are needed"):
        learn.search(**table)


@pytest.mark.parametrize("full", ["search", "model"])
def test_the_winner_is_returned_though_it_cannot_be_written(table, monkeypatch, full):
    write, files, notes = {"search": search_file.write, "model": model.write}[full], [], []

    def fail(path, content):
        files.append(path)
        if full == "search" and len(files) == 1:  # before the first trial
            return write(path, content)
        raise LcbenchError(f"cannot write {path}: No space left on device")

    monkeypatch.setattr({"search": search_file, "model": model}[full], "write", fail)
    settings = {"iterations": 20, "workers": 1, "axes": {"reg": [0.1, 0.2], "learning_rate": [0.1]}}
    with pytest.raises(NotSaved, match="No space left on device") as caught:
        learn.search(**table, **settings, note=notes.append)
    found, path = caught.value.result
    assert path == table["output"]
    assert found.refit.accuracy["test"] > 0.8
    assert not found.waiting
    unfinished = search_file.read(path)
    assert (len(unfinished.waiting), unfinished.refit) == (2 if full == "search" else 0, None)
    assert notes == ([f"warning: cannot write {path}: No space left on device"] if full == "search" else [])


def test_an_output_that_cannot_be_written_is_an_error_before_the_data_is_read(table, tmp_path):
    for path in (tmp_path / f"{255 * 'n'}.json", tmp_path / "s.json"):
        (tmp_path / "s.h5").mkdir(exist_ok=True)
        with pytest.raises(LcbenchError, match=r"cannot write .*: (File name too long|it is a folder)"):
            learn.search(**table | {"output": path, "data": str(tmp_path / "nothing.csv")})
