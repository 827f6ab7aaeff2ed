"""Innermost loops of the functions that Numba compiles for a CPU implementation."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

import numpy as np
from numba import config, types
from numba.core.dispatcher import Dispatcher

from lcbench.errors import LcbenchError
from lcbench.machine_code.loops import PRANGE, Loop, loops, without_labels
from lcbench.usercode.recognition import resolve

ROWS, FEATURES = 500, 3073
"""Size of the assignment's development set. An implementation may use other code for smaller problems."""


def inspect_cpu(name: str, dtype: str, classes: int, pixels: bool) -> list[Loop]:
    """Return the innermost floating-point loops of the implementation `name`, those with most operations first.

    dtype: of W and, without `pixels`, of X. pixels: X is uint8.

    Raise LossError if there is no such implementation and LcbenchError if Numba compiles none of its code.
    """
    implementation = resolve(name)
    dispatchers = find_dispatchers(implementation.functions.values())
    if not dispatchers:
        reason = "NUMBA_DISABLE_JIT is set" if config.DISABLE_JIT else f"{name} is not compiled by Numba"
        raise LcbenchError(f"{reason}: nothing to inspect")
    rng = np.random.default_rng(0)
    X = rng.integers(0, 256, (ROWS, FEATURES), np.uint8)
    W = rng.standard_normal((FEATURES, classes)).astype(dtype)
    y = rng.integers(0, classes, ROWS)
    for loss in implementation.functions:
        implementation.loss(loss, W, X if pixels else X.astype(dtype), y, 0.1)
    distinct: dict[tuple[str, str], Loop] = {}
    for dispatcher, signature, assembly in _assemblies(dispatchers, dtype):
        for loop in loops(assembly):
            loop = _placed(loop, dispatcher, signature)
            distinct.setdefault((loop.name, without_labels(loop.code)), loop)
    return sorted(distinct.values(), key=lambda loop: -loop.flops)


def _placed(loop: Loop, dispatcher: Any, signature: Any) -> Loop:
    """Return the loop with its line in the source; a parallel loop also with the name of the function that has it.

    If a function has several parallel loops, Numba does not tell which is which, and the lines span all of them.
    Callees from other files have no line.
    """
    function = dispatcher.py_func
    if loop.name == function.__name__:
        return replace(loop, line=str(function.__code__.co_firstlineno))
    if not loop.name.startswith(PRANGE):
        return loop
    diagnostics = (dispatcher.get_metadata(signature) or {}).get("parfor_diagnostics")
    parfors = getattr(diagnostics, "initial_parfors", ())
    lines = sorted({parfor.loc.line for parfor in parfors if parfor.loc.filename == function.__code__.co_filename})
    line = "-".join(map(str, dict.fromkeys([lines[0], lines[-1]]))) if lines else ""
    return replace(loop, name=f"{function.__name__}: {loop.name}", line=line)


def _assemblies(dispatchers: list[Any], dtype: str) -> Iterator[tuple[Any, Any, str]]:
    """Yield dispatcher, signature and assembly of each signature whose first floating-point matrix has `dtype`.

    Other signatures come from the recognition of a user's function, which calls it in float64.
    """
    for dispatcher in dispatchers:
        for signature, assembly in dispatcher.inspect_asm().items():
            matrices = (kind for kind in signature if isinstance(kind, types.Array) and kind.ndim > 1)
            if dtype == next((str(kind.dtype) for kind in matrices if isinstance(kind.dtype, types.Float)), None):
                yield dispatcher, signature, assembly


# Search for the compiled functions


def find_dispatchers(functions: Iterable[Callable[..., Any]]) -> list[Any]:
    """Return Numba's dispatchers that `functions` are or call, in the order in which they are found.

    The search follows Python functions that are defined in the same folder, since what other libraries compile is not
    the implementation's. It does not look into compiled functions, whose machine code contains their callees.
    """
    found: list[Any] = []
    seen: set[int] = set()
    stack = [(function, _folder(function)) for function in reversed(list(functions))]
    while stack:
        function, folder = stack.pop()
        if id(function) in seen:
            continue
        seen.add(id(function))
        if isinstance(function, Dispatcher):
            found.append(function)
        elif isinstance(function, FunctionType) and _folder(function) == folder:
            stack += [(value, folder) for value in reversed(list(_referenced_values(function)))]
    return found


def _folder(function: Callable[..., Any]) -> Path | None:
    code = getattr(inspect.unwrap(getattr(function, "py_func", function)), "__code__", None)
    return Path(code.co_filename).parent if code else None


def _referenced_values(function: FunctionType) -> Iterator[Any]:
    """Yield the globals, attributes of modules and closure variables that the function's code refers to."""
    names = list(_referenced_names(function.__code__))
    values = [function.__globals__[name] for name in names if name in function.__globals__]
    values += [getattr(module, name, None) for module in values if isinstance(module, ModuleType) for name in names]
    for cell in function.__closure__ or ():
        try:
            values.append(cell.cell_contents)
        except ValueError:  # the cell is still empty
            continue
    yield getattr(function, "__wrapped__", None)
    yield from values


def _referenced_names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _referenced_names(constant)
