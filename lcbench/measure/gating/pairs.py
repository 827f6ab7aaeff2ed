"""What a gate compares: each implementation of head beside the one of base that it is held against."""

from __future__ import annotations

from dataclasses import dataclass

from lcbench.errors import LcbenchError
from lcbench.losses import catalog
from lcbench.losses.implementation import Device, LossName
from lcbench.losses.resolve import is_user_code
from lcbench.measure import selection
from lcbench.measure.gating.sides import Side
from lcbench.measure.selection import Candidate

DEFAULT = "numba-parallel"


@dataclass(frozen=True)
class Pair:
    """What is compared: `base` and `head` are what their workers call it, `name` is what its rows are called.

    base_problem, head_problem: why one of them cannot be measured (status, reason), where that is known beforehand.
    """

    name: str
    base: str
    head: str
    losses: tuple[LossName, ...]
    device: Device = "cpu"
    base_problem: tuple[str, str] | None = None
    head_problem: tuple[str, str] | None = None


def pair(base: Side, head: Side, names: list[str], losses: list[LossName], timeout_s: float) -> list[Pair]:
    """The pairs that `names` mean on both sides, or that the sides themselves are.

    User code is looked at in a worker process on either side. Raises LcbenchError where nothing can be held against
    anything, and LossError where a name means nothing.
    """
    given = [side for side in (base, head) if side.implementation]
    if len(given) == 1:
        other = head if given[0] is base else base
        raise LcbenchError(
            f"--{given[0].name} {given[0].given} is an implementation, so --{other.name} must be one too: "
            "a name from 'lcbench impls' or FILE.py[:FUNCTION]"
        )
    if given and names:
        raise LcbenchError("--base and --head are implementations already: --impl has no place beside them")
    if given:
        old, new = (_candidates(side, side.implementation or "", losses, timeout_s) for side in (base, head))
        return _matched(old, new, alone=True)
    pairs: dict[str, Pair] = {}
    for name in names or [DEFAULT]:
        old, new = (_candidates(side, name, losses, timeout_s) for side in (base, head))
        pairs |= {pair.name: pair for pair in _matched(old, new, alone=False)}
    return list(pairs.values())


def _candidates(side: Side, name: str, losses: list[LossName], timeout_s: float) -> list[Candidate]:
    if is_user_code(name):
        return selection.from_user(name, losses, timeout_s, side.place)
    entry = catalog.find(name)
    offered = tuple(loss for loss in entry.losses if loss in losses)
    if not offered:
        raise LcbenchError(f"{name} offers {' and '.join(entry.losses)} only")
    if catalog.device_here(entry) == "simulator":
        raise LcbenchError(f"{name} would run in a simulator here, whose times mean nothing")
    return [Candidate(name, entry.device, offered)]


def _matched(base: list[Candidate], head: list[Candidate], alone: bool) -> list[Pair]:
    """Functions of the same name; where no name is on both sides and there is nothing else, those of the same loss."""
    by_name = {_function(candidate): candidate for candidate in base}
    matches = [(by_name[_function(candidate)], candidate) for candidate in head if _function(candidate) in by_name]
    if not matches and alone:
        matches = [
            (one, other)
            for one in base
            for other in head
            if set(one.losses) & set(other.losses) and _only_one(base, one.losses) and _only_one(head, other.losses)
        ]
    if not matches:
        names = [", ".join(sorted(map(_function, candidates))) for candidates in (base, head)]
        raise LcbenchError(f"nothing to hold against each other: base has {names[0]}, head has {names[1]}")
    row_names = selection.row_names(candidate for _, candidate in matches)
    return [
        Pair(
            row_names[new.name],
            old.name,
            new.name,
            tuple(loss for loss in new.losses if loss in old.losses),
            new.device,
            _problem(old),
            _problem(new),
        )
        for old, new in matches
    ]


def _function(candidate: Candidate) -> str:
    return candidate.name.rpartition(":")[2]


def _only_one(candidates: list[Candidate], losses: tuple[LossName, ...]) -> bool:
    return sum(bool(set(candidate.losses) & set(losses)) for candidate in candidates) == 1


def _problem(candidate: Candidate) -> tuple[str, str] | None:
    return (candidate.status, candidate.unavailable) if candidate.unavailable else None
