"""From the files that a user names to what a kind of plot is drawn of, and every plot that files allow."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lcbench.errors import LcbenchError
from lcbench.report.plots import KINDS, Kind, Source, drawn, require_drawable

if TYPE_CHECKING:
    from lcbench.datasets.examples import LabelledSplits
    from lcbench.learn.model import Model
    from lcbench.progress import ProgressCallback
    from lcbench.record import Record
    from lcbench.reproduction.figures import Outcome
    from lcbench.stats.history import History

_OF_RECORDS: tuple[Source, ...] = ("a result", "a sweep", "results over time", "one result, or two compared")
_OF_MODELS: tuple[Source, ...] = ("a model", "a model and its data", "several models")


@dataclass(frozen=True)
class File:
    """A file that can be drawn: what it holds, and the sources that it can be."""

    path: Path
    content: Any
    sources: tuple[Source, ...]


def identify(name: str) -> File:
    """Whatever a user names: a model, a search, or a result. Raises LcbenchError where it is none of them."""
    from lcbench import record
    from lcbench.learn import model
    from lcbench.learn.search import search_file

    path = Path(name)
    if path.suffix.lower() in (".h5", ".hdf5"):
        return File(path, model.read(path), _OF_MODELS)
    if path.is_file():
        try:
            return File(path, search_file.read(path), ("a search",))
        except LcbenchError:
            pass  # then it is a result, or what is said of it as a result is what is wrong with it
    found = record.find(name)
    return File(Path(found.path), found, _OF_RECORDS)


def resolve(chosen: Kind, names: Sequence[str]) -> list[Path]:
    """The files that were named, or the newest: a result also by a saved name, or the start of its name or id.

    Raises LcbenchError where there is none.
    """
    if not names:
        return newest(chosen)
    if chosen.of not in _OF_RECORDS:
        return [Path(name) for name in names]
    from lcbench import record

    return [Path(record.find(name).path) for name in names]


def newest(chosen: Kind) -> list[Path]:
    """The newest file that such a plot is drawn of; for one over time, every result of the newest one's machine.

    Raises LcbenchError where there is none, or it takes several that only a user can choose.
    """
    from lcbench.learn import model
    from lcbench.learn.search import search_file

    if chosen.of == "several models":
        raise LcbenchError(f"{chosen.name} is drawn of several models: name their files")
    if chosen.of == "results over time":
        return _records_of_newest_machine(chosen)
    if chosen.of in _OF_RECORDS:
        return [_newest_record(chosen)]
    return [search_file.newest() if chosen.of == "a search" else model.newest()]


def _newest_record(chosen: Kind) -> Path:
    from lcbench import files, record

    found = next((one for one in record.newest_first() if not chosen.why_not(one)), None)
    if found is None:
        makes = "sweep" if chosen.of == "a sweep" else "run"
        raise LcbenchError(
            f"no result in {files.results_folder()} of which {chosen.name} can be drawn: "
            f"'lcbench {makes}' makes one, or name a file"
        )
    return Path(found.path)


def _records_of_newest_machine(chosen: Kind) -> list[Path]:
    """All that were measured where the newest was, the newest first."""
    from lcbench import record

    newest = record.read(_newest_record(chosen))
    fit = (one for one in record.newest_first() if one.fingerprint == newest.fingerprint)
    return [Path(one.path) for one in fit if not chosen.why_not(one)]


def read(chosen: Kind, files: Sequence[Path], watch: ProgressCallback) -> tuple[Any, ...]:
    """Return what the kind's function takes, read from the files. Raises LcbenchError where one does not fit the kind.

    A result, a model or a search each; several models by the names of their files.
    """
    if chosen.of not in ("results over time", "several models"):
        _require_few(chosen, files)
    found = [_read_one(chosen, path) for path in files]
    if chosen.of == "several models":
        return (dict(zip(map(str, files), found, strict=True)),)
    if chosen.of == "results over time":
        return (_history(found),)
    if chosen.of == "a model and its data":
        return *found, _its_data(str(files[0]), found[0], watch)
    return tuple(found)


def _require_few(chosen: Kind, files: Sequence[Path]) -> None:
    """One file, or two to compare."""
    if len(files) > (2 if chosen.of == "one result, or two compared" else 1):
        several = [kind.name for kind in KINDS.values() if kind.of == "several models"]
        hint = f"; of several: {', '.join(several)}" if chosen.of not in _OF_RECORDS else ""
        raise LcbenchError(f"{chosen.name} is drawn of {chosen.of}, and {len(files)} files are named{hint}")


def _read_one(chosen: Kind, path: Path) -> Any:
    from lcbench import record
    from lcbench.learn import model
    from lcbench.learn.search import search_file

    if chosen.of == "a search":
        search = search_file.read(path)
        if reason := chosen.why_not(search):
            raise LcbenchError(f"{path} cannot be drawn: {reason}")
        return search
    found, same = (record.read(path), _OF_RECORDS) if chosen.of in _OF_RECORDS else (model.read(path), _OF_MODELS)
    if reason := chosen.why_not(found):
        fit = [kind.name for kind in KINDS.values() if kind.of in same and not kind.why_not(found)]
        raise LcbenchError(
            f"{path} has no {chosen.name}: {reason}; what can be drawn of it: {', '.join(fit) or 'nothing'}"
        )
    return found


def _history(records: list[Record]) -> History:
    from lcbench.stats.history import history

    records.sort(key=lambda one: one.created, reverse=True)
    if elsewhere := [one for one in records if one.fingerprint != records[0].fingerprint]:
        raise LcbenchError(
            f"{records[0].path} and {elsewhere[0].path} are of different machines: a history is drawn of one"
        )
    return history(records, records[0].fingerprint)


def _its_data(name: str, model: Model, watch: ProgressCallback) -> LabelledSplits:
    from lcbench.learn.training import splits_of

    splits = splits_of(model.recipe, watch)
    if splits.fingerprint() != model.fingerprint:
        raise LcbenchError(f"{name} was trained on other data than what {model.recipe.data} holds now: train it anew")
    return splits


@dataclass(frozen=True)
class Plot:
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


def every(names: Sequence[str]) -> tuple[list[Plot], list[str]]:
    """Every plot of the files that are named, as `identify` takes them; of none, of the newest of each sort.

    Gives the plots, and why some of the newest files cannot be read, a line each. Raises LcbenchError where a file
    that is named cannot be read, nothing can be drawn, or two plots would have the same name.
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


