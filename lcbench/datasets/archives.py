"""Reader of both official CIFAR-10 archives (.tar.gz) that trusts nothing in them.

An archive is read once, from its first member to its last. No member is written to disk, and no member path is used as
a path. Every batch is verified by a checksum of its content, so a repacked archive of the official batches is accepted.

The batches of the python archive are pickles. A pickle is a program: loading it calls whatever it names. `read_batch`
calls nothing. It splits the pickle into its opcodes with `pickletools.genops` and interprets the few opcodes that a
batch needs: they build dictionaries, lists, tuples, numbers and text, and records of the calls (`Call`) that loading
would make. The array is made from such a record, after a check of its type and shape. Everything else is rejected by
name, and the work is linear in the size of the pickle.
"""

from __future__ import annotations

import gzip
import hashlib
import pickletools
import tarfile
import zlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lcbench.datasets.cifar10 import CIFAR10, SPLITS, Batch, Dataset, Layout
from lcbench.errors import LcbenchError


class ArchiveError(LcbenchError):
    """Archive that cannot be used. The message names the file and the reason."""


@dataclass(frozen=True)
class Archive:
    """Verified content of an archive.

    official: whether the file equals the official one. member_sha256: checksum of each batch file, by member name.
    arrays: "train/images" (50000, 3072), "train/labels" (50000,) and the same for "test" (10000 rows), all uint8.
    """

    layout: Layout
    sha256: str
    official: bool
    member_sha256: dict[str, str]
    arrays: dict[str, NDArray[np.uint8]]


def read_archive(path: Path, dataset: Dataset = CIFAR10) -> Archive:
    """Return the verified content of the archive at `path`. The member names tell its layout.

    Raise ArchiveError unless it is a complete archive of the data set.
    """
    try:
        _require_gzip(path)
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        layout, member_sha256, arrays = _read_members(path, dataset)
    except EOFError as error:
        raise ArchiveError(f"{path} is truncated: it ends in the middle of its compressed data") from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise ArchiveError(f"{path} is damaged: {error}") from error
    except tarfile.TarError as error:
        raise ArchiveError(f"{path} is damaged or not a tar archive: {error}") from error
    except OSError as error:
        raise ArchiveError(f"{path} cannot be read: {error.strerror or error}") from error
    official = digest == dataset.archives[layout].sha256
    return Archive(layout, digest, official, member_sha256, arrays)


def _require_gzip(path: Path) -> None:
    """Raise ArchiveError if the first bytes are not those of a gzip file."""
    with path.open("rb") as file:
        head = file.read(512)
    if head.startswith(b"\x1f\x8b"):
        return
    if not head:
        raise ArchiveError(f"{path} is empty")
    if head.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"<"):
        raise ArchiveError(f"{path} is a web page (HTML), not a .tar.gz archive")
    raise ArchiveError(f"{path} is not a .tar.gz archive: it is not gzip data")


def _read_members(path: Path, dataset: Dataset) -> tuple[Layout, dict[str, str], dict[str, NDArray[np.uint8]]]:
    places = {}  # by the name of the batch, since members may come in any order
    arrays: dict[str, NDArray[np.uint8]] = {}
    for split in SPLITS:
        rows = dataset.rows(split)
        images = arrays[f"{split}/images"] = np.empty((rows, dataset.pixels), np.uint8)
        labels = arrays[f"{split}/labels"] = np.empty(rows, np.uint8)
        start = 0
        for batch in dataset.batches[split]:
            stop = start + batch.rows
            places[batch.name] = batch, images[start:stop], labels[start:stop]
            start = stop

    layout: Layout | None = None
    member_sha256: dict[str, str] = {}
    with gzip.open(path) as unpacked, tarfile.open(fileobj=unpacked, mode="r:") as tar:
        for member in tar:
            name = PurePosixPath(member.name).name
            batch_name = name.removesuffix(".bin")
            if batch_name not in places or not member.isreg():
                continue
            member_layout: Layout = "binary" if name.endswith(".bin") else "python"
            layout = layout or member_layout
            if member_layout != layout:
                continue
            if name in member_sha256:
                raise ArchiveError(f"{path} holds {name} twice")
            batch, images, labels = places[batch_name]
            content = _member_content(path, tar, member, batch, dataset.pixels)
            records = content if layout == "binary" else _pickled_records(path, name, content, batch, dataset.pixels)
            if hashlib.sha256(records).hexdigest() != batch.sha256:
                raise ArchiveError(f"{path}: {name} is not {dataset.name}'s: its content has another checksum")
            member_sha256[name] = hashlib.sha256(content).hexdigest()
            table = np.frombuffer(records, np.uint8).reshape(batch.rows, 1 + dataset.pixels)
            labels[:] = table[:, 0]
            images[:] = table[:, 1:]
        # gzip checks its checksum at the end of the data, which is behind the end of the tar archive.
        while unpacked.read(1 << 20):
            pass

    if layout is None:
        raise ArchiveError(f"{path} holds no {dataset.name} batches (data_batch_1.bin or data_batch_1, ...)")
    suffix = ".bin" if layout == "binary" else ""
    missing = [name + suffix for name in places if name + suffix not in member_sha256]
    if missing:
        raise ArchiveError(f"{path} is incomplete: it lacks {', '.join(missing)}")
    return layout, member_sha256, arrays


