"""Published figures, the rules that decide whether measured figures reproduce them, and the outcome of a row.

The file ``figures.json`` beside this module holds the rows, taken from five course notes: for each row its inputs and
its published figures, each with a rule. No other module knows a published figure; the functions that compute a row get
its inputs only.

====================  ================================================================
rule                  allowed values
====================  ================================================================
``exact``             exactly the expected number
``5 decimals``        within half a unit of the fifth decimal place
``5 digits``          within half a unit of the fifth significant digit
``within 0.1``        within 0.1 of the expected number
``relative 1e-4``     within this share of the expected number
``0.37..0.395``       from 0.37 to 0.395, both included
``at most 1e-6``      up to 1e-6, included
``at least 1e5``      from 1e5, included
``below 1``           below 1, excluded
``above 1``           above 1, excluded
``shown``             any finite number
====================  ================================================================
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from importlib import resources
from math import floor, inf, isnan, log10, nextafter
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import ArrayLike, NDArray

from lcbench import files
from lcbench.datasets.examples import load_splits
from lcbench.errors import LcbenchError
from lcbench.learn import model as models
from lcbench.learn.model import Model
from lcbench.losses.implementation import did_you_mean

# The published rows.


class Figure(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Published figure, or array of figures."""

    rule: str
    """Rule that the measured figure must meet, as in the table of the module."""
    published: Any = None
    """Figure as printed in the document; None if it does not print one."""
    expected: Any = None
    """Correct figure, if the document prints a wrong one or none."""

    def numbers(self, name: str, measured: Any) -> Iterator[Number]:
        """Yield each measured number with its published and expected one.

        A single published number applies to all measured numbers. Raise ValueError if the shapes differ otherwise.
        """
        found = np.asarray(measured, np.float64)
        published = self._broadcast(self.published, found)
        expected = self._broadcast(self.expected if self.expected is not None else self.published, found)
        rule = Rule(self.rule)
        for index in np.ndindex(found.shape):
            right = float(expected[index])
            low, high = rule.limits(right)
            yield Number(
                " ".join([name, ",".join(map(str, index))]).strip(),
                float(found[index]),
                _none_if_nan(published[index]),
                _none_if_nan(right),
                self.rule,
                low,
                high,
            )

    @staticmethod
    def _broadcast(values: Any, measured: Any) -> Any:
        given = np.asarray(np.nan if values is None else values, np.float64)
        if given.shape not in ((), measured.shape):
            raise ValueError(f"measured {measured.shape}, published {given.shape}")
        return np.broadcast_to(given, measured.shape)


def _none_if_nan(number: float) -> float | None:
    return None if np.isnan(number) else float(number)


class PublishedRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Row of figures that are computed together."""

    id: str
    document: str
    """Number of the document."""
    what: str
    """Description in one line."""
    figures: dict[str, Figure]
    inputs: dict[str, Any] = {}
    """Arguments of the function that computes the row."""
    note: str = ""
    """Line about an error of the document, or about what it leaves open."""


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    documents: dict[str, str]
    rows: list[PublishedRow]


@cache
def _file() -> _File:
    text = resources.files(__package__).joinpath("figures.json").read_bytes()
    return msgspec.json.decode(text, type=_File)


def documents() -> Mapping[str, str]:
    """Return the title of each document, by its number."""
    return _file().documents


def published_rows() -> Mapping[str, PublishedRow]:
    """Return all rows by their id, in the order of the documents."""
    return {row.id: row for row in _file().rows}


def select_rows(ids: Iterable[str]) -> list[PublishedRow]:
    """Return the rows with the given ids, in the order of the documents; all rows if none is given.

    Raise LcbenchError if there is no such row, with the most similar id.
    """
    wanted, known = list(ids), published_rows()
    for name in wanted:
        if name not in known:
            hint = did_you_mean(name, known, "'lcbench reproduce --list' names all")
            raise LcbenchError(f"no row '{name}': {hint}")
    return [row for row in known.values() if row.id in wanted or not wanted]


# Judging measured figures.

Verdict = Literal["passes", "fails", "skipped"]


@dataclass(frozen=True)
class Points:
    """Training data of a model that no file holds: X (N, D) and y (N,)."""

    X: NDArray[Any]
    y: NDArray[np.int64]


@dataclass(frozen=True)
class ReproducedValues:
    """Result of the function of a row."""

    figures: Mapping[str, ArrayLike]
    """Measured figures, by the names of the row."""
    models: Mapping[str, Model] = field(default_factory=dict)
    """Trained models, to be plotted."""
    points: Points | None = None
    """Training data of the models, if it is in no file."""


@dataclass(frozen=True)
class Outcome:
    """Row with its measured numbers, or with the reason why it was skipped."""

    row: PublishedRow
    numbers: tuple[Number, ...] = ()
    models: Mapping[str, Model] = field(default_factory=dict)
    points: Points | None = None
    skipped: str = ""
    """Reason for skipping the row."""
    seconds: float = 0.0
    """Duration of the computation."""

    @property
    def verdict(self) -> Verdict:
        """Verdict of the row: passes if all its numbers meet their rules."""
        if self.skipped:
            return "skipped"
        return "passes" if self.numbers and all(number.met for number in self.numbers) else "fails"

    @property
    def headline(self) -> Number:
        """Number to show for the whole row.

        A number that fails comes first, then one that corrects the document, then a published one. Of several, it is
        the one that uses most of its tolerance.
        """
        judged = [number for number in self.numbers if number.rule != "shown"] or self.numbers

        def relevance(number: Number) -> tuple[bool, bool, bool, float]:
            return not number.met, number.corrected, number.published is not None, number.tolerance_used

        return max(judged, key=relevance)


def judge(row: PublishedRow, values: ReproducedValues, seconds: float) -> Outcome:
    """Return the outcome of a row: each measured number with its published and expected one.

    Raise ValueError if the names or shapes of the measured figures are not those of the row.
    """
    if values.figures.keys() != row.figures.keys():
        raise ValueError(f"{row.id}: figures {sorted(values.figures)} were found, {sorted(row.figures)} are published")
    numbers = [number for name, figure in row.figures.items() for number in figure.numbers(name, values.figures[name])]
    return Outcome(row, tuple(numbers), values.models, values.points, seconds=seconds)


class Number(msgspec.Struct, frozen=True):
    """Measured number and its limits, which are infinite where there is no limit."""

    name: str
    measured: float
    published: float | None
    expected: float | None
    rule: str
    low: float
    high: float

    @property
    def difference(self) -> float | None:
        """Measured minus expected number."""
        return None if self.expected is None else self.measured - self.expected

    @property
    def met(self) -> bool:
        """Whether the number meets its rule: it is finite and within the limits."""
        return bool(np.isfinite(self.measured)) and self.low <= self.measured <= self.high

    @property
    def corrected(self) -> bool:
        """Whether the document prints another number than the expected one."""
        return self.published is not None and self.published != self.expected

    @property
    def tolerance_used(self) -> float:
        """Difference as a share of the tolerance on its side; infinite if the rule is not met."""
        if not self.met:
            return np.inf
        difference = self.difference
        if not difference:
            return 0.0
        limit = self.high if difference > 0 else self.low
        return difference / (limit - (self.measured - difference)) if np.isfinite(limit) else 0.0


_RULES = re.compile(
    r"(?P<exact>exact)|(?P<shown>shown)"
    r"|(?P<decimals>\d+) decimals?|(?P<digits>\d+) digits"
    r"|within (?P<within>\S+)|relative (?P<relative>\S+)"
    r"|(?P<range>\S+\.\.\S+)"
    r"|at most (?P<most>\S+)|at least (?P<least>\S+)"
    r"|below (?P<below>\S+)|above (?P<above>\S+)"
)


@dataclass(frozen=True)
class Rule:
    """Rule that a measured number must meet, in the words of the module's table."""

    words: str

    @property
    def needs_expected(self) -> bool:
        """Whether the rule is a distance from an expected number, and not an interval."""
        return self._parsed()[0] in ("exact", "decimals", "digits", "within", "relative")

    def limits(self, expected: float) -> tuple[float, float]:
        """Return the lower and the upper limit of a measured number. expected: NaN if there is no expected number.

        Raise ValueError if the words are not a rule, or if the rule needs an expected number.
        """
        kind, value = self._parsed()
        if self.needs_expected:
            if isnan(expected):
                raise ValueError(f"the rule '{self.words}' needs an expected number")
            distance = _distance(kind, value, expected)
            return expected - distance, expected + distance
        if kind == "range":
            low, high = value.split("..")
            return float(low), float(high)
        limit = inf if kind == "shown" else float(value)
        return {
            "shown": (-inf, inf),
            "most": (-inf, limit),
            "least": (limit, inf),
            "below": (-inf, nextafter(limit, -inf)),
            "above": (nextafter(limit, inf), inf),
        }[kind]

    def _parsed(self) -> tuple[str, str]:
        """Return the kind of the rule and its number, as text."""
        match = _RULES.fullmatch(self.words)
        if not match:
            raise ValueError(f"no rule '{self.words}'")
        return next((kind, value) for kind, value in match.groupdict().items() if value is not None)


def _distance(kind: str, value: str, expected: float) -> float:
    if kind == "decimals":
        return 0.5 * 10.0 ** -int(value)
    if kind == "digits":
        return 0.5 * 10.0 ** (floor(log10(abs(expected))) + 1 - int(value))
    if kind == "relative":
        return float(value) * abs(expected)
    return float(value) if kind == "within" else 0.0


# Writing the trained models.


def write_models(outcome: Outcome, folder: Path) -> Iterator[tuple[str, Path]]:
    """Write the models of a row to `folder` and yield the name and the file of each.

    The name is the id of the row, followed by the name of the model if the row has several.
    """
    for model_name, model in outcome.models.items():
        name = outcome.row.id if len(outcome.models) == 1 else f"{outcome.row.id}-{model_name}"
        path = folder / f"{name}.h5"
        written = _with_data_file(model, outcome.points, path) if outcome.points else model
        models.write(path, written, "; --pictures names another folder")
        yield name, path


def _with_data_file(model: Model, points: Points, path: Path) -> Model:
    """Write the training data beside the file of the model, and return the model with this file as its data."""
    content = io.BytesIO()
    X, y = points.X, points.y
    # There are no other points, so all splits are the same.
    np.savez(content, X_train=X, y_train=y, X_validation=X, y_validation=y, X_test=X, y_test=y)
    table = path.with_suffix(".npz")
    files.write_file(table, content.getbuffer(), "; --pictures names another folder")
    recipe = msgspec.structs.replace(model.recipe, data=str(table))
    return replace(model, recipe=recipe, fingerprint=load_splits(str(table)).fingerprint())
