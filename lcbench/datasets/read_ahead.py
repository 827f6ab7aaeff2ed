"""Work that waits for a disk, done on a thread while its last results are made use of."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")

AHEAD = 2
"""Results that are waiting or being made beside the one in use."""


def read_ahead(tasks: Iterable[Callable[[], T]]) -> Iterator[T]:
    """The results of `tasks`, in their order: the next are made on one thread while the caller is busy with the last.

    What a task raises comes where its result would have come.
    """
    waiting: deque[Future[T]] = deque()
    thread = ThreadPoolExecutor(1, "read-ahead")
    try:
        for task in tasks:
            waiting.append(thread.submit(task))
            if len(waiting) > AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        thread.shutdown(cancel_futures=True)
