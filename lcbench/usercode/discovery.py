"""User's functions behind a value of ``--impl``: a file, a function in a file or module, or an entry point.

A function is bound to the four arguments (W, X, y, reg), whatever their order and wherever they are: a method may take
some from the attributes of its object.
"""

from __future__ import annotations

import dis
import functools
import hashlib
import inspect
import os
import sys
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any, cast, get_args

from lcbench.losses import catalog
from lcbench.losses.implementation import LOSSES, CannotLoad, Device, Implementation, LossName, nearest
from lcbench.usercode.loading import (
    UserModule,
    UserModules,
    describe_error,
    import_installed,
    require_raised_by_code,
)
from lcbench.usercode.source import (
    ROLES,
    SUFFIXES,
    Binding,
    Definition,
    Role,
    bind,
    is_file,
    loss_binding,
    loss_in_name,
    may_be_a_loss,
    positional_parameters,
    read_once,
    role_of,
    summarised,
    underlying,
)

ENTRY_POINT_GROUP = "lcbench.implementations"


class NotFound(CannotLoad):
    """Error: there is no such file, or no such function in it."""


def is_user_code(name: str) -> bool:
    """Return whether `name` is a file, a function of a module or an entry point instead of a name in the catalog."""
    if name in catalog.CATALOG:
        return False
    if name.endswith(SUFFIXES) or ":" in name or "/" in name or Path(name).exists():
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
    file = name if name.endswith(SUFFIXES) else name.rpartition(":")[0]
    if file.endswith(SUFFIXES):
        _require_file(file)


def code_hash(name: str) -> str:
    """Return twelve hexadecimal digits of the SHA-256 of the file that holds the implementation `name`.

    name: as for ``--impl``, of the catalog or a user's. Files that it imports do not count. The result is "" if there
    is no such file. No code is run or imported.
    """
    try:
        return hashlib.sha256(read_once(_code_file(name), keep=False)).hexdigest()[:12]
    except (OSError, ValueError):  # find_spec and paths refuse some names
        return ""


def _code_file(name: str) -> Path:
    """Return the file that holds an implementation, which may not exist."""
    owner = name.rpartition(":")[0]
    for file in (name, owner):
        if name not in catalog.CATALOG and (file.endswith(SUFFIXES) or Path(file).is_file()):
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
    function: takes (W, X, y, reg). None if there is a `problem`, one line that says why it cannot be called.
    binding: how the function in the file takes these arguments.
    plain: the function without Numba's compilation, if it is compiled.
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
    binding: Binding = Binding()  # noqa: RUF009, it cannot be changed
    plain: Callable[..., Any] | None = None

    @property
    def call(self) -> str:
        """Call of the function in the file, as Python code with the arguments W, X, y and reg."""
        given = [*self.binding.positional, *(f"{name}={role}" for name, role in self.binding.keywords)]
        owner, dot, name = self.spec.rpartition(":")[2].rpartition(".")
        return f"{f'{owner}(){dot}' if owner else ''}{name}({', '.join(given)})"


def load_functions(spec: str) -> list[UserFunction]:
    """Return the functions behind ``FILE.py``, ``FILE.py:FUNCTION``, ``module:attribute`` or an entry point's name.

    A file or a notebook gives every function and method that it defines with the arguments (W, X, y, reg), in the
    file's order. A module or object gives its `svm_loss` and `softmax_loss`. Functions that cannot be called have a
    `problem`.

    Raise CannotLoad if there is no function.
    """
    owner, colon, attribute = spec.rpartition(":")
    if spec.endswith(SUFFIXES) or Path(spec).is_file():
        return _functions_of_file(spec)
    if colon and not attribute:
        raise CannotLoad(f"{spec} ends with a colon: name a function after it, or give {owner} alone")
    if colon and (owner.endswith(SUFFIXES) or Path(owner).is_file()):
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
    for each in _candidates(user_module):
        if each.binding:
            spec = f"{path}:{each.name}"
            found[each.name] = _user_function(spec, each, user_module.module, user_module.file, notes)
    for definition, reason in _skipped_definitions(user_module):
        if loss_binding(definition.name, definition.parameters, definition.required):
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
    candidate = next((each for each in _candidates(user_module, every=True) if each.name == attribute), None)
    if candidate:
        return _user_function(spec, _require_binding(spec, candidate), user_module.module, user_module.file, notes)
    owner, member = _member(spec, user_module.module, attribute)
    return _user_function(spec, _require_binding(spec, _Candidate(attribute, member)), owner, user_module.file, notes)


