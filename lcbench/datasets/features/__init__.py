"""Features of images: what a linear classifier sees better than pixels.

`of` computes them, or reads what was computed before from the same images.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from lcbench.datasets.features import cache
from lcbench.datasets.features.catalog import PATCHES, WORDS, Feature, Settings, find_usable
from lcbench.datasets.features.descriptors import PLANES, side_of
from lcbench.errors import LcbenchError
from lcbench.progress import ProgressCallback, no_progress


@dataclass(frozen=True)
class Computed:
    """A feature of `rows` images: seconds to compute and keep it, or to read it where it was `kept` before.

    files: by split, where it is kept.
    """

    name: str
    dimensions: int
    rows: int
    seconds: float
    kept: bool
    files: dict[str, str]


LEAST_SIDE = 8
"""Rows and columns of the smallest image that has every feature."""


def of(
    names: Sequence[str],
    images: Mapping[str, NDArray[np.uint8]],
    fit_on: NDArray[np.uint8],
    *,
    words: int = WORDS,
    seed: int = 0,
    patches: int = PATCHES,
    progress: ProgressCallback = no_progress,
) -> dict[str, NDArray[np.float32]]:
    """The features called `names`, side by side in that order, of every split of `images`.

    images: for each split (N, 3 * side * side) uint8 in CIFAR-10's order of planes; the result has (N, D) float32 for
    each, not standardised. fit_on (M, pixels): the training images, the only ones from which anything is learnt. words,
    seed, patches: of visual words (`catalogue.Settings`). progress: is told of what is not in the cache. Raises
    LcbenchError for an unknown name, a missing package, images of another shape, and where the cache cannot be written.
    """
    settings = Settings(words, seed, patches)
    chosen = [find_usable(name) for name in names]
    side = _side([fit_on, *images.values()])
    ends = np.cumsum([0, *(feature.dimensions(settings, side) for feature in chosen)])
    found = {split: np.empty((len(rows), ends[-1]), np.float32) for split, rows in images.items()}
    for feature, start, end in zip(chosen, ends, ends[1:], strict=False):
        _fill({split: rows[:, start:end] for split, rows in found.items()}, feature, images, fit_on, settings, progress)
    return found


def compute(
    name: str, images: Mapping[str, NDArray[np.uint8]], *, words: int, seed: int, progress: ProgressCallback
) -> Computed:
    """Compute and keep the feature `name` of every split of `images`, learnt from those to train on."""
    told = False

    def tell(stage: str, done: int = 0, total: int = 0, detail: str = "") -> None:
        nonlocal told
        told = True
        progress(stage, done, total, detail)

    start = perf_counter()
    found = of([name], images, images["train"], words=words, seed=seed, progress=tell)
    return Computed(
        name,
        dimensions=found["train"].shape[1],
        rows=sum(map(len, found.values())),
        seconds=perf_counter() - start,
        kept=not told,  # what is read from the cache makes no progress to be told of
        files={
            split: str(file) for split, file in files(name, images, images["train"], words=words, seed=seed).items()
        },
    )


def _side(images: Iterable[NDArray[np.uint8]]) -> int:
    for rows in images:
        if rows.ndim != 2 or rows.dtype != np.uint8:
            raise LcbenchError(f"features are of images, (N, pixels) uint8, not {rows.shape} {rows.dtype}")
    widths = {rows.shape[1] for rows in images}
    try:
        [side] = {side_of(width) for width in widths}
    except ValueError:
        side = 0
    if side < LEAST_SIDE:
        raise LcbenchError(
            f"features are of square images with {PLANES} colour planes, at least {LEAST_SIDE} x {LEAST_SIDE} pixels, "
            f"and all of one size; here a row has {' or '.join(map(str, sorted(widths)))} numbers"
        )
    return side


def _fill(
    found: Mapping[str, NDArray[np.float32]],
    feature: Feature,
    images: Mapping[str, NDArray[np.uint8]],
    fit_on: NDArray[np.uint8],
    settings: Settings,
    progress: ProgressCallback,
) -> None:
    """One feature of every split, from the cache or into it."""
    extract = None
    for split, path in _files(feature, images, fit_on, settings).items():
        kept = {"features": found[split]}
        if not len(images[split]) or cache.read(path, kept):
            continue
        cache.require_room(path, kept)
        extract = extract or feature.extractor(settings, fit_on, progress)
        extract(images[split], found[split], f"{feature.name}, {split}", progress)
        cache.write(path, kept)


def files(
    name: str,
    images: Mapping[str, NDArray[np.uint8]],
    fit_on: NDArray[np.uint8],
    *,
    words: int = WORDS,
    seed: int = 0,
    patches: int = PATCHES,
) -> dict[str, Path]:
    """For each split the file in which `of` keeps that feature of it."""
    return _files(find_usable(name), images, fit_on, Settings(words, seed, patches))


def _files(
    feature: Feature, images: Mapping[str, NDArray[np.uint8]], fit_on: NDArray[np.uint8], settings: Settings
) -> dict[str, Path]:
    decides = {"version": feature.version, **feature.parameters(settings)}
    if feature.learns:
        decides["learnt_from"] = cache.content(fit_on)
    return {
        split: cache.location(feature.name, images=cache.content(rows), **decides) for split, rows in images.items()
    }
