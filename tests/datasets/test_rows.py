import dataclasses
import pickle

import h5py
import numpy as np
import pytest

from lcbench.datasets import examples
from lcbench.datasets.examples import load_splits, require_finite
from lcbench.datasets.preprocessing import mean_image, standardisation
from lcbench.datasets.rows import RowsOnDisk, SelectedRows, blocks, open_rows, scattered_blocks, select_rows
from lcbench.datasets.tables.arrays import read_hdf5
from lcbench.datasets.tables.reading import read_table
from lcbench.errors import LcbenchError

ROWS = 1000


@pytest.fixture(params=["contiguous", "chunked", "compressed", "big-endian", "float32"])
def stored(request, tmp_path):
    """Return a matrix on disk and the same matrix in memory."""
    X = np.random.default_rng(0).integers(0, 256, (ROWS, 3, 5)).astype(np.uint8)
    options = {}
    if request.param == "chunked":
        options = {"chunks": (64, 3, 5), "fletcher32": True}
    elif request.param == "compressed":
        options = {"chunks": (300, 3, 2), "compression": "gzip"}
    elif request.param == "big-endian":
        X = X.astype(">i4") - 100
    elif request.param == "float32":
        X = X.astype(np.float32) / 7
    path = tmp_path / "X.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("train/X", data=X, **options)
    return open_rows(path, "train/X"), X.reshape(ROWS, 15)


def test_rows_on_disk_have_the_attributes_of_the_matrix(stored):
    rows, X = stored
    assert rows.shape == X.shape
    assert len(rows) == ROWS
    assert (rows.ndim, rows.dtype, rows.nbytes) == (2, X.dtype, X.nbytes)
    assert rows.row_shape == (3, 5)
    assert (rows.path.name, rows.name) == ("X.h5", "train/X")


@pytest.mark.parametrize(
    "chosen",
    [
        slice(None),
        slice(10, 700),
        slice(990, 2000),
        slice(5, 5),
        slice(900, 3, -7),
        7,
        -1,
        np.arange(3, 400),
        np.random.default_rng(1).integers(-ROWS, ROWS, 300),
        np.array([], np.int64),
        np.arange(ROWS) % 3 == 0,
        [5, 5, 5, 6, 4],
    ],
    ids=str,
)
def test_indexing_equals_numpy_indexing(stored, chosen):
    rows, X = stored
    found = rows[chosen]
    np.testing.assert_array_equal(found, X[chosen])
    assert found.dtype == X.dtype


@pytest.mark.parametrize("size", [1, 77, 999, 5000, None])
@pytest.mark.parametrize(("start", "stop"), [(0, None), (13, 871), (5, 5)])
def test_blocks_cover_all_rows_in_order(stored, size, start, stop):
    rows, X = stored
    end = start
    for first, block in rows.blocks(size, start, stop):
        assert first == end
        end += len(block)
        np.testing.assert_array_equal(block, X[first:end])
    assert end == (ROWS if stop is None else stop)


def test_writing_to_a_block_does_not_change_the_file(stored):
    rows, X = stored
    for _, block in rows.blocks(100):
        block[:] = 0
    np.testing.assert_array_equal(rows[:], X)


def test_concurrent_and_abandoned_iterators_are_independent(stored):
    rows, X = stored
    next(rows.blocks(10))
    for (first, one), (_, other) in zip(rows.blocks(10), rows.blocks(10), strict=True):
        np.testing.assert_array_equal(one, X[first : first + 10])
        np.testing.assert_array_equal(other, one)


def test_astype_and_first_convert_and_limit_the_rows(stored):
    rows, X = stored
    fewer = rows.astype(np.float64).first(120)
    assert fewer.dtype == np.float64
    assert len(fewer) == 120
    np.testing.assert_array_equal(fewer[:], X[:120])
    np.testing.assert_array_equal(np.concatenate([block.copy() for _, block in fewer.blocks(50)]), X[:120])


def test_unpickled_rows_open_the_file_again(stored):
    rows, X = stored
    _ = rows[0]
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(rows))[5:9], X[5:9])


@pytest.mark.parametrize("wrong", [np.array([ROWS]), np.array([-ROWS - 1]), np.array([1.5]), np.zeros((2, 2), int)])
def test_invalid_indices_raise_index_error(stored, wrong):
    with pytest.raises(IndexError):
        stored[0][wrong]


def test_a_truncated_file_is_a_one_line_error(stored):
    rows, _ = stored
    with rows.path.open("rb+") as file:
        file.truncate(5000)
    for read in (lambda: rows[:], lambda: list(rows.blocks(10))):
        with pytest.raises(LcbenchError, match=r"X\.h5") as error:
            read()
        assert "\n" not in str(error.value)


def test_open_rows_rejects_datasets_that_are_no_numeric_matrix(tmp_path):
    path = tmp_path / "X.h5"
    with h5py.File(path, "w") as file:
        file["flat"] = np.arange(5)
        file["text"] = [["a", "b"]]
        file["none"] = h5py.Empty("f")
    for name in ("flat", "text", "none"):
        with pytest.raises(LcbenchError, match="rows and columns"):
            open_rows(path, name)
    with pytest.raises(LcbenchError, match="object 'absent' doesn't exist"):
        open_rows(path, "absent")
    with pytest.raises(LcbenchError, match="no file"):
        open_rows(tmp_path / "absent.h5", "X")


def test_read_hdf5_can_leave_x_on_disk(tmp_path):
    path = tmp_path / "table.h5"
    with h5py.File(path, "w") as file:
        file["X"], file["y"] = np.arange(12, dtype=np.uint8).reshape(6, 2), np.arange(6) % 2
    part = read_hdf5(path, None, on_disk=True).parts["train"]
    assert isinstance(part.X, RowsOnDisk)
    np.testing.assert_array_equal(part.X[:], np.arange(12).reshape(6, 2))
    np.testing.assert_array_equal(part.y, np.arange(6) % 2)


