"""What a user's file, module or entry point holds: every function, whether it can be used, and how it counts."""

from __future__ import annotations

from collections.abc import Iterator

from lcbench.losses import oracle, user_code
from lcbench.losses.user_code import Refusal
from lcbench.measure.messages import Found


def discover(spec: str) -> Iterator[Found]:
    """One answer a function. Raises CannotLoad where nothing can be had from `spec`.

    Runs the user's code: belongs into a worker process.
    """
    for function in user_code.load(spec):
        found = user_code.recognise(function, oracle)
        losses: list[str] = [function.loss] if function.loss else []
        if isinstance(found, Refusal):
            yield Found(implementation=function.spec, losses=losses, problem=str(found), kind=found.kind,
                        notes=list(function.notes))  # fmt: skip
        else:
            convention = str(found.convention) if found.convention.differs else ""
            yield Found(implementation=function.spec, losses=list(found.functions), convention=convention,
                        notes=list(function.notes))  # fmt: skip
