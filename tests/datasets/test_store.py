import dataclasses
import os
import resource
import subprocess
import sys

import h5py
import numpy as np
import pytest

from lcbench.datasets import store
from lcbench.datasets.archives import read_archive
from lcbench.errors import LcbenchError
from small_cifar10 import ROWS, SMALL, arrays, binary_members, names, pack


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    file = tmp_path_factory.mktemp("archive") / "small.tar.gz"
    file.write_bytes(pack(binary_members()))
    return read_archive(file, SMALL)


@pytest.fixture
def file(tmp_path, archive):
    path = tmp_path / "data" / "cifar10.h5"
    store.write(path, archive, "small.tar.gz", SMALL)
    return path


def store_error(file, read=store.origin):
    with pytest.raises(LcbenchError) as caught:
        read(file, dataset=SMALL)
    message = str(caught.value)
    assert str(file) in message
    assert "lcbench download" in message
    assert "\n" not in message
    return message


def test_reads_back_what_was_written(file):
    for split in ("train", "test"):
        images, labels = store.read_split(file, split, dataset=SMALL)
        np.testing.assert_array_equal(images, arrays()[f"{split}/images"])
        np.testing.assert_array_equal(labels, arrays()[f"{split}/labels"])
    store.verify(file, SMALL)


@pytest.mark.parametrize(
    "rows", [slice(None), slice(3, 50), slice(-5, None), slice(0, 90, 7), [7, 3, 3, 99, 0], np.array([42]), []]
)
def test_reads_rows_in_the_requested_order(file, rows):
    rows = rows if isinstance(rows, slice) else np.array(rows, int)
    images, labels = store.read_split(file, "train", rows, SMALL)
    np.testing.assert_array_equal(images, arrays()["train/images"][rows])
    np.testing.assert_array_equal(labels, arrays()["train/labels"][rows])


@pytest.mark.parametrize("rows", [np.array([5 * ROWS]), np.array([-1]), slice(None, None, -1)])
def test_invalid_rows_raise_index_error(file, rows):
    with pytest.raises(IndexError, match=r"not all in train|read forwards"):
        store.read_split(file, "train", rows, SMALL)


def test_an_unknown_split_is_named(file):
    with pytest.raises(ValueError, match="no split 'validation': there are train and test"):
        store.read_split(file, "validation", dataset=SMALL)


def test_the_file_has_the_documented_layout(file, archive):
    with h5py.File(file) as opened:
        for name, array in arrays().items():
            assert opened[name].shape == array.shape
            assert opened[name].dtype == np.uint8
            assert opened[name].fletcher32
            assert opened[name].chunks[1:] == array.shape[1:]
        assert opened["class_names"].asstr()[0] == "airplane"
    origin = store.origin(file, SMALL)
    assert (origin.source, origin.layout, origin.archive_official) == ("small.tar.gz", "binary", True)
    assert origin.archive_sha256 == SMALL.archives["binary"].sha256
    assert origin.member_sha256 == archive.member_sha256
    assert "lcbench" in origin.creator


def test_the_file_has_default_permissions_and_no_temporary_file_is_left(file):
    plain = file.parent / "plain"
    plain.touch()
    assert names(file.parent) == ["cifar10.h5", "plain"]
    assert file.stat().st_mode == plain.stat().st_mode


def test_a_failed_write_keeps_the_old_file(file, archive, monkeypatch):
    before = file.read_bytes()

    def fail(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(store.files.os, "fsync", fail)
    with pytest.raises(KeyboardInterrupt):
        store.write(file, archive, "another", SMALL)
    assert names(file.parent) == ["cifar10.h5"]
    assert file.read_bytes() == before


FILL_THE_DISK = """
import sys
from pathlib import Path
from small_cifar10 import SMALL
from lcbench.datasets import store
from lcbench.datasets.archives import read_archive
store.write(Path(sys.argv[2]), read_archive(Path(sys.argv[1]), SMALL), "another", SMALL)
"""


@pytest.mark.parametrize("size", [0, 1000, 200_000])
def test_a_full_disk_is_a_one_line_error_and_keeps_the_old_file(file, tmp_path, size):
    before = file.read_bytes()
    source = tmp_path / "small.tar.gz"
    source.write_bytes(pack(binary_members()))
    done = subprocess.run(
        [sys.executable, "-c", FILL_THE_DISK, source, file],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size)),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == f"lcbench.errors.LcbenchError: cannot write {file}: File too large"
    assert names(file.parent) == ["cifar10.h5"]
    assert file.read_bytes() == before


