"""Events of a worker process that times cells."""

from __future__ import annotations

import os

import pytest
from numba import config

from lcbench.measure import workload
from lcbench.measure.messages import Cell, TimeJob
from lcbench.measure.workload import Size
from lcbench.workers import messages, process
from lcbench.workers.messages import Began
from lcbench.workers.worker import event_writer

SIZE = Size(200, 33, 3, "float32", "synthetic")


@pytest.fixture(scope="module")
def cells(tmp_path_factory):
    folder = tmp_path_factory.mktemp("problem") / "small"
    workload.save_problem(workload.build_problem(SIZE), ["svm", "softmax"], folder)
    return [Cell("svm", str(folder)), Cell("softmax", str(folder))]


def timed(implementation, cells, **fields):
    defaults = {"seconds": 0.01, "most_samples": 30, "seed": 0}
    job = TimeJob(implementation=implementation, cells=cells, **(defaults | fields))
    return process.work(job, process.environment(1, None), 60.0)


def test_the_warm_up_is_reported(cells):
    for event in timed("numpy", cells):
        if not isinstance(event, Began):
            assert (event.status, event.reason) == ("ok", "")
            assert event.process.warm_up_calls >= 2
            assert isinstance(event.process.steady, bool)


def test_a_first_call_without_samples_has_no_warm_up(cells):
    [_, event] = timed("numpy", cells[:1], most_samples=0)
    assert (event.status, event.process.warm_up_calls, event.process.samples) == ("ok", 0, [event.first_call_s])


FASTER = """
import itertools, time
from lcbench.losses import vectorized
calls = itertools.count()

def softmax_loss(W, X, y, reg):
    if len(X) == 200:
        time.sleep(0.05 * 0.96 ** next(calls))
    return vectorized.softmax_loss(W, X, y, reg)
"""


@pytest.mark.serial
def test_samples_of_a_function_that_keeps_getting_faster_are_not_steady(cells, tmp_path):
    file = tmp_path / "faster.py"
    file.write_text(FASTER)
    [_, event] = timed(f"{file}:softmax_loss", cells[1:], seconds=1.0)
    assert (event.status, event.process.steady) == ("ok", False)


def test_a_forked_child_writes_no_events(tmp_path):
    file = tmp_path / "events"
    emit = event_writer(file)
    emit(Began(1))
    child = os.fork()
    if not child:
        try:
            emit(Began(2))
        finally:
            os._exit(9)  # reached only if `emit` has not ended this process
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    emit(Began(3))
    assert messages.decode_events(file.read_bytes()) == [Began(1), Began(3)]


COMPILED = """
import numpy as np
from numba import njit

@njit
def softmax_loss(W, X, y, reg):
    scores = X @ W
    dW = 2 * reg * W
    loss = reg * np.sum(W * W)
    for i in range(len(y)):
        p = np.exp(scores[i] - scores[i].max())  # an expression of arrays is compiled as a function of its own
        p /= p.sum()
        loss -= np.log(p[y[i]]) / len(y)
        p[y[i]] -= 1
        dW += np.outer(X[i], p / len(y)).astype(dW.dtype)
    return loss, dW
"""


@pytest.mark.skipif(config.DISABLE_JIT, reason="nothing is compiled")
def test_compiled_code_of_a_users_kernel_is_cached_for_the_next_process(cells, tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(COMPILED)
    for _ in range(2):
        job = TimeJob(implementation=f"{file}:softmax_loss", cells=cells[1:], seconds=0.0, most_samples=3, seed=0)
        [_, event] = process.work(job, process.environment(1, tmp_path / "kept"), 60.0)
        assert (event.status, event.reason) == ("ok", "")
    [index] = (tmp_path / "kept").rglob("mine.softmax_loss*.nbi")
    written = index.stat().st_mtime_ns
    assert len(list(index.parent.glob("mine.softmax_loss*.nbc"))) == 2  # float64 to be recognised, float32 to be timed
    process.work(job, process.environment(1, tmp_path / "kept"), 60.0)
    assert index.stat().st_mtime_ns == written  # nothing was compiled again
