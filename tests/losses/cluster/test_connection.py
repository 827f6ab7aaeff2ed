"""Connecting to a cluster: every failure is reported in one line."""

from __future__ import annotations

import socket
from importlib import metadata
from pathlib import Path
from typing import Any

import distributed
import numpy as np
import pytest

from lcbench.losses import jit
from lcbench.losses.cluster import connection as connecting
from lcbench.losses.cluster.connection import SCHEDULER_VARIABLE, connection, distribute
from lcbench.losses.implementation import Unavailable
from lcbench.losses.peers import dask


def connection_error(scheduler: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the message of the error for this scheduler."""
    monkeypatch.setenv(SCHEDULER_VARIABLE, scheduler)
    monkeypatch.setattr(connecting, "TIMEOUT_S", 0.5)
    with pytest.raises(Unavailable) as error:
        connection()
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.usefixtures("no_connection")
def test_unreachable_scheduler_is_reported_and_not_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    line = connection_error(address, monkeypatch)
    assert line.startswith(f"no Dask scheduler at {address}: ")
    monkeypatch.setattr(connecting, "Connection", None)  # another attempt would fail here
    assert connection_error(address, monkeypatch) == line


@pytest.mark.usefixtures("no_connection")
def test_missing_scheduler_file_is_reported(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert f"no Dask scheduler file {tmp_path / 'none.json'}" in connection_error(
        str(tmp_path / "none.json"), monkeypatch
    )


@pytest.mark.parametrize(
    "scheduler", ["foo:bar", "foo", "http://x", "tcp://127.0.0.1:0", "tcp://127.0.0.1:99999", "::1:5"]
)
@pytest.mark.usefixtures("no_connection")
def test_invalid_address_is_reported_before_a_client_is_created(
    scheduler: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(distributed, "Client", None)
    assert connection_error(scheduler, monkeypatch).startswith(f"{scheduler} is no address of a Dask scheduler: ")


class FailingCluster:
    """Substitute for LocalCluster that fails `times` times, as if a worker ended during its start."""

    def __init__(self, times: int) -> None:
        self.starts, self.times = 0, times

    def __call__(self, **options: Any) -> Any:
        self.starts += 1
        if self.starts <= self.times:
            raise RuntimeError("Nanny failed to start.") from RuntimeError("Nanny failed to start worker process")
        return options


def test_failed_start_of_workers_is_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = FailingCluster(connecting.MAX_STARTS - 1)
    monkeypatch.setattr(distributed, "LocalCluster", cluster)
    assert connecting._start_workers(distributed, 3, "")["n_workers"] == 3
    assert cluster.starts == connecting.MAX_STARTS


def test_workers_that_never_start_are_reported_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distributed, "LocalCluster", FailingCluster(connecting.MAX_STARTS))
    with pytest.raises(Unavailable, match=r"do not start .* RuntimeError: Nanny failed to start worker process$"):
        connecting._start_workers(distributed, 3, "")


@pytest.mark.usefixtures("no_connection")
def test_worker_lost_before_the_first_call_does_not_change_the_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(SCHEDULER_VARIABLE, raising=False)
    monkeypatch.setattr(jit, "thread_count", lambda: 2)
    monkeypatch.setattr(connecting, "TIMEOUT_S", 0.1)

    def one_lost(*_: Any) -> Any:
        return distributed.LocalCluster(n_workers=1, threads_per_worker=1, processes=False, dashboard_address=":0")

    monkeypatch.setattr(connecting, "_start_workers", one_lost)
    try:
        assert (connection().parts, connection().threads) == (2, 2)
        assert len(connection().workers()) == 1
        W, X, y = np.ones((3, 2)), np.ones((5, 3)), np.zeros(5, np.int64)
        prepared = dask.prepare(W, X, y)
        assert len(prepared[1].chunks) == 2
        assert dask.softmax_loss(*prepared, 0.0)[0] == pytest.approx(np.log(2))
    finally:
        connecting.release()


@pytest.mark.usefixtures("no_connection")
def test_scheduler_without_workers_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    from distributed import LocalCluster

    with LocalCluster(n_workers=0, dashboard_address=":0") as empty:
        assert "has no workers" in connection_error(empty.scheduler_address, monkeypatch)


class Workers:
    """Client of one worker that returns `answers` for the versions."""

    def __init__(self, **answers: Any) -> None:
        self.answers = answers

    def run(self, function: Any, argument: str, on_error: str) -> dict[str, Any]:
        assert on_error == "return"
        name = argument if function is metadata.version else "Python"
        return {"tcp://10.0.0.1:1": self.answers[name] if name in self.answers else function(argument)}


def test_workers_with_the_same_versions_are_accepted() -> None:
    connecting._require_same_versions(Workers())


@pytest.mark.parametrize(
    ("answers", "line"),
    [
        ({"lcbench": metadata.PackageNotFoundError("lcbench")}, "the Dask worker at tcp://10.0.0.1:1 has no lcbench"),
        ({"lcbench": "0.0.1"}, "has lcbench 0.0.1, and here it is"),
        ({"numba": "0.1"}, "has numba 0.1, and here it is"),
        ({"Python": "3.1.0"}, "has Python 3.1.0, and here it is"),
    ],
)
def test_workers_without_lcbench_or_with_other_versions_are_reported(answers: dict[str, Any], line: str) -> None:
    with pytest.raises(Unavailable, match=line):
        connecting._require_same_versions(Workers(**answers))


def test_adjacent_chunks_share_a_worker_and_numbers_of_chunks_differ_by_at_most_one() -> None:
    assert distribute("ab", 5) == ["a", "a", "a", "b", "b"]
    assert distribute("abc", 2) == ["a", "b"]
    assert distribute("abc", 3) == ["a", "b", "c"]
