"""Tables of ``lcbench compare`` in a terminal of 80 columns."""

from __future__ import annotations

import pytest

from lcbench.measure.schedule import fail_unmeasured
from lcbench.record import Counters, Gate, MachinePeak, Side
from lcbench.report.exports import ci, tables
from lcbench.report.page import page
from lcbench.report.tables import compare as compare_tables
from lcbench.report.tables import gate as gate_tables
from lcbench.stats import verdicts
from lcbench.stats.gate import judge_gate
from lcbench.stats.verdicts import RUN_TO_RUN, compare_records, latest
from printed import printed
from results import MACHINE, record, row

CEILING = MachinePeak(dtype="float32", footprint=500 * 3073 * 4, read_bytes_s=5e10, flops_s=2e11)

BASE = record(
    row("numpy", [2e-3, 2.02e-3, 1.98e-3]),
    row("numba-parallel", [4e-4, 4.04e-4, 3.96e-4]),
    row("softmax.py:softmax_loss_vectorized", [3e-3, 3.3e-3, 2.7e-3]),
    row("naive", [80e-3, 81e-3]),
    row("gone", [1.0, 1.0]),
)
NEW = record(
    row("numpy", [2e-3, 2.02e-3, 1.98e-3]),
    row("numba-parallel", [5e-4, 5.05e-4, 4.95e-4]),
    row("softmax.py:softmax_loss_vectorized", [3.2e-3, 3.5e-3, 2.9e-3]),
    row("naive", status="wrong", reason="loss is 1, right is 2"),
    row("added", [1.0, 1.0]),
)

PRINTED = """\
softmax: 500 rows x 3,073 features, 10 classes, float32, synthetic
functions of softmax.py
implementation         base      new           new / base  visible  verdict
────────────────────────────────────────────────────────────────────────────────
numpy               2.00 ms  2.00 ms  1.000 [0.978,1.023]   +2.5 %  not slower
numba-parallel       400 us   500 us  1.250 [1.222,1.279]   +2.5 %  slower
softmax_loss_       2.99 ms  3.19 ms  1.067 [0.856,1.331]  +27.7 %  inconclusive
vectorized
naive               80.5 ms        -                    -        -  wrong

only in base: gone, softmax: 500 rows x 3,073 features, 10 classes, float32,
synthetic
only in new: added, softmax: 500 rows x 3,073 features, 10 classes, float32,
synthetic
naive, softmax: wrong: loss is 1, right is 2
threshold 5.0 %; 95 % intervals; Holm correction for multiple tests; visible:
smallest slowdown beyond the threshold that is detected with a power of 80 %
"""


def test_all_tables_of_a_comparison(monkeypatch):
    monkeypatch.setattr(verdicts, "RUN_TO_RUN", 0.0)  # without the allowance for differences between runs
    assert "\n".join(printed(compare_tables.verdicts(compare_records(BASE, NEW, 0.05)))) + "\n" == PRINTED


def test_large_numbers_are_not_cut_off():
    base = record(row("torch-compile-cuda", [1e-4, 9e-4, 1e-3]), row("numpy", [1234.0, 1.0, 99.0]))
    new = record(row("torch-compile-cuda", [122.0, 123.0, 124.0]), row("numpy", [1234.0, 1e-6, 99.0]))
    lines = printed(compare_tables.verdicts(compare_records(base, new)))
    assert not any("…" in line for line in lines)
    assert lines[1].split() == ["implementation", "base", "new", "new", "/", "base", "visible", "verdict"]
    assert [line.split()[-1] for line in lines if line.startswith(("torch", "numpy"))] == ["slower", "inconclusive"]
    assert sum("> +1000 %" in line for line in lines) == 2


def test_one_block_has_no_interval():
    lines = printed(compare_tables.verdicts(compare_records(record(row(medians=[1.0])), record(row(medians=[2.0])))))
    assert lines[3].split() == ["numpy", "1.00", "s", "2.00", "s", "2.000", "[?]", "-", "inconclusive"]


@pytest.mark.parametrize("stopped", [False, True])
def test_no_report_of_a_gate_has_a_ratio_without_a_measurement(stopped):
    times = {"base": [1e-3], "control": [1e-3], "head": [1e-3, 1e-3]}
    rows = [row("numpy", own, side=name) for name, own in times.items()]
    if stopped:
        for own in rows:
            own.processes, own.median_s = [], None
        fail_unmeasured(rows)
    side = Side(given=".", kind="folder", python="CPython", versions={})
    gate = Gate(base=side, head=side, fail_above=0.03, budget_s=60)
    judged = judge_gate(rows, gate)
    reports = [
        "\n".join(printed(gate_tables.tables(judged, gate))),
        ci.junit_verdicts(judged.comparisons, 0.03, "head against base"),
        ci.github_verdicts(judged.comparisons, 0.03, "head against base"),
        tables.markdown_verdicts(judged.comparisons, 0.03, "head against base"),
        page.html([record(*rows, gate=gate)], "numpy").partition("<body")[2].partition("<script")[0],
    ]
    reason = "stopped before it was measured" if stopped else "no usable measurement"
    for report in reports:
        assert reason in " ".join(report.split())
        for wrong in ("+0.0", "1.000", "one process", 'message="ok"'):
            assert wrong not in report


