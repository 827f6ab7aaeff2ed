"""Messages between this process and its worker processes: a job in one direction, JSON lines of events in the other."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, ClassVar, Protocol

import msgspec

Emit = Callable[[Any], None]
"""Callback that is called with each event of a job."""


class Orders(Protocol):
    """Callable that waits for the next order of the parent process during a job."""

    def __call__(self, type: Any) -> Any:
        """Return the next order, of this type. Raise SystemExit if the parent process has ended."""


class Job(msgspec.Struct):
    """Job for a worker process.

    does: the function (job, emit) or (job, emit, orders) that does it, as "package.module.function"; only the worker
    process imports it. `orders` is an `Orders`.
    answers: union of the event types that it emits, besides those in this module.
    """

    does: ClassVar[str]
    answers: ClassVar[Any] = None


class JobMessage(msgspec.Struct):
    """Job as it is sent, with the name of the function that does it."""

    does: str
    job: msgspec.Raw


class Began(msgspec.Struct, tag="began"):
    """Event: part `index` of the job has begun. It locates the failure if the worker process dies."""

    index: int


class Failed(msgspec.Struct, tag="failed"):
    """Event: the whole job has failed. `status` is one of `record.Status`."""

    status: str
    reason: str


class Done(msgspec.Struct, tag="done"):
    """Event: the whole job is done. It does not matter how the process ends afterwards."""


def encode(message: Any) -> bytes:
    """Return an event, or an `JobMessage`, as one line."""
    return msgspec.json.encode(message) + b"\n"


def decode_events(lines: bytes, answers: Any = None) -> list[Any]:
    """Return the events in `lines`, up to the first invalid line: a dying worker may leave an incomplete one."""
    events, decoder = [], _decoder(answers)
    for line in lines.splitlines():
        try:
            events.append(decoder.decode(line))
        except msgspec.DecodeError:
            break
    return events


@cache
def _decoder(answers: Any) -> msgspec.json.Decoder[Any]:
    common = Began | Failed | Done
    return msgspec.json.Decoder(common if answers is None else common | answers)
