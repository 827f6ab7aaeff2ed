"""ProcessPool: retries after a process dies, the answers of trials, and no process left at the end."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import psutil
import pytest

from lcbench.datasets.examples import Examples, LabelledSplits
from lcbench.learn import model, training
from lcbench.learn.recipe import Recipe
from lcbench.learn.search.pools import ProcessPool
from lcbench.learn.search.trials import Job, map_shared_rows, write_shared_rows
from lcbench.workers.guard import GUARD

DYING_IMPLEMENTATION = """
import os, pathlib, signal
from lcbench.losses import vectorized

def softmax_loss(W, X, y, reg):
    print("not an event")
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

ODD_IMPLEMENTATION = """
import os
from lcbench.losses import vectorized

def softmax_loss(W, X, y, reg):
    while len(X) == 51:
        pass
    if len(X) == 52:
        raise GeneratorExit("gone")
    if len(X) == 53:
        os.fork()
    return vectorized.softmax_loss(W, X, y, reg)
"""


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    parts = [Examples(rng.normal(size=(rows, 3)), rng.integers(0, 2, rows)) for rows in (60, 20, 0)]
    write_shared_rows(tmp_path, LabelledSplits(*parts, ("a", "b"), "a table", None))
    (tmp_path / "dying.py").write_text(DYING_IMPLEMENTATION)
    return tmp_path


def job(batch, implementation="numpy", **fields):
    recipe = Recipe(
        data="a table", implementation=implementation, batch=batch, iterations=20, scaling="none", learning_rate=0.1
    )
    return Job(recipe=recipe, **fields)


def children():
    """Return the child processes, without the one that kills the others when this one ends."""
    return {process.pid for process in psutil.Process().children(recursive=True)} - {GUARD.pid}


def test_a_dying_process_costs_only_its_own_trial_after_one_retry(folder):
    jobs = [job(batch, str(folder / "dying.py")) for batch in (10, 41, 43, 47, 49, 20)]
    before = children()
    with ProcessPool(2, folder, os.environ) as pool:
        answers = dict(pool.run(jobs))
        assert len(children() - before) <= 2
    assert children() == before
    assert [answers[index].status for index in range(6)] == [
        "finished", "finished", "crashed", "crashed", "crashed", "finished",
    ]  # fmt: skip
    assert answers[2].reason == "killed by SIGKILL (out of memory?)"
    assert answers[3].reason == "ValueError: 47 rows"
    assert answers[4].reason.startswith("exited with status 3")
    assert (folder / "died").exists()


def test_user_code_that_hangs_or_forks_costs_only_its_own_trial(folder):
    (folder / "odd.py").write_text(ODD_IMPLEMENTATION)
    jobs = [job(batch, str(folder / "odd.py")) for batch in (51, 52, 53, 10)]
    before = children()
    with ProcessPool(1, folder, os.environ, timeout_s=5) as pool:
        answers = dict(pool.run(jobs))
    assert children() == before
    assert (answers[0].status, answers[0].reason) == ("crashed", "no answer for 5 s")
    assert (answers[1].status, answers[1].reason) == ("crashed", "GeneratorExit: gone")
    assert answers[2].status == answers[3].status == "finished"


def test_a_worker_gives_the_result_of_training_in_this_process(folder):
    expected = training.train(map_shared_rows(folder), job(10).recipe)
    with ProcessPool(1, folder, os.environ) as pool:
        [(index, answer)] = pool.run([job(10, model=str(folder / "m.h5"))])
        [(_, on_all_rows)] = pool.run([job(10, all_rows=True)])
        [(_, on_first_rows)] = pool.run([job(10, first_rows=30)])
    written = model.read(folder / "m.h5")
    assert index == 0
    assert np.array_equal(written.W, expected.W)
    assert answer.train_accuracy == expected.accuracy["train"]
    assert answer.validation_accuracy == expected.accuracy["validation"]
    assert (answer.steps, answer.loss, answer.status) == (20, expected.curves.losses[-1], "finished")
    assert on_all_rows.validation_accuracy is None
    assert on_all_rows.loss != answer.loss
    assert on_first_rows.loss not in (answer.loss, on_all_rows.loss)


def test_divergence_is_reported_without_accuracies(folder):
    diverging = Job(recipe=Recipe(data="x", implementation="numpy", learning_rate=1e30, reg=1.0, scaling="none"))
    with ProcessPool(1, folder, os.environ) as pool:
        [(_, answer)] = pool.run([diverging])
    assert (answer.status, answer.validation_accuracy, answer.train_accuracy, answer.loss) == (
        "diverged", None, None, None,
    )  # fmt: skip


def test_leaving_the_pool_early_ends_all_processes(folder):
    before = children()
    with ProcessPool(2, folder, os.environ) as pool:
        next(pool.run([job(10), job(10), job(10)]))
    assert children() == before
    assert Path(folder, "X").exists()
