"""Everything that decides what training gives: what a model file keeps, and what a resumed run goes on with.

Where nothing is said, training does what is known to work, by kind of data, loss and solver. Nothing here imports what
computes: the command line reads the defaults before it says how many threads there are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

import msgspec
from msgspec import Meta
from msgspec.structs import replace

from lcbench.errors import LcbenchError
from lcbench.settings import ScalingName, defaults, require_known

if TYPE_CHECKING:
    from lcbench.datasets.examples import LabelledSplits

ScheduleName = Literal["constant", "step", "linear", "cosine"]

Solver = Literal["sgd", "lbfgs", "random"]
"""sgd: stochastic gradient descent. lbfgs: all rows at once, curvature from past steps. random: the best of random
weights, to be beaten."""

Sampling = Literal["replacement", "shuffle"]
"""How batches are drawn: any row at any time, as the assignment does it, or every row once an epoch."""

Positive = Annotated[float, Meta(gt=0, le=1e30)]
NotNegative = Annotated[float, Meta(ge=0, le=1e30)]
Count = Annotated[int, Meta(ge=1, le=10**9)]


class Recipe(msgspec.Struct, kw_only=True, frozen=True):
    """How a model is trained. The same recipe, data and number of threads give the same weights, bit for bit."""

    data: str = "cifar10"
    """"cifar10", "synthetic" or a file."""
    label: str | None = None
    """The column of a CSV that holds the labels."""
    features: list[str] = []
    """Of images: names of features, side by side; none for raw pixels."""
    words: Count | None = None
    """Visual words, where they are among the features; None as many as is usual."""
    scaling: ScalingName = "mean"
    loss: Literal["svm", "softmax"] = "softmax"
    margin: Positive = 1.0
    """Of the hinge."""
    reg: NotNegative = 0.0
    implementation: str = "numba-parallel"
    dtype: Literal["float32", "float64"] = "float32"
    solver: Solver = "sgd"
    iterations: Count = 1500
    batch: Count = 200
    """Rows of a step of SGD, or on which random search compares weights."""
    sampling: Sampling = "replacement"
    learning_rate: Positive = 1e-7
    schedule: ScheduleName = "constant"
    decay: Positive = 0.95
    """Factor of the step schedule."""
    decay_every: Count = 250
    """Iterations."""
    momentum: Annotated[float, Meta(ge=0, lt=1)] = 0.0
    initial_scale: NotNegative = 1e-3
    """Standard deviation of the first weights; L-BFGS begins at zero."""
    seed: Annotated[int, Meta(ge=0)] = 0
    report_every: Count = 100
    """Iterations between two looks at the accuracies, which early stopping goes by and a checkpoint may follow."""
    patience: Annotated[int, Meta(ge=0)] = 0
    """Looks without a better validation accuracy after which training stops; the best weights are kept. 0: never."""

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> Self:
        """Return a recipe by `settings`, the fields and epochs; those that are None are left out.

        Raises LcbenchError where a setting is unknown, outside its range, or has no meaning beside the others.
        """
        given = {name: value for name, value in settings.items() if value is not None}
        fields = {name: value for name, value in given.items() if name != "epochs"}
        require_known(fields, cls)
        try:
            recipe = msgspec.convert(fields, cls)
        except msgspec.ValidationError as error:
            raise LcbenchError(f"no such training: {error}") from None
        recipe._require_meaning(given)
        return recipe

    def _require_meaning(self, given: Mapping[str, Any]) -> None:
        def among(*names: str) -> str:
            return " and ".join(name for name in names if name in given)

        if among("iterations", "epochs") == "iterations and epochs":
            raise LcbenchError("iterations and epochs both say how long: give one")
        if self.solver != "sgd" and (strange := among(*_OF_SGD)):
            raise LcbenchError(f"{strange}: a setting of the sgd solver, not of {self.solver}; leave it out")
        if self.solver == "lbfgs" and (strange := among("batch", "initial_scale")):
            raise LcbenchError(f"{strange}: L-BFGS takes all rows at once and begins at zero; leave it out")
        if self.schedule != "step" and (strange := among("decay", "decay_every")):
            raise LcbenchError(f"{strange}: of the step schedule; leave it out, or choose schedule step")
        if self.words is not None and not _REG_OF_WORDS.keys() & set(self.features):
            raise LcbenchError(
                "words: there are no visual words among the features; leave it out, or add features words"
            )
        if self.loss != "svm" and self.margin != defaults(Recipe)["margin"]:
            raise LcbenchError("margin: a setting of the svm loss; softmax has none")


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

_OF_SGD = ("learning_rate", "schedule", "decay", "decay_every", "momentum", "epochs")
"""What the other solvers would pass over in silence."""


def recipe_for(splits: LabelledSplits, **settings: Any) -> Recipe:
    """Return a recipe for `splits` by `settings`, as `Recipe.of` takes them; what is not given is chosen by the data.

    epochs: in place of iterations, passes over the training rows, each row once a pass.
    """
    recipe = Recipe.of(settings)
    usual = _PIXELS[recipe.solver, recipe.loss] if are_pixels(splits) else _FEATURES[recipe.solver]
    if recipe.solver == "lbfgs":
        usual = usual | next((_REG_OF_WORDS[name] for name in recipe.features if name in _REG_OF_WORDS), {})
    recipe = replace(recipe, **{name: value for name, value in usual.items() if settings.get(name) is None})
    epochs = settings.get("epochs")
    if epochs is None:
        return recipe
    steps = max(1, round(epochs * len(splits.train) / recipe.batch))
    return replace(recipe, iterations=steps, sampling="shuffle")


def are_pixels(splits: LabelledSplits) -> bool:
    """Whether the rows are images as they are stored, and not features of them or something else."""
    return splits.train.X.dtype == "uint8" and splits.image_shape is not None
