"""lcbench: how fast, how right and how near the machine's limit the losses of a linear classifier are computed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lcbench.api import compare, gate, history, implementation, implementations, run
    from lcbench.api.searches import search
    from lcbench.api.sweeps import sweep
    from lcbench.api.trainings import evaluate, train

__all__ = [
    "compare",
    "evaluate",
    "gate",
    "history",
    "implementation",
    "implementations",
    "run",
    "search",
    "sweep",
    "train",
]

_HOMES = {"evaluate": "trainings", "search": "searches", "sweep": "sweeps", "train": "trainings"}
"""Modules of their own: they import what measuring does not need."""


def __getattr__(name: str) -> Any:
    # Imported on first use: `lcbench --help` needs none of it.
    if name in __all__:
        from importlib import import_module

        home = f".{_HOMES[name]}" if name in _HOMES else ""
        return getattr(import_module(f"lcbench.api{home}"), name)
    raise AttributeError(f"module 'lcbench' has no attribute '{name}'")


def __dir__() -> list[str]:
    return [*globals(), *__all__]
