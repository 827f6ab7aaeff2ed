"""Tables of ``lcbench run`` in a terminal of 80 columns."""

from __future__ import annotations

import pytest

from lcbench.record import Counters, MachinePeak
from lcbench.report import formatting
from lcbench.report.table import Arrangement, Table
from lcbench.report.tables import run as run_tables
from printed import printed
from results import record, row

CEILING = MachinePeak(dtype="float32", footprint=500 * 3073 * 4, read_bytes_s=5e10, flops_s=2e11, gemm_flops_s=1.5e11)

A_RUN = record(
    row("naive", [80e-3, 82e-3, 81e-3], import_s=4e-4, prepare_s=2e-6),
    row("numpy", [2e-3, 2.1e-3, 2.05e-3], import_s=1.2e-3, prepare_s=2e-6),
    row("numba-parallel", [4e-4, 4.2e-4, 4.1e-4], import_s=0.31, compile_s=3.2, first_call_s=3.2, prepare_s=2e-6),
    row("mine.py:softmax_loss", status="wrong", reason="loss is 2.5, right is 2.3", blocks=[]),
    row("mine.py:svm_loss", loss="svm", status="timeout", reason="no answer for 60 s", blocks=[]),
    ceilings=[CEILING],
)

PRINTED = """\
softmax: 500 rows x 3,073 features, 10 classes, float32, synthetic
implementation     time  spread           x numpy  GFLOP/s  GB/s  limit  error
──────────────────────────────────────────────────────────────────────────────
numba-parallel   410 us   2.4 %  5.00 [5.00,5.00]    149.9  15.0   75 %  2e-07
numpy           2.05 ms   2.4 %                 1     30.0   3.0   15 %  2e-07
naive           81.0 ms   1.2 %  0.03 [0.02,0.03]      0.8   0.1    0 %  2e-07

mine.py:softmax_loss wrong (softmax 500): loss is 2.5, right is 2.3
mine.py:svm_loss timeout (svm 500): no answer for 60 s

Before the steady state: slowest over losses and sizes
implementation   import  first call  compilation  prepare + fetch
─────────────────────────────────────────────────────────────────
naive            400 us      500 ms            -          2.00 us
numpy           1.20 ms      500 ms            -          2.00 us
numba-parallel   310 ms      3.20 s       3.20 s          2.00 us
limits, measured in this run: reads 50 GB/s (largest X), FMA 200 GFLOP/s
float32; reference: NumPy's GEMM 150 GFLOP/s
times of 3 processes each; spread: half the range of their times; x: time of
numpy over time of the row, with 95 % interval ([?]: too few generations, or too
noisy)
"""


ON_PIXELS = {"dtype": "uint8", "bytes": 500 * 3072 + 8 * 30730}

PIXELS = record(
    row("torch-compile", [2e-3, 2.1e-3, 2.05e-3], pixels="converted", dtype="uint8"),
    row("torch-compile (converts)", [4e-3, 4.2e-3, 4.1e-3], pixels="converts", **ON_PIXELS),
    row("numpy", [4e-3, 4.2e-3, 4.1e-3], pixels="converted", dtype="uint8"),
    row("numpy (converts)", [8e-3, 8.1e-3, 8.1e-3], pixels="converts", **ON_PIXELS),
    row("numba-parallel", [4e-4, 4.2e-4, 4.1e-4], pixels="read", **ON_PIXELS),
    ceilings=[CEILING, MachinePeak(dtype="uint8", footprint=500 * 3072, read_bytes_s=8e10, flops_s=2e11)],
)

PRINTED_ON_PIXELS = """\
softmax: 500 rows x 3,073 features, 10 classes, uint8, synthetic
implementation               time  spread           x numpy  limit  error
─────────────────────────────────────────────────────────────────────────
numba-parallel             410 us   2.4 %             10.00   75 %  2e-07
                                              [10.00,10.00]
torch-compile             2.05 ms   2.4 %  2.00 [2.00,2.00]   15 %  2e-07
torch-compile (converts)  4.10 ms   2.4 %  1.00 [1.00,1.00]    7 %  2e-07
numpy                     4.10 ms   2.4 %                 1    7 %  2e-07
numpy (converts)          8.07 ms   0.6 %  0.51 [0.49,0.53]    4 %  2e-07
no room for GFLOP/s, GB/s

Before the steady state: slowest over losses and sizes
implementation            import  first call  compilation  prepare + fetch
──────────────────────────────────────────────────────────────────────────
torch-compile                  -      500 ms            -                -
torch-compile (converts)       -      500 ms            -                -
numpy                          -      500 ms            -                -
numpy (converts)               -      500 ms            -                -
numba-parallel                 -      500 ms            -                -
numba-parallel: X is the uint8 pixels, read in place; torch-compile, numpy: X
was converted to float32 before the calls; rows with (converts): each call
converts the pixels
limits, measured in this run: reads 50 GB/s (largest X), FMA 200 GFLOP/s
float32; reference: NumPy's GEMM 150 GFLOP/s
limits on uint8 pixels, measured in this run: reads 80 GB/s (largest X), FMA 200
GFLOP/s float32
times of 3 processes each; spread: half the range of their times; x: time of
numpy over time of the row, with 95 % interval ([?]: too few generations, or too
noisy)
"""


