"""Tables of a sweep: times at every point, growth, crossings, caches and rows without times."""

from __future__ import annotations

import re

import pytest

from lcbench.record import Sweep
from lcbench.report.tables.sweep import tables
from printed import printed
from results import record, row
from simulated_sweeps import rows, sweep

ROWS = [10, 30, 100, 300, 1000, 3000]
LAWS = {"numpy": lambda n: 1e-6 * n, "clever": lambda n: 1e-4 + 1e-7 * n}


def test_lines_are_points_and_columns_are_implementations():
    lines = printed(tables(sweep("rows", ROWS, LAWS)))
    assert lines[0] == "softmax: 3,073 features, 10 classes, float32, 1 thread, synthetic"
    assert lines[1].split() == ["rows", "numpy", "clever", "x"]
    assert [line.split() for line in lines[3:9]] == [
        ["10", "10.0", "us", "101", "us", "0.10", "[0.10,0.10]"],
        ["30", "30.0", "us", "103", "us", "0.29", "[0.29,0.29]"],
        ["100", "100", "us", "110", "us", "0.91", "[0.91,0.91]"],
        ["300", "300", "us", "130", "us", "2.31", "[2.31,2.31]"],
        ["1,000", "1.00", "ms", "200", "us", "5.00", "[5.00,5.00]"],
        ["3,000", "3.00", "ms", "400", "us", "7.50", "[7.50,7.50]"],
    ]


def test_the_baseline_of_speed_ups_is_noted():
    lines = printed(tables(sweep("rows", ROWS, LAWS), "clever"))
    assert "x: speed-up over clever, with 95 % interval" in lines
    assert "x: speed-up over numpy, with 95 % interval" in printed(tables(sweep("rows", ROWS, LAWS)))
    for laws, baseline in ((LAWS, "gone"), ({"numpy": LAWS["numpy"]}, "numpy")):
        assert not any(line.startswith("x:") for line in printed(tables(sweep("rows", ROWS, laws), baseline)))


def test_a_rise_beyond_the_growth_is_noted():
    steep = {"numpy": lambda n: 1e-8 * n**2 * (1.5 if n > 500 else 1)}
    text = " ".join(printed(tables(sweep("rows", [30, 100, 300, 1000, 3000, 10_000], steep))))
    assert "beyond the fitted growth; " in text
    flat = {"numpy": lambda n: 1e-6 * n * (1.5 if n > 500 else 1)}
    text = " ".join(printed(tables(sweep("rows", [30, 100, 300, 1000, 3000, 10_000], flat))))
    assert "the time per element grows by a factor of " in text
    assert "beyond the fitted growth" not in text


def test_growth_and_crossings():
    lines = printed(tables(sweep("rows", ROWS, LAWS, noise=0.005)))
    start = lines.index("Growth: a call takes fixed + c x rows ^ p seconds")
    numpy, clever = (line.split() for line in lines[start + 3 : start + 5])
    assert (numpy[0], numpy[1], clever[0]) == ("numpy", "softmax", "clever")
    assert float(numpy[2]) == pytest.approx(1, abs=0.05)
    assert re.fullmatch(r"\[(0\.9\d|1\.00),1\.0\d\]", numpy[3])
    assert "us" in clever
    [crossing] = [line for line in lines if "passes" in line]
    assert re.fullmatch(r"clever passes numpy at rows = 1\d\d \[1\d\d, 1\d\d\], softmax", crossing)


def test_a_poor_fit_is_marked_and_the_mark_is_explained():
    lines = printed(tables(sweep("rows", ROWS, {"numpy": lambda n: 1e-6 * n * (3 if n == 100 else 1)})))
    assert any(line.startswith("numpy") and line.endswith(" %~") for line in lines)
    assert any(line.startswith("~ the fit misses a point") for line in lines)
    assert not any(line.startswith("~") for line in printed(tables(sweep("rows", ROWS, LAWS))))


def test_the_end_of_a_cache_is_noted_with_its_size():
    measured = sweep("rows", [300, 1000, 3000, 10_000], {"numpy": lambda n: 1e-6 * n * (1.5 if n > 2000 else 1)})
    measured.machine = {"cpu": {"caches": {"l3": 32 << 20}}}
    text = " ".join(printed(tables(measured)))
    assert (
        "numpy, softmax: from rows = 1,000 (11.7 MiB) to 3,000 (35.2 MiB) the time per element grows by a factor of "
        "1.50 [1.50,1.50]; L3 ends at rows = 2,730"
    ) in text


def test_threads_have_speed_up_and_efficiency():
    lines = printed(tables(sweep("threads", [1, 2], {"numpy": lambda n: 1e-3 / n**0.8})))
    assert lines[0] == "softmax: 500 rows, 3,073 features, 10 classes, float32, synthetic"
    start = lines.index("Threads: speed-up over 1 thread, and efficiency")
    assert lines[start + 3].split() == ["numpy", "softmax", "2", "1.74", "[1.74,1.74]", "87", "%"]
    assert not any("Growth" in line for line in lines)


def test_a_second_axis_has_a_table_for_each_of_its_values():
    both = [each for threads in (1, 2) for each in rows("rows", ROWS, LAWS, threads=threads)]
    lines = printed(tables(record(*both, sweep=Sweep(axes={"rows": ROWS, "threads": [1, 2]}))))
    titles = [line for line in lines if line.startswith("softmax: ")]
    assert titles == [
        "softmax: 3,073 features, 10 classes, float32, 1 thread, synthetic",
        "softmax: 3,073 features, 10 classes, float32, 2 threads, synthetic",
    ]
    assert any(line.split()[:4] == ["clever", "softmax", "threads", "2"] for line in lines)
    assert any(line.endswith("softmax at threads 2") for line in lines)


def test_many_implementations_with_long_names_need_several_tables():
    laws = {name: lambda n: 1e-6 * n for name in ("numpy", *(f"assignment.py:softmax_loss_{k}" for k in range(7)))}
    lines = printed(tables(sweep("rows", ROWS, laws)))
    headings = [line for line in lines if line.split()[:1] == ["rows"]]
    assert len(headings) > 1
    growth = next(k for k, line in enumerate(lines) if line.startswith("Growth"))
    assert len([line for line in lines[:growth] if line.split()[:1] == ["3,000"]]) == len(headings)


def test_rows_without_a_time_have_a_line_with_the_reason():
    reason = "would take about 9 s a call; --most-seconds-a-call is 1"
    slow = [row("naive", [1e-3] * 3, rows=10)]
    slow += [row("naive", rows=count, status="unavailable", reason=reason) for count in ROWS[1:]]
    others = rows("rows", ROWS, LAWS)
    gone = [row("gone", rows=count, status="crashed", reason="out of memory") for count in ROWS]
    lines = printed(tables(record(*slow, *others, *gone, sweep=Sweep(axes={"rows": ROWS}))))
    text = " ".join(lines)
    assert f"naive unavailable (softmax: rows 30 and 4 more): {reason}" in text
    assert "gone crashed (softmax: rows 10 and 5 more): out of memory" in text
    assert next(line for line in lines if line.split()[:1] == ["30"]).count("-") == 2


def test_a_simulated_gpu_has_a_line_and_no_times():
    simulated = row("numba-cuda", [1.0], device="simulator", rows=40)
    lines = printed(tables(record(*rows("rows", ROWS, LAWS), simulated, sweep=Sweep(axes={"rows": ROWS}))))
    assert "numba-cuda: simulated: no GPU, so there are no times" in lines
    assert not any("1.00 s" in line for line in lines)
