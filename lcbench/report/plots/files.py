"""Files of a plot: which files a kind of plot needs, and which plots a set of files allows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lcbench.errors import LcbenchError
from lcbench.progress import NoteCallback, no_note
from lcbench.report.plots import KINDS, Kind, Source, render_plot, require_drawable

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
    """File that can be plotted: its contents, and the sources that it can be."""

    path: Path
    content: Any
    sources: tuple[Source, ...]


def identify(name: str) -> File:
    """Return the model, search or result with that name. Raise LcbenchError if it is none of them."""
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
            pass  # it can be a result; if not, the error message is about results
    found = record.find(name)
    return File(Path(found.path), found, _OF_RECORDS)


def resolve_files(chosen: Kind, names: Sequence[str], note: NoteCallback = no_note) -> list[Path]:
    """Return the named files, or the newest ones. A result may also be given by its saved name, or the start of its id.

    note: called with the results that were passed over. Raise LcbenchError if there is none.
    """
    if not names:
        return newest_files(chosen, note)
    if chosen.source not in _OF_RECORDS:
        return [Path(name) for name in names]
    from lcbench import record

    return [Path(record.find(name).path) for name in names]


def newest_files(chosen: Kind, note: NoteCallback = no_note) -> list[Path]:
    """Return the newest file that has such a plot; for a history, every result of the newest one's machine.

    note: called with the results that were passed over. Raise LcbenchError if there is none, or if the plot needs
    several files that only a user can choose.
    """
    from lcbench.learn import model
    from lcbench.learn.search import search_file

    if chosen.source == "several models":
        raise LcbenchError(f"{chosen.name} is a plot of several models: name their files")
    if chosen.source == "results over time":
        return _records_of_newest_machine(chosen, note)
    if chosen.source in _OF_RECORDS:
        return [_newest_record(chosen, note)]
    return [search_file.newest() if chosen.source == "a search" else model.best(note)]


def _newest_record(chosen: Kind, note: NoteCallback = no_note) -> Path:
    from lcbench import files, record

    with closing(record.newest_first(note)) as results:
        found = next((result for result in results if not chosen.why_not(result)), None)
    if found is None:
        makes = "sweep" if chosen.source == "a sweep" else "run"
        raise LcbenchError(
            f"no result in {files.results_folder()} has a plot {chosen.name}: "
            f"'lcbench {makes}' makes one, or name a file"
        )
    return Path(found.path)


def _records_of_newest_machine(chosen: Kind, note: NoteCallback) -> list[Path]:
    """Return all results of the machine of the newest result, the newest first."""
    from lcbench import record

    newest = record.read(_newest_record(chosen))
    same_machine = (other for other in record.newest_first(note) if other.fingerprint == newest.fingerprint)
    return [Path(result.path) for result in same_machine if not chosen.why_not(result)]


def read_content(chosen: Kind, files: Sequence[Path], progress: ProgressCallback) -> tuple[Any, ...]:
    """Return the arguments of the kind's function, read from the files.

    They are a result, a model or a search each; several models are a dictionary by file name. Raise LcbenchError if a
    file does not fit the kind.
    """
    if chosen.source not in ("results over time", "several models"):
        _require_file_count(chosen, files)
    found = [_read_one(chosen, path) for path in files]
    if chosen.source == "several models":
        return (dict(zip(map(str, files), found, strict=True)),)
    if chosen.source == "results over time":
        return (_history(found),)
    if chosen.source == "a model and its data":
        return *found, _data_of(str(files[0]), found[0], progress)
    return tuple(found)


def _require_file_count(chosen: Kind, files: Sequence[Path]) -> None:
    """Raise LcbenchError if there are more files than the kind takes: one, or two to compare."""
    if len(files) > (2 if chosen.source == "one result, or two compared" else 1):
        several = [kind.name for kind in KINDS.values() if kind.source == "several models"]
        hint = f"; plots of several models: {', '.join(several)}" if chosen.source not in _OF_RECORDS else ""
        raise LcbenchError(f"{chosen.name} is a plot of {chosen.source}, but {len(files)} files are given{hint}")


def _read_one(chosen: Kind, path: Path) -> Any:
    from lcbench import record
    from lcbench.learn import model
    from lcbench.learn.search import search_file

    if chosen.source == "a search":
        search = search_file.read(path)
        if reason := chosen.why_not(search):
            raise LcbenchError(f"{path} has no {chosen.name}: {reason}")
        return search
    found, same = (record.read(path), _OF_RECORDS) if chosen.source in _OF_RECORDS else (model.read(path), _OF_MODELS)
    if reason := chosen.why_not(found):
        fit = [kind.name for kind in KINDS.values() if kind.source in same and not kind.why_not(found)]
        raise LcbenchError(f"{path} has no {chosen.name}: {reason}; plots that it has: {', '.join(fit) or 'none'}")
    return found


def _history(records: list[Record]) -> History:
    from lcbench.stats.history import history

    records.sort(key=lambda record: record.created, reverse=True)
    if others := [record for record in records if record.fingerprint != records[0].fingerprint]:
        raise LcbenchError(
            f"{records[0].path} and {others[0].path} are from different machines: a history is of one machine"
        )
    return history(records, records[0].fingerprint)


def _data_of(name: str, model: Model, progress: ProgressCallback) -> LabelledSplits:
    from lcbench.learn.training import splits_of

    splits = splits_of(model.recipe, progress)
    if splits.fingerprint() != model.fingerprint:
        raise LcbenchError(f"{name} was trained on data that {model.recipe.data} no longer holds: train it again")
    return splits


@dataclass(frozen=True)
class Plot:
    """Plot that can be made: its kind and its files."""

    kind: Kind
    files: tuple[Path, ...]

    @property
    def file_name(self) -> str:
        """Name of the plot's file, from the name of the first file and the kind."""
        return f"{self.files[0].stem}-{self.kind.name}{self.kind.suffix}"

    @property
    def form(self) -> str:
        """Format, `png` or `svg`."""
        return self.kind.suffix.removeprefix(".")