def test_rows_on_pixels_fit_a_line_and_say_how_they_read_them():
    assert "\n".join(printed(run_tables.tables(PIXELS))) + "\n" == PRINTED_ON_PIXELS


def test_all_tables_of_a_run():
    assert "\n".join(printed(run_tables.tables(A_RUN))) + "\n" == PRINTED


@pytest.mark.parametrize(
    ("rows", "sentences"),
    [
        (A_RUN.rows, ["softmax, 500 rows: numba-parallel is 5.00 [5.00,5.00] times as fast as numpy"]),
        (
            [row("numpy", [1.0, 1.1, 1.2]), row("a.py:f", [1.2, 1.1, 1.01])],
            ["softmax, 500 rows: the noise does not tell which is faster, numpy or a.py:f"],
        ),
        (
            [
                row("numpy", [2.0, 2.2], loss="svm"), row("a.py:f", [1.0, 1.1], loss="svm"),
                row("numpy", [6.0, 6.0], rows=10_000), row("a.py:g", [2.0, 2.0], rows=10_000),
                row("numpy", [4.0, 4.0]), row("a.py:g", [2.0, 2.0]),
            ],
            [
                "svm, 500 rows: a.py:f is 2.00 [2.00,2.00] times as fast as numpy",
                "softmax, 10,000 rows: a.py:g is 3.00 [3.00,3.00] times as fast as numpy",
                "softmax, 500 rows: a.py:g is 2.00 [2.00,2.00] times as fast as numpy",
            ],
        ),
        ([row("numpy", [1.0]), row("a.py:f", [2.0])],
         ["softmax, 500 rows: the noise does not tell which is faster, numpy or a.py:f"]),
        ([row("numpy", [1.0, 1.0]), row("a.py:f", status="wrong", blocks=[])], []),
        ([row("numpy", [1.0, 1.0]), row("numba-cuda", [1.0, 1.0], device="simulator")], []),
        ([row("numpy", [1.0, 1.0], threads=1), row("numpy", [1.0, 1.0], threads=2)], []),
        ([], []),
    ],
)  # fmt: skip
def test_each_workload_has_a_closing_sentence(rows, sentences):
    found = [each.plain for each in run_tables.conclusions(record(*rows))]
    assert found == sentences
    assert all(len(sentence) <= 80 for sentence in found)


def first_table(rows, **arranged):
    tables = run_tables.tables(record(*rows), arrangement=Arrangement(**arranged))
    return next(each for each in tables if isinstance(each, Table))


def test_statistics_of_the_samples_are_columns_on_request():
    rows = [row("numpy", blocks=[[1e-3, 2e-3, 3e-3], [4e-3, 5e-3]]), row("naive", status="wrong", blocks=[])]
    names = ("min", "mean", "std", "quartiles")
    table = first_table(rows, columns=names)
    assert [column.heading for column in table.columns] == ["implementation", *names]
    [line] = table.lines
    assert [cell.text for cell in line.cells[1:]] == ["1.00 ms", "3.00 ms", "1.58 ms", "2.00 to 4.00 ms"]
    assert not set(names) & {column.heading for column in first_table(rows).columns}


def test_rows_are_sorted_by_a_column_that_is_not_shown():
    rows = [row("a", blocks=[[5e-3, 6e-3]]), row("b", blocks=[[2e-3, 8e-3]])]
    assert [each.implementation for each in first_table(rows).rows] == ["b", "a"]
    table = first_table(rows, sort="-min")
    assert [each.implementation for each in table.rows] == ["a", "b"]
    assert [column.heading for column in table.columns][:3] == ["implementation", "time", "95 % interval"]


