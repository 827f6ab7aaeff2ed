"""What a user's file, module or entry point holds: every function, whether it can be used, and how it counts."""

from __future__ import annotations

from collections.abc import Iterator

from lcbench.losses import oracle, user_code
from lcbench.losses.user_code import Refusal
from lcbench.measure.messages import Found, Trying


def discover(spec: str, skip: int = 0) -> Iterator[Trying | Found]:
    """Says which function comes next, then what it is, for all but the first `skip`.

    Runs the user's code: belongs into a worker process. Raises CannotLoad where nothing can be had from `spec`.
    """
    for index, function in enumerate(user_code.load(spec)):
        if index < skip:
            continue
        losses: list[str] = [function.loss] if function.loss else []
        yield Trying(index=index, implementation=function.spec, losses=losses)
        found = Found(implementation=function.spec, losses=losses, notes=list(function.notes))
        recognised = user_code.recognise(function, oracle)
        if isinstance(recognised, Refusal):
            found.problem, found.kind = str(recognised), recognised.kind
        else:
            found.losses = list(recognised.functions)
            found.convention = str(recognised.convention) if recognised.convention.differs else ""
        yield found
