"""X and y on a cluster: cut into chunks of rows, each held by a worker that has read it and can be lost."""

from __future__ import annotations

from collections import Counter
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lcbench.losses.cluster import tasks
from lcbench.losses.cluster.connection import Connection, connection, spread
from lcbench.losses.cluster.shared_files import SharedArray

RETRIES = 3
"""Of a task that reads: a file system may have a bad moment."""


def bounds(rows: int, parts: int) -> NDArray[np.int64]:
    """Where each of the chunks begins, and where the last one ends: as many as `parts`, or as rows where those are fewer."""
    parts = min(rows, parts)
    return np.arange(parts + 1) * rows // parts


class Rows:
    """X (N, D) of a cluster.

    X is an array, which is written to a file, or stays in its own: then it has `shape` and `dtype`, can be pickled, and
    slices of it are arrays. It may also have `images` (N, D - 1) and `mean` instead, where a ones column is to be added.
    """

    def __init__(self, X: Any) -> None:
        self.shape, self.dtype, self.ndim = X.shape, X.dtype, 2
        self._X = X
        if min(self.shape) > 1:  # else it stands beside a W or y that is brought by itself
            self.bring()

    def __len__(self) -> int:
        return int(self.shape[0])

    def bring(self) -> None:
        """Has the workers read their rows, and waits for them."""
        connection().wait(self.chunks)

    @cached_property
    def bounds(self) -> NDArray[np.int64]:
        """First row of each chunk, and N."""
        return bounds(len(self), connection().parts)

    @cached_property
    def homes(self) -> list[str]:
        """The worker that holds each chunk, as far as is known."""
        here = connection()
        return spread(here.workers(), len(self.bounds) - 1)

    @cached_property
    def chunks(self) -> list[Any]:
        """The chunks, as futures."""
        return [self._read(k) for k in range(len(self.homes))]

    @cached_property
    def _source(self) -> tuple[Any, Any]:
        images, mean = getattr(self._X, "images", self._X), getattr(self._X, "mean", None)
        if isinstance(images, np.ndarray):
            images = SharedArray(images)
        if callable(mean):  # an array's method
            mean = None
        del self._X
        return images, None if mean is None else mean.astype(self.dtype)

    def _read(self, k: int) -> Any:
        images, mean = self._source
        start, stop = self.bounds[k : k + 2].tolist()
        return connection().client.submit(
            tasks.read, images, start, stop, mean, workers=[self.homes[k]], allow_other_workers=True, retries=RETRIES,
            pure=False,
        )  # fmt: skip

    def found_at(self, workers: tuple[str, ...]) -> None:
        """Takes note of where each chunk was computed on, and has some read anew where there is a worker without one.

        After a loss, what the lost worker held lies with the others, until it is replaced.
        """
        if list(workers) == self.homes:
            return
        self.homes = list(workers)
        crowded = Counter(workers)
        idle = [worker for worker in connection().workers() if worker not in crowded]
        for k, worker in enumerate(workers):
            if idle and crowded[worker] > 1:
                crowded[worker] -= 1
                self.homes[k] = idle.pop()
                self.chunks[k] = self._read(k)


class Labels:
    """y (N,) of a cluster, cut like X, in the smallest integers that hold it."""

    def __init__(self, y: NDArray[Any]) -> None:
        self.shape = np.shape(y)
        self._y = np.asarray(y)
        if len(self) > 1:
            self.bring()

    def __len__(self) -> int:
        return int(self.shape[0])

    def bring(self) -> None:
        """Sends each worker its labels, and waits until they are there."""
        connection().wait(self.chunks)

    @cached_property
    def chunks(self) -> list[Any]:
        """The labels of each chunk, as futures. The scheduler keeps them, so that none is lost with a worker."""
        here = connection()
        cuts = bounds(len(self), here.parts)
        small = _smallest(self._y)
        homes = spread(here.workers(), len(cuts) - 1)
        return [
            here.client.submit(
                tasks.itself, small[start:stop], workers=[worker], allow_other_workers=True, pure=False
            )
            for start, stop, worker in zip(cuts[:-1].tolist(), cuts[1:].tolist(), homes, strict=True)
        ]


def _smallest(y: NDArray[Any]) -> NDArray[Any]:
    if y.dtype.kind not in "iu":
        return y  # which the loss will refuse
    return y.astype(np.result_type(np.min_scalar_type(y.min()), np.min_scalar_type(y.max())))
