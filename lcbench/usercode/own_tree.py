"""Imports of a side of a gate: modules of its repository come from its own source tree, not from what is installed.

The repository's package is often installed from the checkout that the gate runs in (``pip install -e .``, ``pip install
.``, PYTHONPATH). Without this, base would import the package of head, or both would import an installed copy.
"""

from __future__ import annotations

import json
import re
import sys
import sysconfig
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from configparser import ConfigParser
from configparser import Error as ConfigError
from contextlib import suppress
from importlib import metadata
from importlib.machinery import EXTENSION_SUFFIXES, ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

import msgspec

from lcbench.losses.implementation import CannotLoad
from lcbench.usercode.source import read_once


class OwnTree(msgspec.Struct, frozen=True):
    """Source tree of a side of a gate.

    side: "base" or "head". folder: root of the tree. others: roots of other trees of the repository, from which this
    side must not import. built: whether the interpreter belongs to the tree, so that its packages are the tree's own.
    """

    side: str
    folder: str
    others: tuple[str, ...] = ()
    built: bool = False


class OwnImports:
    """Finder of modules for a side of a gate, the first one in ``sys.meta_path``.

    A module of the repository is one that another tree contains, or that a distribution of the repository installs. It
    is found in the own tree or not at all.
    """

    def __init__(self, tree: OwnTree) -> None:
        self._tree, self._own = tree, Path(tree.folder)
        others = dict.fromkeys(Path(other) for other in tree.others)
        installed = [*_distributions_of([self._own, *others])]
        others |= dict.fromkeys(folder for _, folder in installed if folder and not folder.is_relative_to(self._own))
        self._others = [*others]
        self._names = {name for names, _ in installed for name in names}
        self._copies: dict[str, Path] = {}
        """Installed copy of each package of the repository that was found in the own tree."""
        self._foreign: dict[str, Path] = {}
        """Modules that were refused, with the file that would have been imported."""
        self._absent: dict[str, Path] = {}
        """Modules that the own tree does not have, with the file of another tree. They may not be needed."""

    # Finder

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the module in the own tree, or None if other finders may find it.

        Raise ModuleNotFoundError if only another tree has it.
        """
        if path is not None:
            return self._find_submodule(name, path)
        if name in sys.stdlib_module_names or name == "lcbench":
            return None
        found = self._found_by_others(name, None)
        if found is None:
            return None
        places = _places(found)
        in_others = [place for place in places if self._tree_of(place) in self._others]
        if not in_others and (name not in self._names or self._is_own(places)):
            return _read_once(found) if any(self._tree_of(place) == self._own for place in places) else None
        own = self._in_own_tree(name, found, in_others)
        if own:
            if own.origin and own.submodule_search_locations is None:
                self.note(Path(own.origin).parent, name, True, name)
            if not in_others and places:
                self._copies[name] = places[0]
            return _read_once(own)
        if places and found.loader:  # a folder without __init__.py may not be meant at all
            self._foreign[name] = Path(found.origin or places[0])
        elif places:
            self._absent[name] = places[0]
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    def _find_submodule(self, name: str, path: Sequence[str]) -> ModuleSpec | None:
        folders = [Path(folder) for folder in path]
        own = [str(folder) for folder in folders if self._tree_of(folder) == self._own]
        if not own:
            return None
        found = PathFinder.find_spec(name, own)
        for folder in map(Path, own):
            self.note(folder, name.rpartition(".")[2], found is not None, name)
        if found:
            return _read_once(found)
        found = self._found_by_others(name, path)
        foreign = next((place for place in _places(found) if self._tree_of(place) in self._others), None)
        if foreign:
            self._foreign[name] = foreign
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return None

    def _found_by_others(self, name: str, path: Sequence[str] | None) -> ModuleSpec | None:
        for finder in sys.meta_path:
            find = getattr(finder, "find_spec", None)
            if find and finder is not self:
                found: ModuleSpec | None = find(name, path, None)
                if found:
                    return found
        return None

    def _in_own_tree(self, name: str, found: ModuleSpec, in_others: list[Path]) -> ModuleSpec | None:
        """Return the module in the own tree that corresponds to `found`, or None.

        It is looked for in the same folder as in the other tree, in the usual folders, and finally in all folders of
        the next two levels, where it must be the only one.
        """
        mapped = [self._counterpart(place) for place in in_others]
        folders = [*(place.parent for place in mapped), *_import_folders(self._own)]
        if Path.cwd().is_relative_to(self._own):
            folders += _import_folders(Path.cwd())
        for folder in dict.fromkeys(folders):
            own = PathFinder.find_spec(name, [str(folder)])
            if own and own.loader:
                return own
        if found.loader is None:
            rest = [place for place in _places(found) if self._tree_of(place) not in self._others]
            existing = [place for place in mapped if place.is_dir()]
            if not existing:
                return None
            own = ModuleSpec(name, None, is_package=True)
            own.submodule_search_locations = [str(place) for place in (*existing, *rest)]
            return own
        deeper = [
            place.parent.parent if place.name == "__init__.py" else place.parent
            for level in ("*", "*/*")
            for pattern in (f"{level}/{name}/__init__.py", f"{level}/{name}.py")
            for place in self._own.glob(pattern)
            if not _is_installed(place)
        ]
        return PathFinder.find_spec(name, [str(deeper[0])]) if len(deeper) == 1 else None

    def _counterpart(self, place: Path) -> Path:
        """Return the path in the own tree that `place` has in another tree."""
        root = self._tree_of(place)
        assert root
        return self._own / place.relative_to(root)

    def _tree_of(self, place: Path) -> Path | None:
        """Return the root of the innermost tree that contains `place`; None if it is installed or in no tree."""
        roots = [root for root in (self._own, *self._others) if place.is_relative_to(root)]
        if not roots or _is_installed(place):
            return None
        root = max(roots, key=lambda each: len(each.parts))
        between = place.parents[: len(place.parents) - len(root.parents) - 1]
        return None if any((folder / ".git").is_dir() for folder in between) else root  # another repository

    def _is_own(self, places: list[Path]) -> bool:
        own = [self._tree_of(each) == self._own for each in places]
        built = [self._tree.built and each.is_relative_to(self._own) for each in places]
        return any(own) or any(built)

    # What was refused

    def note(self, folder: Path, part: str, found: bool, name: str = "") -> None:
        """Note where else the module `part` of `folder` is, if the own tree lacks it.

        An extension module also counts if the own tree has a source file of that name, which Python would run only
        where the extension is not built. found: whether the own tree has the module. name: full name of the module.
        """
        if self._tree_of(folder) != self._own or any(_extensions(folder, part)):
            return
        elsewhere = [other / folder.relative_to(self._own) for other in self._others]
        if copy := self._copies.get(name.partition(".")[0]):
            elsewhere.append(copy.joinpath(*name.split(".")[1:-1]))
        for place in elsewhere:
            for extension in _extensions(place, part):
                self._foreign[name or part] = extension
                return
            for source in (place / f"{part}.py", place / part / "__init__.py"):
                if not found and source.is_file():
                    self._absent[name or part] = source
                    return

    def require_own(self) -> None:
        """Raise CannotLoad, with its path, if a module of the repository did not come from the own tree."""
        side = self._tree.side
        for name, file in self._foreign.items():
            if file.name.endswith(tuple(EXTENSION_SUFFIXES)):
                raise CannotLoad(
                    f"{name} is not built in {side}'s own tree, only in {file}: build it there; --build COMMAND does "
                    "that in checked-out revisions"
                )
            raise CannotLoad(
                f"{name} is not in {side}'s own tree, only in {file}, which is another version: if it is generated, "
                "--build COMMAND makes it in checked-out revisions"
            )
        starts = tuple(f"{other}/" for other in self._others)
        for name, module in list(sys.modules.items()):
            part_of_worker = name == "lcbench" or name.startswith("lcbench.")
            if name in ("__main__", "__mp_main__") or (part_of_worker and not name.startswith("lcbench.losses")):
                continue  # the worker, which is the same on both sides
            place = getattr(module, "__file__", None)
            if isinstance(place, str) and place.startswith(starts) and self._tree_of(Path(place)) in self._others:
                raise CannotLoad(f"{name} was imported from {place}, which is not in {side}'s own tree {self._own}")

    def explain(self, reason: str) -> str:
        """Return the reason for which code cannot be loaded, with the modules that the own tree does not have."""
        try:
            self.require_own()
        except CannotLoad as error:
            return str(error)
        absent = next(iter(self._absent.items()), None)
        if absent is None:
            return reason
        return f"{reason}; {self._tree.side}'s own tree has no {absent[0]}, which {absent[1]} is: --build may make it"


class _ReadOnce(SourceFileLoader):
    """Loader of a module whose source stays as a measurement first read it, without the cache of its byte code."""

    def get_data(self, path: str) -> bytes:
        return read_once(Path(path)) if path.endswith(".py") else super().get_data(path)

    def path_stats(self, path: str) -> Mapping[str, Any]:
        raise OSError  # the cached code may be that of another content


def _read_once(spec: ModuleSpec) -> ModuleSpec:
    """Return the module with a source that stays as it was first read, if it has a source."""
    if type(spec.loader) is SourceFileLoader and spec.origin:
        spec.loader = _ReadOnce(spec.name, spec.origin)
    return spec


_imports: OwnImports | None = None


def use(tree: OwnTree | None) -> OwnImports | None:
    """Have this process import modules of the repository from `tree`, and return the finder; None without a tree."""
    global _imports
    if tree is None:
        return None
    if _imports is None:
        _imports = OwnImports(tree)
        sys.meta_path.insert(0, _imports)
    return _imports


def note(folder: Path, part: str, found: bool) -> None:
    """Note where else the module `part` of `folder` is, in a process that imports from the tree of a side."""
    if _imports:
        _imports.note(folder, part, found)


def _places(spec: ModuleSpec | None) -> list[Path]:
    """Return the file or the folders of a module."""
    if spec is None:
        return []
    if spec.submodule_search_locations is not None:
        return [Path(folder) for folder in spec.submodule_search_locations]
    return [Path(spec.origin)] if spec.origin and spec.has_location else []


def _extensions(folder: Path, part: str) -> Iterator[Path]:
    """Yield the extension modules `part` in a folder."""
    return (file for suffix in EXTENSION_SUFFIXES if (file := folder / f"{part}{suffix}").is_file())


def _import_folders(root: Path) -> list[Path]:
    return [root, root / "src"]


def _is_installed(place: Path) -> bool:
    """Return whether a file or folder belongs to an interpreter's packages, which may lie in a source tree."""
    if {"site-packages", "dist-packages"} & {*place.parts}:
        return True
    return any(place.is_relative_to(sysconfig.get_path(kind)) for kind in ("stdlib", "platstdlib"))


