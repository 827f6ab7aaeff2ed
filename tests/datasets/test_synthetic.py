import h5py
import numpy as np
import pytest

from lcbench.datasets import synthetic
from lcbench.datasets.tables.reading import read_table
from lcbench.errors import LcbenchError


def test_images_have_the_shape_and_type_of_cifar10():
    X, y = synthetic.images(700)
    assert X.shape == (700, 3072)
    assert X.dtype == np.uint8
    assert y.shape == (700,)
    assert set(y) == set(range(10))
    assert 30 < X.std() < 70
    assert X.max() > 200


@pytest.mark.parametrize("rows", [1, 100, 512, 513])
def test_fewer_rows_equal_the_first_of_more(rows):
    more, fewer = synthetic.images(1100, pixels=100), synthetic.images(rows, pixels=100)
    np.testing.assert_array_equal(fewer[0], more[0][:rows])
    np.testing.assert_array_equal(fewer[1], more[1][:rows])


def test_seeds_and_blocks_differ():
    X, _ = synthetic.images(1100, pixels=100)
    assert (synthetic.images(1100, pixels=100, seed=1)[0] != X).mean() > 0.9
    assert (X[:512] != X[512:1024]).mean() > 0.9


@pytest.mark.parametrize(("pixels", "classes"), [(1, 1), (63, 2), (65, 300), (3073, 10)])
def test_images_of_other_shapes(pixels, classes):
    X, y = synthetic.images(30, pixels, classes)
    assert X.shape == (30, pixels)
    assert y.max() < classes


def test_a_linear_classifier_learns_the_classes():
    X, y = synthetic.images(600)
    X = X - X.mean(axis=0)
    means = np.stack([X[:500][y[:500] == label].mean(axis=0) for label in range(10)])
    scores = X[500:] @ means.T - 0.5 * (means**2).sum(axis=1)
    assert (scores.argmax(axis=1) == y[500:]).mean() > 0.8


def test_zero_rows_are_rejected():
    with pytest.raises(ValueError, match="at least 1"):
        synthetic.images(0)


@pytest.mark.parametrize("rows", [3, 511, 5000])
def test_write_hdf5_writes_the_images_of_the_same_seed(tmp_path, rows):
    path = tmp_path / "new folder" / "synth.h5"
    synthetic.write_hdf5(path, rows, pixels=70, classes=3, seed=4)
    X, y = synthetic.images(rows, 70, 3, seed=4)
    with h5py.File(path) as file:
        np.testing.assert_array_equal(file["X"][()], X)
        np.testing.assert_array_equal(file["y"][()], y)
        assert file["X"].dtype == file["y"].dtype == np.uint8
        assert file["X"].id.get_offset() is not None


def test_read_table_reads_the_file(tmp_path):
    path = tmp_path / "synth.h5"
    synthetic.write_hdf5(path, 300, pixels=20, classes=3)
    splits = read_table(path)
    assert splits.class_names == ("class 0", "class 1", "class 2")
    assert sum(len(part.y) for part in (splits.train, splits.validation, splits.test)) == 300


def test_labels_have_the_smallest_type_that_holds_them(tmp_path):
    synthetic.write_hdf5(tmp_path / "synth.h5", 3000, pixels=4, classes=257)
    with h5py.File(tmp_path / "synth.h5") as file:
        assert file["y"].dtype == np.uint16
        assert file["y"][()].max() > 200


def test_a_full_disk_is_reported_before_anything_is_written(tmp_path):
    with pytest.raises(LcbenchError, match=r"would take .* GiB are free"):
        synthetic.write_hdf5(tmp_path / "synth.h5", 10**15)
    assert not list(tmp_path.iterdir())


def test_a_file_beyond_the_size_limit_is_a_short_error(tmp_path):
    with pytest.raises(LcbenchError, match="larger than a file can be") as caught:
        synthetic.write_hdf5(tmp_path / "synth.h5", 10**30)
    assert not any(digit.isdigit() for digit in str(caught.value).removeprefix(str(tmp_path)).replace(".h5", ""))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("classes", [2, 40, 600])
def test_files_in_which_a_class_has_no_row_are_rejected(tmp_path, classes):
    needed = synthetic.rows_of_all_classes(classes, seed=7)
    _, y = synthetic.images(needed, 4, classes, seed=7)
    assert set(y[:-1]) | {y[-1]} == set(range(classes))
    assert y[-1] not in y[:-1]
    path = tmp_path / "synth.h5"
    for rows, message in ((classes - 1, "choose more rows"), (needed - 1, f"choose at least {needed:,}")):
        with pytest.raises(LcbenchError, match=message):
            synthetic.write_hdf5(path, rows, pixels=4, classes=classes, seed=7)
    synthetic.write_hdf5(path, needed, pixels=4, classes=classes, seed=7)
    assert len(read_table(path, validation=0, test=0).class_names) == classes


def test_a_file_written_meanwhile_is_kept_unless_it_may_be_replaced(tmp_path):
    path = tmp_path / "synth.h5"

    def write_meanwhile(stage, done, total):
        path.write_bytes(b"other")

    with pytest.raises(LcbenchError, match="was created by another process"):
        synthetic.write_hdf5(path, 600, pixels=4, progress=write_meanwhile, replace=False)
    assert [each.name for each in tmp_path.iterdir()] == ["synth.h5"]
    assert path.read_bytes() == b"other"
    synthetic.write_hdf5(path, 600, pixels=4, progress=write_meanwhile)
    assert path.read_bytes() != b"other"


def test_an_interrupted_write_keeps_the_old_file(tmp_path):
    path = tmp_path / "synth.h5"
    path.write_bytes(b"old")

    def stop(stage, done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        synthetic.write_hdf5(path, 5000, pixels=4, progress=stop)
    assert [each.name for each in tmp_path.iterdir()] == ["synth.h5"]
    assert path.read_bytes() == b"old"


def test_progress_reaches_the_number_of_rows(tmp_path):
    calls = []
    synthetic.write_hdf5(tmp_path / "synth.h5", 2000, pixels=4, progress=lambda *each: calls.append(each))
    assert [done for stage, done, _ in calls if stage == "rows written"][-1] == 2000
