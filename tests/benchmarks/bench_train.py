"""Training on CIFAR-10: the assignment's protocol and L-BFGS, by numba-parallel beside NumPy and PyTorch.

python tests/benchmarks/bench_train.py [ROUNDS]

Needs data/cifar10.h5 ('lcbench download'). Every contender trains from the same start on the same batches, by the same
code around it; they take turns, and medians of the paired ratios are printed. "loop": 1500 steps of 200 rows, X in
memory as each wants it (float32 with the bias column for all, and uint8 as well for numba-parallel). "whole": all that
training does once the images are in memory: mean image, design matrix, steps, accuracies.
"""

from __future__ import annotations

import statistics
import sys
from time import perf_counter, sleep

import numpy as np

from lcbench import files
from lcbench.datasets import examples
from lcbench.datasets.examples import Examples, LabelledSplits
from lcbench.datasets.preprocessing import fit_scaling
from lcbench.learn.objective import Objective
from lcbench.learn.recipe import Recipe, recipe_for
from lcbench.learn.solvers import Position, first_weights, sgd
from lcbench.learn.training import train

CONTENDERS = ("numba-parallel", "numpy", "torch")
UNTIL_BLAS_SLEEPS = 0.3
"""Seconds. OpenBLAS's threads spin for about 0.1 s after a product and would slow down what comes next."""


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    splits = examples.cifar10_splits(files.cifar10_file())
    for loss in ("svm", "softmax"):
        recipes = {
            name: recipe_for(splits, data="cifar10", loss=loss, iterations=1500, implementation=name)
            for name in CONTENDERS
        }
        compare(f"{loss}, loop", rounds, loops(splits, recipes))
        compare(f"{loss}, whole", rounds, {name: whole(splits, recipe) for name, recipe in recipes.items()})
    recipes = {name: recipe_for(splits, data="cifar10", solver="lbfgs", implementation=name) for name in CONTENDERS}
    compare("L-BFGS softmax, whole", max(1, rounds // 3), {name: whole(splits, r) for name, r in recipes.items()})


def loops(splits: LabelledSplits, recipes: dict[str, Recipe]) -> dict[str, object]:
    """The steps alone, on arrays that are ready."""
    scaled = fit_scaling("mean", splits.train.X)
    floats = Examples(scaled.design_matrix(splits.train.X), splits.train.y)
    contenders = {}
    for name, recipe in recipes.items():
        objective = Objective(recipe, splits.train, scaled)
        if name == "numba-parallel":
            contenders["numba-parallel, uint8"] = loop(objective)
            objective = Objective(recipe, splits.train, scaled)
            objective.X, objective.mean = floats.X, None
        else:
            objective.X = floats.X
        contenders[name] = loop(objective)
    return {"numba-parallel": contenders.pop("numba-parallel"), **contenders}


def loop(objective: Objective):
    recipe = objective.recipe
    start = Position(0, first_weights(recipe, (3073, 10)), np.empty(0))
    return lambda: sgd(objective, start, lambda position: True)


def whole(splits: LabelledSplits, recipe: Recipe):
    return lambda: train(splits, recipe)


def compare(what: str, rounds: int, contenders: dict) -> None:
    """Prints each contender's time and how many times the first one's it is."""
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds + 1):  # the first round compiles
        for name, go in contenders.items():
            sleep(UNTIL_BLAS_SLEEPS)
            start = perf_counter()
            go()
            times[name].append(perf_counter() - start)
    first = next(iter(times))
    for name, seconds in times.items():
        ratios = [theirs / ours for theirs, ours in zip(seconds[1:], times[first][1:], strict=True)]
        spread = f"{statistics.median(ratios):.2f} [{min(ratios):.2f}, {max(ratios):.2f}]"
        print(f"{what:24} {name:22} {statistics.median(seconds[1:]):8.3f} s   {spread} x {first}", flush=True)


if __name__ == "__main__":
    main()
