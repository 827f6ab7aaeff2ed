"""Bag of visual words: small patches of an image, each told by its distances to the words of a learnt dictionary."""

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

# Square patches of an image, each brought to the same brightness and contrast.
#
# A patch is read in the order of the image: red, green and blue plane, each row by row.

SIZE = 6
"""Pixels along each side of a patch, the best of those that Coates, Lee & Ng (2011, section 4.2.4) tried."""

VALUES = PLANES * SIZE * SIZE
"""Numbers in a patch."""

CONTRAST_FLOOR = 10.0
"""Is added to a patch's variance (pixels from 0 to 255), so that the noise of an even one is not blown up."""


def sample_patches(
    images: NDArray[np.uint8], count: int, seed: int, progress: ProgressCallback = no_progress
) -> NDArray[np.float32]:
    """`count` patches from random places of random images, normalised: (count, VALUES) float32, in random order."""
    coloured = planes(images)
    side = coloured.shape[2]
    stream = np.random.default_rng(seed)
    rows = np.sort(stream.integers(0, len(images), count))  # in order, so that neighbours lie in the same memory
    tops, lefts = stream.integers(0, side - SIZE + 1, (2, count))
    steps = np.arange(SIZE)
    found = np.empty((count, VALUES), np.float32)
    for start in range(0, count, 10_000):
        part = slice(start, start + 10_000)
        down = (tops[part, None] + steps)[:, None, :, None]
        right = (lefts[part, None] + steps)[:, None, None, :]
        raw = coloured[rows[part, None, None, None], np.arange(PLANES)[:, None, None], down, right]
        found[part] = normalised(raw.reshape(-1, VALUES))
        progress("patches", min(start + 10_000, count), count)
    stream.shuffle(found)
    return found


def normalised(raw: NDArray[Any]) -> NDArray[np.float32]:
    """Patches (n, VALUES), each less its mean and divided by its deviation: sqrt(variance (n - 1) + CONTRAST_FLOOR).

    Coates, Lee & Ng (2011, section 3.2.1).
    """
    values = raw.astype(np.float64)
    values -= values.mean(axis=1, keepdims=True)
    values /= np.sqrt(values.var(axis=1, ddof=1, keepdims=True) + CONTRAST_FLOOR)
    return values.astype(np.float32)


@jit.compiled
def all_normalised(
    image: NDArray[np.uint8], side: int, centre: NDArray[np.float32], found: NDArray[np.float32]
) -> None:
    """Every patch of an image (pixels,), at stride 1, normalised, less `centre` (VALUES,): the columns of `found`.

    found (VALUES, at least places * places), places = side - SIZE + 1: the patches row by row of the image. What
    `normalised` does, written so that a loop goes along neighbouring patches.
    """
    places = side - SIZE + 1
    total, squares = np.empty(places, np.int64), np.empty(places, np.int64)
    mean, scale = np.empty(places, np.float32), np.empty(places, np.float32)
    for top in range(places):
        total[:] = 0
        squares[:] = 0
        for plane in range(PLANES):
            for down in range(SIZE):
                start = (plane * side + top + down) * side
                line = image[start : start + side]
                for right in range(SIZE):
                    shifted = line[right : right + places]
                    for p in range(places):
                        pixel = np.int64(shifted[p])
                        total[p] += pixel
                        squares[p] += pixel * pixel
        for p in range(places):
            variance = (squares[p] - total[p] * total[p] / VALUES) / (VALUES - 1)
            mean[p] = total[p] / VALUES
            scale[p] = 1 / np.sqrt(variance + CONTRAST_FLOOR)
        value = 0
        for plane in range(PLANES):
            for down in range(SIZE):
                start = (plane * side + top + down) * side
                line = image[start : start + side]
                for right in range(SIZE):
                    shifted = line[right : right + places]
                    target = found[value, top * places : (top + 1) * places]
                    for p in range(places):
                        target[p] = (np.float32(shifted[p]) - mean[p]) * scale[p] - centre[value]
                    value += 1


# What is learnt from patches before any image is encoded: how to whiten them, and the words they cluster around.

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


