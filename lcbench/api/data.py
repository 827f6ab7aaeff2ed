"""Where the rows to be measured on come from: a name, or a file of the user's own; in memory, or streamed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lcbench import temporary
from lcbench.api.problem import require
from lcbench.progress import NoteCallback, no_note

if TYPE_CHECKING:
    from lcbench.measure.workload import Size

SYNTHETIC_ROWS = 50_000
"""Of synthetic images that are streamed, where no number is asked for: as many as CIFAR-10 has."""

CIFAR10_ROWS = 50_000


@dataclass(frozen=True)
class Data:
    """name: as the record has it. file: where X is, if `name` does not say that by itself. rows: to be measured on.

    file_itemsize: bytes of a number of X as it lies in the file.
    """

    name: str
    rows: list[int]
    features: int
    classes: int
    dtype: str
    streamed: bool = False
    file: Path | None = None
    file_itemsize: int = 1

    def size(self, rows: int, batch: int | None = None) -> Size:
        """The problem of so many of the first rows."""
        from lcbench.measure.workload import Size

        return Size(
            rows, self.features, self.classes, self.dtype, self.name, batch, self.streamed, self.file,
            self.file_itemsize,
        )  # fmt: skip


def require_there(data: str) -> None:
    """Raises LcbenchError where `data` is neither a name nor a file."""
    from lcbench.measure.workload import GENERATED

    require(
        data in GENERATED or Path(data).exists(),
        f"no data '{data}': give synthetic, cifar10, or a CSV, NPZ or HDF5 file",
    )


@contextmanager
def opened(
    data: str,
    stream: bool,
    rows: list[int],
    features: int,
    classes: int,
    dtype: str,
    note: NoteCallback = no_note,
) -> Iterator[Data]:
    """What `data` stands for: "synthetic", "cifar10" or a file, which says itself how many features and classes it has.

    stream: X stays on disk, all of it where no `rows` are asked for; a file's does so too where it would not fit in
    memory, and `note` is told. Raises LcbenchError where there is no such data, or not so many rows.
    """
    from lcbench.measure.workload import GENERATED

    if data not in GENERATED:
        found = _of_file(Path(data), stream, rows, dtype, note)
        require(
            (features, classes) in ((3073, 10), (found.features, found.classes)),
            f"{data} has {found.features:,} features, the ones column included, and {found.classes:,} classes: "
            "leave --features and --classes out",
        )
        yield found
    elif not stream:
        yield Data(data, rows, features, classes, dtype)
    elif data == "cifar10":
        yield Data(data, rows or [CIFAR10_ROWS], features, classes, dtype, streamed=True)
    else:
        rows = rows or [SYNTHETIC_ROWS]
        from lcbench.datasets import synthetic, synthetic_file

        with temporary.folder("synth") as folder:
            file = Path(folder) / "synthetic.h5"
            # a file has a row of each class, and begins with the same rows however many it has
            written = max(*rows, synthetic.rows_of_all_classes(classes))
            synthetic_file.write(file, written, max(1, features - 1), classes)
            yield Data(data, rows, features, classes, dtype, streamed=True, file=file)


def _of_file(file: Path, stream: bool, rows: list[int], dtype: str, note: NoteCallback) -> Data:
    from lcbench.measure import source, workload

    found = source.shape(file)
    require(
        max(rows, default=0) <= found.rows,
        f"{file} has {found.rows:,} rows to train on, {max(rows, default=0):,} were asked for",
    )
    all_rows = workload.Size(max(rows, default=found.rows), found.features, found.classes, dtype, file.name)
    if not stream and found.on_disk and not workload.fits(all_rows):
        stream = True
        note(f"{file}: X of {all_rows.rows:,} rows would not fit in memory; streamed from the file")
    if not rows:
        rows = [found.rows] if stream else sorted({min(count, found.rows) for count in workload.DEFAULT_ROWS})
    return Data(file.name, rows, found.features, found.classes, dtype, stream, file, found.itemsize)
