"""The pictures of ``lcbench reproduce``: what its rows trained is stored, and drawn from there."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np

from lcbench import whole_file
from lcbench.datasets.loading import load
from lcbench.learn import model as models
from lcbench.learn.model import Model
from lcbench.learn.reproduction import figures
from lcbench.learn.reproduction.outcome import Outcome, Points
from lcbench.report import pictures

PICTURES = {
    "learning-rates": ("learning-rates", ("lr-too-small", "lr-0.1-first", "lr-0.1-second", "lr-too-large")),
    "decision-boundary": ("boundaries", ("decision-boundary",)),
    "templates": ("templates", ("templates",)),
    "random-search": ("descents", ("random-search-tries", "random-search-descent")),
}
"""By the name of the file: the kind of picture, and of which models."""


def rows() -> list[str]:
    """Those that have a picture, in the order of the documents."""
    return [
        row
        for row in figures.rows()
        if any(f"{name}-".startswith(f"{row}-") for _, of in PICTURES.values() for name in of)
    ]


def draw(outcomes: Sequence[Outcome], folder: Path) -> Iterator[Path]:
    """Stores the models of these rows in `folder`, and draws what can be drawn of them: gives the pictures' files.

    Raises LcbenchError where that cannot be written or matplotlib is missing.
    """
    stored = {name: path for outcome in outcomes for name, path in _stored(outcome, folder)}
    for name, (kind, wanted) in PICTURES.items():
        files = [stored[model] for model in wanted if model in stored]
        if files:
            path = folder / f"{name}.png"
            whole_file.write(path, pictures.drawn(pictures.kind(kind), files))
            yield path


def _stored(outcome: Outcome, folder: Path) -> Iterator[tuple[str, Path]]:
    """Names and files of the models: the row's name, and their own where it has several."""
    for own, model in outcome.models.items():
        name = outcome.row.id if len(outcome.models) == 1 else f"{outcome.row.id}-{own}"
        path = folder / f"{name}.h5"
        models.write(path, _with_its_points(model, outcome.points, path) if outcome.points else model)
        yield name, path


def _with_its_points(model: Model, points: Points, path: Path) -> Model:
    """The model, and beside its file another one of the points that it was trained on, by which it is found again."""
    content = io.BytesIO()
    X, y = points.X, points.y
    # the same points to train, choose and test on: there are no others
    np.savez(content, X_train=X, y_train=y, X_validation=X, y_validation=y, X_test=X, y_test=y)
    table = path.with_suffix(".npz")
    whole_file.write(table, content.getbuffer())
    recipe = msgspec.structs.replace(model.recipe, data=str(table))
    return replace(model, recipe=recipe, fingerprint=load(str(table)).fingerprint())
