"""What is refused in HDF5 files, whose fault an error is, and writing without a word to a full disk."""

import errno
import fcntl
import resource
from contextlib import contextmanager

import h5py
import numpy as np
import pytest

from lcbench.datasets import hdf5, store, synthetic
from lcbench.datasets.features import cache
from lcbench.datasets.rows import open_rows
from lcbench.datasets.tables.reading import read_table
from lcbench.errors import LcbenchError
from lcbench.learn import model as model_file

ROWS = 12

READERS = {
    "table": read_table,
    "streamed table": lambda path: read_table(path, stream=True),
    "rows": lambda path: open_rows(path, "X"),
    "chunked rows": lambda path: open_rows(path, "chunked")[:],
    "CIFAR-10": store.origin,
    "verify": store.verify,
    "features": lambda path: cache.read(path, {"X": np.empty((ROWS, 3))}),
    "model": model_file.read,
}


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "data.h5"
    with h5py.File(path, "w") as file:
        file["X"], file["y"] = np.random.default_rng(0).random((ROWS, 3)), np.arange(ROWS) % 2
        file.create_dataset("chunked", data=file["X"][()], chunks=(4, 3))
    return path


def message(read, path):
    with pytest.raises(LcbenchError) as caught:
        read(path)
    assert str(caught.value).isprintable()
    assert str(path) in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
def test_a_locked_file_is_not_called_damaged(path, read):
    with path.open() as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        found = message(read, path)
    assert "is locked: another program has it open for writing: close it there" in found
    assert "HDF5_USE_FILE_LOCKING=FALSE" in found
    assert "damaged" not in found


def test_rows_that_are_locked_after_they_were_found_are_not_called_damaged(path):
    rows = open_rows(path, "chunked")
    with path.open() as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        assert "is locked" in message(lambda _: rows[:], path)


def test_a_file_left_open_by_a_killed_program_is_not_called_damaged(path, tmp_path):
    copy = tmp_path / "copy.h5"
    with h5py.File(path, "w", libver="v110") as file:
        file["X"] = np.zeros((ROWS, 3))
        file.flush()
        copy.write_bytes(path.read_bytes())
    found = message(read_table, copy)
    assert "is open for writing in another program" in found
    assert f"h5clear -s {copy}" in found


@pytest.mark.parametrize(
    ("code", "text", "words"),
    [
        (errno.ENOLCK, "(unable to lock file, errno = 37)", "the file system has no locks (No locks available)"),
        (errno.EMFILE, "(unable to open file: name = 'x')", "cannot read {}: Too many open files"),
        (errno.EIO, "(file read failed: time = Sun\n, filename = 'x')", "cannot read {}: Input/output error"),
        (errno.ESTALE, "(file read failed)", "cannot read {}: Stale file handle"),
    ],
)
def test_errors_of_the_operating_system_are_not_called_damage(path, code, text, words):
    error = hdf5.unreadable(path, OSError(code, f"Unable to synchronously open file {text}"), "write it again")
    assert words.format(path) in str(error)
    assert str(error).isprintable()
    assert not isinstance(error, hdf5.DamagedFileError)


def test_a_long_error_with_control_characters_is_short_and_printable(path):
    found = str(hdf5.unreadable(path, ValueError("\x1b[2J" + "x" * 1000), "write it again"))
    assert found.isprintable()
    assert len(found.removeprefix(str(path))) < 250


def put_elsewhere(path, how):
    """Replace X by values that are not in the file."""
    with h5py.File(path, "a") as file:
        X = file["X"][()]
        del file["X"]
        if how == "external":
            elsewhere = path.parent / "X.raw"
            elsewhere.write_bytes(X.tobytes())
            file.create_dataset("X", X.shape, X.dtype, external=[(str(elsewhere), 0, X.nbytes)])
            return
        layout = h5py.VirtualLayout(X.shape, X.dtype)
        layout[:] = h5py.VirtualSource(".", "X" if how == "itself" else "chunked", X.shape)
        file.create_virtual_dataset("X", layout)


