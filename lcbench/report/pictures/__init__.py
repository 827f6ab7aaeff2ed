"""Pictures of stored files: one file here a kind. They need matplotlib, of the extra `lab`."""

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
    from lcbench.learn.model import Model

INSTALL = "pip install 'lcbench[lab]'"
FORMATS = ("png", "svg")

Source = Literal["a model", "a model and its data", "several models", "a search"]


@dataclass(frozen=True)
class Kind:
    """A kind of picture: what it shows, and of what files.

    Its module has `draw`, which takes what was read and gives a figure, and, where it draws models, `unfit`, which says
    why one cannot be drawn.
    """

    name: str
    what: str
    of: Source

    @property
    def module(self) -> Any:
        """The file of its name."""
        return import_module(f"lcbench.report.pictures.{self.name.replace('-', '_')}")


KINDS = {
    kind.name: kind
    for kind in (
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


def newest(chosen: Kind) -> Path:
    """The newest file that such a picture is drawn of. Raises LcbenchError where there is none, or it wants several."""
    from lcbench.learn import model
    from lcbench.learn.search import search_file

    if chosen.of == "several models":
        raise LcbenchError(f"{chosen.name} is drawn of several models: name their files")
    return search_file.newest() if chosen.of == "a search" else model.newest()


def form_of(path: Path) -> str:
    """The format that a file's ending asks for. Raises LcbenchError where it is none that is drawn."""
    form = path.suffix.lower().removeprefix(".")
    if form not in FORMATS:
        raise LcbenchError(f"cannot draw {path}: pictures are .png or .svg")
    return form


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
) -> bytes:
    """The picture of that kind of the files, as the content of a PNG or SVG: the same for the same files.

    Raises LcbenchError where matplotlib is missing or a file does not fit the kind.
    """
    require_matplotlib()
    from lcbench.report.pictures import style

    with style.applied():
        return style.rendered(_READERS[chosen.of](chosen, files, watch), "svg" if form == "svg" else "png", dpi)


def _of_model(chosen: Kind, files: Sequence[Path], watch: Watch) -> Any:
    (model,) = _models(chosen, _only(chosen, files)).values()
    return chosen.module.draw(model)


def _of_model_and_data(chosen: Kind, files: Sequence[Path], watch: Watch) -> Any:
    from lcbench.learn.data import splits_of

    ((name, model),) = _models(chosen, _only(chosen, files)).items()
    splits = splits_of(model.recipe, watch)
    if splits.fingerprint() != model.fingerprint:
        raise LcbenchError(f"{name} was trained on other data than what {model.recipe.data} holds now: train it anew")
    return chosen.module.draw(model, splits)


def _of_models(chosen: Kind, files: Sequence[Path], watch: Watch) -> Any:
    return chosen.module.draw(_models(chosen, files))


def _of_search(chosen: Kind, files: Sequence[Path], watch: Watch) -> Any:
    from lcbench.learn.search import search_file

    (path,) = _only(chosen, files)
    search = search_file.read(path)
    if reason := chosen.module.unfit(search):
        raise LcbenchError(f"{path} cannot be drawn: {reason}")
    return chosen.module.draw(search)


_READERS: dict[Source, Callable[[Kind, Sequence[Path], Any], Any]] = {
    "a model": _of_model,
    "a model and its data": _of_model_and_data,
    "several models": _of_models,
    "a search": _of_search,
}


def _only(chosen: Kind, files: Sequence[Path]) -> Sequence[Path]:
    if len(files) > 1:
        several = [kind.name for kind in KINDS.values() if kind.of == "several models"]
        raise LcbenchError(
            f"{chosen.name} is drawn of {chosen.of}, and {len(files)} files are named; of several: {', '.join(several)}"
        )
    return files


def _models(chosen: Kind, files: Sequence[Path]) -> dict[str, Model]:
    """The models by the names of their files, each fit for the kind."""
    from lcbench.learn import model

    models = {str(path): model.read(path) for path in files}
    for name, found in models.items():
        if reason := chosen.module.unfit(found):
            raise LcbenchError(f"{name} has no {chosen.name}: {reason}; {_what_would_do(found)}")
    return models


def _what_would_do(model: Model) -> str:
    fit = [kind.name for kind in KINDS.values() if kind.of != "a search" and not kind.module.unfit(model)]
    return f"what can be drawn of it: {', '.join(fit) or 'nothing'}"
