"""Reader of both official CIFAR-10 archives, packed, unpacked or extracted, that trusts nothing in them.

An archive is read once, from its first member to its last. No member is written to disk, and no member path is used as
a path. Every batch is verified by a checksum of its content, so a repacked archive of the official batches is accepted.
What an archive declares is believed up to a limit only, since a small one can hold, or declare, any size.

The batches of the python archive are pickles. A pickle is a program: loading it calls whatever it names. `read_batch`
calls nothing. It splits the pickle into its opcodes with `pickletools.genops` and interprets the few opcodes that a
batch needs: they build dictionaries, lists, tuples, numbers and text, and records of the calls (`Call`) that loading
would make. The array is made from such a record, after a check of its type and shape. Everything else is rejected by
name, and the work is linear in the size of the pickle, whose opcodes are counted.
"""

from __future__ import annotations

import gzip
import hashlib
import pickletools
import tarfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, Any, cast

import numpy as np
from numpy.typing import NDArray

from lcbench import files, units
from lcbench.datasets.cifar10 import CIFAR10, SPLITS, Batch, Dataset, Layout
from lcbench.errors import LcbenchError, one_line

_MAX_HEADER_BYTES = 1 << 16
"""Most bytes of a member's header, which may hold a long name and other attributes."""

_MAX_HEADERS_BYTES = 1 << 24
"""Most bytes of the headers of all members: 30,000 headers."""


class ArchiveError(LcbenchError):
    """Archive that cannot be used. The message names the file and the reason."""


@dataclass(frozen=True)
class Archive:
    """Verified content of an archive.

    sha256: checksum of the file, empty for a folder. official: whether the file equals the official one. member_sha256:
    checksum of each batch file, by member name. arrays: "train/images" (50000, 3072), "train/labels" (50000,) and the
    same for "test" (10000 rows), all uint8.
    """

    layout: Layout
    sha256: str
    official: bool
    member_sha256: dict[str, str]
    arrays: dict[str, NDArray[np.uint8]]


@dataclass(frozen=True)
class _Member:
    """File in an archive: its name without folders, the size in bytes that it declares, and a function to read it."""

    name: str
    size: int
    read: Callable[[], bytes]


def read_archive(path: Path, dataset: Dataset = CIFAR10) -> Archive:
    """Return the verified content of the archive at `path`: a .tar.gz or .tar file, or the folder of its batches.

    The member names tell its layout. Raise ArchiveError unless it is a complete archive of the data set.
    """
    digest = ""
    try:
        if path.is_dir():
            layout, member_sha256, arrays = _read_members(path, _folder_members(path, dataset), dataset)
        else:
            packed = _is_packed(path, dataset)
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            with gzip.open(path) if packed else path.open("rb") as unpacked:
                members = _tar_members(_Limited(cast(IO[bytes], unpacked), path, _most_bytes(dataset)))
                layout, member_sha256, arrays = _read_members(path, members, dataset)
    except EOFError as error:
        raise ArchiveError(f"{path} is truncated: it ends in the middle of its compressed data") from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise ArchiveError(f"{path} is damaged: {error}") from error
    except RecursionError as error:
        raise ArchiveError(f"{path} is damaged: it has headers without end") from error
    except (tarfile.TarError, ValueError) as error:  # tarfile lets a ValueError of a damaged header pass
        raise ArchiveError(f"{path} is damaged or not a tar archive: {one_line(error)}") from error
    except OSError as error:
        raise ArchiveError(f"{path} cannot be read: {error.strerror or error}") from error
    official = digest == dataset.archives[layout].sha256
    return Archive(layout, digest, official, member_sha256, arrays)


def _most_bytes(dataset: Dataset) -> int:
    """Return the size of the largest unpacked archive that is read: both layouts together have two thirds of it."""
    return 3 * dataset.nbytes + _MAX_HEADERS_BYTES


