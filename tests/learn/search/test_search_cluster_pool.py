"""ClusterPool on two workers gives the answers of a local process, also if workers are lost."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("distributed")

from msgspec.structs import replace

from lcbench.learn.recipe import Recipe
from lcbench.learn.search.pools import TRIAL_IMPLEMENTATION, ClusterPool
from lcbench.learn.search.trials import Job, run_trial, write_shared_rows
from lcbench.losses import jit
from lcbench.losses.cluster import connection as connections
from small_splits import splits

RECIPE = Recipe(
    data="clouds", implementation="dask", batch=20, iterations=30, scaling="none", learning_rate=0.1, report_every=10
)


@pytest.fixture
def pool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ClusterPool:
    monkeypatch.delenv(connections.SCHEDULER_VARIABLE, raising=False)
    monkeypatch.setattr(connections, "_connection", None)
    monkeypatch.setattr(jit, "thread_count", lambda: 2)
    write_shared_rows(tmp_path, splits())
    return ClusterPool(tmp_path, None, 1)


def test_answers_have_the_index_of_their_job_and_the_connection_is_closed(pool: ClusterPool, tmp_path: Path) -> None:
    rates = [0.01, 0.1, 0.2, 0.3, 0.5]
    jobs = [Job(recipe=replace(RECIPE, learning_rate=rate)) for rate in rates]
    impossible = Job(recipe=replace(RECIPE, loss="nonsense"))
    with pool:
        answers = dict(pool.run([*jobs, impossible]))
    assert sorted(answers) == list(range(6))
    assert answers.pop(5).status == "crashed"
    for index, answer in answers.items():
        local = replace(jobs[index], recipe=replace(jobs[index].recipe, implementation=TRIAL_IMPLEMENTATION))
        expected = run_trial(local, tmp_path)
        assert answer.status == "finished"
        assert answer.validation_accuracy == expected.validation_accuracy
        assert answer.loss == pytest.approx(expected.loss, rel=1e-5)
    assert connections._connection is None


def test_a_folder_that_workers_do_not_see_is_reported(pool: ClusterPool, tmp_path: Path) -> None:
    pool.folder = tmp_path / "elsewhere"
    with pool:
        [(_, answer)] = pool.run([Job(recipe=RECIPE)])
    assert answer.status == "crashed"
    assert "LCBENCH_SHARED" in answer.reason
