"""Words, and the limits that they set."""

from math import inf, nan

import pytest

from lcbench.reproduction.figures import Figure, Rule


@pytest.mark.parametrize(
    ("words", "expected", "inside", "outside"),
    [
        ("exact", 3.0, [3.0], [3.0000001, 2.9999999]),
        ("1 decimal", 2.9, [2.94, 2.86], [2.96, 2.84]),
        ("5 decimals", 1.0, [1.0000049, 0.9999951], [1.0000051, 0.9999949]),
        ("5 digits", 29785.0, [29785.4, 29784.6], [29785.6, 29784.4]),
        ("5 digits", 6.6337, [6.63374, 6.63366], [6.63376, 6.63364]),
        ("within 0.1", -2.0, [-1.91, -2.09], [-1.89, -2.11]),
        ("relative 1e-4", 1e6, [1000099, 999901], [1000101, 999899]),
        ("0.37..0.395", nan, [0.37, 0.395], [0.3699, 0.3951]),
        ("-1..1", nan, [-1, 1], [-1.1, 1.1]),
        ("at most 1e-6", nan, [1e-6, -1], [1.1e-6]),
        ("at least 1e5", nan, [1e5, 1e9], [99999]),
        ("below 1", nan, [0.999], [1.0]),
        ("above 1", nan, [1.001], [1.0]),
        ("shown", nan, [-1e300, 1e300], [inf, nan]),
    ],
)
def test_what_a_rule_allows(words, expected, inside, outside):
    figure = Figure(words, expected=expected)
    assert all(number.met for number in figure.numbers("x", inside))
    assert not any(number.met for number in figure.numbers("x", outside))


@pytest.mark.parametrize("words", ["", "about 3", "decimals", "5 decimal places", "within"])
def test_other_words_are_refused(words):
    with pytest.raises(ValueError, match="no rule"):
        Rule(words).limits(1.0)


@pytest.mark.parametrize("words", ["exact", "3 decimals", "3 digits", "within 1", "relative 1"])
def test_a_distance_needs_a_number(words):
    assert Rule(words).needs_expected
    with pytest.raises(ValueError, match="of which number"):
        Rule(words).limits(nan)