# Selected rows, and functions that take rows of any kind

X = np.random.default_rng(0).standard_normal((90, 4)).astype(np.float32)
DENSE = np.flatnonzero(np.arange(90) % 5)
SPARSE = np.array([3, 30, 31, 77])
NEIGHBOURS = np.arange(20, 60)


@pytest.fixture(params=[{}, {"chunks": (7, 4)}], ids=["contiguous", "chunked"])
def on_disk(tmp_path, request):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_dataset("X", data=X, **request.param)
    return open_rows(tmp_path / "x.h5", "X")


@pytest.mark.parametrize("indices", [DENSE, SPARSE, NEIGHBOURS, DENSE[:0]])
def test_selected_rows_equal_numpy_indexing(on_disk, indices):
    selected, expected = select_rows(on_disk, indices), X[indices]
    assert isinstance(selected, SelectedRows)
    assert (selected.shape, selected.dtype, selected.nbytes, len(selected)) == (
        expected.shape, expected.dtype, expected.nbytes, len(expected),
    )  # fmt: skip
    np.testing.assert_array_equal(selected[:], expected)
    found = [(start, block.copy()) for start, block in blocks(selected, 7)]
    assert [start for start, _ in found] == [start for start, _ in blocks(expected, 7)]
    for (_, block), (_, theirs) in zip(found, blocks(expected, 7), strict=True):
        np.testing.assert_array_equal(block, theirs)
    some = np.arange(len(indices))[::-2]
    np.testing.assert_array_equal(selected[some], expected[some])
    np.testing.assert_array_equal(select_rows(selected, np.sort(some))[:], expected[np.sort(some)])


@pytest.mark.parametrize("indices", [DENSE, SPARSE, NEIGHBOURS])
def test_scattered_blocks_give_the_places_of_the_rows(on_disk, indices):
    for rows, whole in ((SelectedRows(on_disk, indices), X[indices]), (X, X), (on_disk, X)):
        for start, block, places in scattered_blocks(rows, 7):
            found = block if places is None else block[places]
            np.testing.assert_array_equal(found, whole[start : start + 7])


def test_the_first_rows_are_selected_without_indices(on_disk):
    assert not isinstance(select_rows(on_disk, np.arange(40)), SelectedRows)
    np.testing.assert_array_equal(select_rows(on_disk, np.arange(40))[:], X[:40])


def test_mean_and_deviation_are_identical_on_disk_and_in_memory(on_disk, monkeypatch):
    monkeypatch.setattr("lcbench.datasets.preprocessing._MEAN_BLOCK_BYTES", 200)
    monkeypatch.setattr("lcbench.datasets.preprocessing._DEVIATION_BLOCK_BYTES", 400)
    np.testing.assert_allclose(mean_image(X), X.mean(axis=0, dtype=np.float64), rtol=1e-12)
    assert (mean_image(on_disk) == mean_image(X)).all()
    for ours, theirs in zip(standardisation(on_disk), standardisation(X), strict=True):
        assert (ours == theirs).all()


def test_require_finite_finds_values_on_disk(tmp_path, monkeypatch):
    monkeypatch.setattr("lcbench.datasets.examples._BLOCK_VALUES", 40)
    broken = X.copy()
    broken[71, 2], broken[80, 0] = np.nan, np.inf
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["X"] = broken
    with pytest.raises(LcbenchError, match=r"at 71, 2 is nan, the first of 2 values"):
        require_finite(open_rows(tmp_path / "x.h5", "X"), lambda row, column: f"at {row}, {column}")


@pytest.fixture
def table(tmp_path):
    with h5py.File(tmp_path / "t.h5", "w") as file:
        file["X"] = X
        file["y"] = np.arange(90) % 2
    return tmp_path / "t.h5"


def test_data_that_does_not_fit_in_memory_is_streamed_with_a_note(table, monkeypatch):
    notes = []
    assert not load_splits(str(table), note=notes.append).streamed
    assert notes == []
    monkeypatch.setattr(examples, "memory_available", lambda: X.nbytes)
    splits = load_splits(str(table), note=notes.append)
    assert splits.streamed
    assert not isinstance(splits.validation.X, np.ndarray)
    [line] = notes
    assert "t.h5" in line
    assert "streamed" in line
    enough = 2 * (X.nbytes + 8 * len(X))
    monkeypatch.setattr(examples, "memory_available", lambda: enough)
    assert not load_splits(str(table), stream=False, note=notes.append).streamed
    assert len(notes) == 1
    assert [load_splits(str(table), copied_itemsize=size).streamed for size in (0, 4)] == [False, True]


def test_unsupported_streaming_is_a_one_line_error(table, tmp_path):
    (tmp_path / "t.csv").write_text("a,b,label\n1,2,x\n3,4,y\n")
    for data, features, words in (
        (tmp_path / "t.csv", [], "CSV is read whole"),
        ("synthetic", [], "lcbench synth"),
        (table, ["hog"], "computed in memory"),
    ):
        with pytest.raises(LcbenchError, match=words):
            load_splits(str(data), features, stream=True)


def test_rows_on_disk_have_the_same_fingerprint_and_no_array(table):
    splits = read_table(table, stream=True)
    with pytest.raises(ValueError, match="stream=False"):
        _ = splits.train.array
    in_memory = read_table(table, stream=False)
    assert splits.fingerprint() == in_memory.fingerprint()
    other = dataclasses.replace(in_memory, train=examples.Examples(in_memory.train.array + 1, in_memory.train.y))
    assert splits.fingerprint() != other.fingerprint()
