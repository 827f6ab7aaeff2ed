"""The rows of a search in one file that all its processes map into memory: they are there once, however many read."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np

from lcbench.datasets.examples import Examples, LabelledSplits


class _Layout(msgspec.Struct, kw_only=True, frozen=True):
    """What the files hold: the training rows first, the validation rows behind them."""

    train: int
    rows: int
    columns: int
    dtype: str
    class_names: tuple[str, ...]
    source: str
    image_shape: tuple[int, int, int] | None
    feature_names: tuple[str, ...]


def lay_out(folder: Path, splits: LabelledSplits) -> LabelledSplits:
    """Writes what is trained and chosen on into `folder`; returns `splits` with these rows mapped from there."""
    parts = (splits.train, splits.validation)
    with (folder / "X").open("wb") as X, (folder / "y").open("wb") as y:
        for part in parts:
            # written and not mapped, so that a full disk is an error and not the end of the process
            part.array.astype(splits.train.X.dtype, copy=False).tofile(X)
            part.y.tofile(y)
    layout = _Layout(
        train=len(splits.train), rows=sum(map(len, parts)), columns=splits.train.X.shape[1],
        dtype=str(splits.train.X.dtype), class_names=splits.class_names, source=splits.source,
        image_shape=splits.image_shape, feature_names=splits.feature_names,
    )  # fmt: skip
    (folder / "layout.json").write_bytes(msgspec.json.encode(layout))
    return replace(mapped(folder), test=splits.test)


def mapped(folder: Path, *, all_rows: bool = False) -> LabelledSplits:
    """The splits in `folder`, without test rows. all_rows: the validation rows are at the end of the training rows."""
    layout = msgspec.json.decode((folder / "layout.json").read_bytes(), type=_Layout)
    # Copy on write: an implementation that writes to its input harms nobody else.
    X = np.asarray(np.memmap(folder / "X", layout.dtype, "c", shape=(layout.rows, layout.columns)))
    y = np.asarray(np.memmap(folder / "y", np.int64, "c", shape=(layout.rows,)))
    end = layout.rows if all_rows else layout.train
    train, validation, nothing = Examples(X[:end], y[:end]), Examples(X[end:], y[end:]), Examples(X[:0], y[:0])
    return LabelledSplits(
        train, validation, nothing, layout.class_names, layout.source, layout.image_shape, layout.feature_names
    )