def _of_newest(unread: list[str]) -> Iterator[Plot]:
    """Each kind of the newest file that it can be drawn of; into `unread`, why such a file cannot be read."""
    read: dict[Path, File | None] = {}
    for kind in KINDS.values():
        try:
            paths = newest(kind)
        except LcbenchError:
            continue  # there is no such file, or it takes several that only a user can choose
        for path in paths:
            if path not in read:
                try:
                    read[path] = identify(str(path))
                except LcbenchError as error:
                    read[path] = None
                    unread.append(str(error))
        yield from _fit(kind, [file for path in paths if (file := read[path])])


def _of_named(names: Sequence[str]) -> Iterator[Plot]:
    files = [identify(name) for name in dict.fromkeys(names)]
    for kind in KINDS.values():
        yield from _fit(kind, files)


def _fit(kind: Kind, files: Sequence[File]) -> Iterator[Plot]:
    """The plots of a kind: one of each file, or where it shows several, of all that may stand beside each other."""
    fit = [file for file in files if kind.of in file.sources and not kind.why_not(file.content)]
    if kind.of == "several models":
        groups = _grouped(fit, lambda file: file.content.recipe.loss)
    elif kind.of == "results over time":
        groups = _grouped(fit, lambda file: file.content.fingerprint)
    else:
        yield from (Plot(kind, (file.path,)) for file in fit)
        return
    yield from (Plot(kind, tuple(file.path for file in group)) for group in groups if len(group) > 1)


def _grouped(files: Sequence[File], by: Callable[[File], str]) -> list[list[File]]:
    return [list(group) for _, group in groupby(sorted(files, key=by), key=by)]


def _require_names_of_their_own(plots: Iterable[Plot]) -> None:
    taken: dict[str, Plot] = {}
    for plot in plots:
        other = taken.setdefault(plot.file_name, plot)
        if other is not plot:
            raise LcbenchError(
                f"{other.files[0]} and {plot.files[0]} would both become {plot.file_name}: draw them apart"
            )


REPRODUCED = {
    "learning-rates": ("learning-rates", ("lr-too-small", "lr-0.1-first", "lr-0.1-second", "lr-too-large")),
    "decision-boundary": ("boundaries", ("decision-boundary",)),
    "templates": ("templates", ("templates",)),
    "random-search": ("descents", ("random-search-tries", "random-search-descent")),
}
"""Plots of ``lcbench reproduce``, by the name of the file: the kind of plot, and of which models."""


def reproduced_rows() -> list[str]:
    """Return the rows of ``lcbench reproduce`` that have a plot, in the order of the documents."""
    from lcbench.reproduction import figures

    return [
        row
        for row in figures.published_rows()
        if any(f"{name}-".startswith(f"{row}-") for _, of in REPRODUCED.values() for name in of)
    ]


def draw_reproduced(outcomes: Sequence[Outcome], folder: Path) -> Iterator[Path]:
    """Store the models of these rows in `folder`, draw what can be drawn of them, and give the plots' files.

    Raises LcbenchError where that cannot be written or matplotlib is missing.
    """
    from lcbench import files
    from lcbench.reproduction.figures import write_models

    stored = {name: path for outcome in outcomes for name, path in write_models(outcome, folder)}
    for name, (kind, wanted) in REPRODUCED.items():
        shown = [stored[model] for model in wanted if model in stored]
        if shown:
            path = folder / f"{name}.png"
            files.write_file(path, drawn(KINDS[kind], shown))
            yield path
