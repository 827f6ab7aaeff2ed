"""User's files run as modules, statement by statement, with placeholders for modules that cannot be imported.

Nothing global is changed: each module runs with its own copy of the builtins, whose `__import__` serves this module
alone, and modules are kept in a table of their own. ``sys.modules`` and ``sys.path`` stay as they are, and libraries
that a file imports import their own dependencies in the ordinary way.
"""

from __future__ import annotations

import ast
import builtins
import copy
import dis
import functools
import importlib
import itertools
import re
import sys
import traceback
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from importlib.machinery import EXTENSION_SUFFIXES
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, NoReturn

import numpy as np

from lcbench.errors import message_of
from lcbench.losses.implementation import CannotLoad
from lcbench.usercode import own_tree
from lcbench.usercode.source import Definition, Note, Source, is_file, place, read_source, syntax_reason

_PYTHON_2_BUILTINS = {
    "basestring": str,
    "long": int,
    "raw_input": input,
    "reduce": functools.reduce,
    "unicode": str,
    "xrange": range,
}

_RANGE_NAMES = frozenset({"range", "xrange"})
_RANGE_SOURCES = frozenset({"future", "past", "six"})
"""Packages for code that runs on Python 2 and 3, from which assignments import `xrange`."""


@dataclass
class UserModule:
    """User's file after it has run. notes: skipped parts."""

    module: ModuleType
    source: Source
    notes: list[Note] = field(default_factory=list)

    @property
    def file(self) -> Path:
        """Path of the file."""
        return self.source.file


