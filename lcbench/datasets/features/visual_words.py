"""Bag of visual words: small patches of an image, encoded by their distances to the words of a learnt dictionary.

Coates, Lee & Ng, "An Analysis of Single-Layer Networks in Unsupervised Feature Learning" (AISTATS 2011).
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lcbench.datasets.features import cache
from lcbench.datasets.features.descriptors import PLANES, planes, side_of
from lcbench.errors import LcbenchError
from lcbench.losses import jit, simd
from lcbench.progress import ProgressCallback, no_progress

# Patches, normalised in brightness and contrast

PATCH_SIZE = 6
"""Rows and columns of a patch, the best size in Coates, Lee & Ng (2011, section 4.2.4)."""

PATCH_VALUES = PLANES * PATCH_SIZE * PATCH_SIZE
"""Number of values of a patch, in the order of the image: red, green and blue plane, each row by row."""

_NOTHING_LATER = np.zeros(PATCH_VALUES, np.int64)
"""Lines that gradient tiles prefetch: always the same, since all operands are in the cache."""

CONTRAST_FLOOR = 10.0
"""Constant added to the variance of a patch (pixels from 0 to 255), so that the noise of a flat patch stays small."""


def sample_patches(
    images: NDArray[np.uint8], count: int, seed: int, progress: ProgressCallback = no_progress
) -> NDArray[np.float32]:
    """Return normalised patches from random places of random images: (count, PATCH_VALUES) float32, in random order."""
    coloured = planes(images)
    side = coloured.shape[2]
    rng = np.random.default_rng(seed)
    rows = np.sort(rng.integers(0, len(images), count))  # sorted, for locality of memory access
    tops, lefts = rng.integers(0, side - PATCH_SIZE + 1, (2, count))
    steps = np.arange(PATCH_SIZE)
    patches = np.empty((count, PATCH_VALUES), np.float32)
    for start in range(0, count, 10_000):
        part = slice(start, start + 10_000)
        down = (tops[part, None] + steps)[:, None, :, None]
        right = (lefts[part, None] + steps)[:, None, None, :]
        raw = coloured[rows[part, None, None, None], np.arange(PLANES)[:, None, None], down, right]
        patches[part] = normalise(raw.reshape(-1, PATCH_VALUES))
        progress("patches", min(start + 10_000, count), count)
    rng.shuffle(patches)
    return patches


def normalise(raw: NDArray[Any]) -> NDArray[np.float32]:
    """Return patches (n, PATCH_VALUES), each minus its mean and divided by sqrt(variance + CONTRAST_FLOOR), as float32.

    The variance is that of a sample, with ddof 1. Coates, Lee & Ng (2011, section 3.2.1).
    """
    values = raw.astype(np.float64)
    values -= values.mean(axis=1, keepdims=True)
    values /= np.sqrt(values.var(axis=1, ddof=1, keepdims=True) + CONTRAST_FLOOR)
    return values.astype(np.float32)


@jit.compiled
def normalise_all_patches(
    image: NDArray[np.uint8], side: int, centre: NDArray[np.float32], out: NDArray[np.float32]
) -> None:
    """Write all normalised patches of an image (pixels,), at stride 1, minus `centre`, to the columns of `out`.

    centre: (PATCH_VALUES,). out: (PATCH_VALUES, at least places * places), places = side - PATCH_SIZE + 1; patches are
    in the order of rows. Equivalent to `normalise`, with inner loops over neighbouring patches.
    """
    places = side - PATCH_SIZE + 1
    total, squares = np.empty(places, np.int64), np.empty(places, np.int64)
    mean, scale = np.empty(places, np.float32), np.empty(places, np.float32)
    for top in range(places):
        total[:] = 0
        squares[:] = 0
        for plane in range(PLANES):
            for down in range(PATCH_SIZE):
                start = (plane * side + top + down) * side
                line = image[start : start + side]
                for right in range(PATCH_SIZE):
                    shifted = line[right : right + places]
                    for p in range(places):
                        pixel = np.int64(shifted[p])
                        total[p] += pixel
                        squares[p] += pixel * pixel
        for p in range(places):
            variance = (squares[p] - total[p] * total[p] / PATCH_VALUES) / (PATCH_VALUES - 1)
            mean[p] = total[p] / PATCH_VALUES
            scale[p] = 1 / np.sqrt(variance + CONTRAST_FLOOR)
        value = 0
        for plane in range(PLANES):
            for down in range(PATCH_SIZE):
                start = (plane * side + top + down) * side
                line = image[start : start + side]
                for right in range(PATCH_SIZE):
                    shifted = line[right : right + places]
                    target = out[value, top * places : (top + 1) * places]
                    for p in range(places):
                        target[p] = (np.float32(shifted[p]) - mean[p]) * scale[p] - centre[value]
                    value += 1


# Dictionary: whitening and words, learnt from patches

VERSION = 1
"""Number that is raised when the code learns other words from the same patches."""

EPSILON = 0.1
"""Constant added to the variance along each principal axis, so that the noise of the weakest axes stays small."""

PASSES = 5
"""Passes of k-means over the patches. With 20 passes the mean squared distance to the words is 0.3 % less."""

BATCH_SIZE = 10_000
"""Patches per step of mini-batch k-means."""


@dataclass(frozen=True)
class Dictionary:
    """Words (K, V), and the whitening of a patch p: ``whitening @ (p - centre)``, (V, V) and (V,). All float32."""

    centre: NDArray[np.float32]
    whitening: NDArray[np.float32]
    words: NDArray[np.float32]


def load_dictionary(
    images: NDArray[np.uint8], words: int, seed: int, count: int, progress: ProgressCallback
) -> Dictionary:
    """Return the dictionary of `words` words learnt from `count` random patches of images (N, pixels).

    Coates, Lee & Ng (2011), sections 3.2 and 3.3. It is read from the cache if it is there; otherwise it is learnt,
    which needs scikit-learn, and cached. Raise LcbenchError if there are fewer patches than words.
    """
    if words > count:
        raise LcbenchError(f"{words} words cannot be learnt from {count} patches: choose fewer words")
    path = cache.location(
        "dictionary", learnt_from=cache.content_hash(images), **dictionary_parameters(words, seed, count)
    )
    dictionary = Dictionary(
        *(
            np.empty(shape, np.float32)
            for shape in ((PATCH_VALUES,), (PATCH_VALUES, PATCH_VALUES), (words, PATCH_VALUES))
        )
    )
    if not cache.read(path, vars(dictionary)):
        dictionary = learn_dictionary(images, words, seed, count, progress)
        cache.write(path, vars(dictionary))
    return dictionary


def dictionary_parameters(words: int, seed: int, count: int) -> dict[str, Any]:
    """Return everything that determines a dictionary in addition to the images."""
    return {
        "dictionary_version": VERSION,
        "words": words,
        "seed": seed,
        "patches": count,
        "size": PATCH_SIZE,
        "contrast_floor": CONTRAST_FLOOR,
        "epsilon": EPSILON,
        "passes": PASSES,
        "batch": BATCH_SIZE,
    }


def learn_dictionary(
    images: NDArray[np.uint8], words: int, seed: int, count: int, progress: ProgressCallback
) -> Dictionary:
    """Return the dictionary as `load_dictionary` does, without the cache."""
    patches = sample_patches(images, count, seed, progress)
    centre, whitening = fit_whitening(patches)
    patches -= centre
    return Dictionary(centre, whitening, cluster(patches @ whitening, words, seed, progress))


def fit_whitening(patches: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the mean (V,) of patches (n, V) and the symmetric matrix (V, V) that makes them uncorrelated (ZCA).

    Bell & Sejnowski, "The independent components of natural scenes are edge filters" (1997).
    """
    centre = patches.mean(axis=0, dtype=np.float64)
    variances, axes = np.linalg.eigh(np.cov(patches, rowvar=False, dtype=np.float64))
    whitening = axes / np.sqrt(variances + EPSILON) @ axes.T
    return centre.astype(np.float32), whitening.astype(np.float32)


