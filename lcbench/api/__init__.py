"""What Python code asks of lcbench: the same things as the command line, returning objects instead of printing."""

from lcbench.api.gates import gate
from lcbench.api.machine import implementation, implementations
from lcbench.api.results import compare, history
from lcbench.api.runs import run

__all__ = ["compare", "gate", "history", "implementation", "implementations", "run"]
