import pickle
import zipfile

import h5py
import numpy as np
import pytest

from lcbench.datasets import store
from lcbench.datasets.cifar10 import CIFAR10
from lcbench.datasets.tables.reading import read_table
from table_errors import table_error

X = np.arange(36.0).reshape(12, 3)
Y = np.arange(12) % 3


def save_npz(path, arrays):
    np.savez_compressed(path, **arrays)


def save_hdf5(path, arrays):
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            array = np.asarray(array)
            text = {"data": array.astype(object), "dtype": h5py.string_dtype()} if array.dtype.kind == "U" else {}
            file.create_dataset(name, **(text or {"data": array}))


SAVE = {"table.npz": save_npz, "table.h5": save_hdf5, "table.hdf5": save_hdf5}


@pytest.fixture(params=SAVE)
def saved(request, tmp_path):
    path = tmp_path / request.param

    def save(**arrays):
        SAVE[request.param](path, arrays)
        return path

    return save


@pytest.fixture
def in_groups(tmp_path):
    def save(arrays, **attributes):
        path = tmp_path / "table.h5"
        save_hdf5(path, arrays)
        with h5py.File(path, "a") as file:
            file.attrs.update(attributes)
        return path

    return save


def test_x_and_y_become_splits(saved):
    found = read_table(saved(X=X, y=Y), validation=0.25, test=0.25)
    assert [len(part) for part in (found.train, found.validation, found.test)] == [6, 3, 3]
    assert found.class_names == ("0", "1", "2")
    assert found.source in SAVE
    assert found.image_shape is None


@pytest.mark.parametrize("names", [("X", "y"), ("x", "Y"), ("images", "labels"), ("data", "target")])
@pytest.mark.parametrize("pattern", ["{}", "{}_train", "train_{}", "{}_TRAINING"])
def test_arrays_are_found_by_their_usual_names(saved, names, pattern):
    features, labels = (pattern.format(name) for name in names)
    found = read_table(saved(**{features: X, labels: Y, "other": np.zeros(7)}), validation=0, test=0)
    np.testing.assert_array_equal(found.train.X, X)
    np.testing.assert_array_equal(found.train.y, Y)


@pytest.mark.parametrize("name", ["val", "valid", "validation"])
def test_splits_of_the_file_are_kept_and_the_others_drawn(saved, name):
    validation, test = {f"X_{name}": X[:4], f"y_{name}": Y[:4]}, {"X_test": X[:5], "y_test": Y[:5]}
    found = read_table(saved(X_train=X, y_train=Y, **validation, **test))
    assert [len(part) for part in (found.train, found.validation, found.test)] == [12, 4, 5]
    np.testing.assert_array_equal(found.validation.X, X[:4])
    np.testing.assert_array_equal(found.test.y, Y[:5])

    found = read_table(saved(X=X, y=Y, **test))
    assert [len(part) for part in (found.train, found.validation, found.test)] == [9, 3, 5]

    found = read_table(saved(X=X, y=Y, **validation))
    assert [len(part) for part in (found.train, found.validation, found.test)] == [9, 4, 3]


def test_groups_of_an_hdf5_file_are_splits(in_groups):
    arrays = {"train/images": X, "train/labels": Y, "validation/X": X[:3], "validation/y": Y[:3]}
    found = read_table(in_groups({**arrays, "test/images": X[:4], "test/labels": Y[:4]}))
    assert [len(part) for part in (found.train, found.validation, found.test)] == [12, 3, 4]
    assert found.image_shape is None


def test_the_layout_of_cifar10_has_an_image_shape(in_groups):
    images = np.random.default_rng(0).integers(0, 256, (20, 3072), np.uint8)
    labels = (np.arange(20) % 2).astype(np.uint8)
    arrays = {"train/images": images, "train/labels": labels, "test/images": images, "test/labels": labels}
    arrays["class_names"] = np.array(["airplane", "automobile"])
    found = read_table(in_groups(arrays, format=store.FORMAT, dataset=CIFAR10.name))
    assert found.image_shape == (3, 32, 32)
    assert found.class_names == ("airplane", "automobile")
    assert found.train.X.dtype == np.uint8
    assert [len(part) for part in (found.train, found.validation, found.test)] == [18, 2, 20]


@pytest.mark.parametrize(
    ("stored", "wanted"),
    [
        ("u1", "u1"), ("i1", "f4"), ("i4", "f4"), ("u8", "f4"), ("?", "f4"),
        ("f2", "f4"), ("f4", "f4"), (">f4", "f4"), ("f8", "f8"), (">f8", "f8"),
    ],
)  # fmt: skip
def test_uint8_and_floats_are_kept_and_other_types_become_floats(saved, stored, wanted):
    X = np.arange(24).reshape(12, 2) % 2
    found = read_table(saved(X=X.astype(stored), y=Y), validation=0, test=0).train.X
    assert found.dtype == np.dtype(wanted)
    assert found.dtype.isnative
    assert found.flags.c_contiguous
    np.testing.assert_array_equal(found, X)


