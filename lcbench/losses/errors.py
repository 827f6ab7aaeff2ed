"""What can stand between a name and a running implementation. Each message is one line that says what to do."""

from __future__ import annotations

from collections.abc import Iterable


def nearest(name: str, names: Iterable[str]) -> str | None:
    """Return the one of `names` that a misspelt `name` was probably meant to be, or None."""
    from difflib import get_close_matches  # takes milliseconds to import, and most commands need none of it

    return next(iter(get_close_matches(name, list(names), n=1, cutoff=0.5)), None)


def did_you_mean(name: str, names: Iterable[str], otherwise: str) -> str:
    """Return the question whether the nearest of `names` was meant, or `otherwise` where none is near."""
    near = nearest(name, names)
    return f"did you mean '{near}'?" if near else otherwise


class LossError(Exception):
    """An implementation cannot be had."""


class UnknownImplementation(LossError):  # noqa: N818
    """No implementation goes by that name."""


class Unavailable(LossError):  # noqa: N818
    """The implementation exists but cannot run here: a package, a device or a driver is missing.

    ``install`` is the command that would mend it, or empty.
    """

    def __init__(self, reason: str, install: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.install = install


class CannotLoad(LossError):  # noqa: N818
    """A user's file, module or entry point does not give a usable implementation."""
