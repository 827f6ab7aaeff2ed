"""X in memory, on disk, or some rows of one on disk: the same values, whichever way they are asked for."""

import dataclasses

import h5py
import numpy as np
import pytest

from lcbench.datasets import examples
from lcbench.datasets.examples import load_splits
from lcbench.datasets.preprocessing import mean_image, standardisation
from lcbench.datasets.rows import ChosenRows, blocks, choose, open_rows, scattered_blocks
from lcbench.datasets.soundness import require_finite
from lcbench.datasets.tables.reading import read_table
from lcbench.errors import LcbenchError

X = np.random.default_rng(0).standard_normal((90, 4)).astype(np.float32)
DENSE = np.flatnonzero(np.arange(90) % 5)
SPARSE = np.array([3, 30, 31, 77])
NEIGHBOURS = np.arange(20, 60)


@pytest.fixture(params=[{}, {"chunks": (7, 4)}], ids=["contiguous", "chunked"])
def on_disk(tmp_path, request):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_dataset("X", data=X, **request.param)
    return open_rows(tmp_path / "x.h5", "X")


@pytest.mark.parametrize("numbers", [DENSE, SPARSE, NEIGHBOURS, DENSE[:0]])
def test_chosen_rows_are_those_that_numpy_chooses(on_disk, numbers):
    chosen, expected = choose(on_disk, numbers), X[numbers]
    assert isinstance(chosen, ChosenRows)
    assert (chosen.shape, chosen.dtype, chosen.nbytes, len(chosen)) == (
        expected.shape, expected.dtype, expected.nbytes, len(expected),
    )  # fmt: skip
    np.testing.assert_array_equal(chosen[:], expected)
    found = [(start, block.copy()) for start, block in blocks(chosen, 7)]
    assert [start for start, _ in found] == [start for start, _ in blocks(expected, 7)]
    for (_, block), (_, theirs) in zip(found, blocks(expected, 7), strict=True):
        np.testing.assert_array_equal(block, theirs)
    some = np.arange(len(numbers))[::-2]
    np.testing.assert_array_equal(chosen[some], expected[some])
    np.testing.assert_array_equal(choose(chosen, np.sort(some))[:], expected[np.sort(some)])


@pytest.mark.parametrize("numbers", [DENSE, SPARSE, NEIGHBOURS])
def test_scattered_blocks_say_where_the_rows_are(on_disk, numbers):
    for chosen, whole in ((ChosenRows(on_disk, numbers), X[numbers]), (X, X), (on_disk, X)):
        for start, block, places in scattered_blocks(chosen, 7):
            found = block if places is None else block[places]
            np.testing.assert_array_equal(found, whole[start : start + 7])


def test_the_first_rows_need_no_list_of_numbers(on_disk):
    assert not isinstance(choose(on_disk, np.arange(40)), ChosenRows)
    np.testing.assert_array_equal(choose(on_disk, np.arange(40))[:], X[:40])


def test_sums_over_rows_do_not_depend_on_where_they_are(on_disk, monkeypatch):
    monkeypatch.setattr("lcbench.datasets.preprocessing._SUMMED_BYTES", 200)
    monkeypatch.setattr("lcbench.datasets.preprocessing._BLOCK_BYTES", 400)
    np.testing.assert_allclose(mean_image(X), X.mean(axis=0, dtype=np.float64), rtol=1e-12)
    assert (mean_image(on_disk) == mean_image(X)).all()
    for ours, theirs in zip(standardisation(on_disk), standardisation(X), strict=True):
        assert (ours == theirs).all()


def test_a_value_that_is_not_finite_is_found_on_disk(tmp_path, monkeypatch):
    monkeypatch.setattr("lcbench.datasets.soundness._BLOCK_VALUES", 40)
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


def test_what_does_not_fit_in_memory_is_streamed_and_that_is_told(table, monkeypatch):
    told = []
    assert not load_splits(str(table), note=told.append).streamed
    assert told == []
    monkeypatch.setattr(examples.psutil, "virtual_memory", lambda: type("", (), {"available": X.nbytes})())
    splits = load_splits(str(table), note=told.append)
    assert splits.streamed
    assert not isinstance(splits.validation.X, np.ndarray)
    [line] = told
    assert "t.h5" in line
    assert "streamed" in line
    assert not load_splits(str(table), stream=False, note=told.append).streamed
    assert len(told) == 1


def test_what_cannot_be_streamed_is_one_line(table, tmp_path):
    (tmp_path / "t.csv").write_text("a,b,label\n1,2,x\n3,4,y\n")
    for data, features, words in (
        (tmp_path / "t.csv", [], "CSV is read whole"),
        ("synthetic", [], "lcbench synth"),
        (table, ["hog"], "computed in memory"),
    ):
        with pytest.raises(LcbenchError, match=words):
            load_splits(str(data), features, stream=True)


def test_rows_on_disk_are_no_array(table):
    splits = read_table(table, stream=True)
    with pytest.raises(ValueError, match="stream=False"):
        _ = splits.train.array
    in_memory = read_table(table, stream=False)
    assert splits.fingerprint() == in_memory.fingerprint()
    other = dataclasses.replace(in_memory, train=examples.Examples(in_memory.train.array + 1, in_memory.train.y))
    assert splits.fingerprint() != other.fingerprint()
