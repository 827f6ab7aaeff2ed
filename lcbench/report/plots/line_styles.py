"""Line styles and names of implementations in plots.

An implementation of the catalog has the same style in every plot; a user's implementation has a style that differs from
all others in the plot. Colour is never the only difference: marker and line differ too. An implementation for a GPU has
the colour and marker of its CPU counterpart, hollow and dashed. Rows whose calls convert pixels have the colour and
marker of the implementation, with a dotted line. Most colours are those of Okabe and Ito (2008), "Color
universal design". This module does without matplotlib, because the HTML page uses the same styles.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import product, takewhile
from typing import Any, NamedTuple
from zlib import crc32

from lcbench.record import CONVERTS

BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, YELLOW = (
    "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#F0E442",
)  # fmt: skip
BLACK, GREY, OCHRE = "#262626", "#8C8C8C", "#9A7D0A"


class LineStyle(NamedTuple):
    """Colour as #RRGGBB, marker and line style of matplotlib, and whether the marker is filled."""

    colour: str
    marker: str | tuple[int, int, int]
    line: str | tuple[float, tuple[float, ...]] = "-"
    filled: bool = True


def _on_gpu(colour: str, marker: str) -> LineStyle:
    return LineStyle(colour, marker, "--", filled=False)


_CATALOG = {
    "naive": LineStyle(GREY, "v"),
    "numpy": LineStyle(BLUE, "o"),
    "numba-njit": LineStyle(SKY, "^"),
    "numba-parallel": LineStyle(VERMILION, "s"),
    "numba-cuda": _on_gpu(VERMILION, "s"),
    "torch": LineStyle(GREEN, "D"),
    "torch-compile": LineStyle(ORANGE, "X"),
    "jax": LineStyle(PURPLE, "P"),
    "sklearn": LineStyle(BLACK, "p"),
    "dask": LineStyle(OCHRE, "h"),
    "torch-cuda": _on_gpu(GREEN, "D"),
    "torch-compile-cuda": _on_gpu(ORANGE, "X"),
    "jax-cuda": _on_gpu(PURPLE, "P"),
    "cupy": _on_gpu(BLUE, "o"),
}

_USERS_COLOURS = ("#882255", "#332288", "#44AA99", "#999933", "#117733", "#7A4419")
"""Wine, indigo, teal, olive and green of Tol's palette "muted" (2021, "Colour schemes"), and a brown.

The catalog does not use these colours.
"""
_USERS_MARKERS: tuple[Any, ...] = ("*", "<", ">", "d", (4, 1, 0))
_USERS_LINES: tuple[Any, ...] = (
    "-.", (0, (6, 1.5, 1, 1.5, 1, 1.5)), (0, (8, 2, 3, 2)), (0, (12, 2.5)), (0, (2, 1.2)),
)  # fmt: skip
_USERS = [LineStyle(*one) for one in product(_USERS_COLOURS, _USERS_MARKERS, _USERS_LINES)]


def line_styles(implementations: Iterable[str]) -> dict[str, LineStyle]:
    """Return the style of each implementation by its name; the order of the names does not matter.

    The catalog's implementations have fixed styles. A name that ends in `CONVERTS` has the style of the rest of the
    name, but for the line. A user's implementation has the style that its name hashes to, unless another one has its
    colour, marker or line already; then it has the style that shares the fewest of these. No two are the same unless
    there are more implementations than styles.
    """
    found: dict[str, LineStyle] = {}
    used: Counter[Any] = Counter()
    names = set(implementations)
    for name in sorted({name.removesuffix(CONVERTS) for name in names}):
        if name in _CATALOG:
            found[name] = _CATALOG[name]
            continue
        first = crc32(name.encode()) % len(_USERS)
        candidates = _USERS[first:] + _USERS[:first]
        found[name] = min(candidates, key=lambda one: (used[one], sum(used[part] for part in one[:3])))
        used.update((found[name], *found[name][:3]))
    dotted = {name: found[name.removesuffix(CONVERTS)]._replace(line=":") for name in names if name.endswith(CONVERTS)}
    return {name: style for name, style in (found | dotted).items() if name in names}


def line_style(implementation: str) -> LineStyle:
    """Return the style of an implementation that is the only user's implementation in its plot."""
    return line_styles([implementation])[implementation]


def shorten_names(implementations: Iterable[str], max_letters: int) -> dict[str, str]:
    """Return a name of at most `max_letters` letters for each implementation; no two are the same.

    What the names of users' functions, FILE:FUNCTION, have in common is left out.
    """
    whole = list(dict.fromkeys(implementations))
    users = [name for name in whole if ":" in name]
    distinct = dict(zip(users, _differing(users), strict=True))
    if set(distinct.values()) & set(whole):
        distinct = {}
    cut = {name: shorten(distinct.get(name, name), max_letters) for name in whole}
    alike, numbers = Counter(cut.values()), Counter[str]()
    for name, text in cut.items():
        if alike[text] > 1:
            numbers[text] += 1
            number = f" {numbers[text]}"
            cut[name] = shorten(distinct.get(name, name), max_letters - len(number)) + number
    return cut


def short_name_pattern(implementations: Iterable[str]) -> str:
    """Return the pattern of the names that `shorten_names` shortens, as in sim.py:NAME_loss, or an empty string."""
    whole = list(dict.fromkeys(implementations))
    users = [name for name in whole if ":" in name]
    distinct = _differing(users)
    if distinct == users or set(distinct) & set(whole):
        return ""
    head, tail = _shared(users)
    return f"{head}NAME{tail}"


def _differing(names: Sequence[str]) -> list[str]:
    head, tail = _shared(names)
    return [name[len(head) : len(name) - len(tail)] for name in names]


def _shared(names: Sequence[str]) -> tuple[str, str]:
    """Return the words that all names begin with, and those that all end with; each name keeps at least one word."""
    if len(names) < 2:
        return "", ""
    words = [re.findall(r"[^\W_]+|[\W_]", name) for name in names]
    fewest = min(map(len, words)) - 1
    head = _same(words, fewest)
    tail = _same([one[::-1] for one in words], fewest - len(head))[::-1]
    return "".join(head), "".join(tail)


def _same(words: Sequence[Sequence[str]], limit: int) -> list[str]:
    """Return the first words, at most `limit`, that all sequences share."""
    together = zip(*(one[: max(0, limit)] for one in words), strict=True)
    return [one[0] for one in takewhile(lambda place: len(set(place)) == 1, together)]


def shorten(text: str, max_letters: int) -> str:
    """Return a text of at most `max_letters` letters. The middle is left out, because names differ at their ends."""
    if len(text) <= max_letters:
        return text
    head = max_letters // 2
    return f"{text[:head]}…{text[len(text) - (max_letters - head - 1) :]}" if max_letters > 1 else "…"
