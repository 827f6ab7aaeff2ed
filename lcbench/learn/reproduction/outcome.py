"""What came of a row, and how the models that it trained are stored."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import ArrayLike, NDArray

from lcbench import whole_file
from lcbench.datasets.loading import load
from lcbench.learn import model as models
from lcbench.learn.model import Model
from lcbench.learn.reproduction.figures import Number, Row

Verdict = Literal["passes", "fails", "skipped"]


@dataclass(frozen=True)
class Points:
    """What a model was trained on where no file has it: X (N, D) and y (N,)."""

    X: NDArray[Any]
    y: NDArray[np.int64]


@dataclass(frozen=True)
class Found:
    """What the function of a row returns.

    figures: by the names that the row gives them. models: what it trained, to be drawn. points: that those were trained
    on.
    """

    figures: Mapping[str, ArrayLike]
    models: Mapping[str, Model] = field(default_factory=dict)
    points: Points | None = None


@dataclass(frozen=True)
class Outcome:
    """A row, with what was measured, or why it was not (skipped). seconds: that it took."""

    row: Row
    numbers: tuple[Number, ...] = ()
    models: Mapping[str, Model] = field(default_factory=dict)
    points: Points | None = None
    skipped: str = ""
    seconds: float = 0.0

    @property
    def verdict(self) -> Verdict:
        """Passes where every number meets its rule."""
        if self.skipped:
            return "skipped"
        return "passes" if self.numbers and all(number.met for number in self.numbers) else "fails"

    @property
    def headline(self) -> Number:
        """The number that says most: one that fails, is corrected or published; of those, nearest to its limit."""
        judged = [number for number in self.numbers if number.rule != "shown"] or self.numbers

        def says(number: Number) -> tuple[bool, bool, bool, float]:
            return not number.met, number.corrected, number.published is not None, number.strain

        return max(judged, key=says)


def judged(row: Row, found: Found, seconds: float) -> Outcome:
    """Every number of the row beside its own published and expected one.

    Raises ValueError where other figures were found than the row names, or in other shapes.
    """
    if found.figures.keys() != row.figures.keys():
        raise ValueError(f"{row.id}: figures {sorted(found.figures)} were found, {sorted(row.figures)} are published")
    numbers = [number for name, figure in row.figures.items() for number in figure.numbers(name, found.figures[name])]
    return Outcome(row, tuple(numbers), found.models, found.points, seconds=seconds)


def store(outcome: Outcome, folder: Path) -> Iterator[tuple[str, Path]]:
    """Write the models of a row, and give their names and files: the row's name, and their own where it has several."""
    for own, model in outcome.models.items():
        name = outcome.row.id if len(outcome.models) == 1 else f"{outcome.row.id}-{own}"
        path = folder / f"{name}.h5"
        models.write(path, _with_its_points(model, outcome.points, path) if outcome.points else model)
        yield name, path


def _with_its_points(model: Model, points: Points, path: Path) -> Model:
    """The model, and beside its file another one of the points that it was trained on, by which it is found again."""
    content = io.BytesIO()
    X, y = points.X, points.y
    # the same points to train, choose and test on: there are no others
    np.savez(content, X_train=X, y_train=y, X_validation=X, y_validation=y, X_test=X, y_test=y)
    table = path.with_suffix(".npz")
    whole_file.write(table, content.getbuffer())
    recipe = msgspec.structs.replace(model.recipe, data=str(table))
    return replace(model, recipe=recipe, fingerprint=load(str(table)).fingerprint())
