"""What came of a row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

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
