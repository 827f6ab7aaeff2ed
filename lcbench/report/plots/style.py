"""How every plot of lcbench looks, and how it becomes the bytes of a file.

Plots are 8 inches wide, so that text of 10 points can be read where they are shown 800 pixels wide. The colours are
those of Okabe and Ito (2008), "Color universal design", told apart by colour-blind readers too.
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

from lcbench.report.plots import looks
from lcbench.report.plots.selection import Interval
from lcbench.report.plots.table import readable

_MISSING = re.compile(r"Glyph (\d+) .* missing from")
"""What matplotlib says of a letter that none of the fonts has."""

PlotFormat = Literal["png", "svg"]

WIDTH = 8.0
"""Inches."""

COLOURS = (looks.BLUE, looks.VERMILION, looks.GREEN, looks.PURPLE, looks.ORANGE, looks.SKY, looks.YELLOW)
"""Of lines and classes, in this order."""

MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
"""Tell classes apart once the colours are used up."""

INK = looks.BLACK
FAINT = looks.GREY
NOTE = "#595959"
"""Of captions: lighter than what is said in the plot, and dark enough to be read."""
_BEYOND = "beyond"
"""Marks arrows of intervals that go on beyond an axis."""

ABSENT = "#E4E4E4"
"""Where there is no number."""
LEFT_OUT = "#C4C4C4"
"""What was measured and does not count."""

BACKED = {"facecolor": "white", "edgecolor": "none", "pad": 0.6, "alpha": 0.85}
"""Behind text that lies on lines."""

SCALE = "cividis"
"""From low to high, made for colour-blind readers (Nunez, Anderton & Renslow, 2018)."""

SHARES = "Blues"
"""From none to many."""

TINY, SMALL, NORMAL, LARGE = 6.0, 8.5, 10.0, 12.0
"""Points."""

_FAMILIES = (
    "DejaVu Sans",
    "Noto Sans CJK KR",
    "Noto Sans CJK JP",
    "NanumGothic",
    "Malgun Gothic",
    "Apple SD Gothic Neo",
    "Arial Unicode MS",
)
"""The first comes with matplotlib; where it lacks a letter, the next that is installed is asked."""

_LOOK: dict[str, Any] = {
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
    "text.parse_math": False,  # a dollar in the name of a class is a dollar
    "svg.hashsalt": "lcbench",
}


@contextmanager
def applied() -> Iterator[None]:
    """Within it, figures look as above whatever the user's matplotlibrc says."""
    logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)
    with matplotlib.style.context([_LOOK | {"font.family": _installed_families()}], after_reset=True):
        yield


@cache
def _installed_families() -> list[str]:
    installed = font_manager.get_font_names()
    return [family for family in _FAMILIES if family in installed]


def figure(height: float, title: str) -> Figure:
    """An empty figure of that height in inches."""
    made = Figure(figsize=(WIDTH, height))
    FigureCanvasAgg(made)
    made.suptitle(title, x=0.01, ha="left", weight="bold")
    return made


def rendered(plot: Figure, form: PlotFormat, dpi: int, warn: Callable[[str], None] = lambda line: None) -> bytes:
    """The file's bytes: the same for the same plot. Tells `warn` of letters that are drawn as boxes."""
    content = io.BytesIO()
    metadata = {"Date": None} if form == "svg" else {"Software": None}
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        plot.savefig(content, format=form, dpi=dpi, metadata=metadata)
    missing = {int(found[1]) for each in said if (found := _MISSING.match(str(each.message)))}
    if missing:
        scripts = sorted({unicodedata.name(chr(letter), "UNKNOWN").split()[0] for letter in missing})
        warn(f"no installed font has these letters, which are drawn as boxes: {', '.join(scripts)}")
    for each in said:
        if not _MISSING.match(str(each.message)):
            warnings.warn_explicit(each.message, each.category, each.filename, each.lineno)
    if form == "svg":
        return readable(content.getvalue().decode()).encode()
    return content.getvalue()


def colour(number: int) -> str:
    """Of the line or class of that number; after the last, from the first again."""
    return COLOURS[number % len(COLOURS)]


def marker(number: int) -> str:
    """Of the class of that number: another once every colour has had one."""
    return MARKERS[number // len(COLOURS) % len(MARKERS)]


def ink_on(background: Any) -> str:
    """Dark or white, whichever can be read on that colour."""
    red, green, blue = to_rgb(background)
    return INK if 0.299 * red + 0.587 * green + 0.114 * blue > 0.5 else "white"


def curve_axes(axes: Axes, x: str, y: str, *, logarithmic: bool = False) -> None:
    """Axes for curves over whole numbers: faint lines to read by, plain numbers."""
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.grid(True)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True, min_n_ticks=1))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{int(value):,}" if value == int(value) else ""))
    if logarithmic:
        axes.set_yscale("log")
        plain_ticks(axes.yaxis)


