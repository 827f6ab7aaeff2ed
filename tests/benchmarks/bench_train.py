"""Training on CIFAR-10 by the assignment's protocol and by L-BFGS: numba-parallel compared with NumPy and PyTorch.

python tests/benchmarks/bench_train.py [ROUNDS]

Needs data/cifar10.h5 ('lcbench download'). All targets train from the same start on the same batches with the same
code. They alternate, and medians of the paired ratios are printed. "loop": 1500 steps of 200 rows, with X in memory
(float32 with the bias column for all, also uint8 for numba-parallel). "whole": the complete training with the images in
memory: mean image, design matrix, steps, accuracies.
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

TARGETS = ("numba-parallel", "numpy", "torch")
BLAS_SPIN_S = 0.3
"""Pause before a measurement: the threads of OpenBLAS spin for about 0.1 s after a product."""


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    splits = examples.cifar10_splits(files.cifar10_file())
    for loss in ("svm", "softmax"):
        recipes = {
            name: recipe_for(splits, data="cifar10", loss=loss, iterations=1500, implementation=name)
            for name in TARGETS
        }
        compare(f"{loss}, loop", rounds, loops(splits, recipes))
        compare(f"{loss}, whole", rounds, {name: whole(splits, recipe) for name, recipe in recipes.items()})
    recipes = {name: recipe_for(splits, data="cifar10", solver="lbfgs", implementation=name) for name in TARGETS}
    compare("L-BFGS softmax, whole", max(1, rounds // 3), {name: whole(splits, r) for name, r in recipes.items()})


def loops(splits: LabelledSplits, recipes: dict[str, Recipe]) -> dict[str, object]:
    """Return the functions that run only the steps, on prepared arrays."""
    scaled = fit_scaling("mean", splits.train.X)
    floats = Examples(scaled.design_matrix(splits.train.X), splits.train.y)
    targets = {}
    for name, recipe in recipes.items():
        objective = Objective(recipe, splits.train, scaled)
        if name == "numba-parallel":
            targets["numba-parallel, uint8"] = loop(objective)
            objective = Objective(recipe, splits.train, scaled)
            objective.X, objective.mean = floats.X, None
        else:
            objective.X = floats.X
        targets[name] = loop(objective)
    return {"numba-parallel": targets.pop("numba-parallel"), **targets}


def loop(objective: Objective):
    recipe = objective.recipe
    start = Position(0, first_weights(recipe, (3073, 10)), np.empty(0))
    return lambda: sgd(objective, start, lambda position: True)


def whole(splits: LabelledSplits, recipe: Recipe):
    return lambda: train(splits, recipe)


def compare(what: str, rounds: int, targets: dict) -> None:
    """Print the time of each target and its ratio to the first one."""
    times: dict[str, list[float]] = {name: [] for name in targets}
    for _ in range(rounds + 1):  # the first round compiles
        for name, go in targets.items():
            sleep(BLAS_SPIN_S)
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
