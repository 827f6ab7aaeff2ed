"""How an implementation looks wherever it is drawn: one of the catalogue the same in every picture, a user's own like
nothing else there.

Colour tells the family, and never alone: marker and line differ too. What computes on a GPU is drawn as its sibling on
the CPU is, hollow and dashed. The colours are those of Okabe and Ito (2008), "Color universal design", as far as they
go. No matplotlib here: a page draws by these looks too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from itertools import product
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
    """Of each implementation among the others of a picture, by its name; the order of the names does not matter.

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
