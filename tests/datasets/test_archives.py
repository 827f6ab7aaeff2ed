import io
import tarfile

import numpy as np
import pytest

from lcbench.datasets.archives import ArchiveError, read_archive
from small_cifar10 import NAMES, SMALL, arrays, binary_members, names, pack, python_members


@pytest.fixture
def file(tmp_path):
    return tmp_path / "archive.tar.gz"


def refusal(file, content):
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
def test_a_repacked_archive_is_read_by_its_member_names(file, members):
    renamed = {f"./elsewhere/{name.rpartition('/')[2]}": content for name, content in reversed(members.items())}
    file.write_bytes(pack({"README": b"hello", **renamed}))
    archive = read_archive(file, SMALL)
    assert not archive.official
    for name, expected in arrays().items():
        np.testing.assert_array_equal(archive.arrays[name], expected)


@pytest.mark.parametrize(
    ("members", "name"), [(binary_members(), "data_batch_3.bin"), (python_members(), "test_batch")]
)
def test_a_changed_pixel_is_refused_by_the_name_of_its_member(file, members, name):
    path = next(path for path in members if path.endswith(name))
    content = bytearray(members[path])
    content[len(content) // 2] ^= 1
    assert f"{name} is not CIFAR-10 in small's" in refusal(file, pack({**members, path: bytes(content)}))


def test_missing_and_doubled_members_are_named(file):
    members = binary_members()
    first, second, *_ = members
    doubled = {**members, f"copy/{first}": members[first]}
    assert "holds data_batch_1.bin twice" in refusal(file, pack(doubled))
    del members[first], members[second]
    assert refusal(file, pack(members)).endswith("it lacks data_batch_1.bin, data_batch_2.bin")
    assert "holds no CIFAR-10 in small batches" in refusal(file, pack({"train.bin": b"CIFAR-100"}))


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "is empty"),
        (b"<!DOCTYPE html><p>Please log in", "is a web page (HTML)"),
        (b"\xef\xbb\xbf\r\n <html>", "is a web page (HTML)"),
        (b"PK\x03\x04", "is not gzip data"),
        (b"\x1f\x8b", "is truncated"),
    ],
)
def test_other_files_are_told_by_their_first_bytes(file, content, what):
    assert what in refusal(file, content)


def test_every_truncation_is_refused(file):
    content = pack(binary_members())
    for size in range(3, len(content), len(content) // 40):
        refusal(file, content[:size])
    assert "is truncated" in refusal(file, content[: len(content) // 2])
    assert "is truncated" in refusal(file, content[:-1])


def test_flipped_bits_are_refused(file):
    content = pack(binary_members())
    last = len(content) - 1000  # behind it lie only zeros, which some damaged bytes unpack to all the same
    for place in range(20, last, last // 40):
        refusal(file, flipped(content, place))


def test_damage_behind_the_last_member_is_refused(file):
    assert "CRC check failed" in refusal(file, flipped(pack(binary_members()), -6))


def flipped(content, place):
    return content[:place] + bytes([content[place] ^ 0x10]) + content[place:][1:]


def test_a_member_that_claims_too_much_is_not_read(file):
    huge = tarfile.TarInfo("cifar-10-batches-bin/data_batch_1.bin")
    huge.size = 1 << 40
    assert "claims 1,099,511,627,776 bytes" in refusal(file, _pack_header(huge))


def test_a_link_is_not_followed(file):
    link = tarfile.TarInfo("cifar-10-batches-bin/data_batch_1.bin")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    assert "holds no CIFAR-10 in small batches" in refusal(file, _pack_header(link))


def _pack_header(info):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        tar.addfile(info)
    return packed.getvalue()


def test_no_member_is_written_anywhere(file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    members = {f"../{path}": content for path, content in binary_members().items()}
    file.write_bytes(pack({"/tmp/x": b"", "../escape": b"", **members}))
    read_archive(file, SMALL)
    assert names(tmp_path) == [file.name]