def _is_packed(path: Path, dataset: Dataset) -> bool:
    """Return whether the file is a .tar.gz, False for a .tar. Raise ArchiveError if its first bytes show neither."""
    try:
        files.require_regular_file(path)
    except LcbenchError as error:
        raise ArchiveError(str(error)) from error
    if path.stat().st_size > _most_bytes(dataset):
        raise ArchiveError(f"{path} has {units.size(path.stat().st_size)}: it is too large for {dataset.name}")
    with path.open("rb") as file:
        head = file.read(512)
    if head.startswith(b"\x1f\x8b"):
        return True
    if head[257:262] == b"ustar":
        return False
    if not head:
        raise ArchiveError(f"{path} is empty")
    if head.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"<"):
        raise ArchiveError(f"{path} is a web page (HTML), not a .tar.gz archive")
    for name, signature in (("zip", b"PK"), ("bzip2", b"BZh"), ("xz", b"\xfd7zXZ"), ("zstd", b"\x28\xb5\x2f\xfd")):
        if head.startswith(signature):
            raise ArchiveError(f"{path} is packed with {name}, and only .tar.gz and .tar are read: unpack it first")
    raise ArchiveError(f"{path} is not a .tar.gz or .tar archive: it is neither gzip data nor tar")


class _Limited:
    """Unpacked archive that raises ArchiveError where more is read from it than an honest archive has.

    total: most bytes of it. `content`: bytes that may be read at once, for the content of a member; None while headers
    are read.
    """

    def __init__(self, file: IO[bytes], path: Path, total: int) -> None:
        self._file, self._total, self.path = file, total, path
        self._headers = 0
        self.content: int | None = None

    def read(self, size: int = -1) -> bytes:
        """Return the next `size` bytes."""
        most = _MAX_HEADER_BYTES if self.content is None else self.content
        if not 0 <= size <= most:
            declared = f"declares a header of {size:,} bytes or more"  # it may be read in parts
            raise ArchiveError(f"{self.path} {declared}: it is damaged, or made to be harmful")
        if self.content is None:
            self._headers += size
            if self._headers > _MAX_HEADERS_BYTES:
                raise ArchiveError(f"{self.path} has more headers than fit in {units.size(_MAX_HEADERS_BYTES)}")
        self._require(self._file.tell() + size)
        return self._file.read(size)

    def seek(self, position: int, whence: int = 0) -> int:
        """Go to a position, from the beginning."""
        self._require(position)
        return self._file.seek(position, whence)

    def tell(self) -> int:
        """Return the position."""
        return self._file.tell()

    def read_to_the_end(self) -> None:
        """Read the rest, for the checksum at its end."""
        while piece := self._file.read(1 << 20):
            self._require(self._file.tell() + len(piece))

    def _require(self, position: int) -> None:
        if position > self._total + (1 << 20):
            raise ArchiveError(f"{self.path} holds, or declares, more than {units.size(self._total)}: too much")


def _tar_members(unpacked: _Limited) -> Iterator[_Member]:
    """Yield the files in a tar archive."""
    with tarfile.open(fileobj=cast(IO[bytes], unpacked), mode="r:") as tar:
        while (member := tar.next()) is not None:
            if member.isreg():
                yield _Member(
                    PurePosixPath(member.name).name, member.size, partial(_read_member, tar, unpacked, member)
                )
            vars(tar)["members"].clear()  # the list of all members, of which there may be many
    # gzip checks its checksum at the end of the data, which is behind the end of the tar archive.
    unpacked.read_to_the_end()


def _read_member(tar: tarfile.TarFile, unpacked: _Limited, member: tarfile.TarInfo) -> bytes:
    file = tar.extractfile(member)
    assert file is not None  # a regular file
    unpacked.content = member.size
    content = file.read()
    unpacked.content = None
    return content


