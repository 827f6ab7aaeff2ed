"""The newest result of every implementation."""

from __future__ import annotations

from lcbench.record import Sweep
from lcbench.stats.verdicts import latest
from results import MACHINE, record, row


def names(group):
    return [entry.row.implementation for entry in group.entries]


def test_the_newest_row_counts_fastest_first():
    newest = record(row("numpy", [3.0, 3.0]), created="2026-02-02T00:00:00+00:00")
    older = record(row("numpy", [1.0, 1.0]), row("naive", [2.0, 2.0]), created="2026-01-01T00:00:00+00:00")
    [group] = latest([newest, older], MACHINE)
    assert names(group) == ["naive", "numpy"]
    assert [entry.row.median_s for entry in group.entries] == [2.0, 3.0]
    assert [entry.created[:10] for entry in group.entries] == ["2026-01-01", "2026-02-02"]


def test_times_with_other_threads_are_not_ranked_together():
    one = record(row(medians=[2.0, 2.0]))
    two = record(row("naive", [1.0, 1.0], threads=2), row(medians=[1.5], threads=2))
    assert [(group.threads, names(group)) for group in latest([one, two], MACHINE)] == [
        (1, ["numpy"]),
        (2, ["naive", "numpy"]),
    ]


def test_a_failed_run_does_not_hide_the_last_good_one():
    [group] = latest([record(row(status="crashed")), record(row(medians=[1.0, 1.0]))], MACHINE)
    assert group.entries[0].row.median_s == 1.0


def test_other_machines_wrong_rows_and_simulated_rows_have_no_place():
    assert latest([record(row(medians=[1.0]), fingerprint="bbbb")], MACHINE) == []
    assert latest([record(row(status="wrong"), row("numba-cuda", [1.0], device="simulator"))], MACHINE) == []


def test_what_a_gate_measured_may_never_be_in_use():
    assert latest([record(row(medians=[1.0], side="head"))], MACHINE) == []


def test_a_sweep_fills_no_place():
    swept = record(row(medians=[1.0]), sweep=Sweep(axes={"rows": [500]}))
    [group] = latest([swept, record(row(medians=[2.0]))], MACHINE)
    assert group.entries[0].row.median_s == 2.0


def test_every_workload_has_its_group_in_the_order_last_measured():
    newest = record(row(medians=[1.0], rows=20))
    older = record(row(medians=[1.0], loss="svm"), row(medians=[1.0], rows=20))
    assert [group.workload[0:3:2] for group in latest([newest, older], MACHINE)] == [("softmax", 20), ("svm", 500)]
