"""The words by which a figure is judged, and the limits that they set.

====================  ==================================================================
``exact``             the very number
``5 decimals``        half a unit of the fifth decimal to either side
``5 digits``          half a unit of the fifth significant digit to either side
``within 0.1``        so far to either side
``relative 1e-4``     that share of the number to either side
``0.37..0.395``       from, to
``at most 1e-6``      or exactly that
``at least 1e5``      or exactly that
``below 1``           less than that
``above 1``           more than that
``shown``             any number: told, not judged
====================  ==================================================================
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
    """What must be met, in words of the table above."""

    words: str

    @property
    def needs_expected(self) -> bool:
        """Whether it says how far from an expected number, and not from where to where."""
        return self._parsed()[0] in ("exact", "decimals", "digits", "within", "relative")

    def limits(self, expected: float) -> tuple[float, float]:
        """From where to where a measured number may lie. expected: NaN where nothing is.

        Raises ValueError where the words are none of the table, or need an expected number.
        """
        kind, value = self._parsed()
        if self.needs_expected:
            if isnan(expected):
                raise ValueError(f"'{self.words}' of which number?")
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
        """Which line of the table it is, and what stands there for the number."""
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


# What is reproduced: rows of published figures with their inputs and the rule by which each is judged.
#
# They lie in ``figures.json`` beside this file, taken from five course notes. Nothing else of lcbench knows a published
# figure: the functions that compute the rows see their inputs only.


class Figure(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One published figure, or an array of them.

    published: what the document prints, where it prints it. expected: what is right, where that is something else or
    the document prints nothing. rule: what of it must be met (`rules.Rule`).
    """

    rule: str
    published: Any = None
    expected: Any = None

    def numbers(self, name: str, measured: Any) -> Iterator[Number]:
        """The measured numbers, each beside its own published and expected one.

        One published number stands for all measured ones. Raises ValueError where the shapes differ otherwise.
        """
        found = np.asarray(measured, np.float64)
        published = self._like(self.published, found)
        expected = self._like(self.expected if self.expected is not None else self.published, found)
        rule = Rule(self.rule)
        for place in np.ndindex(found.shape):
            right = float(expected[place])
            low, high = rule.limits(right)
            yield Number(
                " ".join([name, ",".join(map(str, place))]).strip(),
                float(found[place]),
                _or_none(published[place]),
                _or_none(right),
                self.rule,
                low,
                high,
            )

    @staticmethod
    def _like(values: Any, found: Any) -> Any:
        given = np.asarray(np.nan if values is None else values, np.float64)
        if given.shape not in ((), found.shape):
            raise ValueError(f"measured {found.shape}, published {given.shape}")
        return np.broadcast_to(given, found.shape)


def _or_none(number: float) -> float | None:
    return None if np.isnan(number) else float(number)


class Number(msgspec.Struct, frozen=True):
    """One measured number, and where it must lie: in low..high, which are infinite where there is no limit."""

    name: str
    measured: float
    published: float | None
    expected: float | None
    rule: str
    low: float
    high: float

    @property
    def difference(self) -> float | None:
        """Measured less expected."""
        return None if self.expected is None else self.measured - self.expected

    @property
    def met(self) -> bool:
        """Whether it lies where it must. What is not finite never does."""
        return bool(np.isfinite(self.measured)) and self.low <= self.measured <= self.high

    @property
    def corrected(self) -> bool:
        """Whether the document prints something else than is expected."""
        return self.published is not None and self.published != self.expected

    @property
    def strain(self) -> float:
        """The part of the way to its limit that it has gone from what is expected: above 1 where it is not met."""
        if not self.met:
            return np.inf
        difference = self.difference
        if not difference:
            return 0.0
        limit = self.high if difference > 0 else self.low
        return difference / (limit - (self.measured - difference)) if np.isfinite(limit) else 0.0


class PublishedRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Figures that belong together. inputs: what they are computed from. note: a line on what the document gets wrong,
    or leaves open.
    """

    id: str
    document: str
    what: str
    figures: dict[str, Figure]
    inputs: dict[str, Any] = {}
    note: str = ""


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    documents: dict[str, str]
    rows: list[PublishedRow]


@cache
def _file() -> _File:
    text = resources.files(__package__).joinpath("figures.json").read_bytes()
    return msgspec.json.decode(text, type=_File)


def documents() -> Mapping[str, str]:
    """Title of each document, by its number."""
    return _file().documents


def published_rows() -> Mapping[str, PublishedRow]:
    """Every row by its id, in the order of the documents."""
    return {row.id: row for row in _file().rows}


def select_rows(ids: Iterable[str]) -> list[PublishedRow]:
    """Return the rows of these ids, in the order of the documents; all of them where none is named.

    Raises LcbenchError where there is no such row; it names the nearest.
    """
    wanted, known = list(ids), published_rows()
    for name in wanted:
        if name not in known:
            hint = did_you_mean(name, known, "'lcbench reproduce --list' names all")
            raise LcbenchError(f"no row '{name}': {hint}")
    return [row for row in known.values() if row.id in wanted or not wanted]


# What came of a row, and how the models that it trained are stored.

Verdict = Literal["passes", "fails", "skipped"]


@dataclass(frozen=True)
class Points:
    """What a model was trained on where no file has it: X (N, D) and y (N,)."""

    X: NDArray[Any]
    y: NDArray[np.int64]


@dataclass(frozen=True)
class ReproducedValues:
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

    row: PublishedRow
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


def judge(row: PublishedRow, found: ReproducedValues, seconds: float) -> Outcome:
    """Every number of the row beside its own published and expected one.

    Raises ValueError where other figures were found than the row names, or in other shapes.
    """
    if found.figures.keys() != row.figures.keys():
        raise ValueError(f"{row.id}: figures {sorted(found.figures)} were found, {sorted(row.figures)} are published")
    numbers = [number for name, figure in row.figures.items() for number in figure.numbers(name, found.figures[name])]
    return Outcome(row, tuple(numbers), found.models, found.points, seconds=seconds)


def write_models(outcome: Outcome, folder: Path) -> Iterator[tuple[str, Path]]:
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
    files.write_file(table, content.getbuffer())
    recipe = msgspec.structs.replace(model.recipe, data=str(table))
    return replace(model, recipe=recipe, fingerprint=load_splits(str(table)).fingerprint())
