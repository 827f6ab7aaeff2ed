"""Python API: the functions behind the commands. They return objects instead of printing."""

from lcbench.api.bisect import bisect
from lcbench.api.machine import implementation, implementations
from lcbench.api.measure import gate, run, sweep
from lcbench.api.results import compare, history

__all__ = ["bisect", "compare", "gate", "history", "implementation", "implementations", "run", "sweep"]
