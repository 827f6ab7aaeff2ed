"""What tools that follow benchmarks over time read, and how a row is called in every format."""

from __future__ import annotations

import json
from statistics import mean, median, median_low, quantiles, stdev

from lcbench.errors import LcbenchError
from lcbench.record import Record, Row
from lcbench.stats.estimates import block_medians


def name(row: Row) -> str:
    """The row's name in its group: "numpy[500x3073x10-float32-synthetic-2]".

    Implementation, rows x features x classes, dtype, data, threads. Tools that draw a line through many runs go by the
    name alone: where any of these differs, it is another line.
    """
    size = f"{row.rows}x{row.features}x{row.classes}"
    simulated = "-simulator" if row.device == "simulator" else ""
    return f"{row.implementation}[{size}-{row.dtype}-{row.data}-{row.threads}{simulated}]"


def group(row: Row) -> str:
    """Where the row's name is the only one: its loss, and for a row of a gate also the side: "softmax.head"."""
    return f"{row.loss}.{row.side}" if row.side else row.loss


def full_name(row: Row) -> str:
    """The row's name among all of a record: "softmax/numpy[500x3073x10-float32-synthetic-2]"."""
    return f"{group(row)}/{name(row)}"


def timed(record: Record) -> list[Row]:
    """The rows whose time means something: right, and measured on the device itself.

    Raises LcbenchError where there is none, since a file of no measurement would pass for a measurement of nothing.
    """
    rows = [row for row in record.rows if row.ranked]
    if not rows:
        raise LcbenchError(
            f"no row of result {record.id} has a time to export; the formats csv, markdown and junit tell why"
        )
    return rows


def bencher(record: Record) -> str:
    """Bencher's own format, BMF (https://bencher.dev/docs/reference/bencher-metric-format/).

    The measure `latency` of every row that has a time: median and 95 % interval in nanoseconds.

    A row of one process has no interval, and then no bounds. Raises LcbenchError where no row has a time.
    """
    return json.dumps({full_name(row): {"latency": _latency(row)} for row in timed(record)}, indent=2) + "\n"


def _latency(row: Row) -> dict[str, float]:
    assert row.median_s is not None
    latency = {"value": row.median_s * 1e9}
    if row.ci95_s:
        low, high = row.ci95_s
        latency |= {"lower_value": low * 1e9, "upper_value": high * 1e9}
    return latency


def github_action_benchmark(record: Record) -> str:
    """What benchmark-action/github-action-benchmark reads as its tool `customSmallerIsBetter`.

    The median of every row that has a time, in milliseconds, with its 95 % interval and what else a chart shows.

    Always milliseconds: a chart draws the numbers of many runs as they stand. Raises LcbenchError where no row has a
    time.
    """
    return json.dumps([_entry(row) for row in timed(record)], indent=2) + "\n"


def _entry(row: Row) -> dict[str, str | float]:
    assert row.median_s is not None
    entry: dict[str, str | float] = {"name": full_name(row), "unit": "ms", "value": row.median_s * 1e3}
    if row.ci95_s:
        low, high = row.ci95_s
        entry["range"] = f"95 %: {low * 1e3:.6g} to {high * 1e3:.6g}"
    entry["extra"] = f"processes: {len(row.processes)}\ndevice: {row.device}\nthreads: {row.threads}"
    return entry


PARAMS = ("implementation", "rows", "features", "classes", "dtype", "data", "device", "threads", "side")
"""The fields of a row that tell it from the others of its loss."""


def pytest_benchmark(record: Record) -> str:
    """What pytest-benchmark writes and compares (version 5; github-action-benchmark and Bencher read it too).

    A round is a process, and its duration the median of its samples, so that `median` is that of lcbench's own
    tables. Every row that has a time, as a benchmark in the group of its workload; seconds.

    Raises LcbenchError where no row has a time.
    """
    return (
        json.dumps(
            {
                "machine_info": {"fingerprint": record.fingerprint, **record.machine},
                "commit_info": {"id": record.git_revision or "unversioned", "dirty": record.git_dirty},
                "benchmarks": [_benchmark(row) for row in timed(record)],
                "datetime": record.created,
                "version": f"lcbench {record.lcbench}",
            },
            indent=2,
        )
        + "\n"
    )


def _benchmark(row: Row) -> dict[str, object]:
    params = {field: getattr(row, field) for field in PARAMS}
    return {
        "group": str(row.workload),
        "name": full_name(row),
        "fullname": full_name(row),
        "params": params,
        "param": None,
        "extra_info": {"ci95_s": row.ci95_s, "error_loss": row.error_loss, "error_grad": row.error_grad},
        "options": {},
        "stats": _stats(row),
    }


def _stats(row: Row) -> dict[str, object]:
    """The fields of pytest-benchmark, with quartiles by linear interpolation (Hyndman & Fan 1996, type 7)."""
    data = block_medians(row)
    calls = [turn.calls for process in row.processes for turn in process.turns if turn.calls]
    several = len(data) > 1
    q1, _, q3 = quantiles(data, n=4, method="inclusive") if several else data * 3
    deviation, centre = stdev(data) if several else 0.0, mean(data)
    low, high = q1 - 1.5 * (q3 - q1), q3 + 1.5 * (q3 - q1)
    beyond_deviation = sum(abs(seconds - centre) > deviation for seconds in data)
    beyond_fences = sum(not low <= seconds <= high for seconds in data)
    return {
        "min": min(data),
        "max": max(data),
        "mean": centre,
        "stddev": deviation,
        "rounds": len(data),
        "median": median(data),
        "iqr": q3 - q1,
        "q1": q1,
        "q3": q3,
        "iqr_outliers": beyond_fences,
        "stddev_outliers": beyond_deviation,
        "outliers": f"{beyond_deviation};{beyond_fences}",
        "ld15iqr": min(seconds for seconds in data if seconds >= low),
        "hd15iqr": max(seconds for seconds in data if seconds <= high),
        "ops": 1 / centre,
        "total": sum(data),
        "data": data,
        "iterations": median_low(calls) if calls else 1,
    }
