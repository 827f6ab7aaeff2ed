"""Tables of ``lcbench train`` and ``lcbench evaluate``."""

from __future__ import annotations

import numpy as np

from lcbench.learn.evaluation import Evaluation
from lcbench.learn.recipe import Recipe
from lcbench.learn.training import train
from lcbench.report import style
from lcbench.report.tables import train as train_tables
from small_splits import splits


def lines(table, width=80):
    console = style.console()
    with console.capture() as capture:
        console.print(table, width=width)
    return capture.get().splitlines()


def test_the_settings_of_a_training():
    recipe = Recipe(data="clouds", loss="svm", margin=2.0, momentum=0.9, schedule="cosine", iterations=20, reg=0.5)
    text = "\n".join(lines(train_tables.trained(train(splits(), recipe))))
    for words in ("svm, margin 2, reg 0.5, by numba-parallel in float32", "SGD, batch 200", "cosine", "momentum 0.9",
                  "20 in", "finished", "test accuracy"):  # fmt: skip
        assert words in text


def test_the_classes_of_an_evaluation():
    evaluation = Evaluation("clouds", "test", ("ant", "bee", "cow"), np.array([[8, 2, 0], [1, 9, 0], [0, 0, 0]]))
    ant, bee, cow = lines(train_tables.per_class(evaluation))[-3:]
    assert ant.split() == ["ant", "10", "80.0", "%", "bee", "(20.0", "%)"]
    assert bee.split() == ["bee", "10", "90.0", "%", "ant", "(10.0", "%)"]
    assert cow.split() == ["cow", "0", "-", "-"]
    assert "85.0 %, standard error 8.0 %" in lines(train_tables.evaluated(evaluation))[-1]
    assert lines(train_tables.confusion(evaluation))[-3].split() == ["0", "ant", "8", "2", "."]


def test_ten_classes_fit_eighty_columns():
    names = tuple(f"a class of name {c}" for c in range(10))
    evaluation = Evaluation("clouds", "test", names, np.full((10, 10), 1000))
    assert max(map(len, lines(train_tables.confusion(evaluation), 200))) <= 80
