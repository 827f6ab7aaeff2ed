"""Reading of a table file of any known format into checked splits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lcbench import files, units
from lcbench.control_groups import memory_available
from lcbench.datasets import examples
from lcbench.datasets.examples import Examples, LabelledSplits, require_finite, require_rows
from lcbench.datasets.rows import Rows, select_rows
from lcbench.datasets.tables import arrays, contents, delimited
from lcbench.datasets.tables.contents import SPLITS, Contents, Split
from lcbench.errors import LcbenchError
from lcbench.progress import ProgressCallback, no_progress


@dataclass(frozen=True)
class Format:
    """File format. signature: first bytes of a file, empty for text. read: called with the path and the label."""

    name: str
    endings: tuple[str, ...]
    signature: bytes
    read: Callable[[Path, str | int | None], Contents]


FORMATS = (
    Format("CSV", (".csv", ".tsv"), b"", delimited.read_delimited),
    Format("gzipped CSV", (".csv.gz", ".tsv.gz"), b"\x1f\x8b", delimited.read_delimited),
    Format("NPZ", (".npz",), b"PK", arrays.read_npz),
    Format("HDF5", (".h5", ".hdf5"), b"\x89HDF\r\n\x1a\n", arrays.read_hdf5),
)


def read_table(
    path: Path,
    *,
    label: str | int | None = None,
    validation: float = 0.1,
    test: float = 0.1,
    seed: int = 0,
    stream: bool | None = None,
    copied_itemsize: int = 0,
    progress: ProgressCallback = no_progress,
) -> LabelledSplits:
    """Return the examples of a CSV (or TSV, also gzipped), NPZ or HDF5 file. The ending tells the format.

    CSV: separated by comma, semicolon or tab, with or without a header. `label` is the column of the labels, by name
    or by index (negative: from the end); by default the one called label, class, y or target, otherwise the last. All
    other columns are features, read as float64.

    NPZ and HDF5: X and y, or images and labels, or data and target, also with the name of a split (X_train, train/X),
    and optionally class_names. `label` is the name of the array of the labels if it has another name. X keeps uint8,
    float32 and float64; other integers become float32. X of more than two axes is flattened to (N, D).

    Labels are numbers from 0 without gaps, or text, which is sorted. Splits of the file are kept. The others are drawn
    from its training rows with `seed`: the fractions `validation` and `test` of each class, at least one row of each
    class unless the fraction is 0, in the order of the file.

    stream: whether X stays in its file, which must be HDF5, and is read as needed, with the same results; None: only if
    X does not fit in memory, with a further copy of `copied_itemsize` bytes per value. progress: called while X is
    checked.

    Raise LcbenchError, with the place in the file, if the file is no such table.
    """
    fractions: dict[Split, float] = {"validation": validation, "test": test}
    contents.require_fractions(fractions)
    found = _read(path, label, stream, copied_itemsize)

    X: dict[Split, Rows] = {}
    for split, part in found.parts.items():
        X[split] = contents.as_matrix(part.X, f"{path}: {part.x_name}")
        require_rows(X[split], part.y, part.x_name, part.y_name, str(path))
    contents.require_same_features(X, found, path)
    y, class_names = contents.number_labels(found, path)
    for split, part in found.parts.items():
        require_finite(X[split], part.cell, progress)

    missing = {split: fraction for split, fraction in fractions.items() if split not in X}
    rows = contents.draw_splits(y["train"], class_names, missing, seed, path)
    for split in missing:
        X[split], y[split] = select_rows(X["train"], rows[split]), y["train"][rows[split]]
    X["train"], y["train"] = contents.keep_rows(X["train"], rows["train"]), y["train"][rows["train"]]
    return LabelledSplits(
        **{split: Examples(X[split], y[split]) for split in SPLITS},
        class_names=class_names,
        source=path.name,
        feature_names=found.feature_names,
        image_shape=found.image_shape or contents.image_shape(found.parts["train"].X),
    )


def _read(path: Path, label: str | int | None, stream: bool | None, copied_itemsize: int) -> Contents:
    format_ = _format(path)
    if format_.read is not arrays.read_hdf5:
        if stream:
            raise LcbenchError(
                f"{path}: {format_.name} is read whole; only HDF5 can be streamed, so convert it to HDF5"
            )
        size = arrays.npz_size(path) if format_.name == "NPZ" else path.stat().st_size
        _require_memory(path, size, "convert it to HDF5, which is read as needed")
        return format_.read(path, label)
    size, values = arrays.hdf5_size(path)
    if stream is None:
        stream = not examples.fits_in_memory(size, values * copied_itemsize)
    elif not stream:
        _require_memory(path, size, "choose fewer rows")
    return arrays.read_hdf5(path, label, on_disk=stream)


def _require_memory(path: Path, size: int, advice: str) -> None:
    """Raise LcbenchError if the arrays of a file, at least `size` bytes, and a copy do not fit in memory."""
    if not examples.fits_in_memory(size):
        raise LcbenchError(
            f"{path} takes {units.size(2 * size)} of memory with a copy of its rows, and "
            f"{units.size(memory_available())} are free: {advice}"
        )


def _format(path: Path) -> Format:
    """Return the format that the ending of the file names, after a check that its first bytes do not contradict it."""
    named = next((format_ for format_ in FORMATS if path.name.lower().endswith(format_.endings)), None)
    if named is None:
        endings = ", ".join(ending for format_ in FORMATS for ending in format_.endings)
        raise LcbenchError(f"{path}: unknown file extension; the known ones are {endings}")
    files.require_regular_file(path)
    try:
        with path.open("rb") as file:
            head = file.read(16)
    except OSError as error:
        raise LcbenchError(f"cannot read {path}: {error.strerror or error}; check its permissions") from error
    if not head:
        raise LcbenchError(f"{path} is empty; it should hold a table in {named.name}")
    found = next((format_ for format_ in FORMATS if format_.signature and head.startswith(format_.signature)), None)
    if found and found is not named:
        raise LcbenchError(
            f"{path} has the content of {found.name}, not of {named.name}; rename it to end in {found.endings[0]}"
        )
    return named
