"""From an image to how much of each word its four quadrants hold: every patch at stride 1, pooled as it comes.

An image has 729 patches, so its distances to 1,600 words are a million numbers. They are made and used up in blocks
that stay in the cache, by the micro-kernel that also sums the gradient of a linear classifier::

    patches (108, 729)  --whitening-->  whitened (108, 729)
    block of patches:   squares of words - 2 whitened . words   (patches, words)      L2
    patch by patch:     distances, their mean, activations, added to the quadrant     L1
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from lcbench.datasets.features.square import side_of
from lcbench.datasets.features.visual_words.dictionary import Dictionary
from lcbench.datasets.features.visual_words.patches import SIZE, VALUES, all_normalised
from lcbench.losses import jit, simd
from lcbench.progress import ProgressCallback, no_progress

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
