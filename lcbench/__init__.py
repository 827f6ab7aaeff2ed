"""lcbench: how fast, how right and how near the machine's limit the losses of a linear classifier are computed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lcbench.api.checks import check, gradcheck
    from lcbench.api.datasets import download, features, reproduce, synth
    from lcbench.api.learn import evaluate, search, train
    from lcbench.api.machine import doctor, implementation, implementations, inspect
    from lcbench.api.measure import gate, run, sweep
    from lcbench.api.results import compare, export, history, plot, write_report

__all__ = [
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

_HOMES = {
    **dict.fromkeys(("check", "gradcheck"), "checks"),
    **dict.fromkeys(("download", "features", "reproduce", "synth"), "datasets"),
    **dict.fromkeys(("evaluate", "search", "train"), "learn"),
    **dict.fromkeys(("doctor", "implementation", "implementations", "inspect"), "machine"),
    **dict.fromkeys(("gate", "run", "sweep"), "measure"),
    **dict.fromkeys(("compare", "export", "history", "plot", "write_report"), "results"),
}
"""The module of each in `lcbench.api`, imported on first use: `lcbench --help` needs none of it."""


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(f"lcbench.api.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'lcbench' has no attribute '{name}'")


def __dir__() -> list[str]:
    return [*globals(), *__all__]
