"""Formats of tools that track benchmarks over time, and the name of a row in every format."""

from __future__ import annotations

import json
from statistics import mean, median, median_low, quantiles, stdev

from lcbench.errors import LcbenchError
from lcbench.record import Record, Row
from lcbench.stats.estimates import process_times


def name(row: Row) -> str:
    """Return the name of a row in its group: "numpy[500x3073x10-float32-synthetic-2]".

    It consists of implementation, rows x features x classes, dtype, data and threads. Tools that draw a line through
    many runs identify a line by its name alone.
    """
    size = f"{row.rows}x{row.features}x{row.classes}"
    simulated = "-simulator" if row.device == "simulator" else ""
    return f"{row.implementation}[{size}-{row.dtype}-{row.data}-{row.threads}{simulated}]"


def group(row: Row) -> str:
    """Return the group in which a row's name is unique: its loss, for a row of a gate with the side: "softmax.head"."""
    return f"{row.loss}.{row.side}" if row.side else row.loss


def full_name(row: Row) -> str:
    """Return the name of a row that is unique in its record: "softmax/numpy[500x3073x10-float32-synthetic-2]"."""
    return f"{group(row)}/{name(row)}"


def timed(record: Record) -> list[Row]:
    """Return the rows with valid times: right, and measured on the device itself.

    Raise LcbenchError if there is none, because an empty file would look like a valid measurement.
    """
    rows = [row for row in record.rows if row.ranked]
    if not rows:
        raise LcbenchError(
            f"no row of result {record.id} has a time to export; the formats csv, markdown and junit give the reasons"
        )
    return rows


def bencher(record: Record) -> str:
    """Return the record in Bencher Metric Format (https://bencher.dev/docs/reference/bencher-metric-format/).

    The measure `latency` of every row with a time is the median with its 95 % interval in nanoseconds. A row of one
    process has no interval. Raise LcbenchError if no row has a time.
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
    """Return the record for github-action-benchmark with its tool `customSmallerIsBetter`.

    The value of every row with a time is the median in milliseconds, with its 95 % interval. The unit is always
    milliseconds, because a chart draws the numbers of many runs without conversion. Raise LcbenchError if no row has a
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
"""Fields that tell a row from the others of its loss."""


def pytest_benchmark(record: Record) -> str:
    """Return the record in the format of pytest-benchmark 5, which github-action-benchmark and Bencher read too.

    Every row with a time is a benchmark in the group of its workload, in seconds. A round is a process, and its
    duration the time of the process. Raise LcbenchError if no row has a time.
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
    """Return the statistics of pytest-benchmark; quartiles are linearly interpolated (Hyndman & Fan 1996, type 7)."""
    data = process_times(row)
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
