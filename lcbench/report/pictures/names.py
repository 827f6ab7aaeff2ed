"""What implementations are called in a picture, where there is little room."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import takewhile

from lcbench.report.pictures.style import shortened


def short(implementations: Iterable[str], most: int) -> dict[str, str]:
    """A name of at most so many letters for each, and no two the same.

    What the names of users' functions, FILE:FUNCTION, have in common is left out: it tells nothing apart.
    """
    whole = list(dict.fromkeys(implementations))
    users = [name for name in whole if ":" in name]
    telling = dict(zip(users, _differing(users), strict=True))
    if set(telling.values()) & set(whole):
        telling = {}
    cut = {name: shortened(telling.get(name, name), most) for name in whole}
    alike, numbers = Counter(cut.values()), Counter[str]()
    for name, text in cut.items():
        if alike[text] > 1:
            numbers[text] += 1
            number = f" {numbers[text]}"
            cut[name] = shortened(telling.get(name, name), most - len(number)) + number
    return cut


def left_out(implementations: Iterable[str]) -> str:
    """What `short` leaves out of users' names, as sim.py:NAME_loss; nothing where it leaves them whole."""
    whole = list(dict.fromkeys(implementations))
    users = [name for name in whole if ":" in name]
    telling = _differing(users)
    if telling == users or set(telling) & set(whole):
        return ""
    head, tail = _shared(users)
    return f"{head}NAME{tail}"


def _differing(names: Sequence[str]) -> list[str]:
    head, tail = _shared(names)
    return [name[len(head) : len(name) - len(tail)] for name in names]


def _shared(names: Sequence[str]) -> tuple[str, str]:
    """Whole words that all names begin with, and that all end with; of each name, at least one is left."""
    if len(names) < 2:
        return "", ""
    words = [re.findall(r"[^\W_]+|[\W_]", name) for name in names]
    fewest = min(map(len, words)) - 1
    head = _same(words, fewest)
    tail = _same([one[::-1] for one in words], fewest - len(head))[::-1]
    return "".join(head), "".join(tail)


def _same(words: Sequence[Sequence[str]], most: int) -> list[str]:
    """The words, at most so many, that all begin with."""
    together = zip(*(one[: max(0, most)] for one in words), strict=True)
    return [one[0] for one in takewhile(lambda place: len(set(place)) == 1, together)]
