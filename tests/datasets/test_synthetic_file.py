import numpy as np
import pytest

from lcbench.datasets import synthetic
from lcbench.datasets.tables.reading import read_table
from lcbench.errors import LcbenchError


@pytest.mark.parametrize("rows", [3, 511, 5000])
def test_the_file_holds_the_images_of_the_same_seed(tmp_path, rows):
    import h5py

    path = tmp_path / "new folder" / "synth.h5"
    synthetic.write_file(path, rows, pixels=70, classes=3, seed=4)
    X, y = synthetic.images(rows, 70, 3, seed=4)
    with h5py.File(path) as file:
        np.testing.assert_array_equal(file["X"][()], X)
        np.testing.assert_array_equal(file["y"][()], y)
        assert file["X"].dtype == file["y"].dtype == np.uint8
        assert file["X"].id.get_offset() is not None


def test_a_table_is_read_from_it(tmp_path):
    path = tmp_path / "synth.h5"
    synthetic.write_file(path, 300, pixels=20, classes=3)
    splits = read_table(path)
    assert splits.class_names == ("class 0", "class 1", "class 2")
    assert sum(len(part.y) for part in (splits.train, splits.validation, splits.test)) == 300


def test_many_classes_get_the_smallest_type_that_holds_them(tmp_path):
    import h5py

    synthetic.write_file(tmp_path / "synth.h5", 3000, pixels=4, classes=257)
    with h5py.File(tmp_path / "synth.h5") as file:
        assert file["y"].dtype == np.uint16
        assert file["y"][()].max() > 200


def test_a_full_disk_is_told_before_anything_is_written(tmp_path):
    with pytest.raises(LcbenchError, match=r"would take .* GB are free"):
        synthetic.write_file(tmp_path / "synth.h5", 10**15)
    assert not list(tmp_path.iterdir())


def test_more_than_a_file_can_be_is_a_short_line(tmp_path):
    with pytest.raises(LcbenchError, match="larger than a file can be") as caught:
        synthetic.write_file(tmp_path / "synth.h5", 10**30)
    assert not any(digit.isdigit() for digit in str(caught.value).removeprefix(str(tmp_path)).replace(".h5", ""))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("classes", [2, 40, 600])
def test_every_class_has_a_row(tmp_path, classes):
    needed = synthetic.rows_of_all_classes(classes, seed=7)
    _, y = synthetic.images(needed, 4, classes, seed=7)
    assert set(y[:-1]) | {y[-1]} == set(range(classes))
    assert y[-1] not in y[:-1]
    path = tmp_path / "synth.h5"
    for rows, says in ((classes - 1, "choose more rows"), (needed - 1, f"choose at least {needed:,}")):
        with pytest.raises(LcbenchError, match=says):
            synthetic.write_file(path, rows, pixels=4, classes=classes, seed=7)
    synthetic.write_file(path, needed, pixels=4, classes=classes, seed=7)
    assert len(read_table(path, validation=0, test=0).class_names) == classes


def test_a_file_that_came_meanwhile_stays_unless_it_may_be_replaced(tmp_path):
    path = tmp_path / "synth.h5"

    def another(what, done, planned):
        path.write_bytes(b"another's")

    with pytest.raises(LcbenchError, match="written by another meanwhile"):
        synthetic.write_file(path, 600, pixels=4, progress=another, replace=False)
    assert [each.name for each in tmp_path.iterdir()] == ["synth.h5"]
    assert path.read_bytes() == b"another's"
    synthetic.write_file(path, 600, pixels=4, progress=another)
    assert path.read_bytes() != b"another's"


def test_what_is_stopped_leaves_nothing_and_keeps_the_old_file(tmp_path):
    path = tmp_path / "synth.h5"
    path.write_bytes(b"old")

    def stop(what, done, planned):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        synthetic.write_file(path, 5000, pixels=4, progress=stop)
    assert [each.name for each in tmp_path.iterdir()] == ["synth.h5"]
    assert path.read_bytes() == b"old"


def test_progress_ends_with_all_rows(tmp_path):
    told = []
    synthetic.write_file(tmp_path / "synth.h5", 2000, pixels=4, progress=lambda *each: told.append(each))
    assert [done for what, done, _ in told if what == "rows written"][-1] == 2000
