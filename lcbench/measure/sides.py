"""Sides of a gate: base and head, each made ready to be measured. Functions that ask git are at the end."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Literal

from lcbench import files
from lcbench.errors import LcbenchError, one_line
from lcbench.losses import catalog
from lcbench.losses.implementation import LossError, UnknownImplementation
from lcbench.measure.messages import InterpreterFound, InterpreterJob
from lcbench.usercode.discovery import NotFound
from lcbench.usercode.own_tree import OwnTree
from lcbench.usercode.source import SUFFIXES
from lcbench.workers import process
from lcbench.workers.messages import Failed
from lcbench.workers.process import HERE, Place

SideKind = Literal["revision", "folder", "interpreter", "implementation", "none"]

_NO_COMMIT = re.compile("0{40}|0{64}")
"""Git's name for no commit, which CI services give as the previous commit of a branch that a push creates."""


@dataclass(frozen=True)
class GateSide:
    """Base or head, ready to be measured. A base of the kind "none" has nothing: everything in head is new.

    name: "base" or "head". given: the user's text. place: where its worker processes run. implementation: what to
    measure, if the user gave an implementation. revision: commit. dirty: whether the folder differs from it. python,
    versions: interpreter and packages of its worker processes. is_lcbench: whether it is a source tree of lcbench,
    whose losses are measured.
    """

    name: str
    given: str
    kind: SideKind
    place: Place
    implementation: str | None = None
    revision: str | None = None
    dirty: bool = False
    python: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    is_lcbench: bool = False


@contextmanager
def open_sides(base: str, head: str, build: str | None = None) -> Iterator[tuple[GateSide, GateSide]]:
    """Yield base and head; check out revisions for the duration, and build them with the shell command `build`.

    Raise LcbenchError with one line if one of them does not exist, cannot be built or cannot run the worker process.
    """
    with ExitStack() as stack:
        opened = (_open_side("base", base, build), _open_side("head", head, build))
        base_side, head_side = with_own_trees(*map(stack.enter_context, opened))
        yield base_side, head_side


@contextmanager
def _open_side(name: str, given: str, build: str | None) -> Iterator[GateSide]:
    path = Path(given)
    interpreter = _interpreter(path)
    if name == "base" and _NO_COMMIT.fullmatch(given):
        yield GateSide(name, given, "none", HERE)
        return
    if given.rpartition(":")[0].endswith(SUFFIXES) or given.endswith(SUFFIXES) or given in catalog.CATALOG:
        side = GateSide(name, given, "implementation", HERE, implementation=given)
    elif interpreter:
        side = GateSide(name, given, "interpreter", Place(str(interpreter), losses=None))
    elif path.is_dir():
        side = _in_tree(name, given, "folder", path.resolve(), git_revision(folder=path))
        side = replace(side, dirty=bool(git_has_changes(path)))
    else:
        with open_revision(name, given, build) as side:
            yield side
        return
    yield _with_versions(_in_built_environment(side) if build else side)


@contextmanager
def open_revision(name: str, given: str, build: str | None) -> Iterator[GateSide]:
    """Yield the side of a git revision, which is checked out and built for the duration.

    name: option that errors are about, without hyphens. Raise LcbenchError as `open_sides` does.
    """
    with _checked_out(name, given, build) as (folder, revision):
        side = _in_tree(name, given, "revision", folder, revision)
        yield _with_versions(_in_built_environment(side) if build else side)


def _interpreter(path: Path) -> Path | None:
    """Return the Python interpreter at `path` or in the environment `path`, or None.

    Links are not resolved, since a virtual environment consists of a link to another interpreter.
    """
    if path.is_file() and os.access(path, os.X_OK):
        return path.absolute()
    candidates = (path / "bin" / "python", path / "Scripts" / "python.exe")
    return next((candidate.absolute() for candidate in candidates if candidate.is_file()), None)


