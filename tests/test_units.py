"""Amounts in words."""

from __future__ import annotations

import pytest

from lcbench import units


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1023, "1023 B"),
        (1024, "1 KiB"),
        (2**20 - 1, "1 MiB"),
        (6.1e9, "5.68 GiB"),
        (2**60, "1 EiB"),
    ],
)
def test_size(amount, text):
    assert units.size(amount) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (119.4, "119 s"), (300, "5 min"), (7199, "120 min"), (20_000, "5.6 h"), (1_108_603, "12.8 days")],
)
def test_duration(seconds, text):
    assert units.duration(seconds) == text


def test_percent():
    assert units.percent(0.754) == "75 %"
    assert units.percent(0.123, 1) == "12.3 %"
