"""Records for plots: a run with a row of every status, and sweeps with known growth."""

from __future__ import annotations

import numpy as np

from lcbench.record import MachinePeak, Sweep
from results import record, row

USERS = "an/assignment/of/somebody/with_a_long_name.py:softmax_loss_vectorized_and_tuned"
"""Name of a user's function that is longer than a plot is wide."""

FACTORS = {"naive": 30.0, "numpy": 1.0, "numba-parallel": 0.3, "torch": 0.45, "torch-compile": 0.44, USERS: 0.8}
BLOCKS = 4
MACHINE_FACTS = {"cpu": {"model": "one", "caches": {"l1d": 48 << 10, "l2": 1 << 20, "l3": 32 << 20}}}


def _samples(rng, seconds):
    return [(seconds * rng.lognormal(0, 0.02, 5)).tolist() for _ in range(BLOCKS)]


def _row(rng, name, seconds, **fields):
    return row(name, blocks=_samples(rng, seconds), calls=[1] * BLOCKS, threads=2, **fields)


def ceiling(rows, features=3073):
    """Return the peak of a machine that reads small arrays faster."""
    size = 4 * rows * features
    return MachinePeak(
        dtype="float32", footprint=size, read_bytes_s=2e11 if size < 32 << 20 else 5e10, flops_s=5e11,
        gemm_flops_s=2.5e11,
    )  # fmt: skip


def run(names=tuple(FACTORS), losses=("svm", "softmax"), sizes=(500, 10_000), **fields):
    """Return a run of these implementations, and of some without times."""
    rng = np.random.default_rng(1)
    rows = [
        _row(rng, name, 2e-6 * size * FACTORS.get(name, 0.9), loss=loss, rows=size)
        for size in sizes
        for loss in losses
        for name in names
    ]
    timeless = [
        row("numba-cuda", [1.0, 2.0], device="simulator", rows=40),
        row("jax", status="wrong", reason="loss is 1", blocks=[[1e-9]]),
        row("cupy", status="unavailable", reason="not installed"),
    ]
    defaults = {
        "machine": MACHINE_FACTS,
        "ceilings": [ceiling(size) for size in sizes],
        "command": ["run", "--rows", "500"],
    }
    return record(*rows, *timeless, **(defaults | fields))


def sweep(seconds, axes, losses=("svm", "softmax"), blocks=6, **fields):
    """Return a sweep in which an implementation takes `seconds[name](**place)` at a place on the axes."""
    rng = np.random.default_rng(2)
    places = [{}]
    for axis, values in axes.items():
        places = [place | {axis: value} for place in places for value in values]
    rows = [
        row(
            name, blocks=[[took(**place) * float(rng.lognormal(0, 0.01))] for _ in range(blocks)],
            loss=loss, **place,
        )
        for place in places
        for loss in losses
        for name, took in seconds.items()
    ]  # fmt: skip
    defaults = {"machine": MACHINE_FACTS, "command": ["sweep"], "sweep": Sweep(axes=axes)}
    return record(*rows, **(defaults | fields))


ROWS = [100, 215, 464, 1000, 2154, 4642, 10_000]


def rows_sweep(**fields):
    """Return a sweep along rows in which numba-parallel passes numpy at 1,000 rows."""
    return sweep(
        {"numpy": lambda rows: 1e-6 * rows, "numba-parallel": lambda rows: 5e-4 + 5e-7 * rows}, {"rows": ROWS}, **fields
    )


def threads_sweep(threads=(1, 2, 4), rows=(1000, 10_000)):
    """Return a sweep over threads with ideal speed-up for numba-parallel and none for numpy."""
    took = {
        "numpy": lambda threads, rows: 2e-6 * rows,
        "numba-parallel": lambda threads, rows: 1e-6 * rows / threads,
    }
    return sweep(took, {"threads": list(threads), "rows": list(rows)})