def _in_tree(name: str, given: str, kind: SideKind, folder: Path, revision: str | None) -> GateSide:
    """Return the side whose workers run in a source tree, with its own `lcbench.losses` if it is lcbench's.

    Raise LcbenchError if the tree contains an lcbench whose losses cannot be measured: the installed ones would be
    measured instead, on both sides.
    """
    for root in (folder, *folder.parents):
        package = root / "lcbench"
        if (package / "losses" / "catalog.py").is_file():
            place = Place(folder=folder, losses=package / "losses")
            return GateSide(name, given, kind, place, revision=revision, is_lcbench=True)
        if (package / "__init__.py").is_file():
            raise LcbenchError(
                f"--{name} {given}: {package} has no losses/catalog.py: this lcbench cannot measure that version; "
                "choose a later one"
            )
    return GateSide(name, given, kind, Place(folder=folder, losses=HERE.losses), revision=revision)


@contextmanager
def _checked_out(name: str, given: str, build: str | None) -> Iterator[tuple[Path, str]]:
    """Check out `given` in a git worktree; yield the folder that corresponds to the current one, and the commit."""
    try:
        top = git("rev-parse", "--show-toplevel")
    except GitError as error:
        raise LcbenchError(
            f"--{name} {given}: no such file, folder or interpreter, nor a revision: git says of {Path.cwd()}: {error}"
        ) from None
    revision = git_revision(given)
    if revision is None:
        raise LcbenchError(
            f"--{name} {given}: no such revision, file, folder or interpreter; a revision must be fetched from the "
            "remote first, and a shallow clone lacks most"
        )
    _remove_abandoned_worktrees()
    below = Path.cwd().resolve().relative_to(Path(top).resolve())
    parent = files.temporary_folder(name)
    tree = Path(parent.name) / "tree"
    try:
        try:
            git("worktree", "add", "--detach", "--force", str(tree), revision, timeout_s=None)
        except GitError as error:
            raise LcbenchError(f"--{name} {given}: cannot be checked out: {error}") from None
        if build:
            _build(name, build, tree)
        yield (tree / below if (tree / below).is_dir() else tree), revision
    finally:
        run_git("worktree", "remove", "--force", str(tree))
        parent.cleanup()


def _remove_abandoned_worktrees() -> None:
    """Remove the worktrees of gates that were killed from the list that git keeps of them."""
    listed = (run_git("worktree", "list", "--porcelain") or "").splitlines()
    for tree in (Path(line.removeprefix("worktree ")) for line in listed if line.startswith("worktree ")):
        if files.is_abandoned(tree.parent):
            run_git("worktree", "remove", "--force", "--force", str(tree))


def _build(name: str, command: str, tree: Path) -> None:
    done = subprocess.run(
        command, shell=True, cwd=tree, capture_output=True, encoding="locale", errors="replace", env=_git_environment()
    )
    if done.returncode:
        last_line = _last_line(done.stderr or done.stdout)
        raise LcbenchError(f"--build {command}: exit status {done.returncode} in the tree of {name}: {last_line}")


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1][:300] if lines else "no output"


def _in_built_environment(side: GateSide) -> GateSide:
    """Return the side with the interpreter of the environment `.venv` in its tree, if the build made one."""
    built = _interpreter(side.place.folder / ".venv") if side.place.folder else None
    return replace(side, place=replace(side.place, python=str(built))) if built else side


def _with_versions(side: GateSide) -> GateSide:
    """Return the side with the versions that its worker process reports. Raise LcbenchError if it cannot run."""
    events = process.work(InterpreterJob(), process.environment(1, None), 60.0, side.place)
    answer = next((event for event in events if isinstance(event, InterpreterFound)), None)
    if answer:
        return replace(side, python=answer.python, versions=answer.versions)
    reason = next((event.reason for event in events if isinstance(event, Failed)), "no output")
    hint = "" if side.place.python == sys.executable else f"; '{side.place.python} -m pip install lcbench' may help"
    raise LcbenchError(f"--{side.name} {side.given}: its Python cannot run the worker process: {reason}{hint}")


# Source trees


def with_own_trees(*sides: GateSide) -> list[GateSide]:
    """Return the sides with the source trees from which they import the modules of the repository."""
    roots = [_root(side) for side in sides]
    folders = [side.place.folder for side in sides]
    if len(sides) > 1 and len({*roots}) == 1 and len({*folders}) > 1:  # two folders of one checkout
        roots = [*folders]
    here = run_git("rev-parse", "--show-toplevel")
    listed = (run_git("worktree", "list", "--porcelain") or "").splitlines()
    worktrees = [line.removeprefix("worktree ") for line in listed if line.startswith("worktree ")]
    paths: list[str | Path] = [*(root for root in roots if root), *filter(None, [here]), *worktrees]
    trees = dict.fromkeys(Path(each).resolve() for each in paths)
    found = []
    for side, root in zip(sides, roots, strict=True):
        if root and (side.place.folder or len({*roots}) > 1):
            others = tuple(str(tree) for tree in trees if tree != root and tree.is_dir())
            built = side.place.python != sys.executable
            tree = OwnTree(side.name, str(root), others, built)
            side = replace(side, place=replace(side.place, tree=tree))
        found.append(side)
    return found


