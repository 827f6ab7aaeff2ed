"""Search file: its schema, reading, writing, and the ranking of its trials.

The file holds all trials from the start, in a fixed order. It is replaced whole after every trial, so an interrupted
search can resume from it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from lcbench import files
from lcbench.errors import LcbenchError
from lcbench.learn.recipe import Recipe

FORMAT: Final = "lcbench search"

SCHEMA = 1
"""Version of the schema, raised by every change that an older lcbench could not read."""

TrialStatus = Literal["waiting", "finished", "stopped early", "diverged", "crashed"]
"""waiting: not run yet. crashed: training raised an exception, or its process died twice."""

Share = Annotated[float, Meta(ge=0, le=1)]


class Trial(msgspec.Struct, kw_only=True, frozen=True):
    """Recipe and the result of training it.

    The other fields are None until the trial has ended. The accuracies stay None if it diverged or crashed.
    """

    recipe: Recipe
    status: TrialStatus = "waiting"
    validation_accuracy: Share | None = None
    train_accuracy: Share | None = None
    loss: float | None = None
    """Loss of the last step; None if it is not finite."""
    steps: int | None = None
    seconds: float | None = None
    """Duration of the whole trial."""
    reason: str = ""
    """Reason for a crash."""

    @property
    def succeeded(self) -> bool:
        """Whether the trial gave a model that can be chosen."""
        return self.validation_accuracy is not None


class Refit(msgspec.Struct, kw_only=True, frozen=True):
    """Model of the best recipe, trained once more and written to a file."""

    trial: Annotated[int, Meta(ge=0)]
    """Index of the trial, from 0."""
    model: str
    """Name of the model file, in the folder of the search file."""
    accuracy: dict[str, Share]
    """Accuracy by split. Without "validation" if the model was trained on the validation rows too."""


class Search(msgspec.Struct, kw_only=True, frozen=True):
    """Content of a search file."""

    format: Literal["lcbench search"] = FORMAT
    schema: int = SCHEMA
    created: str
    """UTC, ISO 8601."""
    way: Literal["grid", "random"]
    axes: dict[str, list[float]]
    """Requested values by field of the recipe, in ascending order. For a range of a random search: its two ends."""
    fingerprint: str
    """Fingerprint of the data."""
    threads: Annotated[int, Meta(ge=1)]
    """Threads of each worker. They affect the last bits of a model."""
    refit_all: bool = False
    """Whether the best recipe is refitted on the validation rows too."""
    trials: Annotated[list[Trial], Meta(min_length=1)]
    refit: Refit | None = None
    """None until all trials have ended, and if none gave a model."""

    @property
    def waiting(self) -> list[int]:
        """Indices of the trials that have not run yet."""
        return [index for index, trial in enumerate(self.trials) if trial.status == "waiting"]


def ranking(trials: Sequence[Trial]) -> list[int]:
    """Return the indices of the trials that gave a model, best first, independent of the order of completion.

    The order is by validation accuracy. Of equal accuracies the smaller learning rate comes first, then the larger
    regularisation, as these are the safer choices, then the smaller batch and the smaller margin.
    """

    def key(index: int) -> tuple[float, ...]:
        trial, recipe = trials[index], trials[index].recipe
        assert trial.validation_accuracy is not None
        return (-trial.validation_accuracy, recipe.learning_rate, -recipe.reg, recipe.batch, recipe.margin, index)

    return sorted((index for index, trial in enumerate(trials) if trial.succeeded), key=key)


def write(path: Path, search: Search) -> None:
    """Write the search to `path`, whole or not at all. Raise LcbenchError if it cannot be written."""
    files.write_file(path, to_json(search) + "\n", "; --output names another file")


def to_json(search: Search, **more: Any) -> str:
    """Return the search as JSON text, with additional fields."""
    return msgspec.json.format(msgspec.json.encode(more | msgspec.structs.asdict(search)), indent=1).decode()


class _Head(msgspec.Struct):
    """Fields that a file of any schema has."""

    format: str
    schema: int


def read(path: Path) -> Search:
    """Return the search in `path`. Raise LcbenchError if the file is missing, damaged or of a newer schema."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise LcbenchError(f"cannot read {path}: {error.strerror or error}; 'lcbench search' makes one") from None
    try:
        head = msgspec.json.decode(content, type=_Head)
        if head.format != FORMAT:
            raise LcbenchError(f"{path} is not a search: its format is '{head.format}'; 'lcbench search' makes one")
        if head.schema > SCHEMA:
            raise LcbenchError(
                f"{path} has search schema {head.schema}, this lcbench reads up to {SCHEMA}: upgrade lcbench"
            )
        search = msgspec.json.decode(content, type=Search)
        if search.refit and search.refit.trial >= len(search.trials):
            raise msgspec.ValidationError(f"it refitted trial {search.refit.trial} of {len(search.trials)}")
        return search
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise LcbenchError(f"{path} is not a search, or damaged: {error}; 'lcbench search' makes one") from None


def newest() -> Path:
    """Return the newest search file that lcbench named itself. Raise LcbenchError if there is none."""
    found = sorted(files.searches_folder().glob("*.json"))
    if not found:
        raise LcbenchError(f"no search in {files.searches_folder()}: 'lcbench search' makes one, or name a file")
    return found[-1]
