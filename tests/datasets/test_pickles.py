import os
import pickle
import struct
import subprocess

import numpy as np
import pytest

from lcbench.datasets.archives import PickleError, read_batch
from small_cifar10 import PIXELS, ROWS, python_batch, records

NAME = "data_batch_1"


def assert_reads(pickled):
    images, labels = read_batch(pickled, ROWS, PIXELS)
    assert images.dtype == labels.dtype == np.uint8
    np.testing.assert_array_equal(images, records(NAME)[:, 1:])
    np.testing.assert_array_equal(labels, records(NAME)[:, 0])


def refusal(pickled):
    with pytest.raises(PickleError) as caught:
        read_batch(pickled, ROWS, PIXELS)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def short_text(text):
    return b"U" + bytes([len(text)]) + text


def written_by_python_2():
    """A batch as the official archive has it: cPickle of Python 2, protocol 2, byte strings as text."""
    table = records(NAME)
    labels = b"".join(b"K" + bytes([label]) for label in table[:, 0])
    pixels = table[:, 1:].tobytes()
    shape = b"(M" + struct.pack("<H", ROWS) + b"M" + struct.pack("<H", PIXELS) + b"t"
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\nq\x05cnumpy\nndarray\nq\x06K\x00\x85" + short_text(b"b") + b"\x87Rq\x07"
        b"(K\x01" + shape + b"cnumpy\ndtype\nq\x08" + short_text(b"u1") + b"K\x00K\x01\x87Rq\x09"
        b"(K\x03" + short_text(b"|") + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89"
        b"T" + struct.pack("<I", len(pixels)) + pixels + b"tb"
    )  # fmt: skip
    return (
        b"\x80\x02}q\x01(" + short_text(b"batch_label") + b"q\x02" + short_text(b"training batch 1 of 5")
        + short_text(b"labels") + b"q\x03]q\x04(" + labels + b"e"
        + short_text(b"data") + array
        + short_text(b"filenames") + b"]q\x0a(" + short_text(b"leptodactylus_pentadactylus_s_000004.png") + b"eu."
    )  # fmt: skip


def test_reads_what_python_2_wrote():
    pickled = written_by_python_2()
    assert_reads(pickled)
    # the bytes above are a batch to Python as well
    batch = pickle.loads(pickled, encoding="bytes")
    np.testing.assert_array_equal(batch[b"data"], records(NAME)[:, 1:])


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("keys", [bytes, str])
@pytest.mark.parametrize("order", ["C", "F"])
def test_reads_every_protocol_key_type_and_array_order(protocol, keys, order):
    batch = python_batch(NAME)
    batch[b"data"] = np.asarray(batch[b"data"], order=order)
    if keys is str:
        batch = {key.decode(): value for key, value in batch.items()}
    assert_reads(pickle.dumps(batch, protocol))


def test_reads_pickles_of_numpy_1():
    pickled = pickle.dumps(python_batch(NAME), 2)
    assert b"numpy._core.multiarray" in pickled
    assert_reads(pickled.replace(b"numpy._core.multiarray", b"numpy.core.multiarray"))