def _root(side: GateSide) -> Path | None:
    """Return the root of the source tree of a side; None if it has none."""
    folder = side.place.folder
    if side.implementation and (file := Path(file_of(side.implementation))).is_file():
        folder = file.resolve().parent
    if folder is None:
        return None
    top = run_git("rev-parse", "--show-toplevel", folder=folder)
    return Path(top).resolve() if top else side.place.folder


def file_of(name: str) -> str:
    """Return the file of an implementation as ``--impl`` takes it, or what stands for it in another name."""
    return name if name.endswith(".py") else name.rpartition(":")[0]


def in_own_tree(side: GateSide, name: str) -> str:
    """Return the name of an implementation with its file in the side's own tree, if it names one of another tree.

    Raise LcbenchError if the file is a link to another tree.
    """
    tree, file = side.place.tree, Path(file_of(name))
    if tree is None or file.suffix != ".py":
        return name
    own, others = Path(tree.folder), [Path(other) for other in tree.others]
    if file.is_absolute() and not file.is_relative_to(own):
        root = max(
            (each for each in others if file.is_relative_to(each)), key=lambda each: len(each.parts), default=None
        )
        if root:
            file = own / file.relative_to(root)
    target = ((side.place.folder or Path.cwd()) / file).resolve()
    if not target.is_relative_to(own) and any(target.is_relative_to(other) for other in others):
        raise LcbenchError(f"--{side.name} {side.given}: {file} is a link to {target}, which is not in {own}")
    return f"{file}{name[len(file_of(name)) :]}"


def why_missing(side: GateSide, name: str) -> str:
    """Return a clause on a file of an implementation that the side's revision does not have; empty if it has it.

    name: the implementation, as for ``--impl``.
    """
    path, folder = file_of(name), side.place.folder
    if side.kind != "revision" or folder is None or not path.endswith(".py") or (folder / path).exists():
        return ""
    submodule = _submodule_of(side, path)
    if submodule:
        build = "git submodule update --init"
        return f"; {submodule} is a git submodule, which a checkout leaves empty: --build '{build}' fills it"
    untracked = Path(path).exists() and run_git("ls-files", "--error-unmatch", "--", path) is None
    return "; git does not track it: commit it" if untracked else "; that revision does not have it"


def _submodule_of(side: GateSide, path: str) -> str | None:
    """Return the git submodule in the side's tree that contains the file; None if there is none."""
    above = [str(parent) for parent in Path(path).parents if str(parent) not in (".", "/")]
    staged = run_git("ls-files", "--stage", "--", *above, folder=side.place.folder) if above else None
    lines = (staged or "").splitlines()
    return next((line.partition("\t")[2] for line in lines if line.startswith("160000 ")), None)


def lacks(base: GateSide, head: GateSide, name: str, error: LossError) -> bool:
    """Return whether base does not have what head may have under the name, as before the change that adds it.

    A module counts if git tracks it in head and not in base. One that git does not track could be generated, so that
    base lacks it only until it is built.

    name: the implementation, as for ``--impl``. error: why base does not offer it.
    """
    path = name if name.endswith(SUFFIXES) else name.rpartition(":")[0]
    if path.endswith(SUFFIXES):
        return isinstance(error, NotFound | UnknownImplementation) and _submodule_of(base, path) is None
    trees = base.place.folder, head.place.folder
    if not path or None in trees:
        return False
    module = path.replace(".", "/")
    patterns = [f":(glob)**/{file}" for file in (f"{module}.py", f"{module}/__init__.py")]
    in_base, in_head = (run_git("ls-files", "--", *patterns, folder=tree) for tree in trees)
    return bool(in_head) and in_base == ""


# Git


