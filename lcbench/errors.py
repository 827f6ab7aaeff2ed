"""The error that a user can cause and mend: one line, no traceback."""


class LcbenchError(Exception):
    """Something that the user can mend. The message is one line: what, where, what to do."""


def require(condition: bool, otherwise: str) -> None:
    """Raise LcbenchError with the line `otherwise` where `condition` does not hold."""
    if not condition:
        raise LcbenchError(otherwise)
