"""Reads a python batch, which is a pickle from the network, without running any of it.

A pickle is a program: loading one calls whatever it names. Here nothing is called. `pickletools.genops` takes the
pickle apart into its opcodes, and the few opcodes of which a batch consists build plain data: dictionaries, lists,
tuples, numbers and text, and notes of what *would* have been called. The array is then made from such a note, once its
type and shape are those of a batch. Anything else is refused by name, and the work is linear in the pickle's size.
"""

from __future__ import annotations

import pickletools
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


class PickleError(Exception):
    """The bytes are not a batch. The message says in what."""


@dataclass
class Name:
    """A global that the pickle names; it is never looked up."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


@dataclass
class Call:
    """A call that the pickle asks for; it is never made. state: what the result would have been set to."""

    function: Name
    arguments: tuple[Any, ...]
    state: Any = None


_MULTIARRAY = ("numpy.core.multiarray", "numpy._core.multiarray")  # before and since NumPy 2
_NUMERIC = ("numpy.core.numeric", "numpy._core.numeric")

_KNOWN_NAMES = frozenset(
    {
        ("numpy", "ndarray"),
        ("numpy", "dtype"),
        ("_codecs", "encode"),  # how Python 3 writes bytes in protocol 2
        *((module, "_reconstruct") for module in _MULTIARRAY),
        *((module, "_frombuffer") for module in _NUMERIC),  # arrays in protocol 5
    }
)


def read_batch(pickled: bytes, rows: int, pixels: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Images (rows, pixels) and labels (rows,), both uint8, of a pickled batch of protocol 2 or later.

    The batch is a dictionary with "data", a uint8 array, and "labels", a list of integers; other entries are ignored.
    Raises PickleError.
    """
    try:
        batch = _plain_data(pickled)
        return _image_array(_entry(batch, "data"), rows, pixels), _label_array(_entry(batch, "labels"), rows)
    except (ValueError, IndexError, KeyError, TypeError, AttributeError) as error:
        # what taking a malformed pickle apart comes to: a truncated argument, an empty stack, an unset memo
        raise PickleError(f"not a well-formed pickle ({_shown(str(error))})") from error


def _plain_data(pickled: bytes) -> Any:
    """What the pickle describes: dictionaries as lists of (key, value) pairs, globals as Name, objects as Call."""
    stack: list[Any] = []
    outer: list[list[Any]] = []  # the stacks below each open mark
    memo: dict[int, Any] = {}
    argument: Any
    for opcode, argument, _ in pickletools.genops(pickled):
        match opcode.name:
            case "PROTO" | "FRAME":
                pass
            case "STOP":
                return stack.pop()
            case (
                "BININT" | "BININT1" | "BININT2" | "LONG1"
                | "BINSTRING" | "SHORT_BINSTRING"
                | "BINUNICODE" | "SHORT_BINUNICODE" | "BINUNICODE8"
                | "BINBYTES" | "SHORT_BINBYTES" | "BINBYTES8" | "BYTEARRAY8"
            ):  # fmt: skip
                stack.append(argument)
            case "NONE":
                stack.append(None)
            case "NEWTRUE":
                stack.append(True)
            case "NEWFALSE":
                stack.append(False)
            case "EMPTY_DICT" | "EMPTY_LIST":
                stack.append([])
            case "EMPTY_TUPLE":
                stack.append(())
            case "MARK":
                outer.append(stack)
                stack = []
            case "TUPLE":
                items, stack = stack, outer.pop()
                stack.append(tuple(items))
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                length = int(opcode.name[-1])
                if len(stack) < length:
                    raise PickleError("not a well-formed pickle (a tuple of more items than there are)")
                stack[-length:] = [tuple(stack[-length:])]
            case "APPEND":
                item = stack.pop()
                stack[-1].append(item)
            case "APPENDS":
                items, stack = stack, outer.pop()
                stack[-1].extend(items)
            case "SETITEM":
                value, key = stack.pop(), stack.pop()
                stack[-1].append((key, value))
            case "SETITEMS":
                items, stack = stack, outer.pop()
                stack[-1].extend(zip(items[::2], items[1::2], strict=True))
            case "MEMOIZE":
                memo[len(memo)] = stack[-1]
            case "BINPUT" | "LONG_BINPUT":
                memo[argument] = stack[-1]
            case "BINGET" | "LONG_BINGET":
                stack.append(memo[argument])
            case "GLOBAL":
                stack.append(_name(*argument.split(" ", 1)))
            case "STACK_GLOBAL":
                name, module = stack.pop(), stack.pop()
                stack.append(_name(module, name))
            case "REDUCE":
                arguments, function = stack.pop(), stack.pop()
                if not isinstance(function, Name) or not isinstance(arguments, tuple):
                    raise PickleError("it calls something that is not a function")
                stack.append(Call(function, arguments))
            case "BUILD":
                state = stack.pop()
                if not isinstance(stack[-1], Call):
                    raise PickleError("it sets the state of something that is not an array")
                stack[-1].state = state
            case other:
                raise PickleError(f"it holds the pickle instruction {other}, which no batch has")
    raise PickleError("not a well-formed pickle (no end)")


