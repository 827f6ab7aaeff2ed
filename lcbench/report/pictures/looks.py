"""How an implementation looks wherever it is drawn: the same in every picture, whatever stands beside it.

Colour tells the family, and never alone: marker and line differ too. What computes on a GPU is drawn as its sibling on
the CPU is, hollow and dashed. The colours are those of Okabe and Ito (2008), "Color universal design", as far as they
go. No matplotlib here: a page draws by these looks too.
"""

from __future__ import annotations

from typing import NamedTuple
from zlib import crc32

BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, YELLOW = (
    "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#F0E442",
)  # fmt: skip
BLACK, GREY, OCHRE = "#262626", "#8C8C8C", "#9A7D0A"


class Look(NamedTuple):
    """A colour as #RRGGBB; a marker and a line style by matplotlib's names; whether the marker is filled."""

    colour: str
    marker: str
    line: str = "-"
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

_USERS_COLOURS = ("#882255", "#332288", "#44AA99", "#999933")
"""Wine, indigo, teal and olive of Tol's "muted" (2021, "Colour schemes"), which the catalogue leaves free."""
_USERS_MARKERS = ("*", "<", ">", "d")


def look(implementation: str) -> Look:
    """Of an implementation by its name. A user's own has one that follows from its name, with a dash-dotted line."""
    if implementation in _CATALOGUE:
        return _CATALOGUE[implementation]
    number = crc32(implementation.encode())
    colour = _USERS_COLOURS[number % len(_USERS_COLOURS)]
    return Look(colour, _USERS_MARKERS[number // len(_USERS_COLOURS) % len(_USERS_MARKERS)], "-.")
