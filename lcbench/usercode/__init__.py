"""A user's own code as an implementation: an assignment file, a function in a module, a package's entry point.

`load_functions` turns what ``--impl`` takes into functions, `recognise` finds by what a function computes which loss
it is and in
which convention it counts. Files need not be in good order: what was written for Python 2, an import that is not
installed or one broken function costs no more than itself.
"""

from __future__ import annotations

from lcbench.usercode.conventions import Oracle, Refusal, recognise, recognise_by_loss
from lcbench.usercode.discovery import UserFunction, entry_point_names, load_functions

__all__ = ["Oracle", "Refusal", "UserFunction", "entry_point_names", "load_functions", "recognise", "recognise_by_loss"]
