"""What training does where nothing is said: settings that are known to work, by kind of data, loss and solver."""

from __future__ import annotations

from typing import Any

import msgspec

from lcbench.datasets.examples import LabelledSplits
from lcbench.errors import LcbenchError
from lcbench.learn.recipe import Recipe
from lcbench.losses.errors import did_you_mean

_PIXELS: dict[tuple[str, str], dict[str, Any]] = {
    # cs231n, assignment 1: its own protocol, and what searches on the same grid prefer for softmax
    ("sgd", "svm"): {"scaling": "mean", "learning_rate": 1e-7, "reg": 2.5e4, "iterations": 1500},
    ("sgd", "softmax"): {"scaling": "mean", "learning_rate": 1e-6, "reg": 5e2, "iterations": 3000},
    ("lbfgs", "svm"): {"scaling": "halved", "reg": 3e-3, "iterations": 150, "report_every": 10},
    ("lbfgs", "softmax"): {"scaling": "halved", "reg": 3e-3, "iterations": 150, "report_every": 10},
    ("random", "svm"): {"scaling": "mean", "reg": 0.0, "iterations": 1000, "batch": 5000},
    ("random", "softmax"): {"scaling": "mean", "reg": 0.0, "iterations": 1000, "batch": 5000},
}
_FEATURES: dict[str, dict[str, Any]] = {
    "sgd": {"scaling": "standard", "learning_rate": 1e-2, "reg": 1e-3, "iterations": 3000},
    "lbfgs": {"scaling": "standard", "reg": 1e-3, "iterations": 400, "report_every": 10},
    "random": {"scaling": "standard", "reg": 0.0, "iterations": 1000, "batch": 5000, "initial_scale": 1e-1},
}
_REG_OF_WORDS = {"words": {"reg": 3e-4}, "words-hard": {"reg": 3e-3}}
"""Of thousands of columns, in the mean each says little: less is right; not so where most of them are 0."""

_SHORT = {"lr": "learning_rate", "impl": "implementation"}
"""What the command line calls them."""

OF_SGD = ("learning_rate", "schedule", "decay", "decay_every", "momentum", "epochs")
"""What the other solvers would pass over in silence."""


def recipe(splits: LabelledSplits, **settings: Any) -> Recipe:
    """A recipe for `splits` by `settings`, the fields of `Recipe`; what is None or left out is chosen here.

    epochs: in place of iterations, passes over the training rows, each row once a pass.
    Raises LcbenchError where a setting is outside its range, or has no meaning beside the others.
    """
    given = {name: value for name, value in settings.items() if value is not None}
    epochs = given.pop("epochs", None)
    for name in given:
        if name not in Recipe.__struct_fields__:
            fields = Recipe.__struct_fields__
            hint = did_you_mean(_SHORT.get(name, name), fields, f"there are {', '.join(fields)}")
            raise LcbenchError(f"no setting '{name}': {hint}")
    solver, loss = given.get("solver", "sgd"), given.get("loss", "softmax")
    if solver != "sgd" and (strange := [name for name in OF_SGD if settings.get(name) is not None]):
        raise LcbenchError(f"{' and '.join(strange)}: a setting of the sgd solver, not of {solver}; leave it out")
    if solver == "lbfgs" and (strange := [name for name in ("batch", "initial_scale") if name in given]):
        raise LcbenchError(f"{' and '.join(strange)}: L-BFGS takes all rows at once and begins at zero; leave it out")
    if given.get("schedule") != "step" and (strange := [name for name in ("decay", "decay_every") if name in given]):
        raise LcbenchError(f"{' and '.join(strange)}: of the step schedule; leave it out, or choose schedule step")
    if "words" in given and not _REG_OF_WORDS.keys() & set(given.get("features", ())):
        raise LcbenchError("words: there are no visual words among the features; leave it out, or add features words")
    if loss != "svm" and given.get("margin", 1.0) != 1.0:
        raise LcbenchError("margin: a setting of the svm loss; softmax has none")
    usual = _PIXELS.get((solver, loss), {}) if are_pixels(splits) else _FEATURES.get(solver, {})
    if solver == "lbfgs":
        usual = usual | next((_REG_OF_WORDS[name] for name in given.get("features", ()) if name in _REG_OF_WORDS), {})
    chosen = usual | given
    try:
        recipe = msgspec.convert(chosen, Recipe)
    except msgspec.ValidationError as error:
        raise LcbenchError(f"no such training: {error}") from None
    if epochs is None:
        return recipe
    steps = max(1, round(epochs * len(splits.train) / recipe.batch))
    return msgspec.structs.replace(recipe, iterations=steps, sampling="shuffle")


def are_pixels(splits: LabelledSplits) -> bool:
    """Whether the rows are images as they are stored, and not features of them or something else."""
    return splits.train.X.dtype == "uint8" and splits.image_shape is not None
