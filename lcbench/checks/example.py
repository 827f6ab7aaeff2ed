"""Small example for which a user's function is wrong, and a line of its code to look at."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from types import CodeType
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from lcbench.checks.cases import Case
from lcbench.errors import type_and_message
from lcbench.losses import oracle
from lcbench.losses.implementation import Implementation, LossName
from lcbench.losses.oracle import Expected
from lcbench.record import Example
from lcbench.usercode.conventions import strength
from lcbench.usercode.discovery import UserFunction
from lcbench.usercode.source import underlying

SMALL = Case("example", 3, 2, 3, labels="each")

SHOWN = 3
"""Number of elements of dW that are shown."""

TOKENS = (
    ("prange", r"\bprange\("),
    ("maximum of each row", r"\bexp\w*\("),
    ("logarithm", r"\blog\w*\("),
    ("regularisation|reg ", r"\breg|\bW *\* *W\b|\bW *\*\* *2|square|norm\(|\blambda|\blamb?d|\bW\.dot\(W|\bW\)"),
    ("averaged|divided", r"/|mean\("),
)
"""Regular expressions: words of a mistake, and the code that it is likely to be in."""


class WithExample(Protocol):
    """Result with fields for a line of the code and an example."""

    loss: str
    reason: str
    line: int | None
    code: str
    example: Example | None


def filename_of(function: UserFunction | None) -> str:
    """Return the file name in the code of a user's function, or "" if it is unknown."""
    code = _code(function)
    return code.co_filename if code else ""


def _code(function: UserFunction | None) -> CodeType | None:
    return getattr(underlying(function.function), "__code__", None) if function and function.function else None


def add_example(
    result: WithExample, implementation: Implementation, function: UserFunction | None, case: Case = SMALL
) -> None:
    """Add a line of the code and a small example to the result of a function that is wrong, in `case` at least."""
    result.line, result.code = faulty_line(function, result.reason)
    with suppress(Exception), np.errstate(all="ignore"):
        result.example = _example(implementation, cast(LossName, result.loss), case)


def faulty_line(function: UserFunction | None, reason: str) -> tuple[int | None, str]:
    """Return the number and the text of the line that `reason` is about, or else of the function's definition.

    The line is named in `reason`, or it is the first with what the mistake is likely to be in: for a mistake in the
    loss or in the gradient only, a line with it, or else the last one that computes it. (None, "") if it is unknown.
    """
    code = _code(function)
    if function is None or function.file is None or function.line is None or code is None:
        return None, ""
    try:
        lines = function.file.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return function.line, ""
    last = max((line for _, _, line in code.co_lines() if line), default=function.line)
    starts = range(function.line, min(last, len(lines)) + 1)
    wanted = next((number for number in starts if re.match(r"\s*(async )?def ", lines[number - 1])), function.line)
    if named := re.search(r"\bline (\d+): ", reason):
        wanted = int(named[1])
    else:
        for words, token in TOKENS:
            if re.search(words, reason):
                body = range(function.line + 1, min(last, len(lines)) + 1)
                found = [number for number in body if re.search(token, lines[number - 1].partition("#")[0])]
                part = "loss|cost" if "the loss" in reason else "dW|grad" if "the gradient" in reason else ""
                likely = [number for number in found if re.search(part, lines[number - 1])]
                # What is missing is in no line. It belongs to the last one that computes the loss or the gradient.
                computing = [number for number in body if part and re.search(rf"({part}).*=", lines[number - 1])]
                wanted = next(iter(likely or computing[-1:] or found), wanted)
                break
    return wanted, lines[wanted - 1].strip() if wanted <= len(lines) else ""


def _example(implementation: Implementation, loss: LossName, case: Case) -> Example | None:
    """Return the smallest inputs for which the result is wrong, or None if they are too large to be shown."""
    small_case = replace(case, rows=SMALL.rows, features=SMALL.features, classes=SMALL.classes)
    for small in (small_case, replace(small_case, shift=10 * case.shift), SMALL):
        W, X, y, _ = small.inputs("float64")
        W, X = np.round(W, 1), np.round(X, 1)
        reg = 0.1 if not small.shift else 0.0
        right = oracle.expected(loss, W, X, y, reg)
        try:
            value, dW = implementation.fetch(
                *implementation.functions[loss](*implementation.prepare(W.copy(), X.copy(), y.copy()), reg)
            )
        except Exception as error:
            return Example(
                _inputs(implementation, W, X, y, reg), [("loss", f"{right.loss:.6g}", type_and_message(error))]
            )
        if right.mismatch(value, dW):
            return Example(
                _inputs(implementation, W, X, y, reg), [*_compared(right, value, dW, implementation.convention.columns)]
            )
    return None


def _inputs(implementation: Implementation, W: NDArray[Any], X: NDArray[Any], y: NDArray[Any], reg: float) -> list[str]:
    """Return the arguments in the function's own convention, as Python code."""
    convention = implementation.convention
    if convention.columns:
        W, X = W.T, X.T
    return [
        f"W = np.array({W.tolist()})",
        f"X = np.array({X.tolist()})",
        f"y = np.array({y.tolist()}); reg = {strength(convention, len(y)) * reg:g}",
    ]


def _compared(right: Expected, value: float, dW: NDArray[Any], columns: bool) -> Iterator[tuple[str, str, str]]:
    """Yield name, expected and actual value of the loss, and of the elements of dW that differ most, if it is wrong."""
    yield "loss", f"{right.loss:.6g}", f"{value:.6g}"
    if not right.mismatch(right.loss, dW):
        return
    distances = np.nan_to_num(np.abs(dW - right.dW), nan=np.inf)
    for place in np.argsort(-distances, axis=None, kind="stable")[:SHOWN].tolist():
        row, column = divmod(place, dW.shape[1])
        at = f"{column}, {row}" if columns else f"{row}, {column}"
        yield f"dW[{at}]", f"{right.dW[row, column]:.6g}", f"{dW[row, column]:.6g}"