class Runs:
    """Pickled, a call of `function`."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", [2, 4, 5])
@pytest.mark.parametrize("where", ["value", "nested", "argument"])
@pytest.mark.parametrize("function", [os.system, eval, subprocess.check_call, getattr, np.load, __import__])
def test_nothing_that_a_pickle_names_is_run(tmp_path, monkeypatch, protocol, where, function):
    monkeypatch.chdir(tmp_path)
    attack = Runs(function, "touch ran")
    batch = {
        "value": {**python_batch(NAME), b"labels": attack},
        "nested": {b"extra": [({"deep": [attack]},)], **python_batch(NAME)},
        "argument": {**python_batch(NAME), b"extra": Runs(np.dtype, attack)},
    }[where]
    said = refusal(pickle.dumps(batch, protocol))
    assert function.__name__ in said
    assert "nothing of it was run" in said
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("pickled", "what"),
    [
        (b"\x80\x02cnumpy\ndtype\n}U\x08__call__U\x04evilsb.", "sets the state of something that is not an array"),
        (b"\x80\x02cnumpy\nndarray\n)\x81.", "NEWOBJ"),
        (b"\x80\x02\x8c\x05numpy\x8c\x0dndarray.dumps\x93.", "names numpy.ndarray.dumps"),
        (b"\x80\x02U\x01a)R.", "calls something that is not a function"),
        (b"\x80\x02X\x04\x00\x00\x00evilQ.", "BINPERSID"),
        (b"\x80\x02\x82\x01.", "EXT1"),
        (b"Vtext\n.", "UNICODE"),
    ],
)
def test_tricks_of_the_pickle_machine_are_refused(pickled, what):
    assert what in refusal(pickled)


@pytest.mark.parametrize(
    "pickled",
    [
        b"\x80\x05\x96" + struct.pack("<Q", 1 << 46) + b"x.",  # BYTEARRAY8 of 64 TiB
        b"\x80\x04\x8e" + struct.pack("<Q", (1 << 64) - 1) + b"x.",
        b"\x80\x02K\x00r\xff\xff\xff\xff.",  # memo entry 2**32 - 1
        b"\x80\x02K\x00" + b"\x86" * 1000 + b".",
        b"\x80\x02K\x00" + b"q\x00h\x00\x86" * 1000 + b".",  # a tuple of 2**1000 leaves
        b"\x80\x04K\x00" + b"q\x00h\x00\x86" * 1000 + b"h\x00\x93.",  # ... as the name of a global
        b"\x80\x02cnumpy\ndtype\nq\x00" + b"\x85h\x00R" * 100_000 + b".",
        b"\x80\x02cnumpy\ndtype\nq\x000K\x00" + b"q\x01h\x00h\x01\x85R" * 100_000 + b".",  # calls in calls
        b"\x80\x02" + b"(" * 1000,
        b"\x80\x02]q\x00h\x00a.",  # a list that holds itself
        b"\x80\x02}h\x07.",
        b"",
        b".",
        b"\x80\x02}(U\x01at.",
        b"\x80\x02}(U\x01au.",
        b"<html>",
    ],
)
def test_absurd_and_malformed_pickles_are_refused_at_once(pickled):
    assert refusal(pickled)


def test_names_are_printed_without_what_a_terminal_obeys():
    said = refusal(b"\x80\x02cevil\x1b[2J" + b"x" * 1000 + b"\nname\n.")
    assert "\x1b" not in said
    assert len(said) < 200


def test_truncated_pickles_are_refused():
    for protocol in (2, 4, 5):
        pickled = pickle.dumps(python_batch(NAME), protocol)
        for size in range(0, len(pickled), len(pickled) // 50):
            refusal(pickled[:size])


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({b"data": [[0] * PIXELS] * ROWS}, "not a NumPy array"),
        ({b"data": np.zeros((ROWS, PIXELS), np.int8)}, "not of type uint8"),
        ({b"data": np.zeros((ROWS, PIXELS), object)}, "not of type uint8"),
        ({b"data": np.zeros((PIXELS, ROWS), np.uint8)}, "not of shape (20, 3072)"),
        ({b"labels": [0] * (ROWS - 1)}, "not a list of 20 numbers"),
        ({b"labels": [256] * ROWS}, "not all class numbers"),
        ({b"labels": [0.5] * ROWS}, "not all class numbers|BINFLOAT"),
    ],
)
def test_arrays_of_another_kind_are_refused(change, what):
    said = refusal(pickle.dumps({**python_batch(NAME), **change}, 2))
    assert any(part in said for part in what.split("|"))


def test_a_buffer_of_another_length_is_refused():
    pickled = pickle.dumps(python_batch(NAME), 5).replace(
        struct.pack("<Q", ROWS * PIXELS) + records(NAME)[:, 1:].tobytes(), struct.pack("<Q", 1) + b"x"
    )
    assert "has 1 bytes, not 61440" in refusal(pickled)


def test_missing_entries_are_named():
    assert 'no "labels"' in refusal(pickle.dumps({b"data": python_batch(NAME)[b"data"]}, 2))
