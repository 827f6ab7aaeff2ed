"""Formatting of numbers."""

from __future__ import annotations

import math

import pytest

from lcbench.report import formatting


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.00402, "4.02 ms"),
        (62.0, "62.0 s"),
        (750.4, "750 s"),
        (1108.6, "18.5 min"),
        (20_000.0, "5.56 h"),
        (1_108_603.0, "12.8 days"),
        (0.5, "500 ms"),
        (0.00099999, "1.00 ms"),
        (0.0009994, "999 us"),
        (12.34e-6, "12.3 us"),
        (3.2e-9, "3.20 ns"),
        (0.0, "0 s"),
        (-0.002, "-2.00 ms"),
        (math.nan, "-"),
        (None, "-"),
    ],
)
def test_seconds(value, text):
    assert formatting.seconds(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(4.812, "4.81 x"), (12.34, "12.3 x"), (0.0512, "0.0512 x"), (1234.5, "1234 x"), (9.999, "10.0 x"), (None, "-")],
)
def test_ratio(value, text):
    assert formatting.ratio(value) == text


def test_the_other_numbers():
    assert formatting.percent(0.123) == "12.3 %"
    assert formatting.percent(math.nan) == "-"
    assert formatting.count(49000) == "49,000"
    assert formatting.count(None) == "-"
    assert formatting.scientific(2.1e-7) == "2e-07"
    assert formatting.scientific(0.0) == "0"
    assert formatting.scientific(None) == "-"


@pytest.mark.parametrize(
    ("ratio", "text"),
    [
        ((4.81, 4.75, 4.88), "4.81 [4.75,4.88]"),
        ((4.81, 0.0, math.inf), "4.81 [?]"),  # one generation
        ((1.03, 0.25, 4.34), "[?]"),  # faster or slower: nothing is known
        ((7.7, 2.0, 30.0), "7.70\n[2.00,30.00]"),  # at least twice as fast
        ((7.7, 0.01, 1.5), "[?]"),
    ],
)
def test_a_ratio_is_shown_only_if_the_noise_allows_a_statement(ratio, text):
    assert formatting.ratio_with_interval(*ratio) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(48 * 1024, "48 KiB"), (32 * 1024**2, "32 MiB"), (7.5 * 1024**3, "7.5 GiB"), (1000, "1000 B"), (None, "-")],
)
def test_size(value, text):
    assert formatting.size(value) == text