class UserModules:
    """Modules of a user's files by path.

    Each file runs once. In a circular import a module is seen as far as it has run, as in Python.
    """

    def __init__(self) -> None:
        self._modules: dict[Path, UserModule] = {}

    def __iter__(self) -> Iterator[UserModule]:
        return iter(self._modules.values())

    def load(self, path: Path) -> UserModule:
        """Return the module of a file or the package of a folder; run it first if it has not run yet.

        Statements that fail are skipped with a note. Raise CannotLoad if the file cannot be read.
        """
        path = path.absolute()
        if path.name == "__init__.py":
            path = path.parent
        if path in self._modules:
            return self._modules[path]
        if path.name.endswith(_EXTENSIONS):
            extension = UserModule(_load_extension(path), Source(path, str(path), (), (), frozenset()))
            return self._modules.setdefault(path, extension)
        is_folder = path.is_dir()
        file = path / "__init__.py" if is_folder else path
        is_namespace = is_folder and not file.is_file()
        source = Source(file, str(file), (), (), frozenset()) if is_namespace else read_source(file)

        module = ModuleType(_dotted_name(path))
        user_module = UserModule(module, source, list(source.notes))
        self._modules[path] = user_module
        vars(module).update(
            __file__=str(file),
            __package__=module.__name__ if is_folder else module.__name__.rpartition(".")[0],
            __builtins__=vars(builtins)
            | _PYTHON_2_BUILTINS
            | {"__import__": functools.partial(self._import, user_module)},
        )
        if is_folder:
            vars(module)["__path__"] = [str(path)]
        _run(user_module)
        return user_module

    def find(self, folder: Path, name: str) -> UserModule | None:
        """Return the module with the dotted `name` in `folder`, after it has run, or None if there is none.

        Raise CannotLoad if its file cannot be read.
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
        """Import a module for a statement in `importer`, as `__import__` does.

        The search order is: the standard library and NumPy, the file's folder and the root of its package, installed
        packages, all folders above the file, a placeholder. Inside a ``try`` with handlers there are no placeholders,
        so that the file's own fallback runs.
        """
        wanted = tuple(fromlist or ())
        parts = name.split(".") if name else []
        if level:
            package = self.load(importer.file.parents[level - 1])
            found = [package, *self._descend(package.file.parent, parts, package)]
            if len(found) == len(parts) + 1:
                return self._with_submodules(found[-1], wanted)
            return self._placeholder(importer, "." * level + name, wanted, sys._getframe(1).f_lineno)

        top = parts[0]
        if top in sys.stdlib_module_names or top == "numpy":
            return builtins.__import__(name, None, None, wanted, 0)
        found = self._search(importer, _folders_before_installed(importer.file), parts, namespaces=False)
        if not found:
            try:
                return builtins.__import__(name, None, None, wanted, 0)
            except ModuleNotFoundError as error:
                if error.name is None or not (name == error.name or name.startswith(error.name + ".")):
                    raise  # the module is installed, but a module that it imports is not
            found = self._search(importer, importer.file.parents, parts, namespaces=True)
        if len(found) == len(parts):
            return self._with_submodules(found[-1], wanted) if wanted else found[0].module
        placeholder = self._placeholder(importer, name, wanted, sys._getframe(1).f_lineno)
        if wanted:
            return placeholder
        if found:
            setattr(found[-1].module, parts[len(found)], placeholder)
            return found[0].module
        return sys.modules.get(top, placeholder)

    def _search(
        self, importer: UserModule, folders: Sequence[Path], parts: Sequence[str], namespaces: bool
    ) -> list[UserModule]:
        for folder in folders:
            path = _module_path(folder, parts[0], namespaces)
            if path and path != importer.file:  # a file jax.py that imports jax means the installed package
                return self._descend(folder, parts)
        return []

    def _descend(self, folder: Path, parts: Sequence[str], package: UserModule | None = None) -> list[UserModule]:
        """Return the modules ``a``, ``a.b``, ``a.b.c``, as many as exist, each set as an attribute of its parent."""
        chain: list[UserModule] = []
        for part in parts:
            path = _module_path(folder, part)
            own_tree.note(folder, part, path is not None)
            if path is None:
                break
            module = self.load(path)
            if package:
                setattr(package.module, part, module.module)
            chain.append(module)
            package, folder = module, path
        return chain

    def _with_submodules(self, package: UserModule, names: Sequence[str]) -> ModuleType:
        """Return the module of `package` after loading those of `names` that are submodules."""
        if "*" in names:
            names = [*names, *getattr(package.module, "__all__", ())]
        if hasattr(package.module, "__path__"):
            folder = package.file.parent
            for name in names:
                if not hasattr(package.module, name):
                    self._descend(folder, [name], package)
        return package.module

    def _placeholder(self, importer: UserModule, name: str, wanted: Sequence[str], line: int) -> MissingModule:
        top = name.partition(".")[0]
        only_range = top in _RANGE_SOURCES and wanted and _RANGE_NAMES.issuperset(wanted)
        if line in importer.source.guarded and not only_range:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        reason = f"which the installed {top} does not have" if top in sys.modules else why_missing(name)
        return MissingModule(name, reason)


def _run(user_module: UserModule) -> None:
    """Execute the module's statements in order; skip a statement that raises, with a note."""
    source, namespace = user_module.source, vars(user_module.module)
    flags = annotations.compiler_flag if _postpones_annotations(source.statements) else 0
    for statement in itertools.chain.from_iterable(map(_split_imports, source.statements)):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                code = compile(ast.Module([statement], []), source.filename, "exec", flags, dont_inherit=True)
                exec(code, namespace)
        except BaseException as error:
            require_raised_by_code(error)
            if source.only_definitions and isinstance(statement, ast.Assign | ast.AnnAssign):
                continue  # it uses what was left out
            fault = describe_error(error, source.filename)
            line = fault.line or statement.lineno
            where = place(source.filename, line)
            user_module.notes.append(Note(line, fault.reason, _definitions_in(statement), where))
    user_module.notes.sort(key=lambda note: note.line)


def _split_imports(statement: ast.stmt) -> Iterator[ast.stmt]:
    """Yield one statement per name of an import, so that a missing name does not affect the others."""
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


def _dotted_name(path: Path) -> str:
    """Return the name under which Python would import `path`; never ``__main__``."""
    parts = ["main" if path.stem == "__main__" else path.stem]
    folder = path.parent
    while (folder / "__init__.py").is_file():
        parts.insert(0, folder.name)
        folder = folder.parent
    return ".".join(parts)


def _folders_before_installed(file: Path) -> list[Path]:
    """Return the folders that take precedence over installed packages: the file's and the root of its package."""
    root = next((folder for folder in file.parents if not (folder / "__init__.py").is_file()), file.parent)
    return [file.parent, root]


def _module_path(folder: Path, name: str, namespaces: bool = True) -> Path | None:
    """Return the package folder or the file of the module `name` in `folder`, or None.

    namespaces: accept a folder without ``__init__.py`` that contains Python files. As in Python, an installed package
    takes precedence over such a folder: a folder ``numba`` with a user's kernels is not Numba.
    """
    package, file = folder / name, folder / f"{name}.py"
    if is_file(package / "__init__.py"):
        return package
    for extension in (folder / f"{name}{suffix}" for suffix in _EXTENSIONS):
        if extension.is_file():
            return extension
    if is_file(file):
        return file
    if namespaces and package.is_dir() and (any(package.glob("*.py")) or any(package.glob("*/*.py"))):
        return package
    return None


