import os

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from lcbench.datasets.tables import contents, reading
from lcbench.datasets.tables.reading import read_table
from lcbench.errors import LcbenchError
from table_errors import table_error

ENDINGS = (".csv", ".tsv", ".csv.gz", ".tsv.gz", ".npz", ".h5", ".hdf5")


@st.composite
def tables(draw):
    """Draw X of finite numbers, labels with at least three rows per class, and whether the labels are names."""
    classes, features = draw(st.integers(2, 4)), draw(st.integers(1, 5))
    extra = draw(st.lists(st.integers(0, classes - 1), max_size=8))
    y = np.array(draw(st.permutations([*range(classes)] * 3 + extra)))
    dtype = draw(st.sampled_from([np.uint8, np.float32, np.float64]))
    values = st.integers(0, 255) if dtype is np.uint8 else st.floats(allow_nan=False, allow_infinity=False, width=32)
    return draw(arrays.arrays(dtype, (len(y), features), elements=values)), y, draw(st.booleans())


def write_csv(path, X, y, mark=",", header=True):
    lines = [mark.join([*(f"f{i}" for i in range(X.shape[1])), "label"])] if header else []
    lines += [
        mark.join([*(repr(value) for value in row), str(label)]) for row, label in zip(X.tolist(), y, strict=True)
    ]
    path.write_text("\n".join(lines))


def write_hdf5(path, X, y):
    with h5py.File(path, "w") as file:
        file["X"] = X
        file["y"] = y.astype(object) if y.dtype.kind == "U" else y


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("tables")


@pytest.mark.parametrize(("name", "advice"), [("c.npz", "HDF5"), ("a.csv", "HDF5"), ("d.h5", "fewer rows")])
def test_a_table_that_does_not_fit_in_memory_is_not_read(tmp_path, monkeypatch, name, advice):
    X, y = np.zeros((100, 30)), np.arange(100) % 2
    write_csv(tmp_path / "a.csv", X, y)
    np.savez_compressed(tmp_path / "c.npz", X=X, y=y)
    write_hdf5(tmp_path / "d.h5", X, y)
    monkeypatch.setattr(reading.examples, "memory_available", lambda: 10_000)
    with pytest.raises(LcbenchError, match=rf"{name} takes .* of memory with a copy of its rows, .*: .*{advice}"):
        read_table(tmp_path / name, stream=False)


@settings(deadline=None, max_examples=60)
@given(table=tables())
def test_every_format_gives_the_same_table(folder, table):
    X, y, by_name = table
    labels = np.array(["ant", "bee", "cow", "doe"])[y] if by_name else y
    write_csv(folder / "a.csv", X, labels)
    write_csv(folder / "b.tsv", X, labels, "\t", header=False)
    np.savez(folder / "c.npz", X=X, y=labels)
    write_hdf5(folder / "d.h5", X, labels)
    for name in ("a.csv", "b.tsv", "c.npz", "d.h5"):
        found = read_table(folder / name, validation=0, test=0)
        np.testing.assert_array_equal(found.train.X, X)
        np.testing.assert_array_equal(found.train.y, y)
        assert found.train.X.dtype == (X.dtype if name in ("c.npz", "d.h5") else np.float64)
        assert found.source == name
        split = read_table(folder / name, seed=5)
        wanted = read_table(folder / "a.csv", seed=5)
        for part in ("train", "validation", "test"):  # the split does not depend on the format
            np.testing.assert_array_equal(getattr(split, part).X, getattr(wanted, part).X)
            np.testing.assert_array_equal(getattr(split, part).y, getattr(wanted, part).y)


@pytest.fixture
def numbered(tmp_path):
    """Return 300 rows that contain their own number, in three classes of 200, 70 and 30 consecutive rows."""
    path = tmp_path / "numbered.npz"
    np.savez(path, X=np.arange(600, dtype=np.float32).reshape(300, 2), y=np.repeat([0, 1, 2], [200, 70, 30]))
    return path


@pytest.mark.parametrize("block_bytes", [1, 100, 2**20])
def test_every_row_is_in_one_split_in_the_order_of_the_file(numbered, block_bytes, monkeypatch):
    monkeypatch.setattr(contents, "_BLOCK_BYTES", block_bytes)
    found = read_table(numbered, validation=0.2, test=0.1)
    rows = [(part.X[:, 0] / 2).astype(int) for part in (found.train, found.validation, found.test)]
    np.testing.assert_array_equal(np.sort(np.concatenate(rows)), np.arange(300))
    label_of_row = np.repeat([0, 1, 2], [200, 70, 30])
    for part, numbers in zip((found.train, found.validation, found.test), rows, strict=True):
        assert (np.diff(numbers) > 0).all()
        np.testing.assert_array_equal(part.X, np.stack([2 * numbers, 2 * numbers + 1], axis=1))
        np.testing.assert_array_equal(part.y, label_of_row[numbers])


