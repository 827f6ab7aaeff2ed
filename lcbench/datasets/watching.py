"""What work tells of itself while it is under way."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic

Watch = Callable[[str, int, int], None]
"""Told what is under way, how much of it is done and how much is planned."""

PATIENCE_S = 2.0
"""What takes less is over before it is read about."""


def unwatched(what: str, done: int, planned: int) -> None:
    """Tells nobody."""


def patient(watch: Watch) -> Watch:
    """Passes on to `watch` only what has been under way for `PATIENCE_S`."""
    begun: dict[str, float] = {}

    def told(what: str, done: int, planned: int) -> None:
        if monotonic() - begun.setdefault(what, monotonic()) > PATIENCE_S:
            watch(what, done, planned)

    return told
