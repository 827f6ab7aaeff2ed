"""From the files that a user names to what a kind of picture is drawn of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lcbench.errors import LcbenchError
from lcbench.report.pictures import KINDS, Kind, Source

if TYPE_CHECKING:
    from lcbench.datasets.loading import Watch
    from lcbench.judge.history import History
    from lcbench.learn.model import Model
    from lcbench.record import Record

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
    """The newest file that such a picture is drawn of; for one over time, every result of the newest one's machine.

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
    from lcbench import paths, record

    found = next((one for one in record.newest_first() if not chosen.module.unfit(one)), None)
    if found is None:
        makes = "sweep" if chosen.of == "a sweep" else "run"
        raise LcbenchError(
            f"no result in {paths.results_folder()} of which {chosen.name} can be drawn: "
            f"'lcbench {makes}' makes one, or name a file"
        )
    return Path(found.path)


def _records_of_newest_machine(chosen: Kind) -> list[Path]:
    """All that were measured where the newest was, the newest first."""
    from lcbench import record

    newest = record.read(_newest_record(chosen))
    fit = (one for one in record.newest_first() if one.fingerprint == newest.fingerprint)
    return [Path(one.path) for one in fit if not chosen.module.unfit(one)]


def read(chosen: Kind, files: Sequence[Path], watch: Watch) -> tuple[Any, ...]:
    """What the kind's `draw` takes, read from the files. Raises LcbenchError where one does not fit the kind."""
    return _READERS[chosen.of](chosen, files, watch)


def _record(chosen: Kind, files: Sequence[Path], watch: Watch) -> tuple[Record]:
    (path,) = _only(chosen, files)
    return (_fit_record(chosen, path),)


def _records(chosen: Kind, files: Sequence[Path], watch: Watch) -> tuple[Record, ...]:
    if len(files) > 2:
        raise LcbenchError(f"{chosen.name} is drawn of {chosen.of}, and {len(files)} files are named")
    return tuple(_fit_record(chosen, path) for path in files)


def _history(chosen: Kind, files: Sequence[Path], watch: Watch) -> tuple[History]:
    from lcbench.judge.history import history

    records = sorted((_fit_record(chosen, path) for path in files), key=lambda one: one.created, reverse=True)
    if elsewhere := [one for one in records if one.fingerprint != records[0].fingerprint]:
        raise LcbenchError(
            f"{records[0].path} and {elsewhere[0].path} are of different machines: a history is drawn of one"
        )
    return (history(records, records[0].fingerprint),)


def _fit_record(chosen: Kind, path: Path) -> Record:
    from lcbench import record

    found = record.read(path)
    if reason := chosen.module.unfit(found):
        raise LcbenchError(f"{path} has no {chosen.name}: {reason}; {_what_would_do(found, _OF_RECORDS)}")
    return found


def _model(chosen: Kind, files: Sequence[Path], watch: Watch) -> tuple[Model]:
    (model,) = _models_of(chosen, _only(chosen, files)).values()
    return (model,)


def _model_and_data(chosen: Kind, files: Sequence[Path], watch: Watch) -> tuple[Any, ...]:
    from lcbench.learn.data import splits_of

    ((name, model),) = _models_of(chosen, _only(chosen, files)).items()
    splits = splits_of(model.recipe, watch)
    if splits.fingerprint() != model.fingerprint:
        raise LcbenchError(f"{name} was trained on other data than what {model.recipe.data} holds now: train it anew")
    return model, splits


def _models(chosen: Kind, files: Sequence[Path], watch: Watch) -> tuple[dict[str, Model]]:
    return (_models_of(chosen, files),)


def _search(chosen: Kind, files: Sequence[Path], watch: Watch) -> tuple[Any]:
    from lcbench.learn.search import search_file

    (path,) = _only(chosen, files)
    search = search_file.read(path)
    if reason := chosen.module.unfit(search):
        raise LcbenchError(f"{path} cannot be drawn: {reason}")
    return (search,)


_READERS: dict[Source, Callable[[Kind, Sequence[Path], Any], tuple[Any, ...]]] = {
    "a result": _record,
    "a sweep": _record,
    "one result, or two compared": _records,
    "results over time": _history,
    "a model": _model,
    "a model and its data": _model_and_data,
    "several models": _models,
    "a search": _search,
}


def _only(chosen: Kind, files: Sequence[Path]) -> Sequence[Path]:
    if len(files) > 1:
        several = [kind.name for kind in KINDS.values() if kind.of == "several models"]
        hint = f"; of several: {', '.join(several)}" if chosen.of not in _OF_RECORDS else ""
        raise LcbenchError(f"{chosen.name} is drawn of {chosen.of}, and {len(files)} files are named{hint}")
    return files


def _models_of(chosen: Kind, files: Sequence[Path]) -> dict[str, Model]:
    """The models by the names of their files, each fit for the kind."""
    from lcbench.learn import model

    models = {str(path): model.read(path) for path in files}
    for name, found in models.items():
        if reason := chosen.module.unfit(found):
            raise LcbenchError(f"{name} has no {chosen.name}: {reason}; {_what_would_do(found, _OF_MODELS)}")
    return models


def _what_would_do(found: Any, of: Sequence[Source]) -> str:
    fit = [kind.name for kind in KINDS.values() if kind.of in of and not kind.module.unfit(found)]
    return f"what can be drawn of it: {', '.join(fit) or 'nothing'}"
