import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lcbench.learn.objective import batches


def test_with_replacement_the_same_stretch_gives_the_same_rows_and_another_does_not():
    first = batches("replacement", 50, 8, 0, 10, seed=1)
    assert first.shape == (10, 8)
    assert (first == batches("replacement", 50, 8, 0, 10, seed=1)).all()
    assert (first != batches("replacement", 50, 8, 10, 20, seed=1)).any()
    assert (first != batches("replacement", 50, 8, 0, 10, seed=2)).any()
    assert 0 <= first.min() <= first.max() < 50


@given(rows=st.integers(1, 40), batch=st.integers(1, 60), steps=st.integers(1, 30), cut=st.integers(0, 30))
def test_shuffled_every_row_comes_once_an_epoch_and_stretches_join(rows, batch, steps, cut):
    whole = batches("shuffle", rows, batch, 0, steps, seed=3)
    cut = min(cut, steps)
    stretches = [(start, stop) for start, stop in ((0, cut), (cut, steps)) if stop > start]
    parts = [batches("shuffle", rows, batch, start, stop, seed=3) for start, stop in stretches]
    assert (np.concatenate(parts) == whole).all()
    stream = whole.ravel()
    for epoch in range(len(stream) // rows):
        assert sorted(stream[epoch * rows : (epoch + 1) * rows]) == list(range(rows))
