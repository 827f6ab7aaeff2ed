"""Consoles that tables are printed to, and colours of their cells."""

from __future__ import annotations

import io
from collections.abc import Iterable
from typing import Literal

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from lcbench.errors import printable

Mood = Literal["", "good", "open", "bad", "best"]

STYLES: dict[Mood, str] = {"": "", "good": "", "open": "yellow", "bad": "bold red", "best": "bold green"}
"""rich style of a table cell by its mood."""


def console(stderr: bool = False) -> Console:
    """Return the console that tables are printed to.

    Output that is not a terminal is plain text; a terminal has colours unless NO_COLOR is set. Square brackets are
    text, as in ``pip install 'lcbench[dask]'``, and not rich's markup.
    """
    return _Console(stderr=stderr, markup=False, highlight=False, emoji=False)


def recording_console(columns: int) -> Console:
    """Return a console that records what a colour terminal of that width would show, for `Console.export_svg`."""
    return Console(
        file=io.StringIO(), record=True, width=columns, force_terminal=True, color_system="truecolor", no_color=False,
        legacy_windows=False, markup=False, highlight=False, emoji=False, _environ={},
    )  # fmt: skip


class _Console(Console):
    """Console that shows control characters in names and messages of users' files as text.

    They must not move the cursor or change colours.
    """

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(printable(segment.text, lines=True), segment.style)
