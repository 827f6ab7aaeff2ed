"""Run a user's files as modules, statement by statement, with imports that forgive.

Nothing global is touched: each module runs with its own copy of the builtins, whose `__import__` serves that module
alone, and modules live in a table of their own. ``sys.modules`` and ``sys.path`` stay as they are, and libraries that
a file imports import their own dependencies in the ordinary way.
"""

from __future__ import annotations

import ast
import builtins
import copy
import functools
import importlib
import itertools
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from lcbench.losses.errors import CannotLoad
from lcbench.losses.user_code.faults import describe
from lcbench.losses.user_code.missing import RANGE_NAMES, RANGE_SOURCES, Missing, why_missing
from lcbench.losses.user_code.source import Definition, Note, Source, read

_PYTHON_2_BUILTINS = {
    "basestring": str,
    "long": int,
    "raw_input": input,
    "reduce": functools.reduce,
    "unicode": str,
    "xrange": range,
}


@dataclass
class UserModule:
    """A user's file, run. `notes` says what was left out of it."""

    module: ModuleType
    source: Source
    notes: list[Note] = field(default_factory=list)

    @property
    def file(self) -> Path:
        return self.source.file


class UserModules:
    """The modules of a user's files by their place, each run once; a module that imports itself in a circle is seen
    as far as it has come, as in Python."""

    def __init__(self) -> None:
        self._modules: dict[Path, UserModule] = {}

    def __iter__(self) -> Iterator[UserModule]:
        return iter(self._modules.values())

    def load(self, place: Path) -> UserModule:
        """The module of a file, or the package of a folder.

        Raises CannotLoad where the file cannot be read; whatever fails inside it is noted.
        """
        place = place.absolute()
        if place.name == "__init__.py":
            place = place.parent
        if place in self._modules:
            return self._modules[place]
        is_folder = place.is_dir()
        file = place / "__init__.py" if is_folder else place
        namespace_only = is_folder and not file.is_file()
        source = Source(file, str(file), (), (), frozenset()) if namespace_only else read(file)

        module = ModuleType(_dotted_name(place))
        user_module = UserModule(module, source, list(source.notes))
        self._modules[place] = user_module
        vars(module).update(
            __file__=str(file),
            __package__=module.__name__ if is_folder else module.__name__.rpartition(".")[0],
            __builtins__=vars(builtins)
            | _PYTHON_2_BUILTINS
            | {"__import__": functools.partial(self._import, user_module)},
        )
        if is_folder:
            vars(module)["__path__"] = [str(place)]
        _run(user_module)
        return user_module

    def find(self, folder: Path, name: str) -> UserModule | None:
        """The module of that dotted name below `folder`, run, or None.

        Raises CannotLoad as `load` does.
        """
        parts = name.split(".")
        chain = self._descend(folder, parts)
        return chain[-1] if len(chain) == len(parts) else None

    def _import(
        self,
        importer: UserModule,
        name: str,
        globals: Mapping[str, Any] | None = None,
        locals: Mapping[str, Any] | None = None,
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> Any:
        """`__import__` as the statements of `importer` see it.

        The first that is there: the standard library and NumPy, what lies beside the file or in its package's root,
        what is installed, what lies in any folder above the file, a stand-in. Inside a ``try`` that has handlers there
        are no stand-ins, so that a file's own fallback is taken.
        """
        wanted = tuple(fromlist or ())
        parts = name.split(".") if name else []
        if level:
            package = self.load(importer.file.parents[level - 1])
            found = [package, *self._descend(package.file.parent, parts, package)]
            if len(found) == len(parts) + 1:
                return self._with_submodules(found[-1], wanted)
            return self._stand_in(importer, "." * level + name, wanted, sys._getframe(1).f_lineno)

        top = parts[0]
        if top in sys.stdlib_module_names or top == "numpy":
            return builtins.__import__(name, None, None, wanted, 0)
        found = self._search(importer, _beside(importer.file), parts, namespaces=False)
        if not found:
            try:
                return builtins.__import__(name, None, None, wanted, 0)
            except ModuleNotFoundError as error:
                if error.name is None or not (name == error.name or name.startswith(error.name + ".")):
                    raise  # an installed module that lacks something itself
            found = self._search(importer, importer.file.parents, parts, namespaces=True)
        if len(found) == len(parts):
            return self._with_submodules(found[-1], wanted) if wanted else found[0].module
        stand_in = self._stand_in(importer, name, wanted, sys._getframe(1).f_lineno)
        if wanted:
            return stand_in
        if found:
            setattr(found[-1].module, parts[len(found)], stand_in)
            return found[0].module
        return sys.modules.get(top, stand_in)

    def _search(
        self, importer: UserModule, folders: Sequence[Path], parts: Sequence[str], namespaces: bool
    ) -> list[UserModule]:
        for folder in folders:
            place = _place(folder, parts[0], namespaces)
            if place and place != importer.file:  # a file jax.py that imports jax means the other one
                return self._descend(folder, parts)
        return []

    def _descend(self, folder: Path, parts: Sequence[str], package: UserModule | None = None) -> list[UserModule]:
        """The modules of ``a``, ``a.b``, ``a.b.c``, as many as there are, each an attribute of the one before it."""
        chain: list[UserModule] = []
        for part in parts:
            place = _place(folder, part)
            if place is None:
                break
            module = self.load(place)
            if package:
                setattr(package.module, part, module.module)
            chain.append(module)
            package, folder = module, place
        return chain

    def _with_submodules(self, package: UserModule, names: Sequence[str]) -> ModuleType:
        """The module of `package`, with those `names` loaded that are submodules of it."""
        if "*" in names:
            names = [*names, *getattr(package.module, "__all__", ())]
        if hasattr(package.module, "__path__"):
            folder = package.file.parent
            for name in names:
                if not hasattr(package.module, name):
                    self._descend(folder, [name], package)
        return package.module

    def _stand_in(self, importer: UserModule, name: str, wanted: Sequence[str], line: int) -> Missing:
        only_range = name.partition(".")[0] in RANGE_SOURCES and wanted and RANGE_NAMES.issuperset(wanted)
        if line in importer.source.guarded and not only_range:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        top = name.partition(".")[0]
        return Missing(name, f"which the installed {top} does not have" if top in sys.modules else why_missing(name))


def _run(user_module: UserModule) -> None:
    """Execute the module's statements in order; one that raises is noted, and the rest goes on."""
    source, namespace = user_module.source, vars(user_module.module)
    flags = annotations.compiler_flag if _postpones_annotations(source.statements) else 0
    for statement in itertools.chain.from_iterable(map(_one_import_each, source.statements)):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                code = compile(ast.Module([statement], []), source.filename, "exec", flags, dont_inherit=True)
                exec(code, namespace)
        except (Exception, SystemExit) as error:
            fault = describe(error, source.filename)
            user_module.notes.append(Note(fault.line or statement.lineno, fault.reason, _definitions_in(statement)))
    user_module.notes.sort(key=lambda note: note.line)


def _one_import_each(statement: ast.stmt) -> Iterator[ast.stmt]:
    """An import of several names as one statement each, so that a name that is gone costs no other."""
    if not isinstance(statement, ast.Import | ast.ImportFrom):
        yield statement
        return
    for alias in statement.names:
        single = copy.copy(statement)
        single.names = [alias]
        yield single


def _definitions_in(statement: ast.stmt) -> tuple[Definition, ...]:
    candidates = [statement, *getattr(statement, "body", ())]
    if isinstance(statement, ast.FunctionDef | ast.ClassDef):
        candidates = [statement]
    return tuple(Definition.of(node) for node in candidates if isinstance(node, ast.FunctionDef))


def _postpones_annotations(statements: Sequence[ast.stmt]) -> bool:
    return any(
        isinstance(statement, ast.ImportFrom)
        and statement.module == "__future__"
        and any(alias.name == "annotations" for alias in statement.names)
        for statement in statements
    )


def _dotted_name(place: Path) -> str:
    """The name under which Python would import `place`; never ``__main__``."""
    parts = ["main" if place.stem == "__main__" else place.stem]
    folder = place.parent
    while (folder / "__init__.py").is_file():
        parts.insert(0, folder.name)
        folder = folder.parent
    return ".".join(parts)


def _beside(file: Path) -> list[Path]:
    """Where Python would look before what is installed: the file's folder and the root of its package."""
    root = next((folder for folder in file.parents if not (folder / "__init__.py").is_file()), file.parent)
    return [file.parent, root]


def _place(folder: Path, name: str, namespaces: bool = True) -> Path | None:
    """The package or the file that `name` means in `folder`.

    With `namespaces` a folder without ``__init__.py`` counts too, where there is Python in it. Such a folder yields to
    an installed package, as in Python: a folder ``numba`` with somebody's kernels is not Numba.
    """
    package, file = folder / name, folder / f"{name}.py"
    if (package / "__init__.py").is_file():
        return package
    if file.is_file():
        return file
    if namespaces and package.is_dir() and (any(package.glob("*.py")) or any(package.glob("*/*.py"))):
        return package
    return None


def import_installed(name: str) -> ModuleType | None:
    """An installed module, or None where there is no such module.

    Raises CannotLoad where importing it fails.
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(error.name + ".")):
            return None
        raise CannotLoad(f"{name}: cannot be imported: {error}") from None
    except (Exception, SystemExit) as error:
        raise CannotLoad(f"{name}: cannot be imported: {type(error).__name__}: {error}") from None
