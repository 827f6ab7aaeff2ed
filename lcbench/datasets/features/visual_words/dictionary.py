"""What is learnt from patches before any image is encoded: how to whiten them, and the words they cluster around."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lcbench.datasets.features import cache
from lcbench.datasets.features.visual_words import patches
from lcbench.datasets.features.visual_words.patches import VALUES
from lcbench.errors import LcbenchError
from lcbench.progress import ProgressCallback

VERSION = 1
"""Goes up when the code learns other words from the same patches."""

EPSILON = 0.1
"""Is added to the patches' variance along each principal axis, so that the noise of the weakest is not blown up."""

PASSES = 5
"""How often k-means goes over the patches. 20 times leave 0.3 % less of their mean squared distance to their words."""

BATCH = 10_000
"""Patches that k-means looks at before it moves the words."""


@dataclass(frozen=True)
class Dictionary:
    """centre (V,) and whitening (V, V): a patch p becomes whitening @ (p - centre). words (K, V). All float32."""

    centre: NDArray[np.float32]
    whitening: NDArray[np.float32]
    words: NDArray[np.float32]


def of(images: NDArray[np.uint8], words: int, seed: int, count: int, progress: ProgressCallback) -> Dictionary:
    """The dictionary of so many words that is learnt from `count` random patches of images (N, pixels), once.

    Coates, Lee & Ng, "An Analysis of Single-Layer Networks in Unsupervised Feature Learning" (AISTATS 2011), sections
    3.2 and 3.3. It is kept in the cache. Needs scikit-learn where it is not. Raises LcbenchError where there are
    fewer patches than words.
    """
    if words > count:
        raise LcbenchError(f"{words} words cannot be learnt from {count} patches: choose fewer words")
    path = cache.location("dictionary", learnt_from=cache.content(images), **parameters(words, seed, count))
    kept = Dictionary(*(np.empty(shape, np.float32) for shape in ((VALUES,), (VALUES, VALUES), (words, VALUES))))
    if not cache.read(path, vars(kept)):
        kept = learn(images, words, seed, count, progress)
        cache.write(path, vars(kept))
    return kept


def parameters(words: int, seed: int, count: int) -> dict[str, Any]:
    """What decides a dictionary beside the images."""
    return {
        "dictionary_version": VERSION,
        "words": words,
        "seed": seed,
        "patches": count,
        "size": patches.SIZE,
        "contrast_floor": patches.CONTRAST_FLOOR,
        "epsilon": EPSILON,
        "passes": PASSES,
        "batch": BATCH,
    }


def learn(images: NDArray[np.uint8], words: int, seed: int, count: int, progress: ProgressCallback) -> Dictionary:
    """As `of`, without the cache."""
    drawn = patches.sample(images, count, seed, progress)
    centre, whitening = fit_whitening(drawn)
    drawn -= centre
    return Dictionary(centre, whitening, cluster(drawn @ whitening, words, seed, progress))


def fit_whitening(drawn: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """centre (V,) and the symmetric matrix (V, V) after which patches (n, V) are uncorrelated: ZCA.

    Bell & Sejnowski, "The independent components of natural scenes are edge filters" (1997).
    """
    centre = drawn.mean(axis=0, dtype=np.float64)
    variances, axes = np.linalg.eigh(np.cov(drawn, rowvar=False, dtype=np.float64))
    whitening = axes / np.sqrt(variances + EPSILON) @ axes.T
    return centre.astype(np.float32), whitening.astype(np.float32)


def cluster(whitened: NDArray[np.float32], words: int, seed: int, progress: ProgressCallback) -> NDArray[np.float32]:
    """The means (words, V) that mini-batch k-means finds among patches (n, V). The same seed finds the same."""
    from sklearn.cluster import MiniBatchKMeans

    batch = max(BATCH, words)
    means = MiniBatchKMeans(words, init="random", n_init=1, random_state=seed, batch_size=batch)
    starts = range(0, len(whitened), batch)
    for turn in range(PASSES):
        for done, start in enumerate(starts, turn * len(starts) + 1):
            means.partial_fit(whitened[start : start + batch])
            progress("k-means", done, PASSES * len(starts))
    return np.ascontiguousarray(means.cluster_centers_, np.float32)
