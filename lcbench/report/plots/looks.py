"""How an implementation looks and what it is called wherever it is drawn.

One of the catalogue looks the same in every plot, a user's own like nothing else there. Colour tells the family, and
never alone: marker and line differ too. What computes on a GPU is drawn as its sibling on the CPU is, hollow and
dashed. The colours are those of Okabe and Ito (2008), "Color universal design", as far as they go. No matplotlib here:
a page draws by these looks too.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import product, takewhile
from typing import Any, NamedTuple
from zlib import crc32

BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, YELLOW = (
    "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#F0E442",
)  # fmt: skip
BLACK, GREY, OCHRE = "#262626", "#8C8C8C", "#9A7D0A"


class Look(NamedTuple):
    """A colour as #RRGGBB; a marker and a line style as matplotlib takes them; whether the marker is filled."""

    colour: str
    marker: str | tuple[int, int, int]
    line: str | tuple[float, tuple[float, ...]] = "-"
    filled: bool = True


def _on_gpu(colour: str, marker: str) -> Look:
    return Look(colour, marker, "--", filled=False)


_CATALOGUE = {
    "naive": Look(GREY, "v"),
    "numpy": Look(BLUE, "o"),
    "numba-njit": Look(SKY, "^"),
    "numba-parallel": Look(VERMILION, "s"),
    "numba-cuda": _on_gpu(VERMILION, "s"),
    "torch": Look(GREEN, "D"),
    "torch-compile": Look(ORANGE, "X"),
    "jax": Look(PURPLE, "P"),
    "sklearn": Look(BLACK, "p"),
    "dask": Look(OCHRE, "h"),
    "torch-cuda": _on_gpu(GREEN, "D"),
    "torch-compile-cuda": _on_gpu(ORANGE, "X"),
    "jax-cuda": _on_gpu(PURPLE, "P"),
    "cupy": _on_gpu(BLUE, "o"),
}

_USERS_COLOURS = ("#882255", "#332288", "#44AA99", "#999933", "#117733", "#7A4419")
"""Wine, indigo, teal, olive and green of Tol's "muted" (2021, "Colour schemes"), which the catalogue leaves free, and a
brown."""
_USERS_MARKERS: tuple[Any, ...] = ("*", "<", ">", "d", (4, 1, 0))
_USERS_LINES: tuple[Any, ...] = (
    "-.", (0, (6, 1.5, 1, 1.5, 1, 1.5)), (0, (8, 2, 3, 2)), (0, (12, 2.5)), (0, (2, 1.2)),
)  # fmt: skip
_USERS = [Look(*one) for one in product(_USERS_COLOURS, _USERS_MARKERS, _USERS_LINES)]


def looks(implementations: Iterable[str]) -> dict[str, Look]:
    """Of each implementation among the others of a plot, by its name; the order of the names does not matter.

    Those of the catalogue have theirs. A user's own has the one that follows from its name, unless another has its
    colour, marker or line already: then one that has the least in common with those. No two are the same, but for more
    than there are.
    """
    found: dict[str, Look] = {}
    used: Counter[Any] = Counter()
    for name in sorted(set(implementations)):
        if name in _CATALOGUE:
            found[name] = _CATALOGUE[name]
            continue
        first = crc32(name.encode()) % len(_USERS)
        candidates = _USERS[first:] + _USERS[:first]
        found[name] = min(candidates, key=lambda one: (used[one], sum(used[part] for part in one[:3])))
        used.update((found[name], *found[name][:3]))
    return found


def look(implementation: str) -> Look:
    """Of an implementation that no other user's stands beside."""
    return looks([implementation])[implementation]


def short(implementations: Iterable[str], most: int) -> dict[str, str]:
    """A name of at most so many letters for each, and no two the same.

    What the names of users' functions, FILE:FUNCTION, have in common is left out: it tells nothing apart.
    """
    whole = list(dict.fromkeys(implementations))
    users = [name for name in whole if ":" in name]
    telling = dict(zip(users, _differing(users), strict=True))
    if set(telling.values()) & set(whole):
        telling = {}
    cut = {name: shortened(telling.get(name, name), most) for name in whole}
    alike, numbers = Counter(cut.values()), Counter[str]()
    for name, text in cut.items():
        if alike[text] > 1:
            numbers[text] += 1
            number = f" {numbers[text]}"
            cut[name] = shortened(telling.get(name, name), most - len(number)) + number
    return cut


def left_out(implementations: Iterable[str]) -> str:
    """What `short` leaves out of users' names, as sim.py:NAME_loss; nothing where it leaves them whole."""
    whole = list(dict.fromkeys(implementations))
    users = [name for name in whole if ":" in name]
    telling = _differing(users)
    if telling == users or set(telling) & set(whole):
        return ""
    head, tail = _shared(users)
    return f"{head}NAME{tail}"


def _differing(names: Sequence[str]) -> list[str]:
    head, tail = _shared(names)
    return [name[len(head) : len(name) - len(tail)] for name in names]


def _shared(names: Sequence[str]) -> tuple[str, str]:
    """Whole words that all names begin with, and that all end with; of each name, at least one is left."""
    if len(names) < 2:
        return "", ""
    words = [re.findall(r"[^\W_]+|[\W_]", name) for name in names]
    fewest = min(map(len, words)) - 1
    head = _same(words, fewest)
    tail = _same([one[::-1] for one in words], fewest - len(head))[::-1]
    return "".join(head), "".join(tail)


def _same(words: Sequence[Sequence[str]], most: int) -> list[str]:
    """The words, at most so many, that all begin with."""
    together = zip(*(one[: max(0, most)] for one in words), strict=True)
    return [one[0] for one in takewhile(lambda place: len(set(place)) == 1, together)]


def shortened(text: str, most: int) -> str:
    """At most so many characters, the middle left out: names differ at their ends."""
    if len(text) <= most:
        return text
    head = most // 2
    return f"{text[:head]}…{text[len(text) - (most - head - 1) :]}" if most > 1 else "…"
