"""Everything that decides what training gives: what a model file keeps, and what a resumed run goes on with."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from lcbench.datasets.scaling import ScalingName
from lcbench.learn.descent.schedules import ScheduleName

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

    data: str
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
