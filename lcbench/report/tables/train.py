"""Tables of ``lcbench train`` and ``lcbench evaluate``."""

from __future__ import annotations

from typing import Any

import numpy as np

from lcbench.learn.evaluation import Evaluation
from lcbench.learn.model import Model
from lcbench.report import formatting
from lcbench.report.table import NUMBER, PERCENT, PLAIN, Column, Table, pairs


def trained(model: Model) -> Table:
    """Return the table of the settings of a training, its losses and the accuracy of the model."""
    recipe, curves = model.recipe, model.curves
    how = {
        "sgd": f"SGD, batch {recipe.batch}, learning rate {recipe.learning_rate:g}"
        + (f", {recipe.schedule}" if recipe.schedule != "constant" else "")
        + (f", momentum {recipe.momentum:g}" if recipe.momentum else ""),
        "lbfgs": "L-BFGS on all rows",
        "random": "the best of random weights",
    }[recipe.solver]
    loss = recipe.loss + (f", margin {recipe.margin:g}" if recipe.margin != 1 else "")
    rows = [
        ("data", f"{recipe.data}, {' + '.join(recipe.features) or 'as it is'}, scaling {recipe.scaling}"),
        ("loss", f"{loss}, reg {recipe.reg:g}, by {recipe.implementation} in {recipe.dtype}"),
        ("solver", how),
        ("steps", f"{model.step:,} in {formatting.seconds(float(curves.seconds[-1]))}, {model.status}"),
    ]
    if curves.losses.size:
        rows.append(("loss", f"{curves.losses[0]:.6g} at first, {curves.losses[-1]:.6g} at last"))
    rows += [(f"{name} accuracy", formatting.percent(value)) for name, value in model.accuracy.items()]
    return pairs("training", rows)


def evaluated(evaluation: Evaluation) -> Table:
    """Return the table of the accuracy and its standard error."""
    error = formatting.percent(evaluation.standard_error)
    accuracy = f"{formatting.percent(evaluation.accuracy)}, standard error {error}"
    rows = [("data", f"{evaluation.source}, {evaluation.split}"), ("rows", formatting.count(evaluation.rows))]
    if evaluation.model:
        written = f", written {evaluation.written[:16].replace('T', ' ')} UTC" if evaluation.written else ""
        trained = f"{evaluation.steps:,} steps, {evaluation.status}{written}"
        rows = [("model", str(evaluation.model)), ("trained for", trained), *rows]
    return pairs("evaluation", [*rows, ("accuracy", accuracy)])


def per_class(evaluation: Evaluation) -> Table:
    """Return the table of each class: its rows, its accuracy, and the class that it was most often mistaken for."""
    names = evaluation.class_names
    rows: list[dict[str, Any]] = []
    for name, row, accuracy in zip(names, evaluation.confusion, evaluation.class_accuracy, strict=True):
        others = np.where(np.arange(len(row)) == len(rows), 0, row)
        worst = int(others.argmax())
        mistaken = f"{names[worst]} ({formatting.percent(others[worst] / row.sum())})" if others.any() else None
        rows.append({"class": name, "rows": int(row.sum()), "accuracy": float(accuracy), "mistaken for": mistaken})
    return Table(
        "by class",
        rows,
        Column("class", "class"),
        Column("rows", "rows", NUMBER),
        Column("accuracy", "accuracy", PERCENT),
        Column("most often mistaken for", "mistaken for"),
    )


def confusion(evaluation: Evaluation) -> Table:
    """Return the confusion matrix: a row for each true class, a column for each predicted class."""
    numbers = [str(c) for c in range(len(evaluation.class_names))]
    rows = [
        {"": number, "class": name, **{p: str(count) if count else "." for p, count in zip(numbers, row, strict=True)}}
        for number, name, row in zip(numbers, evaluation.class_names, evaluation.confusion, strict=True)
    ]
    columns = Column("", ""), Column("class", "class"), *(Column(number, number, PLAIN) for number in numbers)
    return Table("confusion, true by predicted", rows, *columns, repeated=2)
