"""User's functions behind a value of ``--impl``: a file, a function in a file or module, or an entry point."""

from __future__ import annotations

import hashlib
import inspect
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any, cast, get_args

from lcbench.losses import catalog
from lcbench.losses.implementation import LOSSES, CannotLoad, Device, Implementation, LossName, nearest
from lcbench.usercode.loading import UserModule, UserModules, import_installed
from lcbench.usercode.source import Definition, has_signature, loss_in_name, positional_parameters, underlying

ENTRY_POINT_GROUP = "lcbench.implementations"


def is_user_code(name: str) -> bool:
    """Return whether `name` is a file, a function of a module or an entry point instead of a name in the catalog."""
    if name in catalog.CATALOG:
        return False
    if name.endswith(".py") or ":" in name or "/" in name or Path(name).exists():
        return True
    return name in entry_point_names()


def entry_point_names() -> list[str]:
    """Return the names under which installed packages offer implementations."""
    return sorted(entry_points(group=ENTRY_POINT_GROUP).names)


def require_known(name: str) -> None:
    """Raise UnknownImplementation, or CannotLoad for a file, if there is no `name`; run and import no user code."""
    if not is_user_code(name):
        catalog.find(name)
        return
    file = name if name.endswith(".py") else name.rpartition(":")[0]
    if file.endswith(".py"):
        _require_file(file)


def code_hash(name: str) -> str:
    """Return twelve hexadecimal digits of the SHA-256 of the file that holds the implementation `name`.

    name: as for ``--impl``, of the catalog or a user's. Files that it imports do not count. The result is "" if there
    is no such file. No code is run or imported.
    """
    try:
        return hashlib.sha256(_code_file(name).read_bytes()).hexdigest()[:12]
    except (OSError, ValueError):  # find_spec and paths refuse some names
        return ""


def _code_file(name: str) -> Path:
    """Return the file that holds an implementation, which may not exist."""
    owner = name.rpartition(":")[0]
    for file in (name, owner):
        if name not in catalog.CATALOG and (file.endswith(".py") or Path(file).is_file()):
            return Path(file)
    if name in catalog.CATALOG:
        owner = catalog.CATALOG[name].module.partition(":")[0]
    elif not owner:
        owner = next((each.module for each in entry_points(group=ENTRY_POINT_GROUP, name=name)), name)
    package, *parts = owner.split(".")
    spec = find_spec(package) if package else None  # without a dot in the name, nothing is imported
    folders = [Path(folder).parent for folder in (spec and spec.submodule_search_locations) or ()]
    if spec and spec.origin and not folders:
        folders = [Path(spec.origin).parent]
    paths = [folder.joinpath(package, *parts) for folder in (*folders, Path.cwd())]
    files = [file for path in paths for file in (path / "__init__.py", path.with_name(f"{path.name}.py"))]
    return next(filter(Path.is_file, files), files[-1])


@dataclass(frozen=True)
class UserFunction:
    """User's function, which may be wrong.

    spec: argument of `load_functions` that gives this function again, with the path as the user typed it.
    name: name of its row, which is the spec with the name of the file instead of its path.
    function: None if there is a `problem`, one line that says why it cannot be called.
    loss: loss that its name contains, or None.
    line: line of its definition, or None if unknown.
    notes: skipped parts of the file, one line each.
    prepare, fetch, device: as in `Implementation`, if the function's file, module or object defines them.
    compiles: whether the function, or one that it uses, is compiled by Numba.
    """

    spec: str
    name: str
    function: Callable[..., Any] | None
    loss: LossName | None
    file: Path | None = None
    line: int | None = None
    problem: str | None = None
    notes: tuple[str, ...] = ()
    prepare: Callable[..., Any] | None = None
    fetch: Callable[..., Any] | None = None
    device: Device = "cpu"
    compiles: bool = False


def load_functions(spec: str) -> list[UserFunction]:
    """Return the functions behind ``FILE.py``, ``FILE.py:FUNCTION``, ``module:attribute`` or an entry point's name.

    A file gives every function that it defines with the signature (W, X, y, reg), in the file's order. A module or
    object gives its `svm_loss` and `softmax_loss`. Functions that cannot be called have a `problem`.

    Raise CannotLoad if there is no function.
    """
    owner, colon, attribute = spec.rpartition(":")
    if spec.endswith(".py") or Path(spec).is_file():
        return _functions_of_file(spec)
    if colon and (owner.endswith(".py") or Path(owner).is_file()):
        return [_function_of_file(spec, owner, attribute)]
    if colon:
        return _functions_of_module(spec, owner, attribute)
    for entry_point in entry_points(group=ENTRY_POINT_GROUP, name=spec):
        attribute = entry_point.attr or ""
        functions = _functions_of_module(f"{entry_point.module}:{attribute}", entry_point.module, attribute)
        return [replace(function, name=spec) for function in functions]
    if Path(spec).is_dir():
        raise CannotLoad(f"{spec}: is a folder; name a Python file in it")
    raise CannotLoad(f"{spec}: neither a Python file, nor module:function, nor an entry point in {ENTRY_POINT_GROUP}")