def test_an_unstable_row_is_marked_and_not_before_others():
    fast = row("mine.py:f", [1e-4, 1e-4], status="unstable", reason="right only up to scores of about 710")
    rows = record(row("numpy", [2e-3, 2e-3]), row("naive", [2e-2, 2e-2]))
    fast.median_s = 1e-4
    rows.rows.insert(0, fast)
    lines = printed(run_tables.tables(rows))
    assert [line.split()[0] for line in lines[4:7]] == ["numpy", "naive", "f"]
    assert lines[6].startswith("f (unstable)")
    assert "100 us" in lines[6]
    assert "mine.py:f unstable (softmax): right only up to scores of about 710" in lines


LARGE = {"rows": 49_000}
EXTREMES = record(
    row("numpy", [1234.0, 999.0, 1111.0], **LARGE),
    row("homework/softmax.py:softmax_loss_vectorized", [1.2e-4, 1.5e-4, 9e-5], **LARGE,
        convention="2015 convention: W (C, D), X (D, N), 0.5 reg sum(W W)"),
    row("torch-compile-cuda", [9.1e-5, 9.9e-5, 1.01e-4], device="cuda", **LARGE),
    row("x.py:f", status="crashed", reason="no file /a/long/path/" + "d" * 100, blocks=[], **LARGE),
    ceilings=[MachinePeak(dtype="float32", footprint=4 * 49_000 * 3073, read_bytes_s=4e12, flops_s=6.7e13)],
)  # fmt: skip


@pytest.mark.parametrize("baseline", ["numpy", "homework/softmax.py:softmax_loss_vectorized"])
def test_nothing_is_cut_off(baseline):
    lines = printed(run_tables.tables(EXTREMES, baseline))
    assert not any("…" in line for line in lines)
    head = next(line.split() for line in lines if "limit" in line)
    assert head[-2:] == ["limit", "error"]
    assert "no room for GFLOP/s, GB/s" in lines
    assert "functions of homework/softmax.py" in lines
    # every row ends with its error, and the pieces of a broken name give the whole name
    assert sum(line.endswith("2e-07") for line in lines) == 3
    first_table = lines[: lines.index("")]
    names = "".join(line.split(" ")[0] for line in first_table)
    assert "softmax_loss_vectorized" in names
    assert "torch-compile-cuda" in names
    assert "d" * 100 in "".join(lines)


def test_a_long_speedup_is_broken_into_two_lines():
    lines = printed(run_tables.tables(EXTREMES))
    first = next(k for k, line in enumerate(lines) if line.startswith("torch-compile"))
    assert lines[first].split()[-3] == "1.1e+07"
    assert lines[first + 1].split()[-1] == "[7.9e+06,1.7e+07]"


def test_a_share_above_the_whole_is_flagged_as_impossible():
    impossible = record(row(medians=[2e-4, 2e-4]), ceilings=[CEILING])
    lines = printed(run_tables.tables(impossible))
    assert any("154 %!" in line for line in lines)
    meaning = "! above the measured limit of the machine, which is impossible: the time or the limit is wrong"
    assert meaning in " ".join(lines)
    assert not any("!" in line for line in printed(run_tables.tables(A_RUN)))


def test_a_share_is_marked_exactly_above_one():
    assert [formatting.share(fraction) for fraction in (None, 0.754, 1.0, 1.004)] == ["-", "75 %", "100 %", "100 %!"]


def test_a_wrong_row_shows_no_time():
    wrong = row("mine.py:f", [1e-3, 1e-3], status="wrong", reason="gradient is off", median_s=1e-3)
    lines = printed(run_tables.tables(record(row(medians=[2e-3, 2e-3]), wrong)))
    [line] = [line for line in lines if "mine.py" in line]
    assert line == "mine.py:f wrong (softmax 500): gradient is off"


def test_one_reason_has_one_line_for_all_losses_and_sizes():
    rows = [row("jax", loss=loss, rows=rows, status="crashed", reason="killed") for loss in ("svm", "softmax")
            for rows in (500, 10_000)]  # fmt: skip
    lines = [line for line in printed(run_tables.tables(record(*rows))) if line]
    assert lines == ["jax crashed (svm 500, svm 10,000, softmax 500, softmax 10,000): killed"]


