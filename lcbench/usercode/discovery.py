"""From what ``--impl`` takes to functions: a file, a function in a file or module, an entry point."""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from importlib.metadata import entry_points
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any, cast, get_args

from lcbench.losses import catalog
from lcbench.losses.implementation import LOSSES, CannotLoad, Device, Implementation, LossName, nearest
from lcbench.usercode.loading import UserModule, UserModules, import_installed
from lcbench.usercode.source import Definition, has_signature, loss_in_name, positional_parameters, underlying

ENTRY_POINT_GROUP = "lcbench.implementations"


@dataclass(frozen=True)
class UserFunction:
    """One function of a user's, not yet known to be right.

    spec: what `load` takes to give this very function again, with the path as the user typed it.
    name: what its row is called: the spec with the file's name only.
    function: None where there is a `problem`, one line why it cannot be called.
    loss: which loss its name says it is, or None.
    line: where it is defined, or None where that cannot be known.
    notes: what was passed over in the file, one line each.
    prepare, fetch, device: as in `Implementation`, where the function's file, module or object has them.
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
    """The functions behind ``FILE.py``, ``FILE.py:FUNCTION``, ``module:attribute`` or the name of an entry point.

    Of a whole file, every function that is defined in it and has the signature (W, X, y, reg), in the file's order;
    of a module or object, its `svm_loss` and `softmax_loss`. Functions that cannot be called come with their `problem`.

    Raises CannotLoad, in one line, where there is nothing to try.
    """
    place, colon, attribute = spec.rpartition(":")
    if spec.endswith(".py") or Path(spec).is_file():
        return _functions_of_file(spec)
    if colon and (place.endswith(".py") or Path(place).is_file()):
        return [_function_of_file(spec, place, attribute)]
    if colon:
        return _functions_of_module(spec, place, attribute)
    for entry_point in entry_points(group=ENTRY_POINT_GROUP, name=spec):
        attribute = entry_point.attr or ""
        functions = _functions_of_module(f"{entry_point.module}:{attribute}", entry_point.module, attribute)
        return [replace(function, name=spec) for function in functions]
    if Path(spec).is_dir():
        raise CannotLoad(f"{spec}: is a folder; name a Python file in it")
    raise CannotLoad(f"{spec}: neither a Python file, nor module:function, nor an entry point in {ENTRY_POINT_GROUP}")


def entry_point_names() -> list[str]:
    """Names under which installed packages offer implementations."""
    return sorted(entry_points(group=ENTRY_POINT_GROUP).names)


def _functions_of_file(path: str) -> list[UserFunction]:
    user_module, notes = _run_file(path)
    found: dict[str, UserFunction] = {}
    for name, member in _defined_in(user_module):
        names, required = positional_parameters(member)
        if has_signature(name, names, required):
            found[name] = _user_function(f"{path}:{name}", member, user_module.module, user_module.file, notes)
    for definition, reason in _lost_definitions(user_module):
        if has_signature(definition.name, definition.parameters, definition.required):
            found[definition.name] = _unusable(f"{path}:{definition.name}", definition, reason, user_module.file, notes)
    if not found:
        raise CannotLoad(f"{path}: {_nothing_found(user_module)}")
    return sorted(found.values(), key=lambda function: function.line or 0)


def _function_of_file(spec: str, path: str, attribute: str) -> UserFunction:
    user_module, notes = _run_file(path)
    for definition, reason in _lost_definitions(user_module):
        if definition.name == attribute:
            return _unusable(spec, definition, reason, user_module.file, notes)
    owner, member = _member(spec, user_module.module, attribute)
    return _user_function(spec, _accepting_four(spec, member), owner, user_module.file, notes)


def _functions_of_module(spec: str, module_name: str, attribute: str) -> list[UserFunction]:
    """Of an installed module, else of one that lies in the current folder."""
    module = import_installed(module_name)
    notes: tuple[str, ...] = ()
    if module is None:
        user_module = UserModules().find(Path.cwd(), module_name)
        if user_module is None:
            raise CannotLoad(f"{spec}: no module {module_name}, neither installed nor in this folder")
        module, notes = user_module.module, tuple(map(str, user_module.notes))
    owner, member = _member(spec, module, attribute)
    if callable(member) and not any(hasattr(member, f"{loss}_loss") for loss in LOSSES):
        return [_user_function(spec, _accepting_four(spec, member), owner, None, notes)]
    functions = []
    for loss in LOSSES:
        if callable(getattr(member, f"{loss}_loss", None)):
            own_spec = f"{spec}.{loss}_loss" if attribute else f"{spec}{loss}_loss"
            owner, function = _member(own_spec, member, f"{loss}_loss")
            functions.append(replace(_user_function(own_spec, function, owner, None, notes), name=spec, loss=loss))
    if not functions:
        raise CannotLoad(f"{spec}: neither a function nor something with svm_loss or softmax_loss")
    return functions


def require_file(path: str) -> None:
    """Raise CannotLoad, with the nearest file in its folder, where there is no file `path`."""
    file = Path(path)
    if not file.exists():
        siblings = [sibling.name for sibling in file.parent.glob("*.py")]
        raise CannotLoad(f"{path}: no such file{_nearest(file.name, siblings)}")


def _run_file(path: str) -> tuple[UserModule, tuple[str, ...]]:
    """The file as a module, and the notes on it and on the files that it imports."""
    require_file(path)
    file = Path(path)
    if file.suffix == ".ipynb":
        raise CannotLoad(f"{path}: is a notebook; jupyter nbconvert --to script {path} makes a Python file of it")
    modules = UserModules()
    user_module = modules.load(file)
    for each in modules:
        _keep_what_is_compiled(each.module)
    own = [str(note) for note in user_module.notes]
    others = [f"{other.file.name} {note}" for other in modules if other is not user_module for note in other.notes]
    return user_module, (*own, *others)


def _keep_what_is_compiled(module: ModuleType) -> None:
    """Has Numba keep the code of the module's functions where a folder is named for that, as if each had `cache=True`.

    A run names one of its own, in which its first process compiles for all that follow.
    """
    compiled = [member for member in vars(module).values() if hasattr(type(member), "enable_caching")]
    if not compiled:
        return
    # Kept code names the modules that it needs, and Numba looks for them here: the one exception to leaving it alone.
    found = sys.modules.setdefault(module.__name__, module)
    if found is module and "NUMBA_CACHE_DIR" in os.environ:
        for function in compiled:
            with suppress(RuntimeError):  # its source is no file of its own
                function.enable_caching()


def _defined_in(user_module: UserModule) -> Iterator[tuple[str, Any]]:
    """Functions that the file itself defines, compiled ones included; not what it imports, lambdas or classes."""
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


def _lost_definitions(user_module: UserModule) -> Iterator[tuple[Definition, str]]:
    """Functions that could not be defined, each with the reason, where no later definition took their place."""
    for note in user_module.notes:
        for definition in note.definitions:
            code = getattr(underlying(getattr(user_module.module, definition.name, None)), "__code__", None)
            if code is None or code.co_firstlineno < definition.line:
                yield definition, f"line {note.line}: {note.reason}"


def _unusable(spec: str, definition: Definition, reason: str, file: Path, notes: tuple[str, ...]) -> UserFunction:
    return UserFunction(
        spec, _short(spec, file), None, loss_in_name(definition.name), file, definition.line, reason, notes
    )


def _user_function(spec: str, function: Any, owner: Any, file: Path | None, notes: tuple[str, ...]) -> UserFunction:
    plain = underlying(function)
    line, used = None, []
    if isinstance(plain, FunctionType):
        line = plain.__code__.co_firstlineno
        used = [plain.__globals__.get(name) for name in plain.__code__.co_names]
    prepare, fetch, device = (getattr(owner, name, None) for name in ("prepare", "fetch", "device"))
    elsewhere = callable(prepare) and callable(fetch)
    return UserFunction(
        spec=spec,
        name=_short(spec, file),
        function=function,
        loss=loss_in_name(spec.rpartition(":")[2]),
        file=file,
        line=line,
        notes=notes,
        prepare=prepare if elsewhere else None,
        fetch=fetch if elsewhere else None,
        device=cast(Device, device) if elsewhere and isinstance(device, str) and device in get_args(Device) else "cpu",
        compiles=any(hasattr(candidate, "py_func") for candidate in (function, *used)),
    )


def _short(spec: str, file: Path | None) -> str:
    return spec if file is None else f"{file.name}:{spec.rpartition(':')[2]}"


def _member(spec: str, owner: Any, attribute: str) -> tuple[Any, Any]:
    """The dotted `attribute` of `owner` and the object that has it; without an attribute, `owner` itself."""
    member = owner
    for name in attribute.split(".") if attribute else ():
        owner = member
        if isinstance(owner, Implementation) and name.removesuffix("_loss") in owner.functions:
            member = owner.functions[name.removesuffix("_loss")]  # bare: its prepare and fetch are taken as well
            continue
        if not hasattr(owner, name):
            callables = [other for other in dir(owner) if callable(getattr(owner, other)) and not other.startswith("_")]
            raise CannotLoad(f"{spec}: there is no {name}{_nearest(name, callables)}")
        member = getattr(owner, name)
    return owner, member


def _accepting_four(spec: str, function: Any) -> Any:
    if not callable(function):
        raise CannotLoad(f"{spec}: is a {type(function).__name__}, not a function (W, X, y, reg)")
    try:
        signature = inspect.signature(underlying(function))
    except ValueError:  # some compiled functions have none: try it
        return function
    try:
        signature.bind(None, None, None, None)
    except TypeError:
        raise CannotLoad(f"{spec}: takes {signature}, not four positional arguments (W, X, y, reg)") from None
    return function


def _nearest(name: str, names: Iterable[str]) -> str:
    near = nearest(name, names)
    return f"; did you mean {near}?" if near else ""


def _nothing_found(user_module: UserModule, most: int = 6) -> str:
    """One line: which functions there are instead, and what was passed over first."""
    found = [f"{name}({', '.join(positional_parameters(member)[0])})" for name, member in _defined_in(user_module)]
    found += [f"{lost.name}({', '.join(lost.parameters)})" for lost, _ in _lost_definitions(user_module)]
    listed = ", ".join(found[:most]) + (f" and {len(found) - most} more" if len(found) > most else "")
    message = f"no function with the signature (W, X, y, reg); found: {listed or 'no function at all'}"
    return f"{message} ({user_module.notes[0]})" if user_module.notes else message


# From a name, as ``--impl`` takes it, to the implementation that it stands for.


def is_user_code(name: str) -> bool:
    """Whether `name` means a file, a module's function or a package's entry point instead of a catalogue name."""
    if name in catalog.CATALOG:
        return False
    if name.endswith(".py") or ":" in name or "/" in name or Path(name).exists():
        return True
    from lcbench import usercode

    return name in usercode.entry_point_names()


def require_known(name: str) -> None:
    """Raise UnknownImplementation, or CannotLoad for a file, where nothing goes by `name`; run and import nothing."""
    if not is_user_code(name):
        catalog.find(name)
        return
    file = name if name.endswith(".py") else name.rpartition(":")[0]
    if file.endswith(".py"):
        require_file(file)


def resolve(name: str) -> Implementation:
    """The implementation `name`; of a user's file, the functions that are right and of one convention, as one.

    Raises a LossError with one line where it cannot be had.
    """
    if not is_user_code(name):
        return catalog.load(name)
    from dataclasses import replace

    from lcbench import usercode
    from lcbench.losses import oracle

    found = [usercode.recognise(function, oracle) for function in usercode.load_functions(name)]
    usable = [each for each in found if isinstance(each, Implementation)]
    if not usable:
        raise CannotLoad(f"{name}: {found[0]}")
    # Functions of one convention share how their data is brought in; the first one's is taken.
    alike = [each for each in usable if each.convention == usable[0].convention]
    functions = {loss: function for each in reversed(alike) for loss, function in each.functions.items()}
    return replace(usable[0], name=name, functions=functions)