def cluster(whitened: NDArray[np.float32], words: int, seed: int, progress: ProgressCallback) -> NDArray[np.float32]:
    """Return the centres (words, V) that mini-batch k-means finds for whitened patches (n, V)."""
    from sklearn.cluster import MiniBatchKMeans

    batch = max(BATCH_SIZE, words)
    kmeans = MiniBatchKMeans(words, init="random", n_init=1, random_state=seed, batch_size=batch)
    starts = range(0, len(whitened), batch)
    for pass_number in range(PASSES):
        for done, start in enumerate(starts, pass_number * len(starts) + 1):
            kmeans.partial_fit(whitened[start : start + batch])
            progress("k-means", done, PASSES * len(starts))
    return np.ascontiguousarray(kmeans.cluster_centers_, np.float32)


# Encoding: activations of all patches of an image, at stride 1, pooled by quadrant
#
# A 32 x 32 image has 729 patches, so its distances to 1,600 words are a million values. They are computed and consumed
# in blocks that stay in the cache, by the micro-kernel that also computes the gradient of a linear classifier::
#
#     patches (108, 729)  --whitening-->  whitened (108, 729)
#     block of patches:   squares of words - 2 whitened . words   (patches, words)      L2
#     patch by patch:     distances, their mean, activations, added to the quadrant     L1