def dictionary_of(
    images: NDArray[np.uint8], words: int, seed: int, count: int, progress: ProgressCallback
) -> Dictionary:
    """The dictionary of so many words that is learnt from `count` random patches of images (N, pixels), once.

    Coates, Lee & Ng, "An Analysis of Single-Layer Networks in Unsupervised Feature Learning" (AISTATS 2011), sections
    3.2 and 3.3. It is kept in the cache. Needs scikit-learn where it is not. Raises LcbenchError where there are
    fewer patches than words.
    """
    if words > count:
        raise LcbenchError(f"{words} words cannot be learnt from {count} patches: choose fewer words")
    path = cache.location("dictionary", learnt_from=cache.content(images), **dictionary_parameters(words, seed, count))
    kept = Dictionary(*(np.empty(shape, np.float32) for shape in ((VALUES,), (VALUES, VALUES), (words, VALUES))))
    if not cache.read(path, vars(kept)):
        kept = learn_dictionary(images, words, seed, count, progress)
        cache.write(path, vars(kept))
    return kept


def dictionary_parameters(words: int, seed: int, count: int) -> dict[str, Any]:
    """What decides a dictionary beside the images."""
    return {
        "dictionary_version": VERSION,
        "words": words,
        "seed": seed,
        "patches": count,
        "size": SIZE,
        "contrast_floor": CONTRAST_FLOOR,
        "epsilon": EPSILON,
        "passes": PASSES,
        "batch": BATCH,
    }


def learn_dictionary(
    images: NDArray[np.uint8], words: int, seed: int, count: int, progress: ProgressCallback
) -> Dictionary:
    """As `of`, without the cache."""
    drawn = sample_patches(images, count, seed, progress)
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


# From an image to how much of each word its four quadrants hold: every patch at stride 1, pooled as it comes.
#
# An image has 729 patches, so its distances to 1,600 words are a million numbers. They are made and used up in blocks
# that stay in the cache, by the micro-kernel that also sums the gradient of a linear classifier::
#
#     patches (108, 729)  --whitening-->  whitened (108, 729)
#     block of patches:   squares of words - 2 whitened . words   (patches, words)      L2
#     patch by patch:     distances, their mean, activations, added to the quadrant     L1

QUADRANTS = 4

TILE_PATCHES = simd.WIDE_CLASSES
TILE_WORDS = simd.WIDE_VECTORS * simd.lanes(4)

PATCHES_AT_ONCE = 4 * TILE_PATCHES
"""Their distances stay in L2, and each word is read once for all of them."""

IMAGES_AT_ONCE = 50
"""Encoded by a thread between two reports of progress."""


def encode(
    images: NDArray[np.uint8],
    dictionary: Dictionary,
    hard: bool,
    out: NDArray[np.float32],
    stage: str = "",
    progress: ProgressCallback = no_progress,
) -> None:
    """out (N, 4 K) = the mean activation of each of K words in each quadrant of images (N, pixels), on all cores.

    Triangle (Coates, Lee & Ng, 2011, section 3.3.1): max(0, mean distance of the patch to all words - distance to this
    one). hard: 1 for the nearest word, 0 for the others. Quadrants: top left, top right, bottom left, bottom right; the
    middle row and column of an odd number of patches belong to the top and the left.
    """
    side = side_of(images.shape[1])
    words = len(dictionary.words)
    whitening = np.zeros((VALUES, _up_to(VALUES, TILE_PATCHES)), np.float32)
    whitening[:, :VALUES] = dictionary.whitening
    # The product with -2 words is added to the words' squares: what a squared distance has beside the patch's own.
    minus_twice = np.zeros((VALUES, _up_to(words, TILE_WORDS)), np.float32)
    minus_twice[:, :words] = -2 * dictionary.words.T
    squares = np.zeros(minus_twice.shape[1], np.float32)
    squares[:words] = np.square(dictionary.words, dtype=np.float64).sum(axis=1)

    def part(start: int) -> int:
        block = np.ascontiguousarray(images[start : start + IMAGES_AT_ONCE])
        encoded = np.empty((len(block), out.shape[1]), np.float32)
        _encode(block, side, dictionary.centre, whitening, minus_twice, squares, words, hard, encoded)
        out[start : start + len(block)] = encoded
        return len(block)

    threads = ThreadPoolExecutor(jit.thread_count())
    try:
        done = 0
        for count in threads.map(part, range(0, len(images), IMAGES_AT_ONCE)):
            done += count
            progress(stage, done, len(images))
    finally:
        threads.shutdown(cancel_futures=True)  # who interrupts this does not wait for what has not begun


