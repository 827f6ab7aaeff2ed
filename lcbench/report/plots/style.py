"""Style of all plots, and conversion of a figure to the bytes of a file.

Plots are 8 inches wide, so that text of 10 points is legible when they are shown 800 pixels wide. The colours are those
of Okabe and Ito (2008), "Color universal design", which colour-blind readers can tell apart.
"""

from __future__ import annotations

import io
import logging
import re
import unicodedata
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any, Literal

import matplotlib.style
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import Normalize, to_rgb
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from lcbench.report.plots.line_styles import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    SKY,
    VERMILION,
    YELLOW,
    LineStyle,
)
from lcbench.report.plots.selection import ARROWS, Interval
from lcbench.report.plots.table import remove_non_xml

_MISSING = re.compile(r"Glyph (\d+) .* missing from")
"""Warning of matplotlib about a character that none of the fonts has."""

PlotFormat = Literal["png", "svg"]

WIDTH = 8.0
"""Width of a figure in inches."""

COLOURS = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, YELLOW)
"""Colours of lines and classes, in the order in which they are used."""

MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
"""Markers of classes; the next one is used after all colours have been used."""

INK = BLACK
FAINT = GREY
NOTE = "#595959"
"""Colour of captions: lighter than other text, with enough contrast to be legible."""
_BEYOND = "beyond"
"""gid of arrows at intervals that extend beyond an axis."""

ABSENT = "#E4E4E4"
"""Colour of cells without a number."""
CACHE = "#C4C4C4"
"""Colour of the lines where X is as large as a cache."""

BACKED = {"facecolor": "white", "edgecolor": "none", "pad": 0.6, "alpha": 0.85}
"""Background of text that lies on lines."""

SCALE = "cividis"
"""Colour map of values, made for colour-blind readers (Nunez, Anderton & Renslow, 2018)."""

SHARES = "Blues"
"""Colour map of shares."""

TINY, SMALL, NORMAL, LARGE = 6.0, 8.5, 10.0, 12.0
"""Font sizes in points."""

_FAMILIES = (
    "DejaVu Sans",
    "Noto Sans CJK KR",
    "Noto Sans CJK JP",
    "NanumGothic",
    "Malgun Gothic",
    "Apple SD Gothic Neo",
    "Arial Unicode MS",
)
"""Font families in order of preference. matplotlib has the first; the others have characters that it lacks."""

_RC_PARAMS: dict[str, Any] = {
    "font.size": NORMAL,
    "axes.titlesize": NORMAL,
    "figure.titlesize": LARGE,
    "legend.fontsize": SMALL,
    "legend.frameon": False,
    "xtick.labelsize": SMALL,
    "ytick.labelsize": SMALL,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": FAINT,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": False,
    "grid.color": ABSENT,
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "lines.linewidth": 1.8,
    "lines.markersize": 4,
    "figure.facecolor": "white",
    "figure.constrained_layout.use": True,
    "text.parse_math": False,  # a dollar sign in the name of a class is no mathematics
    "svg.hashsalt": "lcbench",
}


@contextmanager
def use_style() -> Iterator[None]:
    """Context in which figures have the style above, independently of the user's matplotlibrc."""
    logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)
    with matplotlib.style.context([_RC_PARAMS | {"font.family": _installed_families()}], after_reset=True):
        yield


@cache
def _installed_families() -> list[str]:
    installed = font_manager.get_font_names()
    return [family for family in _FAMILIES if family in installed]


def figure(height: float, title: str) -> Figure:
    """Return an empty figure of that height in inches."""
    made = Figure(figsize=(WIDTH, height))
    FigureCanvasAgg(made)
    made.suptitle(title, x=0.01, ha="left", weight="bold")
    return made


def figure_bytes(plot: Figure, form: PlotFormat, dpi: int, warn: Callable[[str], None] = lambda line: None) -> bytes:
    """Return the figure as the bytes of a file; the same figure gives the same bytes.

    `warn` is called if there are characters that no font has, which are drawn as boxes, and with other warnings.
    """
    content = io.BytesIO()
    metadata = {"Date": None} if form == "svg" else {"Software": None}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        plot.savefig(content, format=form, dpi=dpi, metadata=metadata)
    missing = {int(found[1]) for each in caught if (found := _MISSING.match(str(each.message)))}
    if missing:
        scripts = sorted({unicodedata.name(chr(letter), "UNKNOWN").split()[0] for letter in missing})
        warn(f"no installed font has these characters, which are drawn as boxes: {', '.join(scripts)}")
    for line in dict.fromkeys(str(each.message) for each in caught if not _MISSING.match(str(each.message))):
        warn(" ".join(line.split()))
    if form == "svg":
        return remove_non_xml(content.getvalue().decode()).encode()
    return content.getvalue()


def colour(number: int) -> str:
    """Return the colour of the line or class with that number; colours repeat after the last one."""
    return COLOURS[number % len(COLOURS)]


def marker(number: int) -> str:
    """Return the marker of the class with that number; it changes after every colour has been used."""
    return MARKERS[number // len(COLOURS) % len(MARKERS)]


def ink_on(background: Any) -> str:
    """Return the text colour, dark or white, that is legible on that background."""
    red, green, blue = to_rgb(background)
    return INK if 0.299 * red + 0.587 * green + 0.114 * blue > 0.5 else "white"


def set_up_curve_axes(axes: Axes, x: str, y: str, *, logarithmic: bool = False) -> None:
    """Set up axes for curves over integers: labels, grid, and ticks in decimal notation."""
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.grid(True)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True, min_n_ticks=1))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{int(value):,}" if value == int(value) else ""))
    if logarithmic:
        axes.set_yscale("log")
        plain_ticks(axes.yaxis)


