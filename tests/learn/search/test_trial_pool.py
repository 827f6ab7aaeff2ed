"""Processes that try recipes: what a death costs, and what is left when they are no longer needed."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import psutil
import pytest

from lcbench.datasets.examples import Examples, LabelledSplits
from lcbench.learn import model, training
from lcbench.learn.recipe import Recipe
from lcbench.learn.search import shared_rows
from lcbench.learn.search.trial_pool import Pool
from lcbench.learn.search.trial_worker import Job

DYING = """
import os, pathlib, signal
from lcbench.losses import vectorized

def softmax_loss(W, X, y, reg):
    print("no answer")
    if len(X) == 43:
        os.kill(os.getpid(), signal.SIGKILL)
    if len(X) == 47:
        raise ValueError("47\\nrows")
    if len(X) == 49:
        os._exit(3)
    once = pathlib.Path(__file__).with_name("died")
    if len(X) == 41 and not once.exists():
        once.touch()
        os.abort()
    return vectorized.softmax_loss(W, X, y, reg)
"""


@pytest.fixture
def folder(tmp_path):
    stream = np.random.default_rng(0)
    parts = [Examples(stream.normal(size=(rows, 3)), stream.integers(0, 2, rows)) for rows in (60, 20, 0)]
    shared_rows.lay_out(tmp_path, LabelledSplits(*parts, ("a", "b"), "a table", None))
    (tmp_path / "dying.py").write_text(DYING)
    return tmp_path


def job(batch, implementation="numpy", **fields):
    recipe = Recipe(
        data="a table", implementation=implementation, batch=batch, iterations=20, scaling="none", learning_rate=0.1
    )
    return Job(recipe=recipe, **fields)


def children():
    return {process.pid for process in psutil.Process().children(recursive=True)}


def test_each_process_that_dies_costs_its_own_trial_and_only_after_a_second_try(folder):
    jobs = [job(batch, str(folder / "dying.py")) for batch in (10, 41, 43, 47, 49, 20)]
    before = children()
    with Pool(2, folder, os.environ) as pool:
        answers = dict(pool.answers(jobs))
        assert len(children() - before) <= 2
    assert children() == before
    assert [answers[place].status for place in range(6)] == [
        "finished", "finished", "crashed", "crashed", "crashed", "finished",
    ]  # fmt: skip
    assert answers[2].reason == "killed by SIGKILL (out of memory?)"
    assert answers[3].reason == "ValueError: 47 rows"
    assert answers[4].reason.startswith("ended itself with exit status 3")
    assert (folder / "died").exists()


def test_a_worker_computes_what_training_computes(folder):
    wanted = training.train(shared_rows.mapped(folder), job(10).recipe)
    with Pool(1, folder, os.environ) as pool:
        [(place, answer)] = pool.answers([job(10, model=str(folder / "m.h5"))])
        [(_, everything)] = pool.answers([job(10, all_rows=True)])
        [(_, few)] = pool.answers([job(10, first_rows=30)])
    got = model.read(folder / "m.h5")
    assert place == 0
    assert np.array_equal(got.W, wanted.W)
    assert answer.train_accuracy == wanted.accuracy["train"]
    assert answer.validation_accuracy == wanted.accuracy["validation"]
    assert (answer.steps, answer.loss, answer.status) == (20, wanted.curves.losses[-1], "finished")
    assert everything.validation_accuracy is None
    assert everything.loss != answer.loss
    assert few.loss not in (answer.loss, everything.loss)


def test_divergence_is_an_answer(folder):
    diverging = Job(recipe=Recipe(data="x", implementation="numpy", learning_rate=1e30, reg=1.0, scaling="none"))
    with Pool(1, folder, os.environ) as pool:
        [(_, answer)] = pool.answers([diverging])
    assert (answer.status, answer.validation_accuracy, answer.train_accuracy, answer.loss) == (
        "diverged", None, None, None,
    )  # fmt: skip


def test_who_leaves_early_leaves_nobody_behind(folder):
    before = children()
    with Pool(2, folder, os.environ) as pool:
        next(pool.answers([job(10), job(10), job(10)]))
    assert children() == before
    assert Path(folder, "X").exists()
