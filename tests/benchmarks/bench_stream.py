"""Speed of numba-parallel on a streamed X compared with an X in memory, on the same uint8 pixels, in pairs.

python tests/benchmarks/bench_stream.py FILE.h5 [--rows 400000] [--pairs 7]

FILE.h5 is written by `lcbench synth`. It should be in the page cache, since otherwise the disk is measured.
"""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path
from statistics import median
from time import perf_counter

import numpy as np

from lcbench.datasets import preprocessing
from lcbench.datasets import rows as row_source
from lcbench.losses import catalog
from lcbench.losses.streamed import Streamed, streamed

BLOCK_BYTES = (4_000_000, 8_000_000, 16_000_000, 32_000_000, 64_000_000)


def seconds(call) -> float:
    start = perf_counter()
    call()
    return perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--rows", type=int, default=400_000)
    parser.add_argument("--pairs", type=int, default=7)
    options = parser.parse_args()

    rows = row_source.open_rows(options.file, "X").first(options.rows)
    pixels = rows[:]
    labels = np.random.default_rng(0).integers(0, 10, len(rows), np.uint8)
    mean = preprocessing.mean_image(rows)
    W = (1e-4 * np.random.default_rng(1).standard_normal((rows.shape[1] + 1, 10))).astype(np.float32)
    implementation = catalog.load("numba-parallel")
    X = Streamed(rows, mean, np.dtype(np.float32))
    print(f"{len(rows):,} rows, {rows.nbytes / 1e9:.2f} GB of pixels; medians of {options.pairs} pairs")
    print("loss     block MB  in memory  streamed   GB/s  of in-memory speed")
    for loss in ("svm", "softmax"):
        in_memory = implementation.functions[loss]
        on_blocks = streamed(implementation).functions[loss]
        for size in BLOCK_BYTES:
            row_source.BLOCK_BYTES = size
            pairs = [
                (
                    seconds(partial(in_memory, W, pixels, labels, 0.1, mean=mean)),
                    seconds(partial(on_blocks, W, X, labels, 0.1)),
                )
                for _ in range(options.pairs + 1)
            ]
            times = pairs[1:]  # the first compiles
            memory_s, stream_s = (median(each) for each in zip(*times, strict=True))
            ratio = median(memory / stream for memory, stream in times)
            print(
                f"{loss:8} {size / 1e6:8.0f} {memory_s:8.3f} s {stream_s:8.3f} s {rows.nbytes / stream_s / 1e9:6.2f} "
                f"{ratio:19.0%}"
            )


if __name__ == "__main__":
    main()
