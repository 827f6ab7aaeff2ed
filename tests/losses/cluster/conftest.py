"""Cluster of two worker processes with one thread each, started once for the tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

pytest.importorskip("distributed")

from lcbench.losses import jit
from lcbench.losses.cluster import connection as connecting
from lcbench.losses.cluster.connection import SCHEDULER_VARIABLE, Connection


@pytest.fixture(scope="package")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Connection]:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv(SCHEDULER_VARIABLE, raising=False)
        patch.setattr(jit, "thread_count", lambda: 2)
        connecting.release()
        yield connecting.connection()
        connecting.release()


@pytest.fixture
def no_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove the connection during a test, and restore the cluster of the other tests afterwards."""
    monkeypatch.setattr(connecting, "_connection", None)
