"""Several models in one picture: whether they can share it, and what they are called in it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lcbench.errors import LcbenchError
from lcbench.learn.model import Model
from lcbench.learn.recipe import Recipe

SOLVERS = {"sgd": "gradient descent", "lbfgs": "L-BFGS", "random": "random search"}

_DIFFERENCES = (
    "data", "features", "loss", "solver", "learning_rate", "reg", "batch", "schedule", "momentum", "scaling", "margin",
    "initial_scale", "iterations", "seed",
)  # fmt: skip
"""Fields of a recipe in which models may differ, those that say most first."""

_MOST = 3
"""Differences in one label."""


def require_one_loss(models: Mapping[str, Model]) -> None:
    """Raises LcbenchError where models were trained to lower different losses, which are not to be compared."""
    losses = {model.recipe.loss: name for name, model in models.items()}
    if len(losses) > 1:
        told = " and ".join(f"{name} has {loss}" for loss, name in losses.items())
        raise LcbenchError(f"losses of different kinds cannot share an axis: {told}; draw models of one loss")


def labels(models: Mapping[str, Model], always: str) -> dict[str, str]:
    """A label for each model, by the name of its file: the field `always`, and what else tells them apart.

    The file's name where the recipes are the same, or too many.
    """
    recipes = {name: model.recipe for name, model in models.items()}
    differing = [field for field in _DIFFERENCES if len({repr(getattr(r, field)) for r in recipes.values()}) > 1]
    fields = [always, *(field for field in differing if field != always)][:_MOST]
    found = {
        name: ", ".join(_said(recipe, field) for field in fields if _said(recipe, field))
        for name, recipe in recipes.items()
    }
    if len(set(found.values())) < len(found):
        return {name: f"{label} ({Path(name).stem})" for name, label in found.items()}
    return found


def _said(recipe: Recipe, field: str) -> str:
    value: Any = getattr(recipe, field)
    if field == "solver":
        return SOLVERS[value]
    if field in ("learning_rate", "schedule", "momentum") and recipe.solver != "sgd":
        return ""
    if field == "batch" and recipe.solver == "lbfgs":
        return "all rows"
    if field == "features":
        return " + ".join(value) or "pixels"
    written = f"{value:g}" if isinstance(value, float) else str(value)
    return f"{field.replace('_', ' ')} {written}"
