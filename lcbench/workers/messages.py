"""What goes to a worker process and what comes back: a job, and one JSON line an event."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, ClassVar

import msgspec

Emit = Callable[[Any], None]
"""Told each event of a job."""


class Job(msgspec.Struct):
    """What a worker process is asked to do.

    does: the function (job, emit) that does it, as "package.module.function": the worker imports it, and nobody else
    need. answers: the events that it emits besides those here.
    """

    does: ClassVar[str]
    answers: ClassVar[Any] = None


class Order(msgspec.Struct):
    """A job as it is sent."""

    does: str
    job: msgspec.Raw


class Began(msgspec.Struct, tag="began"):
    """Part number `index` of the job is under way: where a worker dies, this is where."""

    index: int


class Failed(msgspec.Struct, tag="failed"):
    """The whole job cannot be done. `status` is one of a row's."""

    status: str
    reason: str


class Done(msgspec.Struct, tag="done"):
    """The whole job is done. What becomes of the process afterwards does not matter."""


def encode(message: Any) -> bytes:
    """An event, or an `Order`, as one line."""
    return msgspec.json.encode(message) + b"\n"


def decode_events(lines: bytes, answers: Any = None) -> list[Any]:
    """The events in a worker's output, up to the first line that is not one: a dying worker may leave half a line."""
    events, decoder = [], _decoder(answers)
    for line in lines.splitlines():
        try:
            events.append(decoder.decode(line))
        except msgspec.DecodeError:
            break
    return events


@cache
def _decoder(answers: Any) -> msgspec.json.Decoder[Any]:
    ours = Began | Failed | Done
    return msgspec.json.Decoder(ours if answers is None else ours | answers)


def one_line(error: BaseException) -> str:
    """An exception as a worker reports it: its type and what it says."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:300]}" if text else type(error).__name__
