"""Record with a row of each status, and comparisons with each verdict."""

from __future__ import annotations

from unittest.mock import patch

from lcbench.record import Row
from lcbench.stats import verdicts
from lcbench.stats.verdicts import compare_records
from results import record, row

RESULT = record(
    row("numpy", blocks=[[2e-3, 2.2e-3], [2.1e-3]], calls=[3, 4], threads=2),
    row("mine.py:softmax_loss", [3e-3]),
    row("wrong.py:f", status="wrong", reason="loss is 1,\x1b[31m\n right | is <2>", blocks=[[1e-9, 1e-9]]),
    row("torch", status="crashed", reason="killed"),
    row("jax", status="timeout", reason="no answer for 60 s"),
    row("cupy", status="unavailable", reason="not installed"),
    row("numba-cuda", [1.0, 2.0], device="simulator", rows=40),
    machine={"cpu": {"model": "one"}},
    git_revision="abc",
    git_dirty=True,
)
TIMED = ["numpy", "mine.py:softmax_loss"]

NOTHING_TIMED = record(row("numba-cuda", [1.0, 2.0], device="simulator"), row("torch", status="unavailable"))


def sides(*names: str) -> list[Row]:
    """Return rows of a gate that differ only in their side."""
    return [row(medians=[1e-3, 1e-3], side=name) for name in names]


with patch.object(verdicts, "RUN_TO_RUN", 0.0):  # no allowance for differences between runs
    COMPARISONS = compare_records(
        record(
            row("same", [2e-3, 2.02e-3, 1.98e-3]),
            row("grown", [4e-4, 4.04e-4, 3.96e-4]),
            row("__init__.py:f|g", [3e-3, 3.3e-3, 2.7e-3]),
            row("once", [1.0]),
            row("mistaken", [80e-3, 81e-3]),
            row("gone", [1.0, 1.1]),
        ),
        record(
            row("same", [2e-3, 2.02e-3, 1.98e-3]),
            row("grown", [5e-4, 5.05e-4, 4.95e-4]),
            row("__init__.py:f|g", [3.2e-3, 3.5e-3, 2.9e-3]),
            row("once", [2.0]),
            row("mistaken", status="wrong", reason="loss is 1,\r\nright is 100 %"),
            row("gone", status="crashed", reason="killed"),
        ),
        fail_above=0.05,
    ).comparisons
VERDICTS = {
    "same": "not slower",
    "grown": "slower",
    "__init__.py:f|g": "inconclusive",
    "once": "inconclusive",
    "mistaken": "wrong",
    "gone": "not measured",
}
assert {comparison.new.implementation: comparison.verdict for comparison in COMPARISONS} == VERDICTS
