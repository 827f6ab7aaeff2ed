"""What a user's code raised, as one line with the line number in the user's file."""

from __future__ import annotations

import re
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from lcbench.losses.user_code.missing import UsesMissingError
from lcbench.losses.user_code.source import syntax_reason

FaultKind = Literal["unfinished", "removed-numpy-name", "missing-module", "raises"]


@dataclass(frozen=True)
class Fault:
    """An exception of the user's code. `line` is None where no line of the file took part."""

    kind: FaultKind
    line: int | None
    reason: str

    def __str__(self) -> str:
        return self.reason if self.line is None else f"line {self.line}: {self.reason}"


def describe(error: BaseException, filename: str) -> Fault:
    """The fault behind `error`, located at the innermost line of code from `filename` that took part."""
    line = _line_in(error, filename)
    if isinstance(error, NotImplementedError):
        return Fault("unfinished", line, "unfinished: raises NotImplementedError")
    if isinstance(error, AttributeError) and (gone := _removed_numpy_name(str(error))):
        return Fault("removed-numpy-name", line, gone)
    if isinstance(error, UsesMissingError):
        return Fault("missing-module", line, str(error))
    if isinstance(error, SyntaxError):
        return Fault("raises", line, syntax_reason(error, error.text or ""))
    message = re.sub(r" \([^()]*\)$", "", str(error)) if isinstance(error, ImportError) else str(error)  # a long path
    return Fault("raises", line, f"{type(error).__name__}: {_first_telling_line(message)}".rstrip(": "))


def _line_in(error: BaseException, filename: str) -> int | None:
    if isinstance(error, SyntaxError) and error.filename == filename:
        return error.lineno
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == filename]
    # a compiler's message names the place itself: its error is raised before the code runs
    named = re.search(rf'File "[^"\n]*{re.escape(Path(filename).name)}", line (\d+)', str(error))
    return int(named[1]) if named else lines[-1] if lines else None


def _first_telling_line(message: str, longest: int = 160) -> str:
    lines = [line.strip() for line in message.splitlines()]
    # Numba's messages open with the name of the compiler's stage
    telling = [line for line in lines if line and not line.startswith("Failed in")] or [""]
    return telling[0] if len(telling[0]) <= longest else telling[0][: longest - 3] + "..."


_REMOVED: dict[str, tuple[str, str]] = {
    # name: (the NumPy release without it, what to write)
    "asscalar": ("1.23", "x.item()"),
    "complex": ("1.24", "complex"),
    "float": ("1.24", "float"),
    "int": ("1.24", "int"),
    "object": ("1.24", "object"),
    "str": ("1.24", "str"),
    "unicode": ("1.24", "str"),
    "alltrue": ("2.0", "np.all"),
    "asfarray": ("2.0", "np.asarray(x, dtype=float)"),
    "cumproduct": ("2.0", "np.cumprod"),
    "float_": ("2.0", "np.float64"),
    "Inf": ("2.0", "np.inf"),
    "Infinity": ("2.0", "np.inf"),
    "infty": ("2.0", "np.inf"),
    "mat": ("2.0", "np.asmatrix"),
    "NaN": ("2.0", "np.nan"),
    "NINF": ("2.0", "-np.inf"),
    "PINF": ("2.0", "np.inf"),
    "product": ("2.0", "np.prod"),
    "round_": ("2.0", "np.round"),
    "sometrue": ("2.0", "np.any"),
    "in1d": ("2.4", "np.isin"),
    "trapz": ("2.4", "np.trapezoid"),
}


def _removed_numpy_name(message: str) -> str | None:
    """NumPy says it in two forms: "module 'numpy' has no attribute 'int'" and "`np.infty` was removed ..."."""
    match = re.match(r"module 'numpy' has no attribute '(\w+)'|`np\.(\w+)` was removed", message)
    if match is None:
        return None
    name = match[1] or match[2]
    if name not in _REMOVED:
        return f"np.{name} is not in NumPy {np.__version__}"
    release, replacement = _REMOVED[name]
    return f"np.{name} is gone since NumPy {release}; write {replacement}"
