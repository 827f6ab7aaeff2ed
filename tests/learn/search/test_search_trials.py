"""Rows that several processes map into memory."""

from __future__ import annotations

import numpy as np
import pytest

from lcbench.datasets.examples import Examples, LabelledSplits
from lcbench.learn.search.trials import map_shared_rows, write_shared_rows


def splits(dtype):
    rng = np.random.default_rng(0)
    parts = [Examples(rng.integers(0, 255, (rows, 3)).astype(dtype), rng.integers(0, 2, rows)) for rows in (5, 2, 3)]
    return LabelledSplits(*parts, ("a", "b"), "a table", None)


def same(one, other):
    return one.X.dtype == other.X.dtype and np.array_equal(one.X, other.X) and np.array_equal(one.y, other.y)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
def test_mapped_rows_equal_the_written_rows(tmp_path, dtype):
    ours = splits(dtype)
    written, mapped = write_shared_rows(tmp_path, ours), map_shared_rows(tmp_path)
    for theirs in (written, mapped):
        assert same(theirs.train, ours.train)
        assert same(theirs.validation, ours.validation)
        assert (theirs.class_names, theirs.source, theirs.image_shape) == (("a", "b"), "a table", None)
    assert same(written.test, ours.test)
    assert len(mapped.test) == 0
    assert written.fingerprint() == ours.fingerprint()


def test_all_rows_appends_the_validation_rows_to_the_training_rows(tmp_path):
    ours = splits(np.float32)
    write_shared_rows(tmp_path, ours)
    combined = map_shared_rows(tmp_path, all_rows=True)
    assert np.array_equal(combined.train.X, np.concatenate([ours.train.X, ours.validation.X]))
    assert np.array_equal(combined.train.y, np.concatenate([ours.train.y, ours.validation.y]))
    assert len(combined.validation) == 0


def test_rows_of_another_memory_order_and_dtype_are_converted(tmp_path):
    ours = splits(np.float32)
    odd = Examples(np.asfortranarray(ours.validation.X.astype(np.float64)), ours.validation.y)
    written = write_shared_rows(
        tmp_path, LabelledSplits(ours.train, odd, ours.test, ours.class_names, ours.source, None)
    )
    assert same(written.validation, ours.validation)


def test_writing_to_mapped_rows_does_not_change_the_files(tmp_path):
    ours = splits(np.uint8)
    write_shared_rows(tmp_path, ours)
    map_shared_rows(tmp_path).train.X[:] = 7
    assert same(map_shared_rows(tmp_path).train, ours.train)
