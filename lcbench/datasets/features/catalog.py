"""Catalog of features: packages that each needs, parameters that determine its values, and how it is extracted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lcbench.datasets.features import descriptors
from lcbench.errors import LcbenchError
from lcbench.losses.implementation import did_you_mean
from lcbench.progress import ProgressCallback

INSTALL = "pip install 'lcbench[lab]'"

WORDS = 1600
"""Default number of visual words."""

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

    Raises LcbenchError, with a similar name or the command that installs what is missing, if it cannot be computed.
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