def find_plots(names: Sequence[str], note: NoteCallback = no_note) -> tuple[list[Plot], list[str]]:
    """Return every plot of the named files, or without names of the newest files, and why newest files cannot be read.

    note: called for each kind with the results that were passed over. Raise LcbenchError if a named file cannot be
    read, if there is no plot, or if two plots would have the same name.
    """
    for kind in KINDS.values():
        require_drawable(kind)
    unread: list[str] = []
    found = [*(_of_named(names) if names else _of_newest(unread, note))]
    if not found:
        where = "these files" if names else "the files in the folder of results"
        raise LcbenchError(f"{where} have no plot; 'lcbench run' makes a result")
    _require_unique_names(found)
    return found, unread


def _of_newest(unread: list[str], note: NoteCallback) -> Iterator[Plot]:
    """Yield the plots of the newest file of each kind; append to `unread` why a file cannot be read."""
    files: dict[Path, File | None] = {}
    for kind in KINDS.values():
        try:
            paths = newest_files(kind, note)
        except LcbenchError:
            continue  # there is no such file, or only a user can choose the files
        for path in paths:
            if path not in files:
                try:
                    files[path] = identify(str(path))
                except LcbenchError as error:
                    files[path] = None
                    unread.append(str(error))
        yield from _suitable_plots(kind, [file for path in paths if (file := files[path])])


def _of_named(names: Sequence[str]) -> Iterator[Plot]:
    files = [identify(name) for name in dict.fromkeys(names)]
    for kind in KINDS.values():
        yield from _suitable_plots(kind, files)


def _suitable_plots(kind: Kind, files: Sequence[File]) -> Iterator[Plot]:
    """Yield the plots of a kind: one for each file, or if the kind shows several files, one for each group of files."""
    fit = [file for file in files if kind.source in file.sources and not kind.why_not(file.content)]
    if kind.source == "several models":
        groups = _grouped(fit, lambda file: file.content.recipe.loss)
    elif kind.source == "results over time":
        groups = _grouped(fit, lambda file: file.content.fingerprint)
    else:
        yield from (Plot(kind, (file.path,)) for file in fit)
        return
    yield from (Plot(kind, tuple(file.path for file in group)) for group in groups if len(group) > 1)


def _grouped(files: Sequence[File], by: Callable[[File], str]) -> list[list[File]]:
    return [list(group) for _, group in groupby(sorted(files, key=by), key=by)]


def _require_unique_names(plots: Iterable[Plot]) -> None:
    taken: dict[str, Plot] = {}
    for plot in plots:
        other = taken.setdefault(plot.file_name, plot)
        if other is not plot:
            raise LcbenchError(
                f"{other.files[0]} and {plot.files[0]} would both be plotted as {plot.file_name}: plot them separately"
            )


REPRODUCED = {
    "learning-rates": ("learning-rates", ("lr-too-small", "lr-0.1-first", "lr-0.1-second", "lr-too-large")),
    "decision-boundary": ("boundaries", ("decision-boundary",)),
    "templates": ("templates", ("templates",)),
    "random-search": ("descents", ("random-search-tries", "random-search-descent")),
}
"""Plots of ``lcbench reproduce`` by the name of the file: the kind of plot, and its models."""


def reproduced_rows() -> list[str]:
    """Return the rows of ``lcbench reproduce`` that have a plot, in the order of the documents."""
    from lcbench.reproduction import figures

    return [
        row
        for row in figures.published_rows()
        if any(f"{name}-".startswith(f"{row}-") for _, of in REPRODUCED.values() for name in of)
    ]


def draw_reproduced(outcomes: Sequence[Outcome], folder: Path) -> Iterator[Path]:
    """Write the models of these rows to `folder`, draw the plots that they allow, and yield the plots' files.

    Raise LcbenchError if a file cannot be written or matplotlib is missing.
    """
    from lcbench import files
    from lcbench.reproduction.figures import write_models

    stored = {name: path for outcome in outcomes for name, path in write_models(outcome, folder)}
    for name, (kind, wanted) in REPRODUCED.items():
        shown = [stored[model] for model in wanted if model in stored]
        if shown:
            path = folder / f"{name}.png"
            files.write_file(path, render_plot(KINDS[kind], shown), "; --pictures names another folder")
            yield path