def test_simulated_rows_have_a_table_without_times():
    simulated = row("numba-cuda", [5.0, 5.0, 5.0], device="simulator", rows=40, features=33)
    broken = row("numba-cuda", device="simulator", loss="svm", status="wrong", reason="loss is 1", rows=40, features=33)
    lines = printed(run_tables.tables(record(row(medians=[1e-3, 1e-3]), simulated, broken)))
    assert [line for line in lines if "numba-cuda" in line] == [
        "numba-cuda      softmax    40        33  right, simulated  2e-07",
        "numba-cuda      svm        40        33  wrong: loss is 1      -",
    ]
    assert "5.00 s" not in "\n".join(lines)


def test_without_the_baseline_there_are_no_speedups():
    lines = printed(run_tables.tables(record(row("naive", [1.0, 1.0]), row("numpy", status="crashed", reason="x"))))
    assert not any("x numpy" in line for line in lines)


def test_the_range_of_the_numbers_of_processes_is_noted():
    lines = printed(run_tables.tables(record(row("a", [1.0, 2.0, 3.0]), row("b", [1.0]))))
    assert any(line.startswith("times of 1 to 3 processes each") for line in lines)


def test_a_busy_machine_is_noted():
    busy = row(medians=[1e-3, 1e-3], counters=[Counters(seconds=1.0, pressure_s=0.4)] * 2)
    quiet = row(medians=[1e-3, 1e-3], counters=[Counters(seconds=1.0, pressure_s=0.01)] * 2)
    told = " ".join(" ".join(printed(run_tables.tables(record(busy)))).split())
    assert told.startswith("BUSY MACHINE: processes waited for a CPU 40 % of the time, beside half of those measured; ")
    assert "times and ratios hold under that load only" in told
    assert "BUSY" not in " ".join(printed(run_tables.tables(record(quiet))))


def test_a_load_that_decides_the_ratios_leaves_none_in_the_table():
    waiting = [Counters(seconds=1.0, pressure_s=0.9)] * 3
    fast, slow = (row(name, [time] * 3, counters=waiting) for name, time in (("numba-parallel", 1e-3), ("numpy", 9e-3)))
    lines = printed(run_tables.tables(record(fast, slow, ceilings=[CEILING])))
    assert lines[0].startswith("BUSY MACHINE: processes waited for a CPU 90 % of the time")
    assert not any("x numpy" in line or "limit " in line for line in lines[4:10])
    assert any(line.startswith("numba-parallel  1.00 ms") for line in lines)
    [sentence] = run_tables.conclusions(record(fast, slow))
    assert sentence.plain.startswith("the noise does not tell which is faster: other ")


def test_a_low_score_comes_first_with_its_reasons():
    told = "NOISY MACHINE, score 62 where a quiet one has 100: others; a container"

    def footnotes(score):
        noisy = record(row(medians=[1.0, 1.1]), score=score, findings=["high: others", "low: a container"])
        return " ".join(printed(run_tables.tables(noisy)))

    assert footnotes(62).startswith(told)
    assert "score" not in footnotes(run_tables.LOW_SCORE)


def test_limits_are_listed_by_device_and_dtype():
    gpu = {"device": "cuda", "flops_s": 6e13, "copy_bytes_s": 3.9e12}
    limits = [
        CEILING,
        MachinePeak(dtype="float64", footprint=8, read_bytes_s=4e10, flops_s=1e11),
        MachinePeak(dtype="float32", footprint=8, read_bytes_s=9e12, **gpu),
        MachinePeak(dtype="float32", footprint=16, read_bytes_s=4.2e12, **gpu),
    ]
    told = " ".join(" ".join(printed(run_tables.tables(record(row(medians=[1e-3, 1e-3]), ceilings=limits)))).split())
    measured = "measured in this run: reads"
    assert f"limits, {measured} 50 GB/s (largest X), FMA 200 GFLOP/s float32; reference: NumPy's GEMM 150" in told
    assert f"limits, {measured} 40 GB/s (largest X), FMA 100 GFLOP/s float64 limits of" in told
    assert (
        f"limits of the GPU, {measured} 4200 GB/s (largest X), FMA 60000 GFLOP/s float32; reference: a copy 3900"
        in told
    )


def test_a_cluster_is_compared_with_one_process_of_as_many_threads():
    def lines(threads):
        alone = row("numba-parallel", [8e-3, 8e-3, 8e-3], threads=2)
        return printed(run_tables.tables(record(row("dask", [1e-2, 1e-2, 1e-2], threads=threads), alone)))

    assert "dask, softmax, 500 rows: efficiency 80 % [80,80] of one process with 2 threads" in lines(2)
    assert "efficiency" not in lines(3)