def plain_ticks(axis: Any) -> None:
    """Numbers on a logarithmic axis as they are typed: 1e-07, 0.5, 20."""
    _ticks(axis, lambda value, _: f"{value:g}", 3, 20)


def _ticks(axis: Any, told: Callable[[float, int | None], str], short: float, long: float) -> None:
    """Number an axis; between powers of ten, all places below `short` times apart, 2 and 5 below `long`, else none."""

    def between(value: float, place: int | None) -> str:
        low, high = axis.get_view_interval()
        worth_it = high / low < short or (high / low < long and f"{value:e}"[0] in "25")
        return told(value, place) if worth_it else ""

    axis.set_major_formatter(FuncFormatter(told))
    axis.set_minor_formatter(FuncFormatter(between))


def plain(value: float) -> str:
    """A number of four digits as it is typed: 25000, 3.162e-08."""
    return f"{float(f'{value:.4g}'):g}"


def time_ticks(axis: Any) -> None:
    """Seconds on an axis in the unit that suits each: 500 us, 2 ms."""

    def told(value: float, _: int | None) -> str:
        if value <= 0:
            return "0" if value == 0 else ""
        for unit, size in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
            if value >= 0.9999 * size:
                return f"{value / size:g} {unit}"
        return f"{value / 1e-9:g} ns"

    _ticks(axis, told, 5, 40)  # of 1, 2 and 5, two lie in whatever is as wide as from 1 to 5


def count_ticks(axis: Any) -> None:
    """Whole numbers on a logarithmic axis, their thousands set apart: 10,000."""
    _ticks(axis, lambda value, _: f"{value:,.0f}", 0, 60)


def percent_axis(axis: Any) -> None:
    """Fractions as percent."""
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.3g} %"))


def legend_with_title(figure: Figure, names: Mapping[str, Any], title: str, columns: int, **options: Any) -> None:
    """Write a title and, under it, which mark is which, above all panels."""
    figure.legend(
        list(names.values()), list(names), title=title, title_fontproperties={"weight": "bold", "size": LARGE},
        alignment="left", loc="outside upper left", ncols=columns, borderaxespad=0.2, columnspacing=1.4, **options,
    )  # fmt: skip


def legend_above(axes: Axes, columns: int = 2) -> None:
    """The legend above the axes, where it hides nothing."""
    if axes.get_legend_handles_labels()[1]:
        axes.legend(
            loc="lower left",
            bbox_to_anchor=(0, 1),
            ncols=columns,
            borderaxespad=0.2,
            handlelength=1.5,
            columnspacing=1.2,
        )


def letters(width: float, points: float) -> int:
    """How many letters of a size in points fit into a width in inches."""
    return max(1, int(width * 72 / (0.62 * points)))


def heat(
    axes: Axes, values: Any, texts: Callable[[int, int], str], norm: Normalize, size: float, scale: str = SCALE
) -> Any:
    """A map of values (R, C), the first row at the top, a text in each cell; NaN is grey. Gives the image."""
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


def marker_of(of: looks.Look) -> dict[str, Any]:
    """Colour and marker, as matplotlib takes them."""
    return {
        "color": of.colour,
        "marker": of.marker,
        "markerfacecolor": of.colour if of.filled else "white",
        "markeredgecolor": of.colour,
    }


def caption(figure: Figure, text: str) -> None:
    """Write a faint text at the foot."""
    figure.supxlabel(text, x=0.01, ha="left", size=SMALL, color=NOTE)


def grid(figure: Figure, panels: int, columns: int, **options: Any) -> list[Axes]:
    """Axes for so many panels, row by row; what is left over of the last row stays empty."""
    rows = -(-panels // columns)
    found = list(figure.subplots(rows, columns, squeeze=False, **options).flat)
    for axes in found[panels:]:
        axes.set_axis_off()
    return found[:panels]


def draw_arrows(
    axes: Axes, places: Sequence[Any], intervals: Sequence[Interval], ends: Interval, along: str, colour: str,
    **options: Any,
) -> None:  # fmt: skip
    """An arrow where an interval goes on beyond one of the ends, `along` x or y; the other axis has the places."""
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


def arrows_told(figure: Figure) -> str:
    """What a caption says of arrows, or nothing where there are none."""
    some = any(line.get_gid() == _BEYOND for axes in figure.axes for line in axes.lines)
    return "arrows: the interval goes on" if some else ""
