"""What every SVG must be, whoever wrote the names in it."""

from __future__ import annotations

import re

_NOT_IN_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def readable(text: str) -> str:
    """The text without the characters that XML may not hold, as names of files and messages of users' code may.

    One of them, and no browser would show any of the picture.
    """
    return _NOT_IN_XML.sub("", text)