@pytest.mark.parametrize(
    ("shape", "image_shape"),
    [((4, 5, 3), (4, 5, 3)), ((3, 4, 5), (3, 4, 5)), ((4, 5), None), ((4, 5, 1), None), ((4,), None)],
)
def test_rows_of_several_axes_are_flattened(saved, shape, image_shape):
    X = np.random.default_rng(0).random((12, *shape), np.float32)
    found = read_table(saved(X=X, y=Y), validation=0, test=0)
    np.testing.assert_array_equal(found.train.X, X.reshape(12, -1))
    assert found.image_shape == image_shape


def test_fortran_order_is_converted(saved):
    found = read_table(saved(X=np.asfortranarray(X), y=Y), validation=0, test=0).train.X
    assert found.flags.c_contiguous
    np.testing.assert_array_equal(found, X)


@pytest.mark.parametrize("dtype", ["u1", "i8", "u8", "f4", "f8"])
def test_labels_may_be_of_any_numeric_type(saved, dtype):
    y = read_table(saved(X=X, y=Y.astype(dtype)), validation=0, test=0).train.y
    assert y.dtype == np.int64
    np.testing.assert_array_equal(y, Y)


def test_labels_may_be_booleans(saved):
    found = read_table(saved(X=X, y=Y == 2), validation=0, test=0)
    assert found.class_names == ("0", "1")
    np.testing.assert_array_equal(found.train.y, [0, 0, 1] * 4)


@pytest.mark.parametrize("kind", ["U", "S"])
def test_labels_may_be_names(saved, kind):
    names = np.array(["pear", "apple", "quince"])[Y]
    found = read_table(saved(X=X, y=names.astype(kind)), validation=0, test=0)
    assert found.class_names == ("apple", "pear", "quince")
    np.testing.assert_array_equal(found.train.y, np.array([1, 0, 2])[Y])


def test_class_names_of_the_file_are_used(saved):
    order = ["pear", "apple", "quince"]
    assert read_table(saved(X=X, y=Y, class_names=order)).class_names == tuple(order)
    found = read_table(saved(X=X, y=np.array(order)[Y], class_names=order), validation=0, test=0)
    assert found.class_names == tuple(order)
    np.testing.assert_array_equal(found.train.y, Y)


def test_the_label_option_selects_another_array(saved):
    found = read_table(saved(X=X, y=Y, half=Y // 2), label="half", validation=0, test=0)
    np.testing.assert_array_equal(found.train.y, Y // 2)


NAN = X.copy()
NAN[3, 1:] = np.nan
INF = X.astype(np.float32)
INF[11, 2] = -np.inf


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"X": NAN, "y": Y}, "X[3, 1] is nan, the first of 2 values that are not finite"),
        ({"X": INF, "y": Y}, "X[11, 2] is -inf;"),
        ({"X": NAN.reshape(12, 3, 1), "y": Y}, "X[3, 1] is nan"),
        ({"X": X, "y": Y, "X_test": NAN, "y_test": Y}, "X_test[3, 1] is nan"),
        ({"X": X, "y": Y - 1}, "y[0] is -1: labels are numbered from 0"),
        ({"X": X, "y": Y + 1}, "y[2] is 3, and no training row has the label 0"),
        ({"X": X, "y": Y + 0.5}, "y[0] is 0.5: labels are whole numbers"),
        ({"X": X, "y": np.where(Y == 2, 3, Y)}, "y[2] is 3, and no training row has the label 2"),
        ({"X": X, "y": np.where(Y == 2, 10**9, Y)}, "y[2] is 1000000000, and no training row has the label 2"),
        ({"X": X, "y": Y, "X_test": X, "y_test": Y * 2}, "y_test[2] is 4, and no training row has the label 3"),
        ({"X": X, "y": Y, "X_test": X, "y_test": Y + 1}, "y_test[2] is 3, and no training row has the label 3"),
        ({"X": X, "y": Y, "class_names": ["a", "b"]}, "y[2] is 2: labels go from 0 to 1"),
        ({"X": X, "y": Y, "class_names": ["a", "b", "c", "d"]}, "no training row is of class 'd'"),
        ({"X": X, "y": Y, "class_names": ["a", "a", "c"]}, "class_names is not a list of different names"),
        ({"X": X, "y": np.array(["a", "b", "c"])[Y], "class_names": ["a", "c"]}, "y[1] is 'b', and class_names has"),
        ({"X": X, "y": np.array(["a", "b", ""])[Y]}, "y[2] is empty"),
        ({"X": X, "y": Y, "X_test": X, "y_test": Y.astype(str)}, "labels are text in one split and numbers in another"),
        ({"X": X, "y": Y[:5]}, "X has 12 rows and y 5 labels"),
        ({"X": X, "y": Y[:, None]}, "y has the shape (12, 1) and should have one label per row; use y.ravel()"),
        ({"X": X, "y": np.eye(3)[Y]}, "if it is one-hot, use y.argmax(axis=1)"),
        ({"X": X[:0], "y": Y[:0]}, "no rows in X"),
        ({"X": X[:, :0], "y": Y}, "no features in X"),
        ({"X": X[:, 0], "y": Y}, "X has the shape (12,), not (rows, features)"),
        ({"X": X[:1], "y": Y[:1]}, "the only row is of class '0'"),
        ({"X": X, "y": Y * 0}, "all 12 rows are of class '0'"),
        ({"X": X[:7], "y": Y[:7]}, "2 of 3 classes have too few rows (class '1' has 2 rows"),
        ({"X": X + 1j, "y": Y}, "X holds complex numbers"),
        ({"X": X.astype("U"), "y": Y}, "X holds text"),
        ({"X": X.astype("S"), "y": Y}, "X holds text"),
        ({"X": X, "y": Y + 0j}, "y[0] is of type complex128"),
        ({"X": np.zeros(12, [("a", "f8"), ("b", "f8")]), "y": Y}, "X holds records of several fields"),
        ({"X": X}, "has 'X' without labels for it, such as 'y'; it has 'X'"),
        ({"y_train": Y}, "has 'y_train' without features for it, such as 'X_train'"),
        ({"X": X, "y": Y, "X_test": X}, "has 'X_test' without labels for it, such as 'y_test'; it has "),
        ({"X_test": X, "y_test": Y}, "has no arrays to train on"),
        ({"a": X, "b": Y}, "has no arrays to train on (X and y, images and labels, or data and target"),
        ({}, "it has no arrays"),
        ({"X": X, "y": Y, "X_test": X[:, :2], "y_test": Y}, "X_test has rows of the shape (2,) and X (3,)"),
        ({"X": X, "y": Y, "X_test": X.astype("u1"), "y_test": Y}, "X_test is uint8 and X float64"),
    ],
)
def test_errors_in_arrays_are_named_in_one_line(saved, arrays, message):
    assert message in table_error(saved(**arrays))


