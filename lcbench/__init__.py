"""Benchmark of linear-classifier losses: their speed, their correctness and their share of the machine's limits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lcbench import start as start

__version__ = "1.0.0rc1"

if TYPE_CHECKING:
    from lcbench.api.bisect import bisect
    from lcbench.api.checks import check, gradcheck
    from lcbench.api.datasets import download, features, reproduce, synth
    from lcbench.api.learn import evaluate, search, train
    from lcbench.api.machine import doctor, implementation, implementations, inspect
    from lcbench.api.measure import gate, run, sweep
    from lcbench.api.results import compare, export, history, plot, write_report

__all__ = [
    "bisect",
    "check",
    "compare",
    "doctor",
    "download",
    "evaluate",
    "export",
    "features",
    "gate",
    "gradcheck",
    "history",
    "implementation",
    "implementations",
    "inspect",
    "plot",
    "reproduce",
    "run",
    "search",
    "sweep",
    "synth",
    "train",
    "write_report",
]

_MODULES = {
    "bisect": "bisect",
    **dict.fromkeys(("check", "gradcheck"), "checks"),
    **dict.fromkeys(("download", "features", "reproduce", "synth"), "datasets"),
    **dict.fromkeys(("evaluate", "search", "train"), "learn"),
    **dict.fromkeys(("doctor", "implementation", "implementations", "inspect"), "machine"),
    **dict.fromkeys(("gate", "run", "sweep"), "measure"),
    **dict.fromkeys(("compare", "export", "history", "plot", "write_report"), "results"),
}
"""Module in `lcbench.api` of each function. It is imported on first use, which keeps `lcbench --help` fast."""


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        from importlib import import_module

        return getattr(import_module(f"lcbench.api.{_MODULES[name]}"), name)
    raise AttributeError(f"module 'lcbench' has no attribute '{name}'")


def __dir__() -> list[str]:
    return [*globals(), *__all__]
