"""Recipe of a training: its settings, their validation, and the defaults by kind of data, loss and solver.

A model file holds the recipe, and a resumed training continues with it. Nothing here imports compiled code: the command
line reads the defaults before it sets the number of threads.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

import msgspec
from msgspec.structs import replace

from lcbench.errors import LcbenchError, plain_error
from lcbench.settings import NAMED_DATA, ScalingName, defaults, require_known, require_not_empty, within

if TYPE_CHECKING:
    from lcbench.datasets.examples import LabelledSplits

ScheduleName = Literal["constant", "step", "linear", "cosine"]
"""Schedule of the learning rate; `lcbench.learn.solvers.learning_rates` describes each."""

Solver = Literal["sgd", "lbfgs", "random"]
"""sgd: stochastic gradient descent. lbfgs: L-BFGS on all rows. random: the best of many random weights, a baseline."""

Sampling = Literal["replacement", "shuffle"]
"""replacement: each batch is drawn with replacement, as in the assignment. shuffle: each row once per epoch."""


class Recipe(msgspec.Struct, kw_only=True, frozen=True):
    """Settings of a training. Equal recipe, data and number of threads give bit-for-bit equal weights."""

    data: str = "cifar10"
    """"cifar10", "synthetic" or a file."""
    label: str | None = None
    """Column of a CSV file that holds the labels."""
    features: list[str] = []
    """Names of the image features to concatenate; empty: raw pixels."""
    words: Annotated[int, within("words")] | None = None
    """Number of visual words, if they are among the features; None: the default number."""
    scaling: ScalingName = "mean"
    loss: Literal["svm", "softmax"] = "softmax"
    margin: Annotated[float, within("margin")] = 1.0
    """Margin of the hinge loss."""
    reg: Annotated[float, within("reg")] = 0.0
    implementation: str = "numba-parallel"
    dtype: Literal["float32", "float64"] = "float32"
    solver: Solver = "sgd"
    iterations: Annotated[int, within("iterations")] = 1500
    batch: Annotated[int, within("batch")] = 200
    """Rows per step of SGD, or rows on which random search compares weights."""
    sampling: Sampling = "replacement"
    learning_rate: Annotated[float, within("learning_rate")] = 1e-7
    schedule: ScheduleName = "constant"
    decay: Annotated[float, within("decay")] = 0.95
    """Factor of the step schedule."""
    decay_every: Annotated[int, within("decay_every")] = 250
    """Steps between two decays of the step schedule."""
    momentum: Annotated[float, within("momentum")] = 0.0
    initial_scale: Annotated[float, within("initial_scale")] = 1e-3
    """Standard deviation of the initial weights. L-BFGS starts at zero instead."""
    seed: Annotated[int, within("seed")] = 0
    """Random seed of the initial weights, the batches and the features."""
    report_every: Annotated[int, within("report_every")] = 100
    """Evaluate the accuracies every N steps. Early stopping is decided after an evaluation."""
    patience: Annotated[int, within("patience")] = 0
    """Stop after N evaluations without a better validation accuracy, and keep the best weights; 0: never stop early."""

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> Self:
        """Return the recipe with the given settings; those that are None take their defaults.

        settings: fields of the recipe, and "epochs", which `recipe_for` converts to iterations.
        Raise LcbenchError if a setting is unknown, out of range, or has no effect with the others.
        """
        given = {name: value for name, value in settings.items() if value is not None}
        fields = {name: value for name, value in given.items() if name != "epochs"}
        require_known(fields, cls)
        require_not_empty(fields)
        try:
            recipe = msgspec.convert(fields, cls)
        except msgspec.ValidationError as error:
            raise LcbenchError(f"invalid training settings: {plain_error(error)}") from None
        recipe._require_effect(given)
        return recipe

    def _require_effect(self, given: Mapping[str, Any]) -> None:
        """Raise LcbenchError if one of the given settings has no effect with the others."""

        def among(*names: str) -> str:
            return " and ".join(name for name in names if name in given)

        if among("iterations", "epochs") == "iterations and epochs":
            raise LcbenchError("iterations and epochs both set the number of steps: give one")
        if self.solver != "sgd" and (unused := among(*_SGD_SETTINGS)):
            raise LcbenchError(f"{unused}: a setting of the sgd solver, not of {self.solver}; leave it out")
        if self.solver == "lbfgs" and (unused := among("batch", "initial_scale")):
            raise LcbenchError(f"{unused}: L-BFGS takes all rows at once and starts at zero; leave it out")
        if self.schedule != "step" and (unused := among("decay", "decay_every")):
            raise LcbenchError(f"{unused}: a setting of the step schedule; leave it out, or choose schedule step")
        if self.label is not None and self.data in NAMED_DATA:
            raise LcbenchError(f"label: a column of a file, and {self.data} has none; leave it out")
        if self.words is not None and not _REG_OF_WORDS.keys() & set(self.features):
            raise LcbenchError("words: the features have no visual words; leave it out, or add words to the features")
        if self.loss != "svm" and self.margin != defaults(Recipe)["margin"]:
            raise LcbenchError("margin: a setting of the svm loss; softmax has none")


_SGD_SETTINGS = ("learning_rate", "schedule", "decay", "decay_every", "momentum", "epochs")
"""Settings that the other solvers ignore."""

_PIXELS: dict[tuple[str, str], dict[str, Any]] = {
    # SGD: for svm the protocol of cs231n, assignment 1; for softmax the best values of a search on a similar grid.
    ("sgd", "svm"): {"scaling": "mean", "learning_rate": 1e-7, "reg": 2.5e4, "iterations": 1500},
    ("sgd", "softmax"): {"scaling": "mean", "learning_rate": 1e-6, "reg": 5e2, "iterations": 3000},
    ("lbfgs", "svm"): {"scaling": "halved", "reg": 3e-3, "iterations": 150, "report_every": 10},
    ("lbfgs", "softmax"): {"scaling": "halved", "reg": 3e-3, "iterations": 150, "report_every": 10},
    ("random", "svm"): {"scaling": "mean", "reg": 0.0, "iterations": 1000, "batch": 5000},
    ("random", "softmax"): {"scaling": "mean", "reg": 0.0, "iterations": 1000, "batch": 5000},
}
"""Default settings on pixels, by solver and loss."""

_FEATURES: dict[str, dict[str, Any]] = {
    "sgd": {"scaling": "standard", "learning_rate": 1e-2, "reg": 1e-3, "iterations": 3000},
    "lbfgs": {"scaling": "standard", "reg": 1e-3, "iterations": 400, "report_every": 10},
    "random": {"scaling": "standard", "reg": 0.0, "iterations": 1000, "batch": 5000, "initial_scale": 1e-1},
}
"""Default settings on features and tables, by solver."""

_REG_OF_WORDS = {"words": {"reg": 3e-4}, "words-hard": {"reg": 3e-3}}
"""Default regularisation of L-BFGS on visual words. The dense encoding has thousands of columns that each carry little
information, so less regularisation is better. The hard one, where most values are 0, needs more."""


def recipe_for(splits: LabelledSplits, **settings: Any) -> Recipe:
    """Return the recipe with the given settings, as in `Recipe.of`, and defaults that fit the data.

    epochs: passes over the training rows, instead of iterations; the rows are then shuffled.
    """
    recipe = Recipe.of(settings)
    usual = _PIXELS[recipe.solver, recipe.loss] if are_pixels(splits) else _FEATURES[recipe.solver]
    if recipe.solver == "lbfgs":
        usual = usual | next((_REG_OF_WORDS[name] for name in recipe.features if name in _REG_OF_WORDS), {})
    recipe = replace(recipe, **{name: value for name, value in usual.items() if settings.get(name) is None})
    rows = len(splits.train)
    if settings.get("batch") is not None and recipe.batch > rows:
        raise LcbenchError(f"batch: {recipe.batch:,} rows, of {rows:,} training rows in {splits.source}; choose fewer")
    epochs = settings.get("epochs")
    if epochs is None:
        return recipe
    steps = max(1, round(epochs * rows / recipe.batch))
    return replace(recipe, iterations=steps, sampling="shuffle")


FUSED = "numba-parallel"
"""Implementation that reads pixels and rows in place, and that runs many steps of SGD in one compiled loop."""


def copied_itemsize(recipe: Recipe) -> int:
    """Return the bytes per value of the design matrix of `recipe`, or 0 if pixels are read in place."""
    if recipe.implementation == FUSED and (recipe.solver == "lbfgs" or recipe.scaling in ("none", "mean")):
        return 0
    return 8 if recipe.dtype == "float64" else 4


def are_pixels(splits: LabelledSplits) -> bool:
    """Return whether the rows are raw images, and not features or a table."""
    return splits.train.X.dtype == "uint8" and splits.image_shape is not None
