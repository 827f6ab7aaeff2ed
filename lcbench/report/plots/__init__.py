"""Plots of stored files. All but tables need matplotlib, which the extra `lab` installs."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from lcbench.errors import LcbenchError, require
from lcbench.losses.implementation import did_you_mean
from lcbench.progress import ProgressCallback, no_progress

INSTALL = "pip install 'lcbench[lab]'"
FORMATS = ("png", "svg")

Source = Literal[
    "a result",
    "a sweep",
    "results over time",
    "one result, or two compared",
    "a model",
    "a model and its data",
    "several models",
    "a search",
]


@dataclass(frozen=True)
class Kind:
    """Kind of plot: what it shows, the files that it is made of, and the functions that make it.

    function: takes the contents of the files and returns a figure. check: takes the contents and returns why they have
    no such plot, or an empty string. Both are given as "module.function" of this package, and imported when they are
    called. as_text: `function` returns an SVG of text in a terminal, without matplotlib.
    """

    name: str
    description: str
    source: Source
    function: str
    check: str = ""
    as_text: bool = False

    @property
    def suffix(self) -> str:
        """Default suffix of the plot's file."""
        return ".svg" if self.as_text else ".png"

    def make(self, *content: Any) -> Any:
        """Return the figure, or the text of the SVG, of the contents of the files."""
        return _function(self.function)(*content)

    def why_not(self, content: Any) -> str:
        """Return why the contents have no such plot, or an empty string."""
        reason: str = _function(self.check)(content) if self.check else ""
        return reason


def _function(name: str) -> Callable[..., Any]:
    module, _, function = name.partition(".")
    found: Callable[..., Any] = getattr(import_module(f"{__name__}.{module}"), function)
    return found


KINDS = {
    find_kind.name: find_kind
    for find_kind in (
        Kind("bars", "time and interval of each implementation", "a result",
             "runs.draw_bars", "selection.why_no_run"),
        Kind("samples", "every sample of every process", "a result", "runs.draw_samples", "selection.why_no_run"),
        Kind("roofline", "rates and the limits of the machine", "a result",
             "runs.draw_roofline", "selection.why_no_roofline"),
        Kind("scaling", "time along an axis, growth, crossings", "a sweep",
             "sweeps.draw_scaling", "selection.why_no_scaling"),
        Kind("threads", "speed-up and efficiency by threads", "a sweep",
             "sweeps.draw_threads", "selection.why_no_threads"),
        Kind("history", "times over dates, change points", "results over time",
             "history.draw_history", "history.why_no_history"),
        Kind("table", "tables of the terminal, as SVG", "one result, or two compared",
             "table.draw_table", "table.why_no_table", as_text=True),
        Kind("templates", "each class's weights as an image", "a model",
             "models.draw_templates", "models.why_no_templates"),
        Kind("curves", "loss and accuracies by step", "a model", "models.draw_curves", "models.why_no_curves"),
        Kind("boundaries", "decision regions of two features", "a model and its data",
             "models.draw_boundaries", "models.why_no_boundaries"),
        Kind("confusion", "confusion matrix of the test rows", "a model and its data", "models.draw_confusion"),
        Kind("search", "validation accuracy by learning rate and reg", "a search",
             "search.draw_search", "search.why_no_search"),
        Kind("learning-rates", "loss curves by learning rate", "several models",
             "models.draw_learning_rates", "models.why_no_learning_rates"),
        Kind("descents", "loss curves by solver", "several models",
             "models.draw_descents", "models.why_no_curves"),
    )
}  # fmt: skip
"""Kinds of plots of ``lcbench plot`` by name."""


def find_kind(name: str) -> Kind:
    """Return the kind with that name. Raise LcbenchError, with the closest name, if there is none."""
    if name in KINDS:
        return KINDS[name]
    hint = did_you_mean(name, KINDS, f"there are {', '.join(KINDS)}")
    raise LcbenchError(f"no kind of plot '{name}': {hint}")


def output_format(chosen: Kind, path: Path) -> str:
    """Return the format that a file's suffix selects. Raise LcbenchError if the kind is not drawn in that format."""
    form = path.suffix.lower().removeprefix(".")
    if chosen.as_text and form != "svg":
        raise LcbenchError(f"cannot draw {path}: a {chosen.name} is text, and can only be an .svg")
    if form not in FORMATS:
        raise LcbenchError(f"cannot draw {path}: plots are .png or .svg")
    return form


def require_drawable(chosen: Kind) -> None:
    """Raise LcbenchError, with the install command, if the kind needs matplotlib and it is missing."""
    if not chosen.as_text:
        require_matplotlib()


def require_matplotlib() -> None:
    """Raise LcbenchError, with the install command, if matplotlib is missing."""
    if find_spec("matplotlib") is None:
        raise LcbenchError(f"plots need matplotlib, which is not installed: {INSTALL}")


@contextmanager
def _names_backend() -> Iterator[None]:
    """Raise LcbenchError if MPLBACKEND is no backend, which matplotlib finds when it is imported."""
    try:
        yield
    except ValueError as error:
        backend = os.environ.get("MPLBACKEND")
        unknown = str(error).startswith("Key backend")
        require(not unknown, f"matplotlib has no backend {backend!r}: unset MPLBACKEND, which no plot needs")
        raise


@_names_backend()
def render_plot(
    chosen: Kind,
    files: Sequence[Path],
    form: str = "png",
    dpi: int = 160,
    progress: ProgressCallback = no_progress,
    warn: Callable[[str], None] = lambda line: None,
) -> bytes:
    """Return a plot of the files as the bytes of a PNG or SVG. The same files give the same bytes.

    `warn` is called with a line for each part that cannot be drawn properly. Raise LcbenchError if matplotlib is
    missing or a file does not fit the kind.
    """
    require_drawable(chosen)
    from lcbench.report.plots.files import read_content

    content = read_content(chosen, files, progress)  # before the slow import of matplotlib
    if chosen.as_text:
        text: str = chosen.make(*content)
        return text.encode()

    from lcbench.report.plots import style

    with style.use_style(), warnings.catch_warnings(record=True) as caught:
        figure = chosen.make(*content)
        drawn = style.figure_bytes(figure, "svg" if form == "svg" else "png", dpi, warn)
    for line in dict.fromkeys(" ".join(str(each.message).split()) for each in caught):
        warn(line)
    return drawn
