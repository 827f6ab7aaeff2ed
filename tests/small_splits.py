"""Small data set of few features, for fast training."""

from __future__ import annotations

import numpy as np

from lcbench.datasets.examples import Examples, LabelledSplits


def splits(
    rows: int = 120, features: int = 6, classes: int = 3, dtype: str = "float32", seed: int = 0
) -> LabelledSplits:
    """Return Gaussian clusters, one per class. dtype "uint8" scales them to the range of pixels."""
    rng = np.random.default_rng(seed)
    centres = 2 * rng.standard_normal((classes, features))

    def part(count: int) -> Examples:
        y = np.arange(count) % classes
        X = centres[y] + rng.standard_normal((count, features))
        X = np.clip(128 + 20 * X, 0, 255).astype(np.uint8) if dtype == "uint8" else X.astype(dtype)
        return Examples(X, y.astype(np.int64))

    names = tuple(f"class {c}" for c in range(classes))
    return LabelledSplits(part(rows), part(rows // 2), part(rows // 2), names, "clouds")
