"""lcbench: how fast, how right and how near the machine's limit the losses of a linear classifier are computed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lcbench.api import compare, gate, implementation, implementations, run

__all__ = ["compare", "gate", "implementation", "implementations", "run"]


def __getattr__(name: str) -> Any:
    # Imported on first use: `lcbench --help` needs none of it.
    if name in __all__:
        from lcbench import api

        return getattr(api, name)
    raise AttributeError(f"module 'lcbench' has no attribute '{name}'")


def __dir__() -> list[str]:
    return [*globals(), *__all__]
