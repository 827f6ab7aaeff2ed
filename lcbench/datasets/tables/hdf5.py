"""HDF5, whose arrays may lie in groups: X and y, X_train, train/images, and what `lcbench download` writes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lcbench.datasets import store
from lcbench.datasets.cifar10 import CIFAR10
from lcbench.datasets.examples import IMAGE_SHAPE
from lcbench.datasets.on_disk import of_dataset
from lcbench.datasets.tables import arrays
from lcbench.datasets.tables.contents import Contents, one_line
from lcbench.errors import LcbenchError

if TYPE_CHECKING:
    import h5py


def read(path: Path, label: str | int | None, on_disk: bool = False) -> Contents:
    """The arrays X and y of an HDF5 file. Links out of the file are not followed. Raises LcbenchError.

    on_disk: X is not read; it is a `RowsOnDisk`.
    """
    import h5py

    if not h5py.is_hdf5(path):
        raise LcbenchError(f"{path} is damaged or no HDF5 file; write it again, with h5py.File for example")
    try:
        with h5py.File(path) as file:
            names: list[str] = []
            file.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
            contents = arrays.contents(
                path,
                names,
                lambda name: _array(path, file[name]),
                label,
                load_X=(lambda name: of_dataset(path, file[name])) if on_disk else None,
            )
            # the images of `lcbench download` lie there flat
            cifar10 = file.attrs.get("format") == store.FORMAT and file.attrs.get("dataset") == CIFAR10.name
            return replace(contents, image_shape=IMAGE_SHAPE) if cifar10 else contents
    except (OSError, KeyError, RuntimeError, ValueError, TypeError, AttributeError) as error:
        # all of these are ways in which h5py meets damaged files
        raise LcbenchError(f"{path} is damaged ({one_line(error)}); write it again") from error


def size(path: Path) -> int:
    """Bytes that the arrays of an HDF5 file would take in memory; 0 where that cannot be told."""
    import h5py

    total = 0

    def add(name: str, item: h5py.Group | h5py.Dataset) -> None:
        nonlocal total
        total += item.nbytes if isinstance(item, h5py.Dataset) and item.shape else 0

    try:
        with h5py.File(path) as file:
            file.visititems(add)
    except (OSError, KeyError, RuntimeError, ValueError, TypeError, AttributeError):
        return 0  # `read` says what is wrong
    return total


def _array(path: Path, dataset: h5py.Dataset) -> NDArray[Any]:
    import h5py

    if dataset.shape is None:
        raise LcbenchError(f"{path}: {dataset.name[1:]} holds nothing; store an array of numbers")
    if h5py.check_string_dtype(dataset.dtype):
        return np.array(dataset.asstr()[()], dtype=np.str_)
    return np.asarray(dataset[()])
