"""Stand-ins for modules that are not installed: importing one is harmless, using it says what is missing.

Assignment files import much that their loss functions never touch (matplotlib, a data loader, six).
"""

from __future__ import annotations

import ast
import builtins
import copy
import functools
import importlib
import itertools
import re
import sys
import traceback
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, NoReturn

import numpy as np

from lcbench.losses.implementation import CannotLoad
from lcbench.usercode.source import Definition, Note, Source, read_source, syntax_reason

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
"""Which package brings an import name. Only known ones: advice to install whatever bears the name would be reckless."""

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

RANGE_NAMES = frozenset({"range", "xrange"})
RANGE_SOURCES = frozenset({"future", "past", "six"})
"""Packages that bridge Python 2 and 3, from which assignments take their `xrange`."""


def why_missing(name: str) -> str:
    """One clause for a module that is nowhere: "which is not installed: pip install matplotlib"."""
    top = name.partition(".")[0]
    if top in _PYTHON_2_MODULES:
        return "which only Python 2 has"
    if top in _PACKAGE_OF:
        return f"which is not installed: pip install {_PACKAGE_OF[top]}"
    return "which is neither installed nor found beside the file"


class UsesMissingError(ImportError):
    """Something was used that could not be imported. The message is one line."""


class Missing:
    """A module that could not be found, or something taken from one.

    Attributes are further stand-ins, but for `range` and `xrange`, which are what they would have been. Deriving a
    class from one works; calling, indexing, iterating or computing with one raises UsesMissingError.
    """

    __all__ = ()  # from it import * brings nothing

    def __init__(self, module: str, reason: str) -> None:
        self._module = module
        self._reason = reason

    def __getattr__(self, name: str) -> Any:
        if name in RANGE_NAMES:
            return range
        if name.startswith("__"):
            raise AttributeError(f"uses {self._module}, {self._reason}")
        return Missing(self._module, self._reason)

    def __mro_entries__(self, bases: tuple[Any, ...]) -> tuple[type]:
        def refuse(cls: type, *args: Any, **keywords: Any) -> NoReturn:
            self._refuse()

        return (type("MissingBase", (), {"__new__": refuse}),)

    def _refuse(self, *args: Any, **keywords: Any) -> NoReturn:
        raise UsesMissingError(f"uses {self._module}, {self._reason}")


_OPERATORS = (
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
_USES = (
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
    *_OPERATORS,
    *(f"r{operator}" for operator in _OPERATORS),
)
for _use in _USES:
    setattr(Missing, f"__{_use}__", Missing._refuse)


# What a user's code raised, as one line with the line number in the user's file.

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


# Run a user's files as modules, statement by statement, with imports that forgive.
#
# Nothing global is touched: each module runs with its own copy of the builtins, whose `__import__` serves that module
# alone, and modules live in a table of their own. ``sys.modules`` and ``sys.path`` stay as they are, and libraries that
# a file imports import their own dependencies in the ordinary way.

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
        source = Source(file, str(file), (), (), frozenset()) if namespace_only else read_source(file)

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
