"""What is taken for what."""

from __future__ import annotations

import numpy as np
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from lcbench.datasets.examples import LabelledSplits
from lcbench.learn import evaluation
from lcbench.learn.model import Model
from lcbench.report.pictures import style

_MOST_WITH_NUMBERS = 20
_MOST_WITH_NAMES = 50


def unfit(model: Model) -> str:
    """Every model has a confusion."""
    return ""


def draw(model: Model, splits: LabelledSplits) -> Figure:
    """Of the test rows: the share of each class (down) that was taken for each class (across), in percent."""
    classes, part = len(model.class_names), splits.test
    predicted = evaluation.predict(model.W, model.scaling, part.X)
    counts = evaluation.confusion(predicted, part.y, classes)
    rows = counts.sum(axis=1, keepdims=True)
    shares = np.where(rows > 0, counts / np.maximum(rows, 1), np.nan)

    accuracy = evaluation.accuracy(predicted, part.y)
    figure = style.figure(
        6.4, f"confusion in percent: {len(part):,} test rows of {splits.source}, {100 * accuracy:.1f} % right"
    )
    axes = figure.subplots()
    names = [style.shortened(name, 16) for name in model.class_names]

    def text(row: int, column: int) -> str:
        return f"{100 * shares[row, column]:.0f}" if classes <= _MOST_WITH_NUMBERS and counts[row, column] else ""

    style.heat(axes, shares, text, Normalize(0, 1), style.SMALL if classes > 12 else style.NORMAL, style.SHARES)
    if classes <= _MOST_WITH_NAMES:
        size = style.SMALL if classes <= _MOST_WITH_NUMBERS else style.TINY
        axes.set_xticks(range(classes), names, rotation=90 if classes > 5 else 0, size=size)
        axes.set_yticks(range(classes), names, size=size)
    axes.set(xlabel="predicted class", ylabel="true class")
    return figure
