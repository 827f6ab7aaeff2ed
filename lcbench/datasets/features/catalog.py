"""Which features there are, what each needs, and what decides its numbers."""

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
"""Visual words, where nobody says how many."""

PATCHES = 400_000
"""From which they are learnt, as in the paper."""

Extractor = Callable[[NDArray[np.uint8], NDArray[np.float32], str, ProgressCallback], None]
"""(images (N, pixels), out (N, D), stage, progress): fills `out`, tells `progress` how many rows are done."""

_IMAGES_AT_ONCE = 250


@dataclass(frozen=True)
class Settings:
    """What a user can choose, of visual words: how many, from how many patches, and the seed of what is drawn."""

    words: int = WORDS
    seed: int = 0
    patches: int = PATCHES


@dataclass(frozen=True)
class Feature:
    """One line of the catalogue.

    version: goes up when the code gives other numbers, so that what was kept from before is not found.
    dimensions: of settings and the rows and columns of an image. parameters: what else decides the numbers.
    extractor: of settings, the images on which what must be learnt is learnt, and who is told of that.
    learns: whether those images decide anything.
    requires: top-level packages without which it does not run.
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
        """Packages that it needs and that are not installed."""
        return tuple(package for package in self.requires if find_spec(package) is None)


def find_feature(name: str) -> Feature:
    """The feature of that name. Raises LcbenchError, which names the nearest."""
    if name not in CATALOG:
        hint = did_you_mean(name, CATALOG, f"there are {', '.join(CATALOG)}")
        raise LcbenchError(f"no feature '{name}': {hint}")
    return CATALOG[name]


def find_usable(name: str) -> Feature:
    """The feature of that name, which can be computed here. Raises LcbenchError with the line that installs it."""
    feature = find_feature(name)
    if feature.missing:
        raise LcbenchError(f"feature '{name}' needs {' and '.join(feature.missing)}, not installed here: {INSTALL}")
    return feature


def _by_blocks(compute: Callable[[NDArray[np.uint8]], NDArray[np.float32]]) -> Callable[..., Extractor]:
    def extract(images: NDArray[np.uint8], out: NDArray[np.float32], stage: str, progress: ProgressCallback) -> None:
        for start in range(0, len(images), _IMAGES_AT_ONCE):
            block = slice(start, min(start + _IMAGES_AT_ONCE, len(images)))
            out[block] = compute(images[block])
            progress(stage, block.stop, len(images))

    return lambda settings, fit_on, progress: extract


def _visual_words(hard: bool) -> Callable[..., Extractor]:
    def extractor(settings: Settings, fit_on: NDArray[np.uint8], progress: ProgressCallback) -> Extractor:
        from lcbench.datasets.features import visual_words

        learnt = visual_words.dictionary_of(fit_on, settings.words, settings.seed, settings.patches, progress)
        return lambda images, out, stage, progress: visual_words.encode(images, learnt, hard, out, stage, progress)

    return extractor


def _words_parameters(settings: Settings) -> dict[str, Any]:
    from lcbench.datasets.features import visual_words

    return visual_words.dictionary_parameters(settings.words, settings.seed, settings.patches)


CATALOG: dict[str, Feature] = {
    feature.name: feature
    for feature in (
        Feature(
            "colour",
            "histogram of hue",
            1,
            lambda settings, side: descriptors.BINS,
            lambda settings: {"bins": descriptors.BINS},
            _by_blocks(descriptors.hue_histogram),
        ),
        Feature(
            "hog",
            "histograms of oriented gradients",
            1,
            lambda settings, side: descriptors.hog_dimensions(side),
            lambda settings: descriptors.HOG_SETTINGS,
            _by_blocks(descriptors.hog),
            requires=("skimage",),
        ),
        Feature(
            "hog-assignment",
            "the cs231n assignment's, flaws included",
            1,
            lambda settings, side: descriptors.hog_assignment_dimensions(side),
            lambda settings: {"orientations": descriptors.ORIENTATIONS, "cell": descriptors.CELL},
            _by_blocks(descriptors.hog_assignment),
        ),
        Feature(
            "words",
            "visual words, triangle encoding",
            1,
            lambda settings, side: 4 * settings.words,
            _words_parameters,
            _visual_words(hard=False),
            learns=True,
            requires=("sklearn",),
        ),
        Feature(
            "words-hard",
            "visual words, counts of the nearest",
            1,
            lambda settings, side: 4 * settings.words,
            _words_parameters,
            _visual_words(hard=True),
            learns=True,
            requires=("sklearn",),
        ),
    )
}