def plain_ticks(axis: Any) -> None:
    """Format the ticks of a logarithmic axis as they are typed: 1e-07, 0.5, 20."""
    _ticks(axis, lambda value, _: f"{value:g}", 3, 20)


def _ticks(axis: Any, label: Callable[[float, int | None], str], short: float, long: float) -> None:
    """Format the ticks of an axis.

    Minor ticks have a label if the axis spans less than a factor of `short`; those at 2 and 5 times a power of ten also
    if it spans less than a factor of `long`.
    """

    def minor_label(value: float, position: int | None) -> str:
        low, high = axis.get_view_interval()
        labelled = high / low < short or (high / low < long and f"{value:e}"[0] in "25")
        return label(value, position) if labelled else ""

    axis.set_major_formatter(FuncFormatter(label))
    axis.set_minor_formatter(FuncFormatter(minor_label))


def plain(value: float) -> str:
    """Return a number of four significant digits as it is typed: 25000, 3.162e-08."""
    return f"{float(f'{value:.4g}'):g}"


def time_ticks(axis: Any) -> None:
    """Format the ticks of an axis of seconds with a suitable unit: 500 us, 2 ms."""

    def label(value: float, _: int | None) -> str:
        if value <= 0:
            return "0" if value == 0 else ""
        for unit, size in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
            if value >= 0.9999 * size:
                return f"{value / size:g} {unit}"
        return f"{value / 1e-9:g} ns"

    _ticks(axis, label, 5, 40)  # an axis that spans a factor of 5 has two of the ticks 1, 2 and 5


def count_ticks(axis: Any) -> None:
    """Format the ticks of a logarithmic axis of integers with thousands separators: 10,000."""
    _ticks(axis, lambda value, _: f"{value:,.0f}", 0, 60)


def percent_axis(axis: Any) -> None:
    """Format the ticks of an axis of fractions in percent."""
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.3g} %"))


def legend_with_title(figure: Figure, names: Mapping[str, Any], title: str, columns: int, **options: Any) -> None:
    """Draw a title, and below it the legend, above all panels."""
    figure.legend(
        list(names.values()), list(names), title=title, title_fontproperties={"weight": "bold", "size": LARGE},
        alignment="left", loc="outside upper left", ncols=columns, borderaxespad=0.2, columnspacing=1.4, **options,
    )  # fmt: skip


def legend_above(axes: Axes, columns: int = 2) -> None:
    """Draw the legend above the axes, where it hides nothing."""
    if axes.get_legend_handles_labels()[1]:
        axes.legend(
            loc="lower left",
            bbox_to_anchor=(0, 1),
            ncols=columns,
            borderaxespad=0.2,
            handlelength=1.5,
            columnspacing=1.2,
        )


def max_letters(width: float, points: float) -> int:
    """Return how many letters of a font size in points fit into a width in inches."""
    return max(1, int(width * 72 / (0.62 * points)))


def draw_heat_map(
    axes: Axes, values: Any, texts: Callable[[int, int], str], norm: Normalize, size: float, scale: str = SCALE
) -> Any:
    """Draw a heat map of values (R, C), the first row at the top, with a text in each cell; return the image.

    Cells of NaN are grey.
    """
    from matplotlib import colormaps

    colours = colormaps[scale].with_extremes(bad=ABSENT)
    image = axes.imshow(values, cmap=colours, norm=norm, aspect="auto", interpolation="nearest")
    rows, columns = values.shape
    for row in range(rows):
        for column in range(columns):
            text = texts(row, column)
            if text:
                ink = ink_on(
                    image.to_rgba(values[row, column])[:3] if values[row, column] == values[row, column] else ABSENT
                )
                axes.text(column, row, text, ha="center", va="center", size=size, color=ink)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return image


def marker_style(line_style: LineStyle) -> dict[str, Any]:
    """Return colour and marker as keyword arguments of matplotlib."""
    return {
        "color": line_style.colour,
        "marker": line_style.marker,
        "markerfacecolor": line_style.colour if line_style.filled else "white",
        "markeredgecolor": line_style.colour,
    }


def caption(figure: Figure, text: str) -> None:
    """Draw a caption at the foot of the figure."""
    figure.supxlabel(text, x=0.01, ha="left", size=SMALL, color=NOTE)


def grid(figure: Figure, panels: int, columns: int, **options: Any) -> list[Axes]:
    """Return axes for that many panels, row by row; the rest of the last row stays empty."""
    rows = -(-panels // columns)
    found = list(figure.subplots(rows, columns, squeeze=False, **options).flat)
    for axes in found[panels:]:
        axes.set_axis_off()
    return found[:panels]


def draw_arrows(
    axes: Axes, places: Sequence[Any], intervals: Sequence[Interval], ends: Interval, along: str, colour: str,
    **options: Any,
) -> None:  # fmt: skip
    """Draw an arrow at each interval that extends beyond one of the ends of the axis `along`, "x" or "y".

    places: positions on the other axis.
    """
    beyond = (
        ([place for place, (low, _) in zip(places, intervals, strict=True) if low < ends[0]], ends[0], "v<"),
        ([place for place, (_, high) in zip(places, intervals, strict=True) if high > ends[1]], ends[1], "^>"),
    )
    for some, end, marks in beyond:
        if some:
            at = (some, [end] * len(some)) if along == "y" else ([end] * len(some), some)
            axes.plot(
                *at, linestyle="", marker=marks[along == "x"], color=colour, markersize=5, clip_on=False, zorder=4,
                gid=_BEYOND, **options,
            )  # fmt: skip


def arrow_note(figure: Figure) -> str:
    """Return the caption's note on arrows, or an empty string if there are none."""
    some = any(line.get_gid() == _BEYOND for axes in figure.axes for line in axes.lines)
    return ARROWS if some else ""
