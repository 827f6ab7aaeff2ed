"""What is reproduced: rows of published figures with their inputs and the rule by which each is judged.

They lie in ``figures.json`` beside this file, taken from five course notes. Nothing else of lcbench knows a published
figure: the functions that compute the rows see their inputs only.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib.resources import files
from typing import Any

import msgspec
import numpy as np

from lcbench.errors import LcbenchError
from lcbench.learn.reproduction.rules import Rule
from lcbench.losses.errors import did_you_mean


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


class Row(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
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
    rows: list[Row]


@cache
def _file() -> _File:
    text = files(__package__).joinpath("figures.json").read_bytes()
    return msgspec.json.decode(text, type=_File)


def documents() -> Mapping[str, str]:
    """Title of each document, by its number."""
    return _file().documents


def rows() -> Mapping[str, Row]:
    """Every row by its id, in the order of the documents."""
    return {row.id: row for row in _file().rows}


def chosen(ids: Iterable[str]) -> list[Row]:
    """Return the rows of these ids, in the order of the documents; all of them where none is named.

    Raises LcbenchError where there is no such row; it names the nearest.
    """
    wanted, known = list(ids), rows()
    for name in wanted:
        if name not in known:
            hint = did_you_mean(name, known, "'lcbench reproduce --list' names all")
            raise LcbenchError(f"no row '{name}': {hint}")
    return [row for row in known.values() if row.id in wanted or not wanted]
