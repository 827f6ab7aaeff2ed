"""Losses on pixels by products of bytes: every unit, with and without the JIT, and what is chosen when."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numba import config

from lcbench.losses import int8, numba_parallel, pixels

CASES = Path(__file__).parent / "losses_on_bytes.py"


def run(*arguments, **variables):
    """Return what the script prints in a process with these environment variables."""
    ours = ("NUMBA_CACHE_DIR", "NUMBA_DISABLE_JIT")
    environment = {name: value for name, value in os.environ.items() if name not in ours} | variables
    command = [sys.executable, str(CASES), *arguments]
    return json.loads(subprocess.check_output(command, env=environment, text=True))


@pytest.mark.skipif(bool(config.DISABLE_JIT), reason="the process of the test has the JIT in any case")
@pytest.mark.parametrize("unit", int8.UNITS)
def test_every_unit_agrees_with_the_oracle(unit):
    found = run(LCBENCH_INT8=unit)
    assert found["unit"] == unit
    assert found["wrong"] == {}
    assert found["cases"] == 392


@pytest.mark.parametrize("unit", int8.UNITS)
def test_definitions_in_numpy_agree_with_the_oracle(unit):
    found = run("few", LCBENCH_INT8=unit, NUMBA_DISABLE_JIT="1")
    assert found == {"unit": unit, "cases": 148, "wrong": {}}


@pytest.mark.parametrize(
    ("W", "X", "suits"),
    [
        (np.zeros((6, 3), np.float32), np.zeros((9, 5), np.uint8), True),
        (np.zeros((6, 3), np.float64), np.zeros((9, 5), np.uint8), False),
        (np.zeros((6, 3), np.float32), np.zeros((9, 5), np.int8), False),
        (np.zeros((6, 128), np.float32), np.zeros((9, 5), np.uint8), False),
        (np.zeros((70_001, 3), np.float32), np.zeros((9, 70_000), np.uint8), False),
    ],
)
def test_only_what_fits_bytes_and_int32_is_computed_by_bytes(monkeypatch, W, X, suits):
    monkeypatch.setattr(int8, "UNIT", int8.UNITS["vnni"])
    assert pixels.suits(W, X) is suits
    monkeypatch.setattr(int8, "UNIT", None)
    assert not pixels.suits(W, X)


def test_weights_without_digits_are_computed_in_floats(monkeypatch):
    monkeypatch.setattr(pixels, "suits", lambda W, X: True)
    monkeypatch.setattr(pixels, "one_pass", lambda W, *_: (0.0, W, pixels.NOT_FINITE))
    monkeypatch.setattr(numba_parallel, "prefer_two_products", lambda *_: False)
    W, X, y = np.full((5, 3), np.nan, np.float32), np.zeros((9, 5), np.uint8), np.zeros(9, int)
    loss, dW = numba_parallel.svm_loss(W, X, y, 0.1)
    assert np.isnan(loss)
    assert np.isnan(dW).all()


def test_order_of_the_gradient_is_its_own_inverse():
    positions = 2 * int8.GROUP + np.arange(int8.GROUP)
    assert [pixels.exchanged(position) for position in positions.tolist()] == [*(2 * int8.GROUP + int8.FEATURE_ORDER)]
    columns = np.arange(2 * 100).reshape(2, 100)
    ordered = pixels.in_gradient_order(columns, 2 * int8.GROUP)
    assert ordered[0, 5] == columns[0, int8.FEATURE_ORDER[5]]
    assert (pixels.in_gradient_order(ordered, 2 * int8.GROUP)[:, :100] == columns).all()


def test_unknown_unit_is_an_error():
    environment = os.environ | {"LCBENCH_INT8": "mmx"}
    command = [sys.executable, "-c", "import lcbench.losses.int8"]
    found = subprocess.run(command, env=environment, text=True, capture_output=True)
    assert "LCBENCH_INT8 is 'mmx': it must be amx, vnni, avx-vnni or float" in found.stderr
