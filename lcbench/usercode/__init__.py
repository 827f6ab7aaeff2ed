"""User's own code as an implementation: an assignment file, a function in a module or a package's entry point.

`load_functions` turns a value of ``--impl`` into functions. `recognise` finds out, by calling a function, which loss it
computes and in which convention. A file may contain Python 2 code, imports of packages that are not installed or broken
functions: only the affected statements are skipped.
"""

from __future__ import annotations

from lcbench.usercode.discovery import NotFound, UserFunction, entry_point_names, load_functions
from lcbench.usercode.recognition import Refusal, recognise, recognise_by_loss

__all__ = [
    "NotFound",
    "Refusal",
    "UserFunction",
    "entry_point_names",
    "load_functions",
    "recognise",
    "recognise_by_loss",
]