# Files


def _functions_of_file(path: str) -> list[UserFunction]:
    user_module, notes = _load_file(path)
    found: dict[str, UserFunction] = {}
    for name, member in _functions_defined_in(user_module):
        names, required = positional_parameters(member)
        if has_signature(name, names, required):
            found[name] = _user_function(f"{path}:{name}", member, user_module.module, user_module.file, notes)
    for definition, reason in _skipped_definitions(user_module):
        if has_signature(definition.name, definition.parameters, definition.required):
            spec = f"{path}:{definition.name}"
            found[definition.name] = _skipped_function(spec, definition, reason, user_module.file, notes)
    if not found:
        raise CannotLoad(f"{path}: {_no_function_reason(user_module)}")
    return sorted(found.values(), key=lambda function: function.line or 0)


def _function_of_file(spec: str, path: str, attribute: str) -> UserFunction:
    user_module, notes = _load_file(path)
    for definition, reason in _skipped_definitions(user_module):
        if definition.name == attribute:
            return _skipped_function(spec, definition, reason, user_module.file, notes)
    owner, member = _member(spec, user_module.module, attribute)
    return _user_function(spec, _require_four_parameters(spec, member), owner, user_module.file, notes)


def _load_file(path: str) -> tuple[UserModule, tuple[str, ...]]:
    """Return the file as a module, with the notes on it and on the files that it imports."""
    _require_file(path)
    file = Path(path)
    if file.suffix == ".ipynb":
        raise CannotLoad(f"{path}: is a notebook; convert it with: jupyter nbconvert --to script {path}")
    modules = UserModules()
    user_module = modules.load(file)
    for each in modules:
        _enable_numba_cache(each.module)
    own = [str(note) for note in user_module.notes]
    others = [f"{other.file.name} {note}" for other in modules if other is not user_module for note in other.notes]
    return user_module, (*own, *others)


def _require_file(path: str) -> None:
    """Raise CannotLoad, with the nearest name in its folder, if there is no file `path`."""
    file = Path(path)
    if not file.exists():
        siblings = [sibling.name for sibling in file.parent.glob("*.py")]
        raise CannotLoad(f"{path}: no such file{_suggestion(file.name, siblings)}")


def _enable_numba_cache(module: ModuleType) -> None:
    """Cache the compiled functions of the module, as with ``cache=True``, if NUMBA_CACHE_DIR is set.

    A run sets it to a folder of its own, so that the first process compiles for all others.
    """
    compiled = [member for member in vars(module).values() if hasattr(type(member), "enable_caching")]
    if not compiled:
        return
    # Numba finds the modules of cached code in sys.modules. This is the only change that we make to it.
    registered = sys.modules.setdefault(module.__name__, module)
    if registered is module and "NUMBA_CACHE_DIR" in os.environ:
        for function in compiled:
            with suppress(RuntimeError):  # the function's source is not a file
                function.enable_caching()


def _functions_defined_in(user_module: UserModule) -> Iterator[tuple[str, Any]]:
    """Yield the functions that the file itself defines, compiled ones included, but no lambdas and no classes."""
    seen = set()
    namespace = vars(user_module.module)
    for name, member in namespace.items():
        function = underlying(member)
        if (
            isinstance(function, FunctionType)
            and function.__globals__ is namespace
            and function.__name__ != "<lambda>"
            and id(member) not in seen
        ):
            seen.add(id(member))
            yield name, member


def _skipped_definitions(user_module: UserModule) -> Iterator[tuple[Definition, str]]:
    """Yield the functions whose definition failed, with the reason, unless they are defined again later."""
    for note in user_module.notes:
        for definition in note.definitions:
            code = getattr(underlying(getattr(user_module.module, definition.name, None)), "__code__", None)
            if code is None or code.co_firstlineno < definition.line:
                yield definition, f"line {note.line}: {note.reason}"