def _load_file(path: str) -> tuple[UserModule, tuple[str, ...]]:
    """Return the file as a module, with the notes on it and on the files that it imports."""
    _require_file(path)
    file = Path(path)
    modules = UserModules()
    try:
        user_module = modules.load(file)
    except CannotLoad as error:
        raise CannotLoad(str(error).replace(str(file.absolute()), path)) from None
    for each in modules:
        _enable_numba_cache(each.module)
    own = summarised(user_module.notes)
    others = [
        f"{other.file.name} {note}"
        for other in modules
        if other is not user_module
        for note in summarised(note for note in other.notes if note.skipped)
    ]
    return user_module, (*own, *others)


def _require_file(path: str) -> None:
    """Raise NotFound, with the nearest name in its folder, if there is no file `path`."""
    file = Path(path)
    if not (file.exists() or is_file(file)):
        siblings = [sibling.name for sibling in file.parent.glob("*") if sibling.suffix in SUFFIXES]
        raise NotFound(f"{path}: no such file{_suggestion(file.name, siblings)}")


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
            with suppress(RuntimeError, OSError):  # the function's source is not a file, or no longer one
                function.enable_caching()


@dataclass(frozen=True)
class _Candidate:
    """Function or method that may be a loss. binding: None if it does not seem to be one.

    name: "function" or "Class.method". owner: class of a method that takes an object.
    """

    name: str
    function: Any
    binding: Binding | None = None
    owner: type | None = None

    @property
    def parameters(self) -> tuple[tuple[str, ...], int]:
        """Names of the positional parameters, without self, and the number of those without a default."""
        names, required = positional_parameters(self.function)
        return (names[1:], max(0, required - 1)) if self.owner else (names, required)

    @property
    def header(self) -> str:
        """Name and parameters."""
        return f"{self.name}({', '.join(self.parameters[0])})"

    @property
    def attributes(self) -> Collection[str]:
        """Attributes of the object that the method reads, or that any method of its class does."""
        if self.owner is None:
            return ()
        return _attributes_of_self(self.function) or {
            name
            for each in self.owner.__mro__
            for member in vars(each).values()
            if isinstance(member, FunctionType)
            for name in _attributes_of_self(member)
        }


def _candidates(user_module: UserModule, every: bool = False) -> Iterator[_Candidate]:
    """Yield the functions that the file defines, compiled ones included but no lambdas, and methods of its classes.

    Of methods, only those are bound that are named like a loss and belong to a class without subclasses here, none of
    whose losses calls a function that is bound too. Others are yielded if `every` is true.
    """
    namespace = vars(user_module.module)
    seen, functions = set(), []
    for name, member in namespace.items():
        function = underlying(member)
        if (
            isinstance(function, FunctionType)
            and function.__globals__ is namespace
            and function.__name__ != "<lambda>"
            and id(member) not in seen
        ):
            seen.add(id(member))
            functions.append(_Candidate(name, member, loss_binding(name, *positional_parameters(member))))
    yield from functions
    bound = [each for each in functions if each.binding]
    used = {name for each in bound for name in _names_in(each.function)}
    classes = {name: member for name, member in namespace.items() if _is_class_of(user_module, member)}
    for name, owner in classes.items():
        has_subclass = any(other is not owner and issubclass(other, owner) for other in classes.values())
        methods = list(_methods(owner)) if every or not (has_subclass or name in used) else []
        bound_names = {each.name for each in bound}
        calls_bound = any(may_be_a_loss(method) and not bound_names.isdisjoint(_names_in(m)) for method, m in methods)
        for method, member in methods:
            is_static = isinstance(member, staticmethod)
            function = member.__func__ if is_static else member
            candidate = _Candidate(f"{name}.{method}", function, owner=None if is_static else owner)
            binding = None
            if may_be_a_loss(method) and not calls_bound:
                binding = loss_binding(method, *candidate.parameters, candidate.attributes)
            yield replace(candidate, binding=binding)


def _is_class_of(user_module: UserModule, member: Any) -> bool:
    return isinstance(member, type) and member.__module__ == user_module.module.__name__


