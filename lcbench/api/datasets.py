"""Data sets: CIFAR-10, synthetic images and image features; reproduction of published figures."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from lcbench import files
from lcbench.errors import require
from lcbench.progress import NoteCallback, ProgressCallback, no_note, no_progress

if TYPE_CHECKING:
    from lcbench.datasets.features.catalog import PrecomputedFeature
    from lcbench.reproduction.figures import Outcome


@dataclass(frozen=True)
class Downloaded:
    """File of CIFAR-10, source of its archive, and whether the file was written now or existed before."""

    path: Path
    source: str
    written: bool


def download(
    *,
    url: str | None = None,
    file: Path | None = None,
    layout: Literal["binary", "python"] = "binary",
    force: bool = False,
    progress: ProgressCallback = no_progress,
    note: NoteCallback = no_note,
) -> Downloaded:
    """Download CIFAR-10, verify it, and write it into the data folder, unless it is there already.

    Parameters
    ----------
    url
        URL of the archive, or of its folder if it ends with a slash.
    file
        Local archive, or folder of its files, to read instead.
    layout
        Which of the two official archives is downloaded.
    force
        Replace an existing file.
    progress
        Called with the progress.
    note
        Called with lines for the user.

    Raises
    ------
    LcbenchError
        If there is no valid archive; an existing file is kept in that case.
    """
    require(not (url and file), "url and file are two sources: give one")
    path = files.cifar10_file()
    write = force or not path.exists()
    from lcbench.datasets import store

    if write:
        from lcbench.datasets.download import alone, fetch_dataset

        with alone(path.parent, note):
            write = force or not path.exists()  # another process may have written it meanwhile
            if write:
                fetch_dataset(path, url=url, file=file, layout=layout, note=note, progress=progress)
    return Downloaded(path, store.origin(path).source, write)


def verify() -> Path:
    """Check every image in the file of CIFAR-10 and return the file. Raise LcbenchError if one has changed."""
    from lcbench.datasets import store

    path = files.cifar10_file()
    store.verify(path)
    return path


def synth(
    file: Path | str,
    rows: int,
    *,
    features: int = 3072,
    classes: int = 10,
    seed: int = 0,
    force: bool = False,
    progress: ProgressCallback = no_progress,
) -> Path:
    """Write synthetic images, X (rows, features) uint8 and y (rows,), to the HDF5 file `file`, and return it.

    Parameters
    ----------
    file
        File whose name ends in .h5.
    rows, features, classes, seed
        Numbers of images, of values per image and of classes, and the random seed.
    force
        Replace an existing file.
    progress
        Called with the progress.

    Raises
    ------
    LcbenchError
        If the file cannot be written, or if `rows` is too small for a row of each class.
    """
    path = Path(file)
    require(path.name.lower().endswith((".h5", ".hdf5")), f"{path}: end its name in .h5, so that it is read as HDF5")
    require(force or not path.exists(), f"{path} is there already: --force replaces it")
    files.require_parent_folder(path)
    from lcbench.datasets import synthetic

    synthetic.write_hdf5(path, rows, features, classes, seed, progress, replace=force)
    return path


def features(
    names: str | Iterable[str],
    *,
    words: int | None = None,
    seed: int = 0,
    data: str = "cifar10",
    progress: ProgressCallback = no_progress,
) -> list[PrecomputedFeature]:
    """Compute features of the training, validation and test images, and store them for training.

    Parameters
    ----------
    names
        Features, several separated by commas.
    words
        Number of visual words.
    seed
        Random seed.
    data
        "cifar10" or "synthetic".
    progress
        Called with the progress.

    Raises
    ------
    LcbenchError
        If a feature is unknown, or a package or the images are missing.
    """
    from lcbench.datasets.features.catalog import WORDS, find_feature, require_settings

    wanted = [name for text in ([names] if isinstance(names, str) else names) for name in text.split(",") if name]
    for name in wanted:  # fail before the images are read
        find_feature(name)
    if not wanted:
        return []
    require_settings(WORDS if words is None else words, seed)
    require(data in ("cifar10", "synthetic"), f"data is {data!r}: there is cifar10 and synthetic")
    from lcbench.datasets import examples
    from lcbench.datasets.features.catalog import precompute

    examples.require_cifar10(data)
    splits = examples.cifar10_splits(files.cifar10_file()) if data == "cifar10" else examples.synthetic_images()
    images = {"train": splits.train.array, "validation": splits.validation.array, "test": splits.test.array}
    return [precompute(name, images, words=words or WORDS, seed=seed, progress=progress) for name in wanted]


def reproduce(
    rows: Iterable[str] = (), *, implementation: str = "numba-parallel", progress: ProgressCallback = no_progress
) -> list[Outcome]:
    """Compute published figures with the losses of an implementation and compare the results with the figures.

    Parameters
    ----------
    rows
        Names of the figures as in ``lcbench reproduce --list``, by default all. Figures on CIFAR-10 are skipped if it
        was not downloaded.
    implementation
        Name in the catalog.
    progress
        Called with the progress.

    Raises
    ------
    LcbenchError
        If a row is unknown.
    LossError
        If the implementation is unknown.
    """
    from lcbench.losses import catalog
    from lcbench.reproduction.figures import select_rows

    wanted = select_rows(list(rows))
    loaded = catalog.load(implementation)
    from lcbench.reproduction.context import Context
    from lcbench.reproduction.rows import reproduce as reproduced

    context = Context(loaded, progress)
    outcomes: list[Outcome] = []
    for row in wanted:
        progress("rows", len(outcomes), len(wanted), row.id)
        outcomes.append(reproduced(row, context))
    return outcomes
