"""Trials on a cluster of two workers: what a process of one's own would answer, whatever becomes of the workers."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("distributed")

from msgspec.structs import replace

from lcbench.learn.recipe import Recipe
from lcbench.learn.search import shared_rows, trial_worker
from lcbench.learn.search.cluster_pool import WORKERS_OWN, ClusterPool
from lcbench.learn.search.trial_worker import Job
from lcbench.losses import jit
from lcbench.losses.cluster import connection as connecting
from small_splits import splits

RECIPE = Recipe(
    data="clouds", implementation="dask", batch=20, iterations=30, scaling="none", learning_rate=0.1, report_every=10
)


@pytest.fixture
def pool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ClusterPool:
    monkeypatch.delenv(connecting.SCHEDULER_VARIABLE, raising=False)
    monkeypatch.setattr(connecting, "_connection", None)
    monkeypatch.setattr(jit, "thread_count", lambda: 2)
    shared_rows.lay_out(tmp_path, splits())
    return ClusterPool(tmp_path, None, 1)


def test_trials_are_answered_in_their_places_and_nothing_is_left(pool: ClusterPool, tmp_path: Path) -> None:
    rates = [0.01, 0.1, 0.2, 0.3, 0.5]
    jobs = [Job(recipe=replace(RECIPE, learning_rate=rate)) for rate in rates]
    impossible = Job(recipe=replace(RECIPE, loss="nonsense"))
    with pool:
        found = dict(pool.answers([*jobs, impossible]))
    assert sorted(found) == list(range(6))
    assert found.pop(5).status == "crashed"
    for place, answer in found.items():
        own = replace(jobs[place], recipe=replace(jobs[place].recipe, implementation=WORKERS_OWN))
        right = trial_worker.answer(own, tmp_path)
        assert answer.status == "finished"
        assert answer.validation_accuracy == right.validation_accuracy
        assert answer.loss == pytest.approx(right.loss, rel=1e-5)
    assert connecting._connection is None


def test_a_folder_that_no_worker_sees_is_told(pool: ClusterPool, tmp_path: Path) -> None:
    pool.folder = tmp_path / "elsewhere"
    with pool:
        [(_, answer)] = pool.answers([Job(recipe=RECIPE)])
    assert answer.status == "crashed"
    assert "LCBENCH_SHARED" in answer.reason