FACTS = {"python": "CPython 3.13.1", "versions": {"numpy": "2.3.0", "torch": "2.9.0", "numba": "0.62.0"}}


def of_a_machine(factor, *names):
    """Run of rows that take `factor` milliseconds, with a limit."""
    times = [factor * seconds for seconds in (1e-3, 1.001e-3, 0.999e-3)]
    limit = record(row("limit", times)).rows
    return record(*(row(name, times) for name in names), limits=limit, machine=FACTS)


def test_the_machine_is_named_before_the_tables_if_something_shows_what_it_did():
    def lines(factor, *names):
        judgement = compare_records(of_a_machine(1.0, *names), of_a_machine(factor, *names))
        return printed(compare_tables.verdicts(judgement))

    machine, torch_too, _, title, header, *_ = lines(1.3, "numpy", "torch", "mine")
    assert machine.startswith("everything took 1.30 times as long (95 %: 1.24 to 1.36), numpy and torch too:")
    assert torch_too == "the machine; beyond that: 3 not slower"
    assert title.startswith("softmax:")
    assert "beyond machine" in header
    assert lines(0.7, "mine")[0].startswith("everything took 0.70 times as long (95 %: 0.66 to 0.74), the limit too:")
    plain = lines(1.02, "numpy", "mine")
    assert plain[0].startswith("numpy took 1.02 times as long (95 %: 0.96 to 1.08) with the same code:")
    assert "new / base" in plain[4]
    assert "numpy (same code) not slower unless the others show it" in " ".join(plain)


def test_rows_of_one_result_only_are_one_line():
    rows = [row(name, [1.0, 1.0], rows=size) for name in ("a", "b") for size in (70, 9)]
    judgement = compare_records(record(row(medians=[1.0]), *rows), record(row(medians=[1.0])))
    assert list(compare_tables.only_in_one(judgement)) == ["only in base: 4 rows of a, b (softmax; 9, 70 rows)"]


def test_different_machines_are_noted():
    elsewhere = record(row(medians=[1e-3, 1e-3, 1.1e-3]), fingerprint="bbbb")
    lines = printed(compare_tables.verdicts(compare_records(elsewhere, record(row(medians=[1e-3, 1e-3, 1.1e-3])))))
    assert "the two results are from different machines: no verdict is valid" in lines


LATEST = """\
softmax: 500 rows x 3,073 features, 10 classes, float32, synthetic, 2 threads
functions of softmax.py
implementation              time         x fastest   limit  measured (UTC)
────────────────────────────────────────────────────────────────────────────
numba-parallel            200 us                 1  154 %!  2026-01-02 03:04
softmax_loss_vectorized  3.00 ms  0.07 [0.07,0.07]    10 %  2026-01-02 03:04

! above the measured limit of the machine, which is impossible: the time or the
limit is wrong
"""


def test_newest_results_of_different_runs_differ_by_their_runs_too():
    older, newer = record(row("a", [1.0, 1.01, 0.99])), record(row("b", [2.0, 2.02, 1.98]))
    [group] = latest([newer, older], MACHINE)
    fastest, slower = group.entries
    assert (fastest.row.implementation, slower.row.implementation) == ("a", "b")
    assert slower.speed.value == pytest.approx(0.5)
    assert slower.speed.low < 0.5 * (1 - RUN_TO_RUN)  # within one result, the interval would be much narrower
    [group] = latest([record(*older.rows, *newer.rows)], MACHINE)
    assert group.entries[1].speed == pytest.approx((0.5, 0.5, 0.5))


def test_the_newest_results_side_by_side():
    result = record(
        row("softmax.py:softmax_loss_vectorized", [3e-3, 3e-3], threads=2),
        row("numba-parallel", [2e-4, 2e-4], threads=2),
        row("mine", status="wrong"),
        ceilings=[CEILING],
    )
    assert "\n".join(printed(compare_tables.latest(latest([result], MACHINE)))) + "\n" == LATEST


def test_the_newest_results_of_a_busy_machine_are_marked():
    waiting, quiet = ([Counters(seconds=1.0, pressure_s=each)] * 2 for each in (0.4, 0.01))
    busy, other = record(row("numpy", [1e-3] * 2, counters=waiting)), record(row("naive", [2e-3] * 2, counters=quiet))
    told = " ".join(" ".join(printed(compare_tables.latest(latest([busy, other], MACHINE)))).split())
    words = "BUSY MACHINE while numpy was measured: processes waited for a CPU up to 40 % of the time."
    assert words in told
    assert "BUSY" not in " ".join(printed(compare_tables.latest(latest([other], MACHINE))))
