"""Training on a cluster gives the weights of training in this process, up to rounding."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("distributed")

from lcbench.learn import training
from lcbench.learn.recipe import Recipe
from lcbench.losses import jit
from lcbench.losses.cluster import connection as connections
from small_splits import splits


@pytest.fixture(autouse=True)
def two_workers(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.delenv(connections.SCHEDULER_VARIABLE, raising=False)
    monkeypatch.setattr(connections, "_connection", None)
    monkeypatch.setattr(jit, "thread_count", lambda: 2)
    yield
    connections.release()


def test_every_solver_gives_the_same_weights() -> None:
    for dtype in ("uint8", "float32"):
        rows = splits(dtype=dtype)
        for fields in (
            {"solver": "sgd", "scaling": "mean", "learning_rate": 1e-4},
            {"solver": "lbfgs", "scaling": "standard", "reg": 0.01},
            {"solver": "random", "scaling": "halved"},
        ):
            trained = [
                training.train(
                    rows, Recipe(data="clouds", implementation=name, loss="svm", batch=20, iterations=8, **fields)
                ).W
                for name in ("dask", "numba-parallel")
            ]
            np.testing.assert_allclose(*trained, rtol=2e-3, atol=1e-5 * np.abs(trained[1]).max())
            assert np.ptp(trained[0]) > 0
