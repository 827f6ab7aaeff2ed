"""The data that a name or a file stands for, as pixels or as features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lcbench import paths
from lcbench.datasets import examples, memory
from lcbench.datasets.examples import Examples, LabelledSplits
from lcbench.errors import LcbenchError
from lcbench.progress import NoteCallback, ProgressCallback, no_note, no_progress, patient


def is_hdf5(data: str | Path) -> bool:
    """Whether it is a file, by its name, that can be streamed."""
    return str(data).lower().endswith((".h5", ".hdf5"))


def load(
    data: str,
    features: Sequence[str] = (),
    *,
    label: str | None = None,
    words: int | None = None,
    seed: int = 0,
    held_out: bool = True,
    learn_from: NDArray[np.uint8] | None = None,
    stream: bool | None = None,
    progress: ProgressCallback = no_progress,
    note: NoteCallback = no_note,
) -> LabelledSplits:
    """The splits of "cifar10", "synthetic" or a file of the user's own; of images, `features` instead of pixels.

    label: the column of a CSV that holds the labels. words, seed: of visual words. held_out: whether rows of a file are
    set apart for validation and test where it does not do so itself. learn_from: images from which features are learnt,
    instead of the training images. stream: whether X stays in its HDF5 file, to be read as it is needed; None: where it
    would not fit in memory, and `note` is told so. progress: is told of features, and of whatever else takes long.
    Raises LcbenchError where the data is missing or unfit, or features are asked of something that is no image.
    """
    if features and stream:
        raise LcbenchError("features are computed in memory: leave either them or the streaming out")
    if data == "cifar10":
        splits = examples.cifar10(paths.cifar10_file(), on_disk=bool(stream))
    elif data == "synthetic":
        if stream:
            raise LcbenchError("synthetic images are made in memory: 'lcbench synth FILE.h5' makes a file to stream")
        splits = examples.synthetic_images()
    else:
        from lcbench.datasets import tables

        if not Path(data).exists():
            raise LcbenchError(f"no data '{data}': give cifar10, synthetic, or a CSV, NPZ or HDF5 file")
        fraction = 0.1 if held_out else 0.0
        splits = tables.read(
            Path(data), label=label, validation=fraction, test=fraction, stream=False if features else stream,
            progress=patient(progress),
        )  # fmt: skip
        if splits.streamed and stream is None:
            note(memory.too_large(splits.source, splits.train.X.nbytes))
    return _with_features(splits, features, words, seed, learn_from, progress) if features else splits


def _with_features(
    splits: LabelledSplits,
    names: Sequence[str],
    words: int | None,
    seed: int,
    learn_from: NDArray[np.uint8] | None,
    progress: ProgressCallback,
) -> LabelledSplits:
    from lcbench.datasets import features
    from lcbench.datasets.features import catalogue

    if splits.image_shape != examples.IMAGE_SHAPE or splits.train.X.dtype != "uint8":
        raise LcbenchError(
            f"{splits.source}: features are of colour images of 32 x 32 uint8 pixels; leave --features out"
        )
    parts = {"train": splits.train, "validation": splits.validation, "test": splits.test}
    images = {name: part.array for name, part in parts.items()}
    fit_on = splits.train.array if learn_from is None else learn_from
    found = features.of(names, images, fit_on, words=words or catalogue.WORDS, seed=seed, progress=progress)
    train, validation, test = (Examples(found[name], part.y) for name, part in parts.items())
    return replace(splits, train=train, validation=validation, test=test)
