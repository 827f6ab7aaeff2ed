"""The functions of an implementation that Numba compiles for the CPU, found from its losses."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

import numpy as np
from numba import config, types
from numba.core.dispatcher import Dispatcher

from lcbench.errors import LcbenchError
from lcbench.machine_code.loops import Loop, loops, without_labels
from lcbench.usercode.discovery import resolve


def compiled_functions(functions: Iterable[Callable[..., Any]]) -> list[Any]:
    """The dispatchers that Python code calls, starting from `functions`, in the order in which they are met.

    Followed is Python code beside the functions, in their own folder: what libraries compile is theirs. What one
    compiled function calls is part of its machine code, so it is not listed again.
    """
    found: list[Any] = []
    seen: set[int] = set()
    todo = [(function, _folder(function)) for function in reversed(list(functions))]
    while todo:
        function, home = todo.pop()
        if id(function) in seen:
            continue
        seen.add(id(function))
        if isinstance(function, Dispatcher):
            found.append(function)
        elif isinstance(function, FunctionType) and _folder(function) == home:
            todo += [(value, home) for value in reversed(list(_used(function)))]
    return found


def _folder(function: Callable[..., Any]) -> Path | None:
    code = getattr(inspect.unwrap(getattr(function, "py_func", function)), "__code__", None)
    return Path(code.co_filename).parent if code else None


def _used(function: FunctionType) -> Iterator[Any]:
    """What the names in a function's code stand for: globals, attributes of modules, variables that it closes over."""
    names = list(_names(function.__code__))
    values = [function.__globals__[name] for name in names if name in function.__globals__]
    values += [getattr(module, name, None) for module in values if isinstance(module, ModuleType) for name in names]
    for cell in function.__closure__ or ():
        try:
            values.append(cell.cell_contents)
        except ValueError:  # still empty
            continue
    yield getattr(function, "__wrapped__", None)
    yield from values


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)


# What Numba made of a CPU implementation: run once, then read.

ROWS, FEATURES = 500, 3073
"""The assignment's development set: an implementation may take another way for a problem that is smaller."""


def inspect_cpu(name: str, dtype: str, classes: int, pixels: bool) -> list[Loop]:
    """The innermost floating-point loops of the implementation `name`, those with most operations a pass first.

    dtype: of W, and of X but with `pixels`, where X is uint8. Raises LossError where there is no such implementation,
    LcbenchError where Numba compiles nothing of it.
    """
    implementation = resolve(name)
    found = compiled_functions(implementation.functions.values())
    if not found:
        because = "NUMBA_DISABLE_JIT is set" if config.DISABLE_JIT else f"{name} is not compiled by Numba"
        raise LcbenchError(f"{because}: nothing to inspect")
    rng = np.random.default_rng(0)
    X = rng.integers(0, 256, (ROWS, FEATURES), np.uint8)
    W = rng.standard_normal((FEATURES, classes)).astype(dtype)
    y = rng.integers(0, classes, ROWS)
    for loss in implementation.functions:
        implementation.loss(loss, W, X if pixels else X.astype(dtype), y, 0.1)
    copies: dict[tuple[str, str], Loop] = {}
    for assembly in _assemblies(found, dtype):
        for loop in loops(assembly):
            copies.setdefault((loop.name, without_labels(loop.code)), loop)
    return sorted(copies.values(), key=lambda loop: -loop.flops)


def _assemblies(dispatchers: list[Any], dtype: str) -> Iterator[str]:
    """Of what was compiled for `dtype`, as the first matrix of floats says; recognising a user's file compiles more."""
    for dispatcher in dispatchers:
        for signature, assembly in dispatcher.inspect_asm().items():
            matrices = (kind for kind in signature if isinstance(kind, types.Array) and kind.ndim > 1)
            if dtype == next((str(kind.dtype) for kind in matrices if isinstance(kind.dtype, types.Float)), None):
                yield assembly
