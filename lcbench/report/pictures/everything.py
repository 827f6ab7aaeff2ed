"""Every picture that files allow: which, and what their files are called."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from lcbench.errors import LcbenchError
from lcbench.report.pictures import KINDS, Kind, require_drawable, sources
from lcbench.report.pictures.sources import File


@dataclass(frozen=True)
class Picture:
    """One that can be drawn: its kind, and the files that it is of."""

    kind: Kind
    files: tuple[Path, ...]

    @property
    def file_name(self) -> str:
        """From the name of the first file and the kind, so that the same files always give the same names."""
        return f"{self.files[0].stem}-{self.kind.name}{self.kind.ending}"

    @property
    def form(self) -> str:
        """`png` or `svg`."""
        return self.kind.ending.removeprefix(".")


def of(names: Sequence[str]) -> tuple[list[Picture], list[str]]:
    """Every picture of the files that are named, as `sources.identify` takes them; of none, of the newest of each sort.

    Gives the pictures, and why some of the newest files cannot be read, a line each. Raises LcbenchError where a file
    that is named cannot be read, nothing can be drawn, or two pictures would have the same name.
    """
    for kind in KINDS.values():
        require_drawable(kind)
    unread: list[str] = []
    found = [*(_of_named(names) if names else _of_newest(unread))]
    if not found:
        what = "these files" if names else "what is in the folder of results"
        raise LcbenchError(f"no picture can be drawn of {what}; 'lcbench run' makes a result")
    _require_names_of_their_own(found)
    return found, unread


def _of_newest(unread: list[str]) -> Iterator[Picture]:
    """Each kind of the newest file that it can be drawn of; into `unread`, why such a file cannot be read."""
    read: dict[Path, File | None] = {}
    for kind in KINDS.values():
        try:
            paths = sources.newest(kind)
        except LcbenchError:
            continue  # there is no such file, or it takes several that only a user can choose
        for path in paths:
            if path not in read:
                try:
                    read[path] = sources.identify(str(path))
                except LcbenchError as error:
                    read[path] = None
                    unread.append(str(error))
        yield from _fit(kind, [file for path in paths if (file := read[path])])


def _of_named(names: Sequence[str]) -> Iterator[Picture]:
    files = [sources.identify(name) for name in dict.fromkeys(names)]
    for kind in KINDS.values():
        yield from _fit(kind, files)


def _fit(kind: Kind, files: Sequence[File]) -> Iterator[Picture]:
    """The pictures of a kind: one of each file, or where it shows several, of all that may stand beside each other."""
    fit = [file for file in files if kind.of in file.sources and not kind.module.unfit(file.content)]
    if kind.of == "several models":
        groups = _grouped(fit, lambda file: file.content.recipe.loss)
    elif kind.of == "results over time":
        groups = _grouped(fit, lambda file: file.content.fingerprint)
    else:
        yield from (Picture(kind, (file.path,)) for file in fit)
        return
    yield from (Picture(kind, tuple(file.path for file in group)) for group in groups if len(group) > 1)


def _grouped(files: Sequence[File], by: Callable[[File], str]) -> list[list[File]]:
    return [list(group) for _, group in groupby(sorted(files, key=by), key=by)]


def _require_names_of_their_own(pictures: Iterable[Picture]) -> None:
    taken: dict[str, Picture] = {}
    for picture in pictures:
        other = taken.setdefault(picture.file_name, picture)
        if other is not picture:
            raise LcbenchError(
                f"{other.files[0]} and {picture.files[0]} would both become {picture.file_name}: draw them apart"
            )
