"""Records for pages: runs with eight implementations and with all statuses, a gate, and sweeps."""

from __future__ import annotations

from lcbench.record import Gate, InterimAnalysis, MachinePeak, Record, Row, Side, Sweep
from results import record, row

HOSTILE = "</script><img src=x onerror=alert(1)>&quot;.py:f"
"""Name of a user's file that would be markup and a script if it were not escaped."""

LONG = "homework/of/somebody/with/a/long/path/softmax_vectorized.py:softmax_loss_vectorized_twice"

MEDIANS = {
    "numba-parallel": 4.1e-4,
    "torch": 5.5e-4,
    "torch-compile": 5.8e-4,
    "jax": 6.1e-4,
    "numpy": 1.1e-3,
    "sklearn": 1.2e-3,
    "numba-njit": 9e-3,
    "naive": 2e-2,
}


def samples(median: float, blocks: int = 3) -> list[list[float]]:
    """Return blocks of five different samples around a median."""
    return [[median * (1 + 0.01 * (block % 3) + 0.003 * place) for place in range(-2, 3)] for block in range(blocks)]


def measured(name: str, median: float, **fields: object) -> Row:
    """Return a row with such samples."""
    return row(name, blocks=samples(median), calls=[7, 7, 7], **fields)


def ceiling(rows: int, dtype: str = "float32") -> MachinePeak:
    """Return the peak of a machine with X of this number of rows."""
    return MachinePeak(dtype=dtype, footprint=rows * 3073 * 4, read_bytes_s=5e10, flops_s=3e11, gemm_flops_s=2e11)


RUN = record(
    *(measured(name, median, loss=loss) for name, median in MEDIANS.items() for loss in ("svm", "softmax")),
    *(measured(name, 20 * median, rows=10_000) for name, median in MEDIANS.items() if name != "naive"),
    measured(HOSTILE, 2e-3),
    measured(LONG, 3e-3, convention="2015 convention: W (C, D), X (D, N)"),
    row("wrong.py:f", status="wrong", reason="loss is <b>1</b>, right is 2", blocks=[[1e-9]]),
    row("torch-cuda", status="unavailable", reason="no GPU"),
    row("dead.py:f", status="crashed", reason="killed", loss="svm"),
    row("numba-cuda", [1.0, 2.0], device="simulator", rows=40, features=33),
    ceilings=[ceiling(500), ceiling(10_000)],
    score=62,
    findings=["high: <others> use the machine"],
    command=["run", "--impl", HOSTILE],
    machine={
        "system": "Linux",
        "cpu": {"model": "A processor", "usable_cores": 2, "caches": {"l1d": 49152, "l2": 2**20, "l3": None}},
        "versions": {"numpy": "2.4.6"},
        "blas": [{"name": "openblas"}],
    },
    created="2026-01-02T03:04:05+00:00",
    id="11111111",
)

LATER = record(
    *(measured(name, 1.6 * median if name == "jax" else median, loss=loss)
      for name, median in MEDIANS.items() for loss in ("svm", "softmax")),
    created="2026-01-03T03:04:05+00:00",
    id="22222222",
)  # fmt: skip
"""Later run, in which one implementation is slower."""

NOISY = record(
    row("numpy", blocks=[[1e-3] * 5, [1.02e-3] * 5, [1.01e-3] * 5]),
    row("jax", blocks=[[1.2e-3] * 5, [1.22e-3] * 5, [1.21e-3] * 5]),
    row("torch", blocks=[[2e-3] * 5, [2.01e-3] * 5, [1.4e-2] * 5]),
    id="55555555",
)
"""Run with a process that took much longer, so that the interval of its row is not informative."""

_SIDE = Side(given=".", kind="folder", python="CPython", versions={})


def gate(slowdown: float = 0.25, blocks: int = 16) -> Record:
    """Return a gate whose head is slower."""
    orders = ["bhhc", "chhb", "hbch", "hcbh"] * (blocks // 4)
    rows = []
    for name, median in (("numpy", 1e-3), (HOSTILE, 2e-3)):
        for side, factor, count in (("base", 1.0, 1), ("control", 1.001, 1), ("head", 1 + slowdown, 2)):
            rows.append(row(name, side=side, blocks=samples(median * factor, blocks * count)))
    looks = [InterimAnalysis(blocks=blocks, share=1.0)]
    how = Gate(base=_SIDE, head=_SIDE, fail_above=0.03, budget_s=60, orders=orders, interim_analyses=looks)
    return record(*rows, gate=how, id="33333333")


def sweep(axes: dict[str, list[int | str]]) -> Record:
    """Return a sweep in which one implementation passes the other along rows and is faster with more threads."""
    points = [{}]
    for axis, values in axes.items():
        points = [{**point, axis: value} for point in points for value in values]
    rows = []
    for point in points:
        size, threads = int(point.get("rows", 1000)), int(point.get("threads", 1))
        for name, fixed, each in (("numpy", 1e-6, 2e-6), ("numba-parallel", 2e-4, 3e-7)):
            seconds = fixed + each * size / (1 if name == "numpy" else threads**0.8)
            rows.append(row(name, blocks=samples(seconds, 4), **{"rows": size, **point}))
    machine = {"cpu": {"model": "A processor", "caches": {"l1d": 49152, "l2": 2**20, "l3": 2**25}}}
    return record(*rows, sweep=Sweep(axes=axes), machine=machine, id="44444444")


BY_ROWS = sweep({"rows": [10, 30, 100, 300, 1000, 3000, 10_000]})
BY_ROWS_AND_THREADS = sweep({"rows": [100, 1000, 10_000], "threads": [1, 2, 4]})
BY_BATCH = sweep({"batch": [10, 100, 1000]})
BY_DTYPE = sweep({"dtype": ["float32", "float64"]})
