"""What pytest-benchmark writes and compares (version 5 of it; github-action-benchmark and Bencher read it too).

A round is a process, and its duration the median of its samples, so that `median` is that of lcbench's own tables.
"""

from __future__ import annotations

import json
from statistics import mean, median, median_low, quantiles, stdev

from lcbench.judge.estimates import block_medians
from lcbench.record import Record, Row
from lcbench.report.exports.cases import full_name, timed

PARAMS = ("implementation", "rows", "features", "classes", "dtype", "data", "device", "threads", "side")
"""The fields of a row that tell it from the others of its loss."""


def result(record: Record) -> str:
    """Every row that has a time, as a benchmark in the group of its workload; seconds.

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
