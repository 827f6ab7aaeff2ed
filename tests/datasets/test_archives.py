import gzip
import os
import pickle
import struct
import subprocess
import sys
import tarfile

import numpy as np
import pytest

from lcbench.datasets.archives import ArchiveError, PickleError, read_archive, read_batch
from small_cifar10 import (
    NAMES,
    PIXELS,
    ROWS,
    SMALL,
    arrays,
    binary_members,
    names,
    pack,
    python_batch,
    python_members,
    records,
)


@pytest.fixture
def file(tmp_path):
    return tmp_path / "archive.tar.gz"


def archive_error(file, content):
    file.write_bytes(content)
    with pytest.raises(ArchiveError) as caught:
        read_archive(file, SMALL)
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("layout", ["binary", "python"])
def test_either_official_archive_gives_the_same_arrays(file, layout):
    file.write_bytes(pack(binary_members() if layout == "binary" else python_members()))
    archive = read_archive(file, SMALL)
    assert archive.layout == layout
    assert archive.official
    assert list(archive.member_sha256) == [name + (".bin" if layout == "binary" else "") for name in NAMES]
    for name, expected in arrays().items():
        assert archive.arrays[name].dtype == np.uint8
        np.testing.assert_array_equal(archive.arrays[name], expected)


@pytest.mark.parametrize("members", [binary_members(), python_members(protocol=5)])
def test_a_repacked_archive_is_accepted(file, members):
    renamed = {f"./elsewhere/{name.rpartition('/')[2]}": content for name, content in reversed(members.items())}
    file.write_bytes(pack({"README": b"hello", **renamed}))
    archive = read_archive(file, SMALL)
    assert not archive.official
    for name, expected in arrays().items():
        np.testing.assert_array_equal(archive.arrays[name], expected)


@pytest.mark.parametrize(
    ("members", "name"), [(binary_members(), "data_batch_3.bin"), (python_members(), "test_batch")]
)
def test_a_changed_pixel_is_rejected_with_the_member_name(file, members, name):
    path = next(path for path in members if path.endswith(name))
    content = bytearray(members[path])
    content[len(content) // 2] ^= 1
    assert f"{name} is not CIFAR-10 in small's" in archive_error(file, pack({**members, path: bytes(content)}))


def test_missing_and_duplicate_members_are_named(file):
    members = binary_members()
    first, second, *_ = members
    doubled = {**members, f"copy/{first}": members[first]}
    assert "holds data_batch_1.bin twice" in archive_error(file, pack(doubled))
    del members[first], members[second]
    assert archive_error(file, pack(members)).endswith("it lacks data_batch_1.bin, data_batch_2.bin")
    assert "holds no CIFAR-10 in small batches" in archive_error(file, pack({"train.bin": b"CIFAR-100"}))


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "is empty"),
        (b"<!DOCTYPE html><p>Please log in", "is a web page (HTML)"),
        (b"\xef\xbb\xbf\r\n <html>", "is a web page (HTML)"),
        (b"PK\x03\x04", "is packed with zip, and only .tar.gz and .tar are read: unpack it first"),
        (b"\xfd7zXZ\x00", "is packed with xz"),
        (b"some text", "is not a .tar.gz or .tar archive"),
        (b"\x1f\x8b", "is truncated"),
    ],
)
def test_other_file_types_are_recognised_by_their_first_bytes(file, content, what):
    assert what in archive_error(file, content)


