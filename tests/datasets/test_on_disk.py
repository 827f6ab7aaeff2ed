import pickle

import h5py
import numpy as np
import pytest

from lcbench.datasets import rows
from lcbench.datasets.tables import arrays
from lcbench.errors import LcbenchError

ROWS = 1000


@pytest.fixture(params=["contiguous", "chunked", "compressed", "big-endian", "float32"])
def stored(request, tmp_path):
    """A matrix on disk, and the same in memory."""
    X = np.random.default_rng(0).integers(0, 256, (ROWS, 3, 5)).astype(np.uint8)
    how = {}
    if request.param == "chunked":
        how = {"chunks": (64, 3, 5), "fletcher32": True}
    elif request.param == "compressed":
        how = {"chunks": (300, 3, 2), "compression": "gzip"}
    elif request.param == "big-endian":
        X = X.astype(">i4") - 100
    elif request.param == "float32":
        X = X.astype(np.float32) / 7
    path = tmp_path / "X.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("train/X", data=X, **how)
    return rows.open_rows(path, "train/X"), X.reshape(ROWS, 15)


def test_it_looks_like_the_matrix(stored):
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
def test_rows_are_those_of_the_matrix(stored, chosen):
    rows, X = stored
    found = rows[chosen]
    np.testing.assert_array_equal(found, X[chosen])
    assert found.dtype == X.dtype


@pytest.mark.parametrize("size", [1, 77, 999, 5000, None])
@pytest.mark.parametrize(("start", "stop"), [(0, None), (13, 871), (5, 5)])
def test_blocks_cover_the_rows_in_turn(stored, size, start, stop):
    rows, X = stored
    end = start
    for first, block in rows.blocks(size, start, stop):
        assert first == end
        end += len(block)
        np.testing.assert_array_equal(block, X[first:end])
    assert end == (ROWS if stop is None else stop)


def test_a_block_that_is_written_to_does_not_reach_the_file(stored):
    rows, X = stored
    for _, block in rows.blocks(100):
        block[:] = 0
    np.testing.assert_array_equal(rows[:], X)


def test_two_may_read_at_once_and_one_may_stop_early(stored):
    rows, X = stored
    next(rows.blocks(10))
    for (first, one), (_, other) in zip(rows.blocks(10), rows.blocks(10), strict=True):
        np.testing.assert_array_equal(one, X[first : first + 10])
        np.testing.assert_array_equal(other, one)


def test_other_types_and_fewer_rows(stored):
    rows, X = stored
    fewer = rows.astype(np.float64).first(120)
    assert fewer.dtype == np.float64
    assert len(fewer) == 120
    np.testing.assert_array_equal(fewer[:], X[:120])
    np.testing.assert_array_equal(np.concatenate([block.copy() for _, block in fewer.blocks(50)]), X[:120])


def test_another_process_opens_the_file_itself(stored):
    rows, X = stored
    _ = rows[0]
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(rows))[5:9], X[5:9])


@pytest.mark.parametrize("wrong", [np.array([ROWS]), np.array([-ROWS - 1]), np.array([1.5]), np.zeros((2, 2), int)])
def test_rows_that_are_not_there_are_refused(stored, wrong):
    with pytest.raises(IndexError):
        stored[0][wrong]


def test_a_file_that_was_cut_off_is_one_line(stored):
    rows, _ = stored
    with rows.path.open("rb+") as file:
        file.truncate(5000)
    for read in (lambda: rows[:], lambda: list(rows.blocks(10))):
        with pytest.raises(LcbenchError, match=r"X\.h5") as error:
            read()
        assert "\n" not in str(error.value)


def test_what_is_no_matrix_of_numbers_is_refused(tmp_path):
    path = tmp_path / "X.h5"
    with h5py.File(path, "w") as file:
        file["flat"] = np.arange(5)
        file["text"] = [["a", "b"]]
        file["none"] = h5py.Empty("f")
    for name in ("flat", "text", "none"):
        with pytest.raises(LcbenchError, match="rows and columns"):
            rows.open_rows(path, name)
    with pytest.raises(LcbenchError, match="cannot be read"):
        rows.open_rows(path, "absent")
    with pytest.raises(LcbenchError, match="cannot be read"):
        rows.open_rows(tmp_path / "absent.h5", "X")


def test_a_table_leaves_x_where_it_is(tmp_path):
    path = tmp_path / "table.h5"
    with h5py.File(path, "w") as file:
        file["X"], file["y"] = np.arange(12, dtype=np.uint8).reshape(6, 2), np.arange(6) % 2
    part = arrays.read_hdf5(path, None, on_disk=True).parts["train"]
    assert isinstance(part.X, rows.RowsOnDisk)
    np.testing.assert_array_equal(part.X[:], np.arange(12).reshape(6, 2))
    np.testing.assert_array_equal(part.y, np.arange(6) % 2)
