"""What a file was found to hold, before it is known to be sound. Each format makes this, and `reading` checks it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from numpy.typing import NDArray

from lcbench.datasets.on_disk import RowsOnDisk

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")


@dataclass(frozen=True)
class Part:
    """The rows of one split as they stand in the file.

    X (N, ...) of any type, or (N, D) where it stays on disk; y numbers or text ("U").
    x_name, y_name: what the file calls them. cell, label: what a message calls the value of X in a row and column, and
    the label of a row, file included.
    """

    X: NDArray[Any] | RowsOnDisk
    y: NDArray[Any]
    x_name: str
    y_name: str
    cell: Callable[[int, int], str]
    label: Callable[[int], str]


@dataclass(frozen=True)
class Contents:
    """parts: always with "train"; the others where the file tells them apart itself.

    class_names, feature_names, image_shape: where the file states them.
    """

    parts: Mapping[Split, Part]
    class_names: tuple[str, ...] | None = None
    feature_names: tuple[str, ...] = ()
    image_shape: tuple[int, int, int] | None = None


def listed(names: list[str], most: int = 8) -> str:
    """Names as a message lists them: quoted, and no more than fit."""
    shown = ", ".join(repr(name) for name in names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown


def one_line(error: Exception) -> str:
    """What another library says went wrong, on one line."""
    return " ".join(str(error).split()) or type(error).__name__
