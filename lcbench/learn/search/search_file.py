"""The file of a search for hyperparameters: one schema, written and read here and nowhere else.

It holds all trials from the start, in their own order, and is replaced whole whenever one has ended: what ends a
search leaves a file that it can go on from.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from lcbench import files
from lcbench.errors import LcbenchError
from lcbench.learn.recipe import Recipe

FORMAT: Final = "lcbench search"

SCHEMA = 1
"""Raised by every change that an older lcbench could not read."""

TrialStatus = Literal["waiting", "finished", "stopped early", "diverged", "crashed"]
"""waiting: not yet tried. crashed: its process died, and died again when it was tried once more, or it raised."""

Share = Annotated[float, Meta(ge=0, le=1)]


class Trial(msgspec.Struct, kw_only=True, frozen=True):
    """One recipe, and what came of it. The rest is None until it has ended, and the accuracies where it went wrong."""

    recipe: Recipe
    status: TrialStatus = "waiting"
    validation_accuracy: Share | None = None
    train_accuracy: Share | None = None
    loss: float | None = None
    """Of the last step; None where it is not finite."""
    steps: int | None = None
    seconds: float | None = None
    """That the whole trial took."""
    reason: str = ""
    """Why it crashed."""

    @property
    def succeeded(self) -> bool:
        """Whether it gave a model that can be chosen."""
        return self.validation_accuracy is not None


class Refit(msgspec.Struct, kw_only=True, frozen=True):
    """The best recipe trained once more, into a file."""

    trial: Annotated[int, Meta(ge=0)]
    """Its place among the trials, from 0."""
    model: str
    """The model file, in the folder of the search file."""
    accuracy: dict[str, Share]
    """By split, of those that it did not leave out; without "validation" where it was trained on that too."""


class Search(msgspec.Struct, kw_only=True, frozen=True):
    """A search as its file has it."""

    format: Literal["lcbench search"] = FORMAT
    schema: int = SCHEMA
    created: str
    """UTC, ISO 8601."""
    way: Literal["grid", "random"]
    axes: dict[str, list[float]]
    """By field of the recipe, what was asked for: the values, in ascending order; for a random search also the
    two ends of a range, whose values differ from trial to trial."""
    fingerprint: str
    """Of the data."""
    threads: Annotated[int, Meta(ge=1)]
    """Of each worker: they are part of what decides the last bits of a model."""
    refit_all: bool = False
    """Whether the best is refitted on the validation rows too."""
    trials: Annotated[list[Trial], Meta(min_length=1)]
    refit: Refit | None = None
    """None until all trials have ended, and where none gave a model."""

    @property
    def waiting(self) -> list[int]:
        """Places of the trials that are still to be tried."""
        return [place for place, trial in enumerate(self.trials) if trial.status == "waiting"]


class _Head(msgspec.Struct):
    """What can be read of a file of any schema."""

    format: str
    schema: int


def to_json(search: Search, **beside: Any) -> str:
    """The search as text, and what is given beside it."""
    return msgspec.json.format(msgspec.json.encode(beside | msgspec.structs.asdict(search)), indent=1).decode()


def write(path: Path, search: Search) -> None:
    """Replaces `path` by the search, whole or not at all. Raises LcbenchError where it cannot be written."""
    files.write_file(path, to_json(search) + "\n", "; --output names another file")


def read(path: Path) -> Search:
    """The search in `path`. Raises LcbenchError where there is none, or it is damaged or of a newer schema."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise LcbenchError(f"cannot read {path}: {error.strerror or error}; 'lcbench search' makes one") from None
    try:
        head = msgspec.json.decode(content, type=_Head)
        if head.format != FORMAT:
            raise LcbenchError(f"{path} is no search, but a file of format '{head.format}'; 'lcbench search' makes one")
        if head.schema > SCHEMA:
            raise LcbenchError(
                f"{path} has search schema {head.schema}, this lcbench reads up to {SCHEMA}: upgrade lcbench"
            )
        search = msgspec.json.decode(content, type=Search)
        if search.refit and search.refit.trial >= len(search.trials):
            raise msgspec.ValidationError(f"it refitted trial {search.refit.trial} of {len(search.trials)}")
        return search
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise LcbenchError(f"{path} is no search, or damaged: {error}; 'lcbench search' makes one") from None


def newest() -> Path:
    """The file of the search that was begun last, of those that were given no name. Raises LcbenchError without one."""
    found = sorted(files.searches_folder().glob("*.json"))
    if not found:
        raise LcbenchError(f"no search in {files.searches_folder()}: 'lcbench search' makes one, or name a file")
    return found[-1]