def _no_function_reason(user_module: UserModule, max_listed: int = 6) -> str:
    """Return one line with the functions that the file defines instead, and the first note."""
    found = [
        f"{name}({', '.join(positional_parameters(member)[0])})" for name, member in _functions_defined_in(user_module)
    ]
    found += [f"{lost.name}({', '.join(lost.parameters)})" for lost, _ in _skipped_definitions(user_module)]
    listed = ", ".join(found[:max_listed]) + (f" and {len(found) - max_listed} more" if len(found) > max_listed else "")
    reason = f"no function with the signature (W, X, y, reg); the file defines {listed or 'no function'}"
    return f"{reason} ({user_module.notes[0]})" if user_module.notes else reason


# Modules


def _functions_of_module(spec: str, module_name: str, attribute: str) -> list[UserFunction]:
    """Return the functions of an installed module or, if there is none, of a module in the current folder."""
    module = import_installed(module_name)
    notes: tuple[str, ...] = ()
    if module is None:
        user_module = UserModules().find(Path.cwd(), module_name)
        if user_module is None:
            raise CannotLoad(f"{spec}: no module {module_name}, neither installed nor in this folder")
        module, notes = user_module.module, tuple(map(str, user_module.notes))
    owner, member = _member(spec, module, attribute)
    if callable(member) and not any(hasattr(member, f"{loss}_loss") for loss in LOSSES):
        return [_user_function(spec, _require_four_parameters(spec, member), owner, None, notes)]
    functions = []
    for loss in LOSSES:
        if callable(getattr(member, f"{loss}_loss", None)):
            own_spec = f"{spec}.{loss}_loss" if attribute else f"{spec}{loss}_loss"
            owner, function = _member(own_spec, member, f"{loss}_loss")
            functions.append(replace(_user_function(own_spec, function, owner, None, notes), name=spec, loss=loss))
    if not functions:
        raise CannotLoad(f"{spec}: neither a function nor something with svm_loss or softmax_loss")
    return functions


# Functions


def _user_function(spec: str, function: Any, owner: Any, file: Path | None, notes: tuple[str, ...]) -> UserFunction:
    plain = underlying(function)
    line, used = None, []
    if isinstance(plain, FunctionType):
        line = plain.__code__.co_firstlineno
        used = [plain.__globals__.get(name) for name in plain.__code__.co_names]
    prepare, fetch, device = (getattr(owner, name, None) for name in ("prepare", "fetch", "device"))
    transfers = callable(prepare) and callable(fetch)
    return UserFunction(
        spec=spec,
        name=_row_name(spec, file),
        function=function,
        loss=loss_in_name(spec.rpartition(":")[2]),
        file=file,
        line=line,
        notes=notes,
        prepare=prepare if transfers else None,
        fetch=fetch if transfers else None,
        device=cast(Device, device) if transfers and isinstance(device, str) and device in get_args(Device) else "cpu",
        compiles=any(hasattr(candidate, "py_func") for candidate in (function, *used)),
    )


def _skipped_function(
    spec: str, definition: Definition, reason: str, file: Path, notes: tuple[str, ...]
) -> UserFunction:
    loss = loss_in_name(definition.name)
    return UserFunction(spec, _row_name(spec, file), None, loss, file, definition.line, reason, notes)


def _row_name(spec: str, file: Path | None) -> str:
    return spec if file is None else f"{file.name}:{spec.rpartition(':')[2]}"


def _member(spec: str, owner: Any, attribute: str) -> tuple[Any, Any]:
    """Return the object that has the dotted `attribute`, and the attribute; `owner` for both if it is empty."""
    member = owner
    for name in attribute.split(".") if attribute else ():
        owner = member
        if isinstance(owner, Implementation) and name.removesuffix("_loss") in owner.functions:
            # Not the method, which would call prepare and fetch: these are taken from the owner.
            member = owner.functions[name.removesuffix("_loss")]
            continue
        if not hasattr(owner, name):
            callables = [other for other in dir(owner) if callable(getattr(owner, other)) and not other.startswith("_")]
            raise CannotLoad(f"{spec}: there is no {name}{_suggestion(name, callables)}")
        member = getattr(owner, name)
    return owner, member


def _require_four_parameters(spec: str, function: Any) -> Any:
    """Return `function`; raise CannotLoad if it cannot be called with four positional arguments."""
    if not callable(function):
        raise CannotLoad(f"{spec}: has type {type(function).__name__}, but must be a function (W, X, y, reg)")
    try:
        signature = inspect.signature(underlying(function))
    except ValueError:  # some functions of extension modules have no signature
        return function
    try:
        signature.bind(None, None, None, None)
    except TypeError:
        raise CannotLoad(f"{spec}: takes {signature}, not four positional arguments (W, X, y, reg)") from None
    return function


def _suggestion(name: str, names: Iterable[str]) -> str:
    near = nearest(name, names)
    return f"; did you mean {near}?" if near else ""