def test_each_split_gets_its_fraction_of_each_class(numbered):
    found = read_table(numbered, validation=0.2, test=0.1)
    assert np.bincount(found.train.y).tolist() == [140, 49, 21]
    assert np.bincount(found.validation.y).tolist() == [40, 14, 6]
    assert np.bincount(found.test.y).tolist() == [20, 7, 3]


def test_the_seed_determines_the_rows(numbered):
    first, same, other = (read_table(numbered, seed=seed).test.X for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, same)
    assert not np.array_equal(first, other)


@settings(deadline=None)
@given(
    counts=st.lists(st.integers(3, 12), min_size=2, max_size=4),
    validation=st.floats(0.01, 0.95),
    share=st.floats(0.01, 0.99),
)
def test_every_class_is_in_every_split_of_small_tables(folder, counts, validation, share):
    y = np.repeat(np.arange(len(counts)), counts)
    np.savez(folder / "small.npz", X=np.arange(len(y), dtype=float)[:, None], y=y)
    found = read_table(folder / "small.npz", validation=validation, test=(1 - validation) * share)
    for part in (found.train, found.validation, found.test):
        assert np.unique(part.y).tolist() == list(range(len(counts)))


def test_a_fraction_of_zero_gives_an_empty_split(numbered):
    found = read_table(numbered, validation=0, test=0.1)
    assert found.validation.X.shape == (0, 2)
    assert found.validation.y.shape == (0,)
    assert (len(found.train), len(found.test)) == (270, 30)


@pytest.mark.parametrize("fractions", [(0.5, 0.5), (1, 0), (-0.1, 0.1), (float("nan"), 0.1), (0.1, float("inf"))])
def test_fractions_that_leave_no_training_rows_are_rejected(numbered, fractions):
    with pytest.raises(LcbenchError, match=r"below 1|0 or more"):
        read_table(numbered, validation=fractions[0], test=fractions[1])


def test_uint8_is_not_copied_if_no_rows_are_drawn(tmp_path, monkeypatch):
    X, y = np.zeros((6, 4, 4, 3), np.uint8), np.arange(6) % 2
    np.savez(tmp_path / "a.npz", X=X, y=y)
    monkeypatch.setattr(np.lib.npyio.NpzFile, "__getitem__", lambda archive, name: {"X": X, "y": y}[name])
    assert np.shares_memory(read_table(tmp_path / "a.npz", validation=0, test=0).train.X, X)


@pytest.mark.parametrize("name", ["table", "table.txt", "table.npy", "table.csv.zip", "csv"])
def test_the_error_for_an_unknown_ending_lists_the_known_ones(tmp_path, name):
    (tmp_path / name).write_text("1,2\n")
    message = table_error(tmp_path / name)
    assert "unknown file extension" in message
    assert all(ending in message for ending in ENDINGS)


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_path_that_is_no_file_is_rejected(tmp_path, ending):
    path = tmp_path / f"table{ending}"
    assert "no file" in table_error(path)
    path.mkdir()
    assert "is a folder" in table_error(path)
    path.rmdir()
    path.touch()
    assert "is empty" in table_error(path)


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_file_that_is_no_regular_file_is_not_opened(tmp_path, ending):
    path = tmp_path / f"table{ending}"
    os.mkfifo(path)
    assert "is a named pipe (FIFO), not a regular file" in table_error(path)
    path.unlink()
    path.symlink_to("/dev/zero")
    assert "is a device, not a regular file" in table_error(path)


@pytest.mark.parametrize("ending", ENDINGS)
def test_content_of_another_format_is_named(tmp_path, ending):
    path = tmp_path / f"table{ending}"
    if not ending.endswith((".h5", ".hdf5")):
        write_hdf5(path, np.eye(2), np.arange(2))
        assert "has the content of HDF5, not of " in table_error(path)
        assert "rename it to end in .h5" in table_error(path)
    if ending != ".npz":
        with path.open("wb") as file:
            np.savez(file, X=np.eye(2), y=np.arange(2))
        assert "has the content of NPZ, not of " in table_error(path)
        assert "rename it to end in .npz" in table_error(path)
    if not ending.endswith((".csv", ".tsv")):
        path.write_text("1,2,cat\n")
        assert any(words in table_error(path) for words in ("damaged or no", "is not an HDF5 file"))


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_file_without_read_permission_is_rejected(tmp_path, ending, monkeypatch):
    path = tmp_path / f"table{ending}"
    path.write_text("1,2,cat\n")
    path.chmod(0)
    if os.access(path, os.R_OK):  # root may read every file, so the error is simulated

        def deny(*_args, **_kwargs):
            raise PermissionError(13, "Permission denied", str(path))

        monkeypatch.setattr("pathlib.Path.open", deny)
    assert "cannot read" in table_error(path)
    assert "Permission denied; check its permissions" in table_error(path)
