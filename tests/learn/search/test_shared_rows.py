"""Rows that several processes map into memory."""

from __future__ import annotations

import numpy as np
import pytest

from lcbench.datasets.examples import Examples, LabelledSplits
from lcbench.learn.search import shared_rows


def splits(dtype):
    stream = np.random.default_rng(0)
    parts = [
        Examples(stream.integers(0, 255, (rows, 3)).astype(dtype), stream.integers(0, 2, rows)) for rows in (5, 2, 3)
    ]
    return LabelledSplits(*parts, ("a", "b"), "a table", None)


def same(one, other):
    return one.X.dtype == other.X.dtype and np.array_equal(one.X, other.X) and np.array_equal(one.y, other.y)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
def test_what_is_laid_out_is_mapped(tmp_path, dtype):
    ours = splits(dtype)
    laid_out, mapped = shared_rows.lay_out(tmp_path, ours), shared_rows.mapped(tmp_path)
    for theirs in (laid_out, mapped):
        assert same(theirs.train, ours.train)
        assert same(theirs.validation, ours.validation)
        assert (theirs.class_names, theirs.source, theirs.image_shape) == (("a", "b"), "a table", None)
    assert same(laid_out.test, ours.test)
    assert len(mapped.test) == 0
    assert laid_out.fingerprint() == ours.fingerprint()


def test_all_rows_are_the_training_rows_and_then_the_others(tmp_path):
    ours = splits(np.float32)
    shared_rows.lay_out(tmp_path, ours)
    everything = shared_rows.mapped(tmp_path, all_rows=True)
    assert np.array_equal(everything.train.X, np.concatenate([ours.train.X, ours.validation.X]))
    assert np.array_equal(everything.train.y, np.concatenate([ours.train.y, ours.validation.y]))
    assert len(everything.validation) == 0


def test_rows_in_another_order_of_memory_and_type(tmp_path):
    ours = splits(np.float32)
    odd = Examples(np.asfortranarray(ours.validation.X.astype(np.float64)), ours.validation.y)
    laid_out = shared_rows.lay_out(
        tmp_path, LabelledSplits(ours.train, odd, ours.test, ours.class_names, ours.source, None)
    )
    assert same(laid_out.validation, ours.validation)


def test_who_writes_to_its_rows_harms_nobody(tmp_path):
    ours = splits(np.uint8)
    shared_rows.lay_out(tmp_path, ours)
    shared_rows.mapped(tmp_path).train.X[:] = 7
    assert same(shared_rows.mapped(tmp_path).train, ours.train)
