"""Plots of stored files. But for tables, they need matplotlib, of the extra `lab`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

from lcbench.errors import LcbenchError
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
    """A kind of plot: what it shows, of what files, and the functions that make it.

    draw: takes what was read and gives a figure. reason: takes what was read and says why it has no such plot, or
    nothing. Both are named by their module here, which is imported when they are called. as_text: `draw` gives the SVG
    itself, of text in a terminal, without matplotlib.
    """

    name: str
    what: str
    of: Source
    draw: str
    reason: str = ""
    as_text: bool = False

    @property
    def ending(self) -> str:
        """Of the file, unless another is asked for."""
        return ".svg" if self.as_text else ".png"

    def drawn(self, *content: Any) -> Any:
        """Return the figure, or the text of the SVG, of what was read."""
        return _function(self.draw)(*content)

    def why_not(self, content: Any) -> str:
        """Return why what was read has no such plot, or nothing."""
        reason: str = _function(self.reason)(content) if self.reason else ""
        return reason


def _function(name: str) -> Callable[..., Any]:
    module, _, function = name.partition(".")
    found: Callable[..., Any] = getattr(import_module(f"{__name__}.{module}"), function)
    return found


KINDS = {
    kind.name: kind
    for kind in (
        Kind("bars", "median and interval of each implementation", "a result",
             "runs.draw_bars", "selection.why_no_run"),
        Kind("samples", "every sample, process by process", "a result", "runs.draw_samples", "selection.why_no_run"),
        Kind("roofline", "rates below what the machine can do", "a result",
             "runs.draw_roofline", "selection.why_no_roofline"),
        Kind("scaling", "time along an axis, growth, crossings", "a sweep",
             "sweeps.draw_scaling", "selection.why_no_scaling"),
        Kind("threads", "speed-up and efficiency of threads", "a sweep",
             "sweeps.draw_threads", "selection.why_no_threads"),
        Kind("history", "times over dates, lasting changes", "results over time",
             "history.draw_history", "history.why_no_history"),
        Kind("table", "what the terminal shows, as SVG", "one result, or two compared",
             "table.draw_table", "table.why_no_table", as_text=True),
        Kind("templates", "each class's weights as an image", "a model",
             "models.draw_templates", "models.why_no_templates"),
        Kind("curves", "loss and accuracies on the way", "a model", "models.draw_curves", "models.why_no_curves"),
        Kind("boundaries", "regions and points of two features", "a model and its data",
             "models.draw_boundaries", "models.why_no_boundaries"),
        Kind("confusion", "what is taken for what, of the test rows", "a model and its data", "models.draw_confusion"),
        Kind("search", "validation accuracy by learning rate and reg", "a search",
             "search.draw_search", "search.why_no_search"),
        Kind("learning-rates", "losses: too large, too small, right", "several models",
             "models.draw_learning_rates", "models.why_no_learning_rates"),
        Kind("descents", "solvers beside each other", "several models",
             "models.draw_descents", "models.why_no_curves"),
    )
}  # fmt: skip
"""What ``lcbench plot`` can draw, by name."""


def kind(name: str) -> Kind:
    """The kind of that name. Raises LcbenchError, with the nearest, where there is none."""
    if name in KINDS:
        return KINDS[name]
    hint = did_you_mean(name, KINDS, f"there are {', '.join(KINDS)}")
    raise LcbenchError(f"no kind of picture '{name}': {hint}")


def form_of(chosen: Kind, path: Path) -> str:
    """The format that a file's ending asks for. Raises LcbenchError where such a plot is not drawn in it."""
    form = path.suffix.lower().removeprefix(".")
    if chosen.as_text and form != "svg":
        raise LcbenchError(f"cannot draw {path}: a {chosen.name} is text, and drawn as .svg only")
    if form not in FORMATS:
        raise LcbenchError(f"cannot draw {path}: pictures are .png or .svg")
    return form


def require_drawable(chosen: Kind) -> None:
    """Raises LcbenchError, with the line that installs it, where the kind needs matplotlib and it is missing."""
    if not chosen.as_text:
        require_matplotlib()


def require_matplotlib() -> None:
    """Raises LcbenchError, with the line that installs it, where it is missing."""
    try:
        import_module("matplotlib")
    except ImportError:
        raise LcbenchError(f"pictures need matplotlib, which is not installed: {INSTALL}") from None


def drawn(
    chosen: Kind,
    files: Sequence[Path],
    form: str = "png",
    dpi: int = 160,
    progress: ProgressCallback = no_progress,
    warn: Callable[[str], None] = lambda line: None,
) -> bytes:
    """The plot of that kind of the files, as the content of a PNG or SVG: the same for the same files.

    Tells `warn`, a line each, what cannot be drawn as it should.
    Raises LcbenchError where matplotlib is missing or a file does not fit the kind.
    """
    require_drawable(chosen)
    from lcbench.report.plots.files import read

    if chosen.as_text:
        text: str = chosen.drawn(*read(chosen, files, progress))
        return text.encode()

    from lcbench.report.plots import style

    with style.applied():
        figure = chosen.drawn(*read(chosen, files, progress))
        return style.rendered(figure, "svg" if form == "svg" else "png", dpi, warn)
