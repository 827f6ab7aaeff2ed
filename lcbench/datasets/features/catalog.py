"""Catalog of features: packages that each needs, parameters that determine its values, and how it is extracted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lcbench import units
from lcbench.datasets import examples
from lcbench.datasets.features import cache, descriptors
from lcbench.datasets.features.descriptors import PLANES, side_of
from lcbench.errors import LcbenchError
from lcbench.losses.implementation import did_you_mean
from lcbench.progress import ProgressCallback, no_progress

INSTALL = "pip install 'lcbench[lab]'"

WORDS = 1600
"""Default number of visual words."""

MAX_WORDS = 10_000
"""Largest number of visual words: features of CIFAR-10 then take 9.6 GB. Coates, Lee & Ng (2011) have at most 4,000."""

MAX_SEED = 2**32 - 1
"""Largest random seed that scikit-learn takes."""

PATCHES = 400_000
"""Default number of patches from which the words are learnt, as in Coates, Lee & Ng (2011)."""

Extractor = Callable[[NDArray[np.uint8], NDArray[np.float32], str, ProgressCallback], None]
"""Called with (images (N, pixels), out (N, D), stage, progress): fill `out`, and call `progress` with the rows done."""

_BLOCK_IMAGES = 250


@dataclass(frozen=True)
class Settings:
    """Settings of visual words: their number, the random seed, and the number of patches they are learnt from."""

    words: int = WORDS
    seed: int = 0
    patches: int = PATCHES


@dataclass(frozen=True)
class Feature:
    """Entry of the catalog.

    what: description in a few words.
    version: number that is raised when the code computes other values, so that cached values are not used again.
    dimensions: called with (settings, side), returns the number of values for an image of side x side pixels.
    parameters: called with settings, returns what else determines the values.
    extractor: called with (settings, fit_on, progress), learns from the images `fit_on`, and returns an `Extractor`.
    learns: whether the values depend on `fit_on`.
    requires: top-level packages that it needs.
    """

    name: str
    what: str
    version: int
    dimensions: Callable[[Settings, int], int]
    parameters: Callable[[Settings], dict[str, Any]]
    extractor: Callable[[Settings, NDArray[np.uint8], ProgressCallback], Extractor]
    learns: bool = False
    requires: tuple[str, ...] = ()

    @property
    def missing(self) -> tuple[str, ...]:
        """Required packages that are not installed."""
        return tuple(package for package in self.requires if find_spec(package) is None)


def find_feature(name: str) -> Feature:
    """Return the feature called `name`.

    Raise LcbenchError, with a similar name or the command that installs what is missing, if it cannot be computed.
    """
    if name not in CATALOG:
        hint = did_you_mean(name, CATALOG, f"there are {', '.join(CATALOG)}")
        raise LcbenchError(f"no feature '{name}': {hint}")
    feature = CATALOG[name]
    if feature.missing:
        raise LcbenchError(f"feature '{name}' needs {' and '.join(feature.missing)}, not installed here: {INSTALL}")
    return feature


def _by_blocks(compute: Callable[[NDArray[np.uint8]], NDArray[np.float32]]) -> Callable[..., Extractor]:
    """Return the `Feature.extractor` of a feature that learns nothing: `compute` on blocks of images."""

    def extract(images: NDArray[np.uint8], out: NDArray[np.float32], stage: str, progress: ProgressCallback) -> None:
        for start in range(0, len(images), _BLOCK_IMAGES):
            block = slice(start, min(start + _BLOCK_IMAGES, len(images)))
            out[block] = compute(images[block])
            progress(stage, block.stop, len(images))

    return lambda settings, fit_on, progress: extract


def _visual_words(hard: bool) -> Callable[..., Extractor]:
    """Return the `Feature.extractor` of visual words."""

    def extractor(settings: Settings, fit_on: NDArray[np.uint8], progress: ProgressCallback) -> Extractor:
        from lcbench.datasets.features import visual_words

        dictionary = visual_words.load_dictionary(fit_on, settings.words, settings.seed, settings.patches, progress)
        return lambda images, out, stage, progress: visual_words.encode(images, dictionary, hard, out, stage, progress)

    return extractor


def _visual_words_parameters(settings: Settings) -> dict[str, Any]:
    from lcbench.datasets.features import visual_words

    return visual_words.dictionary_parameters(settings.words, settings.seed, settings.patches)


CATALOG: dict[str, Feature] = {
    feature.name: feature
    for feature in (
        Feature(
            "colour",
            what="histogram of hue",
            version=1,
            dimensions=lambda settings, side: descriptors.BINS,
            parameters=lambda settings: {"bins": descriptors.BINS},
            extractor=_by_blocks(descriptors.hue_histogram),
        ),
        Feature(
            "hog",
            what="histograms of oriented gradients",
            version=1,
            dimensions=lambda settings, side: descriptors.hog_dimensions(side),
            parameters=lambda settings: descriptors.HOG_SETTINGS,
            extractor=_by_blocks(descriptors.hog),
            requires=("skimage",),
        ),
        Feature(
            "hog-assignment",
            what="HOG of the cs231n assignment, with flaws",
            version=1,
            dimensions=lambda settings, side: descriptors.hog_assignment_dimensions(side),
            parameters=lambda settings: {"orientations": descriptors.ORIENTATIONS, "cell": descriptors.CELL},
            extractor=_by_blocks(descriptors.hog_assignment),
        ),
        Feature(
            "words",
            what="visual words, triangle encoding",
            version=1,
            dimensions=lambda settings, side: 4 * settings.words,
            parameters=_visual_words_parameters,
            extractor=_visual_words(hard=False),
            learns=True,
            requires=("sklearn",),
        ),
        Feature(
            "words-hard",
            what="visual words, counts of the nearest",
            version=1,
            dimensions=lambda settings, side: 4 * settings.words,
            parameters=_visual_words_parameters,
            extractor=_visual_words(hard=True),
            learns=True,
            requires=("sklearn",),
        ),
    )
}


# Extraction of features from images, or from the cache if they were computed before from the same images.

MIN_SIDE = 8
"""Rows and columns of the smallest image for which every feature is defined."""


def extract(
    names: Sequence[str],
    images: Mapping[str, NDArray[np.uint8]],
    fit_on: NDArray[np.uint8],
    *,
    words: int = WORDS,
    seed: int = 0,
    patches: int = PATCHES,
    progress: ProgressCallback = no_progress,
) -> dict[str, NDArray[np.float32]]:
    """Return the features called `names`, side by side in that order, for every split of `images`.

    images: (N, 3 * side * side) uint8 for each split, in CIFAR-10's order of planes. The result has (N, D) float32 for
    each split, not standardised. fit_on: (M, pixels) training images, the only ones from which anything is learnt.
    words, seed, patches: see `catalog.Settings`. progress: called only if a feature is not in the cache. Raises
    LcbenchError for an unknown name, a missing package, images of another shape, and if the cache cannot be written.
    """
    require_settings(words, seed)
    settings = Settings(words, seed, patches)
    features = [find_feature(name) for name in names]
    side = _side([fit_on, *images.values()])
    ends = np.cumsum([0, *(feature.dimensions(settings, side) for feature in features)])
    _require_memory(names, sum(map(len, images.values())) * int(ends[-1]) * np.dtype(np.float32).itemsize)
    matrices = {split: np.empty((len(rows), ends[-1]), np.float32) for split, rows in images.items()}
    for feature, start, end in zip(features, ends, ends[1:], strict=False):
        columns = {split: matrix[:, start:end] for split, matrix in matrices.items()}
        _fill(columns, feature, images, fit_on, settings, progress)
    return matrices


def require_settings(words: int, seed: int) -> None:
    """Raise LcbenchError unless the number of visual words and the random seed are within their limits."""
    if not 2 <= words <= MAX_WORDS:
        raise LcbenchError(f"words is {words}: choose 2 to {MAX_WORDS:,}")
    if not 0 <= seed <= MAX_SEED:
        raise LcbenchError(f"seed is {seed}: visual words take 0 to {MAX_SEED:,}")


def _require_memory(names: Sequence[str], size: int) -> None:
    if not examples.fits_in_memory(size):
        raise LcbenchError(
            f"the features {', '.join(names)} take {units.size(size)} in memory twice, more than is free: choose fewer "
            "features or words"
        )


@dataclass(frozen=True)
class PrecomputedFeature:
    """Feature of `rows` images in the cache.

    seconds: time to compute and store it, or to read it if it was in the cache before (`kept`). files: path by split.
    """

    name: str
    dimensions: int
    rows: int
    seconds: float
    kept: bool
    files: dict[str, str]


def precompute(
    name: str, images: Mapping[str, NDArray[np.uint8]], *, words: int, seed: int, progress: ProgressCallback
) -> PrecomputedFeature:
    """Store the feature `name` of every split of `images` in the cache. It is learnt from the split "train"."""
    computed = False

    def report(stage: str, done: int = 0, total: int = 0, detail: str = "") -> None:
        nonlocal computed
        computed = True
        progress(stage, done, total, detail)

    start = perf_counter()
    matrices = extract([name], images, images["train"], words=words, seed=seed, progress=report)
    seconds = perf_counter() - start
    paths = cache_files(name, images, images["train"], words=words, seed=seed)
    return PrecomputedFeature(
        name,
        dimensions=matrices["train"].shape[1],
        rows=sum(map(len, matrices.values())),
        seconds=seconds,
        kept=not computed,
        files={split: str(path) for split, path in paths.items()},
    )


def cache_files(
    name: str,
    images: Mapping[str, NDArray[np.uint8]],
    fit_on: NDArray[np.uint8],
    *,
    words: int = WORDS,
    seed: int = 0,
    patches: int = PATCHES,
) -> dict[str, Path]:
    """Return the cache file of the feature `name` for each split of `images`."""
    return _cache_files(find_feature(name), images, fit_on, Settings(words, seed, patches))


def _cache_files(
    feature: Feature, images: Mapping[str, NDArray[np.uint8]], fit_on: NDArray[np.uint8], settings: Settings
) -> dict[str, Path]:
    parameters = {"version": feature.version, **feature.parameters(settings)}
    if feature.learns:
        parameters["learnt_from"] = cache.content_hash(fit_on)
    return {
        split: cache.location(feature.name, images=cache.content_hash(rows), **parameters)
        for split, rows in images.items()
    }


def _side(images: Iterable[NDArray[np.uint8]]) -> int:
    for rows in images:
        if rows.ndim != 2 or rows.dtype != np.uint8:
            raise LcbenchError(f"features are of images, (N, pixels) uint8, not {rows.shape} {rows.dtype}")
    widths = {rows.shape[1] for rows in images}
    try:
        [side] = {side_of(width) for width in widths}
    except ValueError:
        side = 0
    if side < MIN_SIDE:
        raise LcbenchError(
            f"features are of square images with {PLANES} colour planes, at least {MIN_SIDE} x {MIN_SIDE} pixels, "
            f"and all of one size; here a row has {' or '.join(map(str, sorted(widths)))} numbers"
        )
    return side


def _fill(
    out: Mapping[str, NDArray[np.float32]],
    feature: Feature,
    images: Mapping[str, NDArray[np.uint8]],
    fit_on: NDArray[np.uint8],
    settings: Settings,
    progress: ProgressCallback,
) -> None:
    """Write one feature of every split to `out`, from the cache or computed and then cached."""
    extractor = None
    for split, path in _cache_files(feature, images, fit_on, settings).items():
        arrays = {"features": out[split]}
        if not len(images[split]) or cache.read(path, arrays):
            continue
        cache.require_writable(path, arrays)
        extractor = extractor or feature.extractor(settings, fit_on, progress)
        extractor(images[split], out[split], f"{feature.name}, {split}", progress)
        cache.write(path, arrays)