@pytest.mark.parametrize(("how", "words"), [("itself", "virtual"), ("virtual", "virtual"), ("external", "external")])
@pytest.mark.parametrize("name", ["table", "streamed table", "rows", "CIFAR-10", "features", "model"])
def test_values_outside_of_the_file_are_refused_before_they_are_read(path, how, words, name):
    put_elsewhere(path, how)
    assert f"X {'is a ' if words == 'virtual' else 'has its '}" in message(READERS[name], path)
    assert words in message(READERS[name], path)


def test_external_links_are_refused_in_files_of_lcbench(path, tmp_path):
    linked = tmp_path / "linked.h5"
    with h5py.File(linked, "w") as file:
        file.create_group("scaling")["mean"] = h5py.ExternalLink(str(path), "X")
        file["X"] = h5py.ExternalLink(str(path), "X")
    for read in (store.origin, model_file.read, READERS["features"], READERS["rows"]):
        assert "is an external link to another file" in message(read, linked)


@pytest.mark.parametrize("where", ["dataset", "attribute"])
def test_a_damaged_text_in_which_hdf5_never_ends_is_a_damaged_file(path, where, monkeypatch):
    monkeypatch.setattr(hdf5, "_PROBE_S", 3.0)
    with h5py.File(path, "a") as file:
        if where == "dataset":
            file["class_names"] = ["some cats", "some dogs"]
        else:
            file.attrs["title"] = "some cats"
    assert len(read_table(path).class_names) == 2
    content = bytearray(path.read_bytes())
    first = content.index(b"GCOL") + 16
    content[first : first + 16] = bytes(16)  # free space of 0 bytes, which the library steps over again and again
    path.write_bytes(content)
    assert "is damaged: HDF5" in message(read_table, path)


def test_files_of_lcbench_have_no_text_outside_of_checksums(tmp_path):
    path = tmp_path / "data.h5"
    with h5py.File(path, "w", libver="v110") as file:
        file["names"] = hdf5.fixed_text(["naïve", "b"])
        file["none"] = hdf5.fixed_text([])
        hdf5.set_attributes(file, {"text": "çà", "empty": "", "number": 3})
    assert b"GCOL" not in path.read_bytes()
    with hdf5.open_file(path, "") as file:
        assert file["names"].asstr()[()].tolist() == ["naïve", "b"]
        assert file["none"].asstr()[()].tolist() == []
        assert hdf5.attributes(file) == {"text": "çà", "empty": "", "number": 3}


# Writing


@contextmanager
def largest_file(size):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.mark.parametrize("size", [0, 512, 5000, 60_000])
def test_a_file_that_cannot_be_written_is_an_error_and_not_the_end_of_the_process(tmp_path, size):
    def write(path):
        with hdf5.write_file(path, "; move it", libver="v110") as (file, _):
            for name in "abc":
                file.create_dataset(name, data=np.ones(10_000), chunks=(1000,), fletcher32=True)

    with largest_file(size):
        assert message(write, tmp_path / "data.h5").endswith("data.h5: File too large; move it")
    assert list(tmp_path.iterdir()) == []


def test_a_limit_of_the_file_size_is_named_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.setenv("LCBENCH_DATA", str(tmp_path / "data"))
    with largest_file(512):
        with pytest.raises(LcbenchError, match=r"would take 3 KiB, and files may have 512 B.*ulimit -f"):
            hdf5.require_space(tmp_path / "some.h5", 3072)
        with pytest.raises(LcbenchError, match=r"s\.h5 would take .* MiB, and files may have 512 B.*ulimit -f"):
            synthetic.write_hdf5(tmp_path / "s.h5", 2000)
        with pytest.raises(LcbenchError, match=r"thing-.*h5 would take .*ulimit -f.*LCBENCH_DATA moves it"):
            cache.write(cache.location("thing"), {"features": np.ones((1000, 8))})
    assert not (tmp_path / "s.h5").exists()
