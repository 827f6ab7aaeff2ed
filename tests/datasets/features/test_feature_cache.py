import shutil
from collections import namedtuple

import numpy as np
import pytest

from lcbench import files
from lcbench.datasets.features import cache
from lcbench.errors import LcbenchError


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("LCBENCH_DATA", str(tmp_path))
    return files.features_folder()


def arrays():
    wide = np.arange(60_000, dtype=np.float32).reshape(300, 200)
    return {"features": wide[:, 30:150], "few": np.arange(3.0)}


def empty_like(arrays):
    return {name: np.zeros(array.shape, array.dtype) for name, array in arrays.items()}


def test_read_returns_what_was_written(folder, monkeypatch):
    monkeypatch.setattr(cache, "_BLOCK_BYTES", 10_000)
    path = cache.location("thing", words=3)
    cache.write(path, arrays())
    assert [file.name for file in folder.iterdir()] == [path.name]
    found = empty_like(arrays())
    assert cache.read(path, found)
    for name, array in arrays().items():
        np.testing.assert_array_equal(found[name], array)


def test_read_returns_false_without_a_file():
    assert not cache.read(cache.location("thing"), empty_like(arrays()))


def test_location_depends_on_the_name_and_all_parameters():
    first = cache.location("thing", words=3, seed=0)
    assert first == cache.location("thing", seed=0, words=3)
    others = [cache.location("other", words=3, seed=0), cache.location("thing", words=4, seed=0)]
    assert len({first, *others, cache.location("thing", words=3)}) == 4


def test_content_hash_distinguishes_arrays():
    array = np.arange(6, dtype=np.uint8).reshape(2, 3)
    assert cache.content_hash(array) == cache.content_hash(array.copy(order="F"))
    others = [array.reshape(3, 2), array.astype(np.int8), array[::-1]]
    assert len({cache.content_hash(each) for each in (array, *others)}) == 4


@pytest.mark.parametrize("damage", ["cut", "flipped", "text", "empty", "folder"])
def test_a_damaged_file_is_not_read(damage):
    path = cache.location("thing")
    cache.write(path, arrays())
    content = path.read_bytes()
    where = content.index(arrays()["features"][200].tobytes()[:64])
    path.unlink()
    match damage:
        case "cut":
            path.write_bytes(content[: len(content) // 2])
        case "flipped":
            path.write_bytes(content[:where] + bytes([content[where] ^ 1]) + content[where + 1 :])
        case "text":
            path.write_bytes(b"not HDF5")
        case "empty":
            path.write_bytes(b"")
        case "folder":
            path.mkdir()
    assert not cache.read(path, empty_like(arrays()))


def test_other_shapes_types_and_names_are_not_read():
    path = cache.location("thing")
    cache.write(path, arrays())
    for wanted in ({"few": np.zeros(4)}, {"few": np.zeros(3, np.float32)}, {"none": np.zeros(3)}):
        assert not cache.read(path, wanted)


def test_a_failed_write_leaves_no_file(folder, monkeypatch):
    def fail(*arguments):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(cache.files.os, "fsync", fail)
    with pytest.raises(LcbenchError, match=r"cannot write .*thing-.*\.h5: Input/output error; LCBENCH_DATA moves it"):
        cache.write(cache.location("thing"), arrays())
    assert list(folder.iterdir()) == []


def test_a_file_in_place_of_the_folder_is_a_one_line_error(folder):
    folder.write_text("")
    with pytest.raises(LcbenchError, match="cannot write "):
        cache.write(cache.location("thing"), arrays())


def test_a_folder_without_write_permission_is_a_one_line_error(monkeypatch):
    monkeypatch.setattr(cache.os, "access", lambda path, right: False)  # root always has permission
    with pytest.raises(
        LcbenchError, match=r"cannot write .*thing-.*\.h5: no permission to write; LCBENCH_DATA moves it"
    ):
        cache.require_writable(cache.location("thing"), arrays())


def test_a_full_disk_is_reported_before_writing(folder, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: namedtuple("usage", "free")(1000))
    path = cache.location("thing")
    with pytest.raises(LcbenchError, match=r"would take .* MiB, and 1000 B are free there; LCBENCH_DATA moves it"):
        cache.require_writable(path, arrays())
    with pytest.raises(LcbenchError, match=r"would take .* MiB, and 1000 B are free there; LCBENCH_DATA moves it"):
        cache.write(path, arrays())
    assert list(folder.iterdir()) == []
