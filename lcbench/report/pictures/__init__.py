"""Pictures of stored files: one file here a kind. But for tables, they need matplotlib, of the extra `lab`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from lcbench.errors import LcbenchError

if TYPE_CHECKING:
    from lcbench.datasets.loading import Watch

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
    """A kind of picture: what it shows, and of what files.

    Its module has `draw`, which takes what was read and gives a figure, and, where not everything that was read has
    such a picture, `unfit`, which says why. as_text: `draw` gives the SVG itself, of text in a terminal, without
    matplotlib.
    """

    name: str
    what: str
    of: Source
    as_text: bool = False

    @property
    def module(self) -> Any:
        """The file of its name."""
        return import_module(f"lcbench.report.pictures.{self.name.replace('-', '_')}")

    @property
    def ending(self) -> str:
        """Of the file, unless another is asked for."""
        return ".svg" if self.as_text else ".png"


KINDS = {
    kind.name: kind
    for kind in (
        Kind("bars", "median and interval of each implementation", "a result"),
        Kind("samples", "every sample, process by process", "a result"),
        Kind("roofline", "rates below what the machine can do", "a result"),
        Kind("scaling", "time along an axis, growth, crossings", "a sweep"),
        Kind("threads", "speed-up and efficiency of threads", "a sweep"),
        Kind("history", "times over dates, lasting changes", "results over time"),
        Kind("table", "what the terminal shows, as SVG", "one result, or two compared", as_text=True),
        Kind("templates", "each class's weights as an image", "a model"),
        Kind("curves", "loss and accuracies on the way", "a model"),
        Kind("boundaries", "regions and points of two features", "a model and its data"),
        Kind("confusion", "what is taken for what, of the test rows", "a model and its data"),
        Kind("search", "validation accuracy by learning rate and reg", "a search"),
        Kind("learning-rates", "losses: too large, too small, right", "several models"),
        Kind("descents", "solvers beside each other", "several models"),
    )
}
"""What ``lcbench plot`` can draw, by name."""


def kind(name: str) -> Kind:
    """The kind of that name. Raises LcbenchError, with the nearest, where there is none."""
    if name in KINDS:
        return KINDS[name]
    near = get_close_matches(name, KINDS, n=1, cutoff=0.5)
    hint = f"did you mean '{near[0]}'?" if near else f"there are {', '.join(KINDS)}"
    raise LcbenchError(f"no kind of picture '{name}': {hint}")


def form_of(chosen: Kind, path: Path) -> str:
    """The format that a file's ending asks for. Raises LcbenchError where such a picture is not drawn in it."""
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
    watch: Watch = lambda what, done, planned: None,
    warn: Callable[[str], None] = lambda line: None,
) -> bytes:
    """The picture of that kind of the files, as the content of a PNG or SVG: the same for the same files.

    Tells `warn`, a line each, what cannot be drawn as it should.
    Raises LcbenchError where matplotlib is missing or a file does not fit the kind.
    """
    require_drawable(chosen)
    from lcbench.report.pictures import sources

    if chosen.as_text:
        text: str = chosen.module.draw(*sources.read(chosen, files, watch))
        return text.encode()

    from lcbench.report.pictures import style

    with style.applied():
        figure = chosen.module.draw(*sources.read(chosen, files, watch))
        return style.rendered(figure, "svg" if form == "svg" else "png", dpi, warn)