def _methods(owner: type) -> Iterator[tuple[str, Any]]:
    """Yield the methods of a class and of those of its bases that are in the same file, the innermost first."""
    seen: set[str] = set()
    for each in owner.__mro__:
        for name, member in vars(each).items():
            of_file = each.__module__ == owner.__module__ and not isinstance(member, classmethod)
            if of_file and isinstance(underlying(member), FunctionType) and name not in seen:
                seen.add(name)
                yield name, member


def _names_in(function: Any) -> tuple[str, ...]:
    code = getattr(underlying(function), "__code__", None)
    return code.co_names if code else ()


def _attributes_of_self(function: Any) -> Collection[str]:
    """Return the names of the attributes of its object that a method reads or sets."""
    code = underlying(function).__code__
    if not code.co_argcount:
        return ()
    found, before = [], None
    for instruction in dis.get_instructions(code):
        if instruction.opname in ("LOAD_ATTR", "STORE_ATTR"):
            value: Any = before and before.argval
            if code.co_varnames[0] == (value[-1] if isinstance(value, tuple) and value else value):
                found.append(instruction.argval)
        before = instruction
    return found


def _skipped_definitions(user_module: UserModule) -> Iterator[tuple[Definition, str]]:
    """Yield the functions whose definition failed, with the reason, unless they are defined again later."""
    for note in user_module.notes:
        for definition in note.definitions:
            code = getattr(underlying(getattr(user_module.module, definition.name, None)), "__code__", None)
            if code is None or code.co_firstlineno < definition.line:
                yield definition, f"line {note.line}: {note.reason}"


def _no_function_reason(user_module: UserModule, max_listed: int = 6) -> str:
    """Return one line with the functions and classes that the file defines instead, an adapter, and the first note."""
    candidates = list(_candidates(user_module, every=True))
    skipped = [definition for definition, _ in _skipped_definitions(user_module)]
    found = [each.header for each in candidates if not each.owner]
    found += [f"{lost.name}({', '.join(lost.parameters)})" for lost in skipped]
    for owner in dict.fromkeys(each.owner for each in candidates if each.owner):
        methods = [each for each in candidates if each.owner is owner and not each.name.endswith("__")]
        methods = [each for each in methods if may_be_a_loss(each.name.rpartition(".")[2])] or methods
        listed = ", ".join(each.header.partition(".")[2] for each in methods[:3])
        found.append(f"class {owner.__name__}" + (f" with {listed}" if listed else ""))
    classes = [name for name, member in vars(user_module.module).items() if _is_class_of(user_module, member)]
    with_methods = {each.owner.__name__ for each in candidates if each.owner}
    found += [f"class {name}" for name in classes if name not in with_methods]
    listed = ", ".join(found[:max_listed]) + (f" and {len(found) - max_listed} more" if len(found) > max_listed else "")
    reason = f"no function takes (W, X, y, reg) and returns (loss, dW); the file defines {listed or 'no function'}"
    if imported := _imported_losses(user_module):
        reason += f"; it imports {imported}: name that file"
    elif found:
        reason += f"; {_adapter(candidates)}"
    notes = summarised(note for note in user_module.notes if note.skipped)
    if notes and not found:  # nothing could be read, and the note says why
        return f"{notes[0]}; {reason}"
    return f"{reason} ({notes[0]})" if notes else reason


def _imported_losses(user_module: UserModule) -> str:
    """Return the first loss that the file imports, with its file, or an empty string."""
    for name, member in vars(user_module.module).items():
        function = underlying(member)
        if isinstance(function, FunctionType) and function.__globals__ is not vars(user_module.module):
            file = str(function.__globals__.get("__file__", ""))
            if file.endswith(SUFFIXES) and loss_binding(name, *positional_parameters(member)) and may_be_a_loss(name):
                return f"{name} from {Path(file).name}"
    return ""


def _adapter(candidates: Iterable[_Candidate]) -> str:
    """Return advice with one line of code that makes one of the candidates, or code of the user's, a loss function."""

    def known(candidate: _Candidate) -> int:
        return len({role_of(name) for name in candidate.parameters[0]} - {None})

    likely = [each for each in candidates if may_be_a_loss(each.name.rpartition(".")[2]) and known(each) > 1]
    best = max(likely, key=known, default=None)
    if best is None:
        return "add one line that calls your code: def my_softmax_loss(W, X, y, reg): return ..., ..."
    names, required = best.parameters
    roles = _first_of_each_role(names)
    given: list[str] = [role or "..." for role in roles[:required]]
    given += [f"{name}={role}" for name, role in zip(names[required:], roles[required:], strict=True) if role]
    arguments = ", ".join(given)
    if best.owner is None:
        body = f"return {best.name}({arguments})"
    else:
        held = [name for name in best.attributes if role_of(name) == "W"]
        set_W = f"model.{held[0]} = W; " if held and "W" not in roles else ""
        constructor = ", ".join(role or "..." for _, role in _needed_by_constructor(best.owner))
        method = best.name.rpartition(".")[2]
        body = f"model = {best.owner.__name__}({constructor}); {set_W}return model.{method}({arguments})"
    return f"add one line that adapts it: def my_{loss_in_name(best.name) or 'softmax'}_loss(W, X, y, reg): {body}"