def test_the_error_for_missing_arrays_lists_those_in_the_file(saved):
    many = {f"array{i:02}": X for i in range(20)}
    assert "it has 'array00', 'array01'" in table_error(saved(**many))
    assert "and 12 more" in table_error(saved(**many))
    assert "has no array 'kind' for the labels; it has 'X', 'y'" in table_error(saved(X=X, y=Y), label="kind")


def test_a_missing_array_of_a_group_is_named_with_the_group(in_groups):
    message = table_error(in_groups({"train/images": X, "train/labels": Y, "test/images": X}))
    assert "has 'test/images' without labels for it, such as 'test/y'" in message


class Trap:
    """Object that records when it is unpickled."""

    sprung = False

    def __reduce__(self):
        return setattr, (Trap, "sprung", True)


def test_objects_are_never_unpickled(tmp_path):
    path = tmp_path / "table.npz"
    trap = np.empty(12, object)
    trap[:] = Trap()
    np.savez(path, X=X, y=trap)
    assert "y holds Python objects" in table_error(path)
    path.write_bytes(pickle.dumps({"X": X, "y": Trap()}))
    assert "no NPZ file" in table_error(path)
    assert not Trap.sprung
    pickle.loads(path.read_bytes())
    assert Trap.sprung


def test_other_hdf5_objects_than_arrays_are_rejected(in_groups, tmp_path):
    path = in_groups({"y": Y})
    with h5py.File(path, "a") as file:
        file["X"] = h5py.Empty("f4")
    assert "X holds nothing" in table_error(path)
    with h5py.File(path, "a") as file:
        del file["X"]
        file.create_dataset("X", (12,), h5py.vlen_dtype(np.float32))
    assert "X holds objects" in table_error(path)
    elsewhere = tmp_path / "elsewhere.h5"
    save_hdf5(elsewhere, {"X": X})
    with h5py.File(path, "a") as file:
        del file["X"]
        file["X"] = h5py.ExternalLink(str(elsewhere), "X")
    assert "has 'y' without features for it" in table_error(path)


def test_an_array_that_is_larger_than_the_memory_is_an_error_with_the_name_of_the_file(tmp_path):
    path = tmp_path / "table.h5"
    with h5py.File(path, "w") as file:
        file["X"] = X
        file.create_dataset("y", (1 << 60,), np.uint8, chunks=(1 << 20,))
    assert "does not fit in the memory: Unable to allocate" in table_error(path)


@pytest.mark.parametrize("keep", [0.3, 0.6, 0.95])
def test_a_truncated_file_is_rejected(saved, keep):
    noise = np.random.default_rng(0).random((3000, 3))
    path = saved(X=noise, y=np.arange(3000) % 3)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * keep)])
    assert "damaged" in table_error(path)


def test_a_damaged_member_is_rejected(tmp_path):
    path = tmp_path / "table.npz"
    np.savez_compressed(path, X=np.random.default_rng(0).random((300, 3)), y=np.arange(300) % 3)
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 0xFF
    path.write_bytes(content)
    assert "is damaged" in table_error(path)


def test_an_error_of_zipfile_that_quotes_the_file_is_short(tmp_path):
    path = tmp_path / "table.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("X" * 5000 + ".npy", b"")
        archive.writestr("X.npy", b"")
        archive.writestr("y.npy", b"")
    content = path.read_bytes()
    path.write_bytes(content.replace(b"X.npy", b"X.npz", content.count(b"X.npy") - 1))
    assert len(table_error(path)) < 400