def _up_to(count: int, tile: int) -> int:
    return -(-count // tile) * tile


@jit.compiled
def _encode(
    images: NDArray[np.uint8], side: int, centre: NDArray[np.float32], whitening: NDArray[np.float32],
    minus_twice: NDArray[np.float32], squares: NDArray[np.float32], words: int, hard: bool, out: NDArray[np.float32],
) -> None:  # fmt: skip
    """Rows of out (n, 4 K) from images (n, pixels), on one thread."""
    places = side - SIZE + 1
    half = (places + 1) // 2
    count = places * places
    width = -(-(count + TILE_PATCHES) // TILE_WORDS) * TILE_WORDS  # the last tiles reach over the end, either way
    patches = np.zeros((VALUES, width), np.float32)
    whitened = np.empty((whitening.shape[1], width), np.float32)
    norms = np.empty(width, np.float32)
    distances = np.empty((PATCHES_AT_ONCE, squares.size), np.float32)
    held = np.zeros((QUADRANTS, words), np.float32)
    for image in range(images.shape[0]):
        all_normalised(images[image], side, centre, patches)
        _whiten(patches, whitening, whitened, norms)
        held[:] = 0
        for start in range(0, count, PATCHES_AT_ONCE):
            here = min(PATCHES_AT_ONCE, count - start)
            _distances(whitened[:VALUES, start : start + PATCHES_AT_ONCE], here, minus_twice, squares, distances)
            for p in range(here):
                top, left = divmod(start + p, places)
                quadrant = held[2 * (top >= half) + (left >= half)]
                if hard:
                    quadrant[np.argmin(distances[p, :words])] += 1
                else:
                    _add_triangle(norms[start + p], distances[p, :words], quadrant)
        for quadrant in range(QUADRANTS):
            rows = places - half if quadrant >= 2 else half
            columns = places - half if quadrant % 2 else half
            share = np.float32(1 / max(1, rows * columns))
            target, source = out[image, quadrant * words : (quadrant + 1) * words], held[quadrant]
            for k in range(words):
                target[k] = share * source[k]


@jit.compiled
def _whiten(
    patches: NDArray[np.float32], whitening: NDArray[np.float32], whitened: NDArray[np.float32],
    norms: NDArray[np.float32],
) -> None:  # fmt: skip
    """whitened (V', P) = whitening (V, V') transposed @ patches (V, P); norms (P,): the squared length of each."""
    whitened[:] = 0
    for p in range(0, patches.shape[1], TILE_WORDS):
        for v in range(0, whitening.shape[1], TILE_PATCHES):
            simd.wide_gradient_tile(patches, None, 0, VALUES, whitening, v, p, whitened, VALUES - 1)
    norms[:] = 0
    for v in range(VALUES):
        line = whitened[v]
        for p in range(norms.size):
            norms[p] += line[p] * line[p]


@jit.compiled
def _distances(
    whitened: NDArray[np.float32], here: int, minus_twice: NDArray[np.float32], squares: NDArray[np.float32],
    distances: NDArray[np.float32],
) -> None:  # fmt: skip
    """distances (P, K') = squared distances from each patch to each word, less the patch's own squared length."""
    for p in range(here):
        distances[p] = squares
    for word in range(0, squares.size, TILE_WORDS):
        for p in range(0, here, TILE_PATCHES):
            simd.wide_gradient_tile(minus_twice, None, 0, VALUES, whitened, p, word, distances, VALUES - 1)


@jit.compiled
def _add_triangle(norm: float, distances: NDArray[np.float32], quadrant: NDArray[np.float32]) -> None:
    """quadrant (K,) += max(0, mean distance - distance); distances (K,) become roots."""
    total = np.float32(0)
    for k in range(distances.size):
        distances[k] = np.sqrt(max(np.float32(0), norm + distances[k]))
        total += distances[k]
    mean = total / np.float32(distances.size)
    for k in range(quadrant.size):
        quadrant[k] += max(np.float32(0), mean - distances[k])