# Modules


def _functions_of_module(spec: str, module_name: str, attribute: str) -> list[UserFunction]:
    """Return the functions of an installed module or, if there is none, of a module in the current folder."""
    module = import_installed(module_name)
    notes: tuple[str, ...] = ()
    if module is None:
        user_module = UserModules().find(Path.cwd(), module_name)
        if user_module is None:
            raise CannotLoad(f"{spec}: no module {module_name}, neither installed nor in this folder")
        module, notes = user_module.module, tuple(summarised(user_module.notes))
    owner, member = _member(spec, module, attribute)
    if callable(member) and not any(hasattr(member, f"{loss}_loss") for loss in LOSSES):
        return [_user_function(spec, _require_binding(spec, _Candidate(attribute, member)), owner, None, notes)]
    functions = []
    for loss in LOSSES:
        if callable(getattr(member, f"{loss}_loss", None)):
            own_spec = f"{spec}.{loss}_loss" if attribute else f"{spec}{loss}_loss"
            owner, function = _member(own_spec, member, f"{loss}_loss")
            candidate = _Candidate(f"{loss}_loss", function, Binding())
            functions.append(replace(_user_function(own_spec, candidate, owner, None, notes), name=spec, loss=loss))
    if not functions:
        raise CannotLoad(f"{spec}: neither a function nor something with svm_loss or softmax_loss")
    return functions


# Functions


def _user_function(
    spec: str, candidate: _Candidate, owner: Any, file: Path | None, notes: tuple[str, ...]
) -> UserFunction:
    function, binding = candidate.function, candidate.binding
    assert binding
    plain = underlying(function)
    line, used = None, []
    if isinstance(plain, FunctionType):
        line = plain.__code__.co_firstlineno
        used = [plain.__globals__.get(name) for name in plain.__code__.co_names]
    try:
        called = _bound(function, binding, candidate.owner)
    except CannotLoad as error:
        loss = loss_in_name(candidate.name)
        problem = f"{error}; {_adapter([candidate])}"
        return UserFunction(spec, _row_name(spec, file), None, loss, file, line, problem, notes)
    prepare, fetch, device = (getattr(owner, name, None) for name in ("prepare", "fetch", "device"))
    transfers = callable(prepare) and callable(fetch)
    compiled = hasattr(function, "py_func")
    return UserFunction(
        spec=spec,
        name=_row_name(spec, file),
        function=called,
        loss=loss_in_name(spec.rpartition(":")[2]),
        file=file,
        line=line,
        notes=notes,
        prepare=prepare if transfers else None,
        fetch=fetch if transfers else None,
        device=cast(Device, device) if transfers and isinstance(device, str) and device in get_args(Device) else "cpu",
        compiles=compiled or any(hasattr(candidate, "py_func") for candidate in used),
        binding=binding,
        plain=_bound(function.py_func, binding, None) if compiled else None,
    )


def _bound(function: Any, binding: Binding, owner: type | None) -> Callable[..., Any]:
    """Return the function with the parameters (W, X, y, reg).

    A method gets an object that is constructed once or, if the constructor takes one of these arguments, in each call.
    Raise CannotLoad if the object cannot be constructed.
    """
    if owner is None and binding.as_usual:
        return cast("Callable[..., Any]", function)
    places = tuple(ROLES.index(role) for role in binding.positional)
    named = {name: ROLES.index(role) for name, role in binding.keywords}
    attributes = {name: ROLES.index(role) for name, role in binding.attributes}
    constructed: dict[str, int] = {}
    model: Any = None
    if owner:
        model, constructed = _constructed(owner)

    @functools.wraps(function, updated=())
    def called(W: Any, X: Any, y: Any, reg: float) -> Any:
        arguments = (W, X, y, reg)
        given = [arguments[place] for place in places]
        keywords = {name: arguments[place] for name, place in named.items()}
        if owner is None:
            return function(*given, **keywords)
        its_own = owner(**{name: arguments[place] for name, place in constructed.items()}) if constructed else model
        for name, place in attributes.items():
            setattr(its_own, name, arguments[place])
        return function(its_own, *given, **keywords)

    return called