QUADRANTS = 4

TILE_PATCHES = simd.CLASSES
TILE_WORDS = simd.VECTORS * simd.lanes(4)

BLOCK_PATCHES = 8 * TILE_PATCHES
"""Patches per block: their distances stay in L2, and each word is read once for all of them."""

BLOCK_WORDS = 80_000
"""Images that a thread encodes between two calls of `progress`, times words: a signal waits for a second, or less."""


def encode(
    images: NDArray[np.uint8],
    dictionary: Dictionary,
    hard: bool,
    out: NDArray[np.float32],
    stage: str = "",
    progress: ProgressCallback = no_progress,
) -> None:
    """Write the mean activation of each of K words in each quadrant of images (N, pixels) to out (N, 4 K).

    Triangle activation (Coates, Lee & Ng, 2011, section 3.3.1): max(0, mean distance of the patch to all words - its
    distance to this word). hard: 1 for the nearest word, 0 for the others. Quadrants: top left, top right, bottom left,
    bottom right; the middle row and column of an odd number of patches belong to the top and the left. Runs on all
    cores.
    """
    side = side_of(images.shape[1])
    words = len(dictionary.words)
    whitening = np.zeros((PATCH_VALUES, simd.up_to(PATCH_VALUES, TILE_PATCHES)), np.float32)
    whitening[:, :PATCH_VALUES] = dictionary.whitening
    # Squared distance = squares of the word - 2 word . patch + squares of the patch.
    minus_twice = np.zeros((PATCH_VALUES, simd.up_to(words, TILE_WORDS)), np.float32)
    minus_twice[:, :words] = -2 * dictionary.words.T
    words_in_panels = simd.panels_for(minus_twice)
    simd.copy_to_panels(minus_twice, words_in_panels)
    squares = np.zeros(minus_twice.shape[1], np.float32)
    squares[:words] = np.square(dictionary.words, dtype=np.float64).sum(axis=1)

    block_images = max(1, BLOCK_WORDS // words)

    def encode_block(start: int) -> int:
        block = np.ascontiguousarray(images[start : start + block_images])
        encoded = np.empty((len(block), out.shape[1]), np.float32)
        _encode_images(block, side, dictionary.centre, whitening, words_in_panels, squares, words, hard, encoded)
        out[start : start + len(block)] = encoded
        return len(block)

    threads = ThreadPoolExecutor(jit.thread_count())
    try:
        done = 0
        for count in threads.map(encode_block, range(0, len(images), block_images)):
            done += count
            progress(stage, done, len(images))
    finally:
        threads.shutdown(cancel_futures=True)  # Ctrl-C does not wait for blocks that have not begun


@jit.compiled
def _encode_images(
    images: NDArray[np.uint8], side: int, centre: NDArray[np.float32], whitening: NDArray[np.float32],
    minus_twice: NDArray[np.float32], squares: NDArray[np.float32], words: int, hard: bool, out: NDArray[np.float32],
) -> None:  # fmt: skip
    """Write the activations of images (n, pixels) to out (n, 4 K), on one thread."""
    places = side - PATCH_SIZE + 1
    half = (places + 1) // 2
    count = places * places
    width = -(-(count + TILE_PATCHES) // TILE_WORDS) * TILE_WORDS  # the last tiles extend beyond the end
    patches = np.zeros((PATCH_VALUES, width), np.float32)
    panels = simd.panels_for(patches)
    whitened = np.empty((whitening.shape[1], width), np.float32)
    norms = np.empty(width, np.float32)
    distances = np.empty((BLOCK_PATCHES, squares.size), np.float32)
    sums = np.zeros((QUADRANTS, words), np.float32)
    for image in range(images.shape[0]):
        normalise_all_patches(images[image], side, centre, patches)
        simd.copy_to_panels(patches, panels)
        _whiten(panels, whitening, whitened, norms)
        sums[:] = 0
        for start in range(0, count, BLOCK_PATCHES):
            block_patches = min(BLOCK_PATCHES, count - start)
            block = whitened[:PATCH_VALUES, start : start + BLOCK_PATCHES]
            _squared_distances(block, block_patches, minus_twice, squares, distances)
            for p in range(block_patches):
                top, left = divmod(start + p, places)
                quadrant = sums[2 * (top >= half) + (left >= half)]
                if hard:
                    quadrant[np.argmin(distances[p, :words])] += 1
                else:
                    _add_triangle(norms[start + p], distances[p, :words], quadrant)
        for quadrant in range(QUADRANTS):
            rows = places - half if quadrant >= 2 else half
            columns = places - half if quadrant % 2 else half
            share = np.float32(1 / max(1, rows * columns))
            target, source = out[image, quadrant * words : (quadrant + 1) * words], sums[quadrant]
            for k in range(words):
                target[k] = share * source[k]


@jit.compiled
def _whiten(
    patches: NDArray[np.float32], whitening: NDArray[np.float32], whitened: NDArray[np.float32],
    norms: NDArray[np.float32],
) -> None:  # fmt: skip
    """Write ``whitening.T @ patches`` to `whitened`, and the squared norm of each patch to `norms` (P,).

    patches: those (V, P) as panels. whitening (V, V'), whitened (V', P).
    """
    one = np.float32(1)
    whitened[:] = 0
    for p in range(0, norms.size, TILE_WORDS):
        for v in range(0, whitening.shape[1], TILE_PATCHES):
            simd.gradient_tile(patches, PATCH_VALUES, whitening, one, v, p, whitened, patches, _NOTHING_LATER, 0)
    norms[:] = 0
    for v in range(PATCH_VALUES):
        line = whitened[v]
        for p in range(norms.size):
            norms[p] += line[p] * line[p]


@jit.compiled
def _squared_distances(
    whitened: NDArray[np.float32], block_patches: int, minus_twice: NDArray[np.float32], squares: NDArray[np.float32],
    distances: NDArray[np.float32],
) -> None:  # fmt: skip
    """Write the squared distance of patch and word, minus the squared norm of the patch, to distances (P, K').

    minus_twice: the words (V, K') times -2, as panels.
    """
    one = np.float32(1)
    for p in range(block_patches):
        distances[p] = squares
    for word in range(0, squares.size, TILE_WORDS):
        for p in range(0, block_patches, TILE_PATCHES):
            simd.gradient_tile(
                minus_twice, PATCH_VALUES, whitened, one, p, word, distances, minus_twice, _NOTHING_LATER, 0
            )  # fmt: skip


@jit.compiled
def _add_triangle(norm: float, distances: NDArray[np.float32], quadrant: NDArray[np.float32]) -> None:
    """Add max(0, mean distance - distance) to quadrant (K,). distances (K,) are replaced by their square roots."""
    total = np.float32(0)
    for k in range(distances.size):
        distances[k] = np.sqrt(max(np.float32(0), norm + distances[k]))
        total += distances[k]
    mean = total / np.float32(distances.size)
    for k in range(quadrant.size):
        quadrant[k] += max(np.float32(0), mean - distances[k])
