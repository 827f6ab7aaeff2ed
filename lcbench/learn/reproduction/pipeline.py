"""How images were classified before networks learnt what to look at: features first, then a linear classifier."""

from __future__ import annotations

from itertools import product
from typing import Any

from lcbench.learn.reproduction.laboratory import Laboratory
from lcbench.learn.reproduction.outcome import Found


def features_and_classifier(inputs: dict[str, Any], laboratory: Laboratory) -> Found:
    """Test accuracies of pixels, of each feature and of all; and the assignment's grid on HOG and colour."""
    names, words = tuple(inputs["features"]), inputs["words"]
    grid = [
        laboratory.trained(
            ("hog", "colour"), loss="svm", learning_rate=rate, reg=reg, iterations=inputs["iterations"],
            batch=inputs["batch"],
        )
        for rate, reg in product(inputs["learning rates"], inputs["regs"])
    ]  # fmt: skip
    best = max(grid, key=lambda model: model.accuracy["validation"])
    test = {name: laboratory.trained((name,), words if name == "words" else None).accuracy["test"] for name in names}
    pixels, together = laboratory.trained().accuracy["test"], laboratory.trained(names, words).accuracy["test"]
    return Found(
        {
            "validation, hog and colour, SGD": best.accuracy["validation"],
            "test, hog and colour, SGD": best.accuracy["test"],
            "test, pixels": pixels,
            **{f"test, {name}": accuracy for name, accuracy in test.items()},
            "test, all": together,
            "all less the best one": together - max(test.values()),
            "best one less pixels": max(test.values()) - pixels,
        }
    )