def _first_of_each_role(names: Iterable[str]) -> list[Role | None]:
    """Return the argument that each parameter takes, if no earlier one does."""
    roles: list[Role | None] = []
    for name in names:
        role = role_of(name)
        roles.append(None if role in roles else role)
    return roles


def _needed_by_constructor(owner: type) -> list[tuple[str, Role | None]]:
    """Return the parameters of a constructor that have no default, with the argument that each takes."""
    try:
        parameters = inspect.signature(owner).parameters.values()
    except (TypeError, ValueError):
        return []
    names = [p.name for p in parameters if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    roles = _first_of_each_role(names)
    return [(name, None if name in _SIZES else role) for name, role in zip(names, roles, strict=True)]


_SIZES = frozenset({"features", "inputs", "labels", "samples"})
"""Parameters of constructors that are numbers."""


def _constructed(owner: type) -> tuple[Any, dict[str, int]]:
    """Return an object of the class, or None and the places of its constructor's arguments in (W, X, y, reg)."""
    needed = _needed_by_constructor(owner)
    places = {name: ROLES.index(role) for name, role in needed if role}
    if len(places) < len(needed):
        parameters = ", ".join(inspect.signature(owner).parameters)
        raise CannotLoad(f"its class needs arguments: {owner.__name__}({parameters})")
    if places:
        return None, places
    try:
        return owner(), {}
    except BaseException as error:
        require_raised_by_code(error)
        code = getattr(inspect.getattr_static(owner, "__init__"), "__code__", None)
        fault = describe_error(error, code.co_filename if code else "")
        raise CannotLoad(f"{owner.__name__}() cannot be constructed: {fault}") from None


def _skipped_function(
    spec: str, definition: Definition, reason: str, file: Path, notes: tuple[str, ...]
) -> UserFunction:
    loss = loss_in_name(definition.name)
    return UserFunction(spec, _row_name(spec, file), None, loss, file, definition.line, reason, notes)


def _row_name(spec: str, file: Path | None) -> str:
    return spec if file is None else f"{file.name}:{spec.rpartition(':')[2]}"


def _member(spec: str, owner: Any, attribute: str) -> tuple[Any, Any]:
    """Return the object that has the dotted `attribute`, and the attribute; `owner` for both if it is empty.

    Raise NotFound if there is no such attribute.
    """
    member = owner
    for name in attribute.split(".") if attribute else ():
        owner = member
        if isinstance(owner, Implementation) and name.removesuffix("_loss") in owner.functions:
            # Not the method, which would call prepare and fetch: these are taken from the owner.
            member = owner.functions[name.removesuffix("_loss")]
            continue
        if not hasattr(owner, name):
            callables = [other for other in dir(owner) if callable(getattr(owner, other)) and not other.startswith("_")]
            raise NotFound(f"{spec}: there is no {name}{_suggestion(name, callables)}")
        member = getattr(owner, name)
    return owner, member


def _require_binding(spec: str, candidate: _Candidate) -> _Candidate:
    """Return the candidate with its binding, whatever its name.

    Raise CannotLoad, with a line of code that adapts it, if it is no function or does not take the four arguments.
    """
    function = candidate.function
    if not callable(function):
        raise CannotLoad(f"{spec}: has type {type(function).__name__}, but must be a function (W, X, y, reg)")
    try:
        signature = inspect.signature(underlying(function))
    except ValueError:  # some functions of extension modules have no signature
        return replace(candidate, binding=Binding())
    names, required = candidate.parameters
    binding = bind(names, required, candidate.attributes, by_position=True)
    if binding is None and not any(map(role_of, names)):
        with suppress(TypeError):
            signature.bind(None, None, None, None)
            binding = Binding()
    if binding is None:
        named = replace(candidate, name=candidate.name or "loss")
        raise CannotLoad(f"{spec}: takes ({', '.join(names)}), not (W, X, y, reg); {_adapter([named])}")
    return replace(candidate, binding=binding)


def _suggestion(name: str, names: Iterable[str]) -> str:
    near = nearest(name, names)
    return f"; did you mean {near}?" if near else ""
