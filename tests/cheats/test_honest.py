"""Honest implementations are not reported as cheats, although they keep threads, convert arrays or compile."""

from __future__ import annotations

import json

import pytest

from commands import lcbench

pytestmark = pytest.mark.serial

NAMES = ("naive", "numpy", "numba-njit", "numba-parallel", "torch", "jax", "sklearn")

SIZE = ("--rows", "300", "--features", "65", "--classes", "4", "--dtype", "float64", "--blocks", "3", "--budget", "0")


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    done = lcbench(
        tmp_path_factory.mktemp("run"), "run", "--impl", ",".join(NAMES), *SIZE, "--loss", "softmax", "--json"
    )
    return {row["implementation"]: row for row in json.loads(done.stdout)["rows"]}


@pytest.mark.parametrize("name", NAMES)
def test_honest_implementation_is_measured(rows, name):
    row = rows[name]
    if row["status"] == "unavailable":
        pytest.skip(row["reason"])
    assert (row["status"], row["reason"]) == ("ok", "")
    assert len(row["blocks"]) == len(row["processes"]) == 3