def _distributions_of(trees: Sequence[Path]) -> Iterator[tuple[set[str], Path | None]]:
    """Yield the top-level modules of each distribution of the repository, and the folder that it was installed from.

    It was installed from a folder or a file in one of the trees, or it has the name of their project.
    """
    projects = {name for tree in trees for name in _project_names(tree)}
    for distribution in metadata.distributions():
        source = _installed_from(distribution)
        from_tree = source is not None and any(source.is_relative_to(tree) for tree in trees)
        if from_tree or (projects and _normalised(distribution.metadata["Name"] or "") in projects):
            yield set(_top_level(distribution)), source if source and source.is_dir() else None


def _installed_from(distribution: metadata.Distribution) -> Path | None:
    """Return the file or folder that a distribution was installed from (PEP 610); None if it was not a local one."""
    from urllib.request import url2pathname  # a slow import

    with suppress(OSError, ValueError, TypeError, AttributeError):
        url = urlsplit(json.loads(distribution.read_text("direct_url.json") or "{}").get("url", ""))
        if url.scheme == "file":
            return Path(url2pathname(url.path)).resolve()
    return None


def _project_names(tree: Path) -> Iterator[str]:
    with suppress(OSError, ValueError, AttributeError):
        content = tomllib.loads((tree / "pyproject.toml").read_text(encoding="utf-8"))
        for table in (content.get("project", {}), content.get("tool", {}).get("poetry", {})):
            if isinstance(table.get("name"), str):
                yield _normalised(table["name"])
    with suppress(OSError, ValueError, ConfigError):
        parser = ConfigParser(interpolation=None)
        parser.read(tree / "setup.cfg", encoding="utf-8")
        if parser.has_option("metadata", "name"):
            yield _normalised(parser.get("metadata", "name"))


def _normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _top_level(distribution: metadata.Distribution) -> Iterator[str]:
    """Yield the names of the modules and packages that a distribution installs, but for those of an editable one."""
    yield from (distribution.read_text("top_level.txt") or "").split()
    for file in distribution.files or ():
        first = file.parts[0]
        if len(file.parts) > 1 and first.isidentifier() and not first.startswith("__"):
            yield first
        elif len(file.parts) == 1 and first.endswith((".py", *EXTENSION_SUFFIXES)) and not first.startswith("__"):
            yield first.partition(".")[0]