def test_a_folder_that_cannot_be_created_is_a_one_line_error(tmp_path, archive):
    (tmp_path / "data").write_text("")
    with pytest.raises(LcbenchError, match=r"cannot write .*: (File exists|Not a directory)"):
        store.write(tmp_path / "data" / "cifar10.h5", archive, "small.tar.gz", SMALL)


def test_the_error_for_a_missing_file_names_the_command(tmp_path):
    assert "'lcbench download' fetches it" in store_error(tmp_path / "cifar10.h5")


def test_other_files_are_rejected(file):
    file.write_bytes(b"not HDF5")
    assert "is not an HDF5 file" in store_error(file)
    with h5py.File(file, "w") as other:
        other["x"] = 1
    assert "not CIFAR-10 in small as lcbench writes it" in store_error(file)


def test_a_truncated_file_is_rejected_when_it_is_opened(file):
    content = file.read_bytes()
    for size in (1, 100, len(content) // 2, len(content) - 1):
        file.write_bytes(content[:size])
        store_error(file)
    assert "truncated file" in store_error(file)


def test_a_newer_format_is_rejected(file):
    with h5py.File(file, "r+") as opened:
        opened.attrs["format_version"] = store.FORMAT_VERSION + 1
    assert "upgrade lcbench" in store_error(file)


def test_arrays_of_another_shape_type_or_name_are_rejected(file):
    with h5py.File(file, "r+") as opened:
        del opened["test/labels"]
        opened["test/labels"] = np.zeros(ROWS, np.int32)
    assert "test/labels is int32 (20,), not uint8 (20,)" in store_error(file)
    with h5py.File(file, "r+") as opened:
        del opened["test/labels"]
    assert "labels" in store_error(file)


def test_other_class_names_are_rejected(file):
    with h5py.File(file, "r+") as opened:
        opened["class_names"][0] = "aeroplane"
    assert "class names" in store_error(file)


def test_verify_finds_a_flipped_bit(file):
    content = bytearray(file.read_bytes())
    image = arrays()["test/images"][0].tobytes()
    content[content.index(image)] ^= 1
    file.write_bytes(content)
    store.origin(file, SMALL)
    assert "test/images cannot be read" in store_error(file, store.verify)
    with pytest.raises(LcbenchError, match="is damaged"):
        store.read_split(file, "test", dataset=SMALL)


def test_verify_finds_a_changed_label_with_a_valid_checksum(file):
    with h5py.File(file, "r+") as opened:
        opened["train/labels"][7] += 1
    assert "train/labels is not the content" in store_error(file, store.verify)


def test_damaged_metadata_is_a_one_line_error(file):
    content = file.read_bytes()
    images = content.index(arrays()["train/images"].tobytes())
    damaged = 0
    for place in [*range(8, min(images, 1500), 29), *range(len(content) - 1500, len(content), 29)]:
        file.write_bytes(content[:place] + bytes([content[place] ^ 0x10]) + content[place + 1 :])
        try:
            store.verify(file, SMALL)
        except LcbenchError as error:
            damaged += "\n" not in str(error)
    assert damaged > 20


def test_a_file_of_another_data_set_is_rejected(file):
    other = dataclasses.replace(SMALL, name="CIFAR-100")
    with pytest.raises(LcbenchError, match="not CIFAR-100 as lcbench writes it"):
        store.origin(file, other)
