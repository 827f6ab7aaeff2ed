"""Data of lcbench's own: CIFAR-10, synthetic images, features of images, and the figures that others published."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from lcbench import files
from lcbench.errors import require
from lcbench.progress import NoteCallback, ProgressCallback, no_note, no_progress

if TYPE_CHECKING:
    from lcbench.datasets.features.extraction import PrecomputedFeature
    from lcbench.reproduction.figures import Outcome


@dataclass(frozen=True)
class Downloaded:
    """The file of CIFAR-10, from where its archive came, and whether it was written now or there before."""

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
    """Write CIFAR-10, verified, into the folder of data where it is not there, and return where it is.

    url: of the archive, or of its folder, with a / at its end. file: a local archive, so that nothing is fetched.
    layout: which of the two official archives is fetched. force: replaces the file that is there.
    Raises LcbenchError where there is no such archive; the file that was there stays.
    """
    require(not (url and file), "url and file are two sources: give one")
    path = files.cifar10_file()
    write = force or not path.exists()
    from lcbench.datasets import store

    if write:
        from lcbench.datasets.download import fetch_dataset

        fetch_dataset(path, url=url, file=file, layout=layout, note=note, progress=progress)
    return Downloaded(path, store.origin(path).source, write)


def verify() -> Path:
    """Return the file of CIFAR-10, of which every image was checked. Raises LcbenchError where it is not as it was."""
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

    force: replaces the file that is there. Raises LcbenchError where it cannot be written, or has no room for a row of
    each class.
    """
    path = Path(file)
    require(force or not path.exists(), f"{path} is there already: --force replaces it")
    require(path.name.lower().endswith((".h5", ".hdf5")), f"{path}: end its name in .h5, so that it is read as HDF5")
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
    """Compute features of the images that train, validate and test, and keep them for training.

    names: of features, or several with commas. words, seed: of visual words. data: "cifar10" or "synthetic".
    Raises LcbenchError where there is no such feature, a package is missing or the images are not there.
    """
    from lcbench.datasets.features.catalog import WORDS, find_feature

    wanted = [name for text in ([names] if isinstance(names, str) else names) for name in text.split(",") if name]
    for name in wanted:  # before the images are read
        find_feature(name)
    if not wanted:
        return []
    require(data in ("cifar10", "synthetic"), f"data is {data!r}: there is cifar10 and synthetic")
    from lcbench.datasets import examples
    from lcbench.datasets.features.extraction import precompute

    splits = examples.cifar10_splits(files.cifar10_file()) if data == "cifar10" else examples.synthetic_images()
    images = {"train": splits.train.array, "validation": splits.validation.array, "test": splits.test.array}
    return [precompute(name, images, words=words or WORDS, seed=seed, progress=progress) for name in wanted]


def reproduce(
    rows: Iterable[str] = (), *, implementation: str = "numba-parallel", progress: ProgressCallback = no_progress
) -> list[Outcome]:
    """Compute published figures, by default all, with the losses of an implementation, and hold them against these.

    rows: their names, as ``lcbench reproduce --list`` has them. Those on CIFAR-10 are skipped where it is not there.
    Raises LcbenchError or LossError where there is no such row or implementation.
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
