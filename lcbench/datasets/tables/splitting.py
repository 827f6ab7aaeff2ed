"""Which rows are learnt from and which are kept back, where a file does not say so itself."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lcbench.datasets.rows import Rows, choose
from lcbench.datasets.tables.contents import Split
from lcbench.errors import LcbenchError

_BLOCK_BYTES = 2**20


def require_fractions(fractions: Mapping[Split, float]) -> None:
    """Raises LcbenchError unless each fraction is 0 or more and something is left to train on."""
    for split, fraction in fractions.items():
        if not fraction >= 0:
            raise LcbenchError(f"the fraction for {split} is {fraction}; it must be 0 or more")
    if not sum(fractions.values()) < 1:
        said = " and ".join(f"{fraction:g} for {split}" for split, fraction in fractions.items())
        raise LcbenchError(f"{said} leave nothing to train on; together they must be below 1")


def draw(
    y: NDArray[np.int64], class_names: tuple[str, ...], fractions: Mapping[Split, float], seed: int, path: Path
) -> dict[Split, NDArray[np.int64]]:
    """Row numbers, ascending, of each split in `fractions` and of "train", which gets the rest.

    Of each class of y (N,), every split gets its fraction, rounded, and at least one row unless the fraction is 0.
    The same seed gives the same rows. Raises LcbenchError where a class has fewer rows than there are splits to fill.
    """
    filled = [split for split, fraction in fractions.items() if fraction > 0]
    counts = np.bincount(y, minlength=len(class_names))
    few = np.flatnonzero(counts <= len(filled))
    if few.size:
        raise LcbenchError(_too_few(few, counts, class_names, filled, path))

    stream = np.random.default_rng(seed)
    by_class = np.split(np.argsort(y, kind="stable"), np.cumsum(counts)[:-1])
    chosen: dict[Split, list[NDArray[np.int64]]] = {split: [] for split in (*fractions, "train")}
    for of_class in by_class:
        shuffled = stream.permutation(of_class)
        for still_to_fill, split in zip(range(len(filled), 0, -1), filled, strict=True):
            wanted = max(1, round(len(of_class) * fractions[split]))
            # the splits after this one, of which train is the last, need a row each
            size = min(wanted, len(shuffled) - still_to_fill)
            chosen[split].append(shuffled[:size])
            shuffled = shuffled[size:]
        chosen["train"].append(shuffled)
    none = np.empty(0, np.int64)
    return {split: np.sort(np.concatenate([none, *rows])) for split, rows in chosen.items()}


def _too_few(
    few: NDArray[np.int64], counts: NDArray[np.int64], class_names: tuple[str, ...], filled: list[Split], path: Path
) -> str:
    first = few[0]
    rows = "1 row" if counts[first] == 1 else f"{counts[first]} rows"
    needed = f"{', '.join(('train', *filled[:-1]))} and {filled[-1]} need one each"
    if few.size == 1:
        return f"{path}: class {class_names[first]!r} has {rows}, and {needed}; add rows or leave the class out"
    return (
        f"{path}: {few.size:,} of {len(class_names):,} classes have too few rows (class {class_names[first]!r} has "
        f"{rows}, and {needed}); are these the labels? --label chooses others"
    )


def keep(X: Rows, rows: NDArray[np.int64]) -> Rows:
    """``X[rows]`` for ascending rows without a second X in memory: they move to the front of X, which is given up."""
    if len(rows) == len(X):
        return X
    if not isinstance(X, np.ndarray):
        return choose(X, rows)
    step = max(1, _BLOCK_BYTES // (X.shape[1] * X.itemsize))
    for start in range(0, len(rows), step):
        block = rows[start : start + step]
        X[start : start + len(block)] = X[block]
    return X[: len(rows)]
