"""What can stand between a name and a running implementation. Each message is one line that says what to do."""


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
