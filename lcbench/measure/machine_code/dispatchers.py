"""The functions of an implementation that Numba compiles for the CPU, found from its losses."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

from numba.core.dispatcher import Dispatcher


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