def _member_content(path: Path, tar: tarfile.TarFile, member: tarfile.TarInfo, batch: Batch, pixels: int) -> bytes:
    # A pickle may store pixels as text, at up to two bytes each. A member that declares far more is not read.
    largest = 3 * batch.rows * (1 + pixels) + (1 << 20)
    file = tar.extractfile(member)
    if member.size > largest or file is None:
        raise ArchiveError(f"{path}: {batch.name} declares {member.size:,} bytes, too many for a batch")
    return file.read()


def _pickled_records(path: Path, name: str, pickled: bytes, batch: Batch, pixels: int) -> bytes:
    """Return a pickled batch in the binary layout, for which checksums are known: label, then pixels, for each row."""
    try:
        images, labels = read_batch(pickled, batch.rows, pixels)
    except PickleError as error:
        raise ArchiveError(f"{path}: {name} is not a batch: {error}") from error
    return np.concatenate([labels[:, None], images], axis=1).tobytes()


# Pickled batches


class PickleError(Exception):
    """Pickle that is not a batch. The message names the reason."""


@dataclass
class Name:
    """Global name in a pickle. It is never imported."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


@dataclass
class Call:
    """Call in a pickle. It is never made. state: argument of ``__setstate__`` of its result."""

    function: Name
    arguments: tuple[Any, ...]
    state: Any = None


_MULTIARRAY = ("numpy.core.multiarray", "numpy._core.multiarray")  # before and since NumPy 2
_NUMERIC = ("numpy.core.numeric", "numpy._core.numeric")

_KNOWN_NAMES = frozenset(
    {
        ("numpy", "ndarray"),
        ("numpy", "dtype"),
        ("_codecs", "encode"),  # bytes that Python 3 wrote in protocol 2
        *((module, "_reconstruct") for module in _MULTIARRAY),
        *((module, "_frombuffer") for module in _NUMERIC),  # arrays in protocol 5
    }
)


def read_batch(pickled: bytes, rows: int, pixels: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return images (rows, pixels) and labels (rows,), both uint8, of a pickled batch of protocol 2 or later.

    The batch is a dictionary with "data", a uint8 array, and "labels", a list of integers; other entries are ignored.
    Raise PickleError for anything else.
    """
    try:
        batch = _plain_data(pickled)
        return _image_array(_entry(batch, "data"), rows, pixels), _label_array(_entry(batch, "labels"), rows)
    except (ValueError, IndexError, KeyError, TypeError, AttributeError) as error:
        # A malformed pickle causes any of these: a truncated argument, an empty stack, an unset memo entry.
        raise PickleError(f"not a well-formed pickle ({_shown(str(error))})") from error


def _plain_data(pickled: bytes) -> Any:
    """Return the pickled object, with dictionaries as lists of (key, value) pairs, globals as Name, objects as Call."""
    stack: list[Any] = []
    outer: list[list[Any]] = []  # stacks below each open mark
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
                raise PickleError(f"it has the pickle opcode {other}, which no batch has")
    raise PickleError("not a well-formed pickle (no end)")


def _name(module: Any, name: Any) -> Name:
    if not (isinstance(module, str) and isinstance(name, str)):
        raise PickleError("a name in it is not text")
    if (module, name) not in _KNOWN_NAMES:
        raise PickleError(f"it names {_shown(f'{module}.{name}')}, which no batch has; none of it was run")
    return Name(module, name)


def _shown(text: str) -> str:
    """Return text from the pickle in printable form: short, in one line, without control characters."""
    return ascii(text)[1:-1][:80]


def _entry(batch: Any, name: str) -> Any:
    """Return the value of the key `name`, stored as text or as bytes, in the dictionary `batch`."""
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
    """Return the bytes of an array buffer, stored as bytes, as Python 2 text, or as Latin-1 text to be encoded."""
    if isinstance(value, bytes | bytearray):
        return value
    if _calls(value, "encode"):
        match value.arguments:
            case (str(text), "latin1" | "latin-1"):
                return text.encode("latin-1")
    elif isinstance(value, str):  # genops returns byte strings of Python 2 as Latin-1 text
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