def _name(module: Any, name: Any) -> Name:
    if not (isinstance(module, str) and isinstance(name, str)):
        raise PickleError("it names something by what is not text")
    if (module, name) not in _KNOWN_NAMES:
        raise PickleError(f"it names {_shown(f'{module}.{name}')}, which no batch has; nothing of it was run")
    return Name(module, name)


def _shown(text: str) -> str:
    """Text from the pickle as it may be printed: short, in one line, nothing that a terminal obeys."""
    return ascii(text)[1:-1][:80]


def _entry(batch: Any, name: str) -> Any:
    """The value that the dictionary `batch` has for the key `name`, written as text or as bytes."""
    for pair in batch:
        if isinstance(pair, tuple) and len(pair) == 2 and _is_text(pair[0], name):
            return pair[1]
    raise PickleError(f'it has no "{name}"')


def _is_text(value: Any, text: str) -> bool:
    if isinstance(value, Call) and _calls(value, "encode") and value.arguments:
        value = value.arguments[0]
    if isinstance(value, bytes):
        return value == text.encode()
    return isinstance(value, str) and value == text


def _calls(value: Any, name: str) -> bool:
    return isinstance(value, Call) and value.function.name == name


def _raw_bytes(value: Any) -> bytes | bytearray:
    """The bytes of an array's buffer: written as such, as Python 2 text, or as an encoding of Latin-1 text."""
    if isinstance(value, bytes | bytearray):
        return value
    if _calls(value, "encode"):
        match value.arguments:
            case (str(text), "latin1" | "latin-1"):
                return text.encode("latin-1")
    elif isinstance(value, str):  # genops reads Python 2's byte strings as Latin-1 text
        return value.encode("latin-1")
    raise PickleError('the buffer of "data" is not bytes')


def _image_array(value: Any, rows: int, pixels: int) -> NDArray[np.uint8]:
    if _calls(value, "_reconstruct") and isinstance(value.state, tuple) and len(value.state) == 5:
        _version, shape, dtype, columns_first, buffer = value.state  # numpy.ndarray.__setstate__
    elif _calls(value, "_frombuffer") and len(value.arguments) == 4:
        buffer, dtype, shape, order = value.arguments
        columns_first = _is_text(order, "F")
    else:
        raise PickleError('its "data" is not a NumPy array')
    if not (_calls(dtype, "dtype") and dtype.arguments and _is_text(dtype.arguments[0], "u1")):
        raise PickleError('its "data" is not of type uint8')
    if shape != (rows, pixels):
        raise PickleError(f'its "data" is not of shape ({rows}, {pixels})')
    content = _raw_bytes(buffer)
    if len(content) != rows * pixels:
        raise PickleError(f'its "data" has {len(content)} bytes, not {rows * pixels}')
    return np.frombuffer(content, np.uint8).reshape(rows, pixels, order="F" if columns_first else "C")


def _label_array(value: Any, rows: int) -> NDArray[np.uint8]:
    if not isinstance(value, list) or len(value) != rows:
        raise PickleError(f'its "labels" are not a list of {rows} numbers')
    if not all(type(label) is int and 0 <= label <= 255 for label in value):
        raise PickleError('its "labels" are not all class numbers')
    return np.array(value, np.uint8)