def _folder_members(folder: Path, dataset: Dataset) -> Iterator[_Member]:
    """Yield the files of batches in a folder into which an archive was extracted, or in the folder within it."""
    for place in (folder, folder / "cifar-10-batches-bin", folder / "cifar-10-batches-py"):
        for split in SPLITS:
            for batch in dataset.batches[split]:
                for file in (place / f"{batch.name}.bin", place / batch.name):
                    if file.is_file():
                        yield _Member(file.name, file.stat().st_size, file.read_bytes)


def _read_members(
    path: Path, members: Iterable[_Member], dataset: Dataset
) -> tuple[Layout, dict[str, str], dict[str, NDArray[np.uint8]]]:
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
    for member in members:
        batch_name = member.name.removesuffix(".bin")
        if batch_name not in places:
            continue
        member_layout: Layout = "binary" if member.name.endswith(".bin") else "python"
        layout = layout or member_layout
        if member_layout != layout:
            continue
        if member.name in member_sha256:
            raise ArchiveError(f"{path} holds {member.name} twice")
        batch, images, labels = places[batch_name]
        content = _member_content(path, member, batch, dataset.pixels)
        records = content if layout == "binary" else _pickled_records(path, member.name, content, batch, dataset.pixels)
        if hashlib.sha256(records).hexdigest() != batch.sha256:
            raise ArchiveError(f"{path}: {member.name} is not {dataset.name}'s: its content has another checksum")
        member_sha256[member.name] = hashlib.sha256(content).hexdigest()
        table = np.frombuffer(records, np.uint8).reshape(batch.rows, 1 + dataset.pixels)
        labels[:] = table[:, 0]
        images[:] = table[:, 1:]

    if layout is None:
        raise ArchiveError(f"{path} holds no {dataset.name} batches (data_batch_1.bin or data_batch_1, ...)")
    suffix = ".bin" if layout == "binary" else ""
    missing = [name + suffix for name in places if name + suffix not in member_sha256]
    if missing:
        raise ArchiveError(f"{path} is incomplete: it lacks {', '.join(missing)}")
    return layout, member_sha256, arrays


def _member_content(path: Path, member: _Member, batch: Batch, pixels: int) -> bytes:
    # A pickle may store pixels as text, at up to two bytes each. A member that declares far more is not read.
    largest = 3 * batch.rows * (1 + pixels) + (1 << 20)
    if member.size > largest:
        raise ArchiveError(f"{path}: {batch.name} declares {member.size:,} bytes, too many for a batch")
    return member.read()


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


_OPCODES_PER_ROW = 20
"""Most opcodes of a batch for each row: Python 3 needs nine in protocol 2, eight of them for a file name."""


def read_batch(pickled: bytes, rows: int, pixels: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return images (rows, pixels) and labels (rows,), both uint8, of a pickled batch of protocol 2 or later.

    The batch is a dictionary with "data", a uint8 array, and "labels", a list of integers; other entries are ignored.
    Raise PickleError for anything else.
    """
    try:
        batch = _plain_data(pickled, _OPCODES_PER_ROW * rows + 1000)
        return _image_array(_entry(batch, "data"), rows, pixels), _label_array(_entry(batch, "labels"), rows)
    except (ValueError, IndexError, KeyError, TypeError, AttributeError) as error:
        # A malformed pickle causes any of these: a truncated argument, an empty stack, an unset memo entry.
        raise PickleError(f"not a well-formed pickle ({_shown(str(error))})") from error


def _plain_data(pickled: bytes, most: int) -> Any:
    """Return the pickled object, with dictionaries as lists of (key, value) pairs, globals as Name, objects as Call.

    most: number of opcodes above which it is no batch.
    """
    stack: list[Any] = []
    outer: list[list[Any]] = []  # stacks below each open mark
    memo: dict[int, Any] = {}
    argument: Any
    for number, (opcode, argument, _) in enumerate(pickletools.genops(pickled)):
        if number > most:
            raise PickleError(f"it has more than {most:,} opcodes, too many for a batch")
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
