"""What more threads gain: speed-up and efficiency of each implementation beside the ideal."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter
from matplotlib.transforms import ScaledTranslation

from lcbench.judge.points import curves
from lcbench.judge.thread_efficiency import Efficiency, efficiencies
from lcbench.record import Record
from lcbench.report.pictures import intervals, records, style
from lcbench.report.pictures.records import Key

_PANEL_INCHES = 2.6
_HOLLOW = "svm"
_ASIDE = 3.0
"""Points by which curves lie beside each other, so that their intervals can be told apart."""
_WIDEST = 15.0
"""Points that all of them share."""
_NAME_IN_THREE_COLUMNS = 17
_MOST_LINEAR = 16
"""Threads from which the axis is logarithmic."""


def unfit(record: Record) -> str:
    """Why the record has no picture of threads, or nothing."""
    if record.sweep is None:
        return "it is of no sweep"
    if "threads" not in record.sweep.axes:
        return f"its sweep is along {' and '.join(record.sweep.axes)}, not threads"
    return "" if efficiencies(record) else "no implementation has a time with two numbers of threads"


def draw(record: Record) -> Figure:
    """Speed-up on the left, efficiency on the right; a row for each value of the other axis."""
    found = efficiencies(record)
    others = list({tuple(one.other.items()): one.other for one in found}.values())
    names = {(curve.implementation, curve.loss): None for curve in curves(record, "threads")}
    both = len({loss for _, loss in names}) > 1
    key = records.key_of(record)
    columns = 3 if max(len(key.names[name]) for name, _ in names) < _NAME_IN_THREE_COLUMNS else 2
    lines = -(-len(names) // columns)
    figure = style.figure(1.0 + 0.2 * lines + _PANEL_INCHES * len(others), "")  # the legend has the title
    panels = figure.subplots(len(others), 2, squeeze=False, sharex=True, sharey="col")
    drawn: dict[str, Line2D] = {}
    for (left, right), other in zip(panels, others, strict=True):
        own = [one for one in found if one.other == other]
        _frame(left, right, found)
        for number, (implementation, loss) in enumerate(names):
            aside = min(_ASIDE, _WIDEST / len(names)) * (number - (len(names) - 1) / 2)
            points = [one for one in own if (one.implementation, one.loss) == (implementation, loss)]
            if points:
                name = key.names[implementation] + (f", {loss}" if both else "")
                hollow = both and loss == _HOLLOW
                drawn.setdefault(name, _draw_points(left, right, points, key, aside, hollow))
        ideal = _draw_ideal(left, right, own)
        left.set_title(", ".join(records.said(name, value) for name, value in other.items()), loc="left")
        left.set_ylabel(f"speed-up over {records.said('threads', own[0].base)}")
        right.set_ylabel("efficiency")
    drawn["ideal"] = ideal
    for axes in panels[-1]:
        axes.set_xlabel("threads")
    figure.legend(
        list(drawn.values()), list(drawn), loc="outside upper left", ncols=columns, alignment="left",
        title="Threads: speed-up and efficiency, with 95 % intervals", borderaxespad=0.2, handlelength=2.2,
        columnspacing=1.4, title_fontproperties={"weight": "bold", "size": style.LARGE},
    )  # fmt: skip
    records.caption(figure, record, intervals.told(figure))
    return figure


def _draw_points(left: Axes, right: Axes, points: Sequence[Efficiency], key: Key, aside: float, hollow: bool) -> Line2D:
    """The curve from the fewest threads, which are 1 by definition; gives what the legend shows."""
    of = key.looks[points[0].implementation]
    mark = records.marker(of) | ({"markerfacecolor": "white"} if hollow else {})
    threads = [points[0].base, *(point.threads for point in points)]
    for axes, scale in ((left, [1.0] * len(points)), (right, [point.ideal for point in points])):
        middle, low, high = (
            [1.0, *(getattr(point, field) / ideal for point, ideal in zip(points, scale, strict=True))]
            for field in ("speedup", "low", "high")
        )
        beside = axes.transData + ScaledTranslation(aside / 72, 0, axes.figure.dpi_scale_trans)
        axes.vlines(threads, low, high, color=of.colour, linewidth=1.1, transform=beside)
        spans = list(zip(low, high, strict=True))
        intervals.draw_arrows(axes, threads, spans, axes.get_ylim(), "y", of.colour, transform=beside)
        (line,) = axes.plot(
            threads, middle, linewidth=1.2, markersize=5.5, linestyle="--" if hollow else of.line, transform=beside,
            **mark,
        )  # fmt: skip
    return line


def _draw_ideal(left: Axes, right: Axes, own: Sequence[Efficiency]) -> Line2D:
    base, most = own[0].base, max(one.threads for one in own)
    # from so many points that it is the ideal on a logarithmic axis too
    places = [base + (most - base) * step / 50 for step in range(51)]
    right.axhline(1.0, color=style.FAINT, linewidth=1.0, linestyle=(0, (2, 2)), zorder=1)
    (line,) = left.plot(
        places, [place / base for place in places], color=style.FAINT, linewidth=1.0, linestyle=(0, (2, 2)), zorder=1
    )
    return line


def _frame(left: Axes, right: Axes, found: Sequence[Efficiency]) -> None:
    """The same axes in every row: logarithmic where there are many threads, so that the ideal is a line there too."""
    threads = sorted({number for one in found for number in (one.base, one.threads)})
    most = max(max(one.ideal, one.speedup) for one in found)
    left.set_ylim(0, 1.08 * most)
    right.set_ylim(0, max(1.1, *(1.05 * one.efficiency for one in found)))
    style.percent_axis(right.yaxis)
    for axes in (left, right):
        if threads[-1] > _MOST_LINEAR:
            axes.set_xscale("log", base=2)
        axes.set_xticks(threads)
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.minorticks_off()
        axes.grid(True)
    if threads[-1] > _MOST_LINEAR:
        left.set_yscale("log", base=2)
        left.set_ylim(0.8 * min(1.0, *(one.speedup for one in found)), 1.2 * most)
        left.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
