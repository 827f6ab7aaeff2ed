"""Labels as a file has them, numbers or names of classes, made into numbers from 0 without gaps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lcbench.datasets.soundness import require_labels
from lcbench.datasets.tables.contents import Contents, Split, listed
from lcbench.errors import LcbenchError

_NO_NAMES = ("", "nan")
"""What stands in a column of text where a label is missing, an empty cell or what pandas makes of it."""


def numbered(contents: Contents, path: Path) -> tuple[dict[Split, NDArray[np.int64]], tuple[str, ...]]:
    """The labels of each split, (N,) int64 in [0, C), and the names of the C classes.

    The names are those that the file states, or the labels themselves, sorted if they are text. Raises LcbenchError for
    a label that is no class, a class without a training row, and fewer than two classes.
    """
    kinds = {part.y.dtype.kind == "U" for part in contents.parts.values()}
    if len(kinds) == 2:
        raise LcbenchError(f"{path}: labels are text in one split and numbers in another; write them alike")
    y, class_names = _from_text(contents) if kinds == {True} else _from_numbers(contents, path)
    used = np.unique(y["train"])
    if len(used) < len(class_names):
        absent = class_names[_first_gap(used)]
        raise LcbenchError(f"{path}: no training row is of class {absent!r}; add some or leave the class out")
    if len(used) == 1:
        rows = "the only row is" if len(y["train"]) == 1 else f"all {len(y['train']):,} rows are"
        raise LcbenchError(f"{path}: {rows} of class {class_names[0]!r}; there must be two classes to tell apart")
    return y, class_names


def _from_text(contents: Contents) -> tuple[dict[Split, NDArray[np.int64]], tuple[str, ...]]:
    distinct = np.unique(np.concatenate([np.unique(part.y) for part in contents.parts.values()]))
    class_names = contents.class_names or tuple(str(name) for name in distinct)
    number = {name: c for c, name in enumerate(class_names)}
    y = {}
    for split, part in contents.parts.items():
        distinct, which = np.unique(part.y, return_inverse=True)
        for i, name in enumerate(distinct.tolist()):
            if name in number and name.lower() not in _NO_NAMES:
                continue
            place = part.label(int(np.argmax(which == i)))
            if name.lower() in _NO_NAMES:
                raise LcbenchError(f"{place} is {repr(name) if name else 'empty'}; fill it in or leave the row out")
            raise LcbenchError(f"{place} is {name!r}, and class_names has only {listed([*class_names])}; add it there")
        y[split] = np.array([number[name] for name in distinct.tolist()], np.int64)[which]
    return y, class_names


def _from_numbers(contents: Contents, path: Path) -> tuple[dict[Split, NDArray[np.int64]], tuple[str, ...]]:
    classes = None if contents.class_names is None else len(contents.class_names)
    y = {}
    for split, part in contents.parts.items():
        labels = part.y.astype(np.int64) if part.y.dtype.kind == "b" else part.y
        require_labels(labels, classes, part.label)
        y[split] = labels.astype(np.int64)
    if contents.class_names is not None:
        return y, contents.class_names
    # before any array or list is made whose length is the highest label
    absent = _first_gap(np.unique(y["train"]))
    split = max(y, key=lambda split: int(y[split].max()))
    highest = int(y[split].max())
    if absent <= highest:
        place = contents.parts[split].label(int(y[split].argmax()))
        raise LcbenchError(
            f"{place} is {highest}, and no training row has the label {absent}; number the classes from 0 without gaps"
        )
    return y, tuple(str(label) for label in range(highest + 1))


def _first_gap(used: NDArray[np.int64]) -> int:
    """The lowest number from 0 that is not among `used`, which ascend."""
    gaps = np.flatnonzero(used != np.arange(len(used)))
    return int(gaps[0]) if gaps.size else len(used)