def test_truncated_archives_are_rejected(file):
    content = pack(binary_members())
    for size in range(3, len(content), len(content) // 40):
        archive_error(file, content[:size])
    assert "is truncated" in archive_error(file, content[: len(content) // 2])
    assert "is truncated" in archive_error(file, content[:-1])


def test_flipped_bits_are_rejected(file):
    content = pack(binary_members())
    last = len(content) - 1000  # after it are only zeros, and some damaged bytes are unpacked to zeros as well
    for place in range(20, last, last // 40):
        archive_error(file, flipped(content, place))


def test_damage_after_the_last_member_is_rejected(file):
    assert "CRC check failed" in archive_error(file, flipped(pack(binary_members()), -6))


def flipped(content, place):
    return content[:place] + bytes([content[place] ^ 0x10]) + content[place:][1:]


def test_a_member_that_declares_too_many_bytes_is_not_read(file):
    huge = tarfile.TarInfo("cifar-10-batches-bin/data_batch_1.bin")
    huge.size = 1 << 40
    assert "declares 1,099,511,627,776 bytes" in archive_error(file, _pack_header(huge))


def test_a_link_is_not_followed(file):
    link = tarfile.TarInfo("cifar-10-batches-bin/data_batch_1.bin")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    assert "holds no CIFAR-10 in small batches" in archive_error(file, _pack_header(link))


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK])
@pytest.mark.parametrize("size", [5_000_000_000, 1 << 56])
def test_a_header_that_declares_too_many_bytes_is_not_read(file, kind, size):
    header = tarfile.TarInfo("long")
    header.type, header.size = kind, size
    content = gzip.compress(header.tobuf(tarfile.GNU_FORMAT) + bytes(2048))
    read = size if sys.version_info < (3, 14) else 1 << 20  # tarfile then reads it in parts
    assert f"declares a header of {read:,} bytes or more: it is damaged" in archive_error(file, content)


def empty_members(count, kind=tarfile.REGTYPE):
    header = tarfile.TarInfo("member")
    header.type, header.size = kind, 0
    return gzip.compress(header.tobuf(tarfile.GNU_FORMAT) * count, compresslevel=1)


def test_what_a_small_archive_unpacks_to_is_limited(file):
    member = tarfile.TarInfo("zeros")
    member.size = 30_000_000
    zeros = gzip.compress(member.tobuf() + bytes(member.size), compresslevel=1)
    assert "holds, or declares, more than 17.1 MiB" in archive_error(file, zeros)
    after_the_end = gzip.compress(bytes(30_000_000), compresslevel=1)
    assert "holds, or declares, more than 17.1 MiB" in archive_error(file, after_the_end)
    assert "more headers than fit in 16 MiB" in archive_error(file, empty_members(33_000))
    assert "headers without end" in archive_error(file, empty_members(3000, tarfile.GNUTYPE_LONGNAME))
    file.write_bytes(b"")
    with file.open("rb+") as large:
        large.truncate(19_000_000)
    with pytest.raises(ArchiveError, match=r"has .* MiB: it is too large for CIFAR-10 in small"):
        read_archive(file, SMALL)


def test_a_fifo_is_not_opened(file):
    os.mkfifo(file)
    with pytest.raises(ArchiveError, match=r"is a named pipe \(FIFO\), not a regular file"):
        read_archive(file, SMALL)


@pytest.mark.parametrize("members", [binary_members(), python_members()])
@pytest.mark.parametrize("how", ["tar", "folder", "folder above"])
def test_unpacked_archives_are_verified_member_by_member(tmp_path, members, how):
    if how == "tar":
        path = tmp_path / "mine.tar"
        path.write_bytes(gzip.decompress(pack(members)))
    else:
        for name, content in members.items():
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_bytes(content)
        path = (tmp_path / name).parent if how == "folder" else tmp_path
    archive = read_archive(path, SMALL)
    assert not archive.official
    assert set(archive.member_sha256) <= {name.rpartition("/")[2] for name in members}
    for name, expected in arrays().items():
        np.testing.assert_array_equal(archive.arrays[name], expected)
    if how != "tar":
        batch = next(path.rglob("data_batch_4*"))
        batch.write_bytes(batch.read_bytes()[:-1] + b"\x07")
        with pytest.raises(ArchiveError, match=f"{batch.name} is not "):
            read_archive(path, SMALL)
        batch.unlink()
        os.mkfifo(batch)
        with pytest.raises(ArchiveError, match=f"it lacks {batch.name}"):
            read_archive(path, SMALL)


def test_a_folder_without_batches_is_an_error(tmp_path):
    with pytest.raises(ArchiveError, match="holds no CIFAR-10 in small batches"):
        read_archive(tmp_path, SMALL)


def _pack_header(info):
    return gzip.compress(info.tobuf(tarfile.GNU_FORMAT) + bytes(2 * tarfile.BLOCKSIZE))


def test_no_member_is_written_to_disk(file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    members = {f"../{path}": content for path, content in binary_members().items()}
    file.write_bytes(pack({"/tmp/x": b"", "../escape": b"", **members}))
    read_archive(file, SMALL)
    assert names(tmp_path) == [file.name]


# Pickled batches

NAME = "data_batch_1"


def assert_reads(pickled):
    images, labels = read_batch(pickled, ROWS, PIXELS)
    assert images.dtype == labels.dtype == np.uint8
    np.testing.assert_array_equal(images, records(NAME)[:, 1:])
    np.testing.assert_array_equal(labels, records(NAME)[:, 0])


def pickle_error(pickled):
    with pytest.raises(PickleError) as caught:
        read_batch(pickled, ROWS, PIXELS)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def short_text(text):
    return b"U" + bytes([len(text)]) + text


def pickled_by_python_2():
    """Return a batch as in the official archive: cPickle of Python 2, protocol 2, byte strings as text."""
    table = records(NAME)
    labels = b"".join(b"K" + bytes([label]) for label in table[:, 0])
    pixels = table[:, 1:].tobytes()
    shape = b"(M" + struct.pack("<H", ROWS) + b"M" + struct.pack("<H", PIXELS) + b"t"
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\nq\x05cnumpy\nndarray\nq\x06K\x00\x85" + short_text(b"b") + b"\x87Rq\x07"
        b"(K\x01" + shape + b"cnumpy\ndtype\nq\x08" + short_text(b"u1") + b"K\x00K\x01\x87Rq\x09"
        b"(K\x03" + short_text(b"|") + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89"
        b"T" + struct.pack("<I", len(pixels)) + pixels + b"tb"
    )  # fmt: skip
    return (
        b"\x80\x02}q\x01(" + short_text(b"batch_label") + b"q\x02" + short_text(b"training batch 1 of 5")
        + short_text(b"labels") + b"q\x03]q\x04(" + labels + b"e"
        + short_text(b"data") + array
        + short_text(b"filenames") + b"]q\x0a(" + short_text(b"leptodactylus_pentadactylus_s_000004.png") + b"eu."
    )  # fmt: skip


def test_reads_a_batch_pickled_by_python_2():
    pickled = pickled_by_python_2()
    assert_reads(pickled)
    # Python also reads these bytes as a batch.
    batch = pickle.loads(pickled, encoding="bytes")
    np.testing.assert_array_equal(batch[b"data"], records(NAME)[:, 1:])


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("keys", [bytes, str])
@pytest.mark.parametrize("order", ["C", "F"])
def test_reads_every_protocol_key_type_and_array_order(protocol, keys, order):
    batch = python_batch(NAME)
    batch[b"data"] = np.asarray(batch[b"data"], order=order)
    if keys is str:
        batch = {key.decode(): value for key, value in batch.items()}
    assert_reads(pickle.dumps(batch, protocol))


def test_reads_pickles_of_numpy_1():
    pickled = pickle.dumps(python_batch(NAME), 2)
    assert b"numpy._core.multiarray" in pickled
    assert_reads(pickled.replace(b"numpy._core.multiarray", b"numpy.core.multiarray"))


class CallOnLoad:
    """Object whose pickle calls `function` when it is loaded."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", [2, 4, 5])
@pytest.mark.parametrize("where", ["value", "nested", "argument"])
@pytest.mark.parametrize("function", [os.system, eval, subprocess.check_call, getattr, np.load, __import__])
def test_nothing_that_a_pickle_names_is_called(tmp_path, monkeypatch, protocol, where, function):
    monkeypatch.chdir(tmp_path)
    attack = CallOnLoad(function, "touch ran")
    batch = {
        "value": {**python_batch(NAME), b"labels": attack},
        "nested": {b"extra": [({"deep": [attack]},)], **python_batch(NAME)},
        "argument": {**python_batch(NAME), b"extra": CallOnLoad(np.dtype, attack)},
    }[where]
    message = pickle_error(pickle.dumps(batch, protocol))
    assert function.__name__ in message
    assert "none of it was run" in message
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("pickled", "what"),
    [
        (b"\x80\x02cnumpy\ndtype\n}U\x08__call__U\x04evilsb.", "sets the state of something that is not an array"),
        (b"\x80\x02cnumpy\nndarray\n)\x81.", "NEWOBJ"),
        (b"\x80\x02\x8c\x05numpy\x8c\x0dndarray.dumps\x93.", "names numpy.ndarray.dumps"),
        (b"\x80\x02U\x01a)R.", "calls something that is not a function"),
        (b"\x80\x02X\x04\x00\x00\x00evilQ.", "BINPERSID"),
        (b"\x80\x02\x82\x01.", "EXT1"),
        (b"Vtext\n.", "UNICODE"),
    ],
)
def test_other_pickle_opcodes_are_rejected(pickled, what):
    assert what in pickle_error(pickled)


@pytest.mark.parametrize(
    "pickled",
    [
        b"\x80\x05\x96" + struct.pack("<Q", 1 << 46) + b"x.",  # BYTEARRAY8 of 64 TiB
        b"\x80\x04\x8e" + struct.pack("<Q", (1 << 64) - 1) + b"x.",
        b"\x80\x02K\x00r\xff\xff\xff\xff.",  # memo entry 2**32 - 1
        b"\x80\x02K\x00" + b"\x86" * 1000 + b".",
        b"\x80\x02K\x00" + b"q\x00h\x00\x86" * 1000 + b".",  # a tuple of 2**1000 leaves
        b"\x80\x04K\x00" + b"q\x00h\x00\x86" * 1000 + b"h\x00\x93.",  # the same as the name of a global
        b"\x80\x02cnumpy\ndtype\nq\x00" + b"\x85h\x00R" * 100_000 + b".",
        b"\x80\x02cnumpy\ndtype\nq\x000K\x00" + b"q\x01h\x00h\x01\x85R" * 100_000 + b".",  # calls in calls
        b"\x80\x02" + b"(" * 1000,
        b"\x80\x02]q\x00h\x00a.",  # a list that holds itself
        b"\x80\x02}h\x07.",
        b"",
        b".",
        b"\x80\x02}(U\x01at.",
        b"\x80\x02}(U\x01au.",
        b"<html>",
    ],
)
def test_malformed_and_huge_pickles_are_rejected_at_once(pickled):
    assert pickle_error(pickled)


def test_a_pickle_with_more_opcodes_than_a_batch_is_rejected():
    assert "more than 1,400 opcodes" in pickle_error(b"\x80\x02]" + b"Na" * 1000 + b".")


def test_names_are_printed_without_control_characters():
    message = pickle_error(b"\x80\x02cevil\x1b[2J" + b"x" * 1000 + b"\nname\n.")
    assert "\x1b" not in message
    assert len(message) < 200


def test_truncated_pickles_are_rejected():
    for protocol in (2, 4, 5):
        pickled = pickle.dumps(python_batch(NAME), protocol)
        for size in range(0, len(pickled), len(pickled) // 50):
            pickle_error(pickled[:size])


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({b"data": [[0] * PIXELS] * ROWS}, "not a NumPy array|opcodes"),
        ({b"data": np.zeros((ROWS, PIXELS), np.int8)}, "not of type uint8"),
        ({b"data": np.zeros((ROWS, PIXELS), object)}, "not of type uint8|opcodes"),
        ({b"data": np.zeros((PIXELS, ROWS), np.uint8)}, "not of shape (20, 3072)"),
        ({b"labels": [0] * (ROWS - 1)}, "not a list of 20 numbers"),
        ({b"labels": [256] * ROWS}, "not all class numbers"),
        ({b"labels": [0.5] * ROWS}, "not all class numbers|BINFLOAT"),
    ],
)
def test_arrays_of_another_type_or_shape_are_rejected(change, what):
    message = pickle_error(pickle.dumps({**python_batch(NAME), **change}, 2))
    assert any(part in message for part in what.split("|"))


def test_a_buffer_of_another_length_is_rejected():
    pickled = pickle.dumps(python_batch(NAME), 5).replace(
        struct.pack("<Q", ROWS * PIXELS) + records(NAME)[:, 1:].tobytes(), struct.pack("<Q", 1) + b"x"
    )
    assert "has 1 bytes, not 61440" in pickle_error(pickled)


def test_missing_dictionary_entries_are_named():
    assert 'no "labels"' in pickle_error(pickle.dumps({b"data": python_batch(NAME)[b"data"]}, 2))