_EXTENSIONS = tuple(EXTENSION_SUFFIXES)


def _load_extension(path: Path) -> ModuleType:
    """Return the compiled module in a file. Raise ImportError if it cannot be loaded."""
    name = _dotted_name(path.with_name(path.name.partition(".")[0]))
    spec = spec_from_file_location(name, path)
    assert spec
    assert spec.loader
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def import_installed(name: str) -> ModuleType | None:
    """Return an installed module, or None if there is no such module.

    Raise CannotLoad if its import fails.
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(error.name + ".")):
            return None
        raise CannotLoad(f"{name}: cannot be imported: {error}") from None
    except BaseException as error:
        require_raised_by_code(error)
        raise CannotLoad(f"{name}: cannot be imported: {type(error).__name__}: {_message(error)}") from None


# Placeholders for modules that cannot be imported
#
# Assignment files import modules that their loss functions do not use, such as matplotlib or a data loader.

_PACKAGE_OF = {
    "IPython": "ipython",
    "PIL": "pillow",
    "autograd": "autograd",
    "cupy": "cupy-cuda13x",
    "cv2": "opencv-python",
    "future": "future",
    "imageio": "imageio",
    "jax": "jax",
    "matplotlib": "matplotlib",
    "numba": "numba",
    "pandas": "pandas",
    "past": "future",
    "scipy": "scipy",
    "seaborn": "seaborn",
    "six": "six",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "tensorflow": "tensorflow",
    "torch": "torch",
    "torchvision": "torchvision",
    "tqdm": "tqdm",
}
"""Package on PyPI that provides an import name. A package of the same name may be unrelated, so it is not suggested."""

_PYTHON_2_MODULES = {
    "ConfigParser",
    "Queue",
    "StringIO",
    "Tkinter",
    "__builtin__",
    "cPickle",
    "cStringIO",
    "urllib2",
    "urlparse",
}


def why_missing(name: str) -> str:
    """Return a clause about a missing module, for example "which is not installed: pip install matplotlib"."""
    top = name.partition(".")[0]
    if top in _PYTHON_2_MODULES:
        return "which exists in Python 2 only"
    if top in _PACKAGE_OF:
        return f"which is not installed: pip install {_PACKAGE_OF[top]}"
    return "which is neither installed nor found next to the file"


class UsesMissingError(ImportError):
    """Use of a module that could not be imported. The message is one line."""


class MissingModule:
    """Placeholder for a module that could not be imported, or for an attribute of it.

    Attributes are placeholders, except `range` and `xrange`, which are Python's range. A class may be derived from a
    placeholder. Calling, indexing, iterating or computing with a placeholder raises UsesMissingError.
    """

    __all__ = ()  # "from module import *" imports nothing

    def __init__(self, module: str, reason: str) -> None:
        self._module = module
        self._reason = reason

    def __getattr__(self, name: str) -> Any:
        if name in _RANGE_NAMES:
            return range
        if name.startswith("__"):
            raise AttributeError(f"uses {self._module}, {self._reason}")
        return MissingModule(self._module, self._reason)

    def __mro_entries__(self, bases: tuple[Any, ...]) -> tuple[type]:
        def refuse(cls: type, *args: Any, **keywords: Any) -> NoReturn:
            self._refuse()

        return (type("MissingBase", (), {"__new__": refuse}),)

    def _refuse(self, *args: Any, **keywords: Any) -> NoReturn:
        raise UsesMissingError(f"uses {self._module}, {self._reason}")


_BINARY_OPERATORS = (
    "add",
    "sub",
    "mul",
    "matmul",
    "truediv",
    "floordiv",
    "mod",
    "divmod",
    "pow",
    "and",
    "or",
    "xor",
    "lshift",
    "rshift",
)
_SPECIAL_METHODS = (
    "call",
    "iter",
    "next",
    "len",
    "contains",
    "getitem",
    "setitem",
    "delitem",
    "enter",
    "exit",
    "instancecheck",
    "neg",
    "pos",
    "abs",
    "invert",
    "int",
    "float",
    "index",
    "lt",
    "le",
    "gt",
    "ge",
    *_BINARY_OPERATORS,
    *(f"r{operator}" for operator in _BINARY_OPERATORS),
)
for _method in _SPECIAL_METHODS:
    setattr(MissingModule, f"__{_method}__", MissingModule._refuse)


# Exceptions of a user's code, as one line with the line number in the user's file

FaultKind = Literal["unfinished", "removed-numpy-name", "missing-module", "raises"]


@dataclass(frozen=True)
class Fault:
    """Exception of a user's code. line: None if it did not pass through the file."""

    kind: FaultKind
    line: int | None
    reason: str
    place: str = ""
    """The line in words, or empty."""

    def __str__(self) -> str:
        return f"{self.place}: {self.reason}" if self.place else self.reason