class GitError(Exception):
    """Failure of git. The message is git's own, or why it could not be run."""


def git(*arguments: str, folder: Path | None = None, timeout_s: float | None = 60.0) -> str:
    """Return the output of ``git`` in `folder` (None: the current one), stripped. Raise GitError if it fails.

    No hook of the repository runs: a hook that fails would stop a checkout, and one may start lcbench again.
    """
    command = ["git", "-c", f"core.hooksPath={os.devnull}", "-c", "core.fsmonitor=false", *arguments]
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, encoding=sys.getfilesystemencoding(), errors="surrogateescape",
            timeout=timeout_s, env=_git_environment(),
        )  # fmt: skip
    except FileNotFoundError:
        raise GitError("git is not installed" if folder is None or folder.is_dir() else f"no folder {folder}") from None
    except (OSError, subprocess.SubprocessError) as error:
        raise GitError(one_line(error)) from None
    if done.returncode:
        raise GitError(_git_message(done.stderr))
    return done.stdout.strip()


def run_git(*arguments: str, folder: Path | None = None) -> str | None:
    """Return the output of ``git`` in `folder` (None: the current one), stripped; None if it fails."""
    try:
        return git(*arguments, folder=folder)
    except GitError:
        return None


def _git_environment() -> dict[str, str]:
    """Return the environment without the variables that bind git to one repository.

    Git sets them for its hooks. With GIT_INDEX_FILE, a checkout elsewhere would replace what is about to be committed.
    The two that pass ``git -c`` on are kept, as git keeps them for submodules: CI services set safe.directory in them.
    """
    kept = ("GIT_CONFIG_PARAMETERS", "GIT_CONFIG_COUNT")
    return {name: value for name, value in os.environ.items() if name in kept or name not in _local_variables()}


@cache
def _local_variables() -> frozenset[str]:
    """Return the names of the variables that bind git to one repository, from git itself."""
    try:
        done = subprocess.run(
            ["git", "rev-parse", "--local-env-vars"], capture_output=True, encoding="ascii", timeout=60
        )
    except (OSError, subprocess.SubprocessError):
        return frozenset()
    return frozenset(done.stdout.split())


def _git_message(text: str) -> str:
    """Return git's messages on one line, from the first one that reports the failure."""
    lines = [" ".join(line.split()) for line in text.splitlines() if line.strip()]
    first = next((index for index, line in enumerate(lines) if line.startswith(("fatal:", "error:"))), 0)
    return " ".join(lines[first:])[:500]


def git_revision(name: str = "HEAD", folder: Path | None = None) -> str | None:
    """Return the commit that `name` denotes in the repository of `folder`; None if there is none."""
    return run_git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}", folder=folder)


def git_has_changes(folder: Path | None = None) -> bool | None:
    """Return whether tracked files differ from the commit that is checked out; None outside a repository."""
    changes = run_git("status", "--porcelain", "-uno", folder=folder)
    return None if changes is None else bool(changes)


def revision_of_lcbench() -> tuple[str | None, bool | None]:
    """Return the commit of lcbench itself, and whether its files differ from it.

    Both are None if it is neither in a checkout nor was installed from a repository by pip, which notes the commit.
    """
    package = Path(__file__).parents[1]
    # A checkout of another project may contain the environment in which lcbench is installed.
    if run_git("ls-files", "--error-unmatch", "--", "__init__.py", folder=package) is not None:
        changes = run_git("status", "--porcelain", "-uno", "--", ".", folder=package)
        return git_revision(folder=package), None if changes is None else bool(changes)
    with suppress(metadata.PackageNotFoundError, ValueError, KeyError, TypeError):
        installed = metadata.distribution("lcbench")
        if Path(str(installed.locate_file("lcbench"))).resolve() == package.resolve():
            return str(json.loads(installed.read_text("direct_url.json") or "{}")["vcs_info"]["commit_id"]), False
    return None, None


def why_no_revision(folder: Path | None = None) -> str:
    """Return why git does not tell the revision of the repository that contains `folder`; empty if there is none."""
    here = (folder or Path.cwd()).resolve()
    if not any((above / ".git").exists() for above in (here, *here.parents)):
        return ""
    try:
        git("rev-parse", "--show-toplevel", folder=folder)
    except GitError as error:
        return str(error)
    return ""