def require_raised_by_code(error: BaseException) -> None:
    """Raise `error` again if it is an interrupt by the user, and not an exception that code raises by itself."""
    if not isinstance(error, KeyboardInterrupt):
        return
    trace = error.__traceback__
    while trace and trace.tb_next:
        trace = trace.tb_next
    if not trace or dis.opname[trace.tb_frame.f_code.co_code[trace.tb_lasti]] != "RAISE_VARARGS":
        raise error


def describe_error(error: BaseException, filename: str) -> Fault:
    """Return the fault that `error` stands for, located at the innermost line of code from `filename`."""
    line = _line_in(error, filename)
    kind, reason = _kind_and_reason(error, _message(error))
    return Fault(kind, line, reason, "" if line is None else place(filename, line))


def _kind_and_reason(error: BaseException, message: str) -> tuple[FaultKind, str]:
    if isinstance(error, NotImplementedError):
        return "unfinished", "unfinished: raises NotImplementedError"
    if isinstance(error, AttributeError) and (removed := _removed_numpy_name(message)):
        return "removed-numpy-name", removed
    if isinstance(error, UsesMissingError):
        return "missing-module", message
    if isinstance(error, SyntaxError):
        return "raises", syntax_reason(error, error.text or "")
    if isinstance(error, AttributeError) and (name := re.match(r"module 'numpy' has no attribute '(\w+)'", message)):
        near = get_close_matches(name[1], dir(np), n=1, cutoff=0.75)
        message = f"NumPy has no {name[1]}" + (f"; did you mean np.{near[0]}?" if near else "")
    if isinstance(error, ImportError):
        message = re.sub(r" \([^()]*\)$", "", message)  # the path of the module
    return "raises", f"{type(error).__name__}: {_first_informative_line(message)}".rstrip(": ")


def _message(error: BaseException) -> str:
    """Return the message of an exception of any class, as text that can be encoded and printed."""
    text = message_of(error, unreadable="its message cannot be shown")
    return "".join(letter if letter.isprintable() or letter in "\n\t" else "?" for letter in text)


def _line_in(error: BaseException, filename: str) -> int | None:
    if isinstance(error, SyntaxError) and error.filename == filename:
        return error.lineno
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == filename]
    # Numba raises its errors before the code runs, and names the line in the message.
    named = re.search(rf'File "[^"\n]*{re.escape(Path(filename).name)}", line (\d+)', _message(error))
    return int(named[1]) if named else lines[-1] if lines else None


def _first_informative_line(message: str, max_length: int = 160) -> str:
    lines = [line.strip() for line in message.splitlines()]
    # Numba's messages begin with the name of the compiler's stage.
    line = next((line for line in lines if line and not line.startswith("Failed in")), "")
    return line if len(line) <= max_length else line[: max_length - 3] + "..."


_REMOVED_NUMPY_NAMES: dict[str, tuple[str, str]] = {
    # name: (first NumPy release without it, replacement)
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
    """Return the reason if NumPy's `message` is about a name that it had once, otherwise None.

    NumPy has two forms: "module 'numpy' has no attribute 'int'" and "`np.infty` was removed ...".
    """
    match = re.match(r"module 'numpy' has no attribute '(\w+)'|`np\.(\w+)` was removed", message)
    if match is None:
        return None
    name = match[1] or match[2]
    if name not in _REMOVED_NUMPY_NAMES:
        return f"np.{name} was removed in NumPy {np.__version__}" if match[2] else None
    release, replacement = _REMOVED_NUMPY_NAMES[name]
    return f"np.{name} was removed in NumPy {release}; write {replacement}"
