"""Published figures, their rules, and the outcome of a row."""

import inspect
from importlib import resources
from math import inf, isfinite, nan

import numpy as np
import pytest

from lcbench.reproduction import figures
from lcbench.reproduction.figures import Figure, PublishedRow, ReproducedValues, Rule
from lcbench.reproduction.rows import FUNCTIONS


def test_the_figures_are_package_data():
    assert resources.files("lcbench.reproduction").joinpath("figures.json").is_file()


def test_every_row_has_a_function_and_every_function_a_row():
    assert figures.published_rows().keys() == FUNCTIONS.keys()
    assert len(FUNCTIONS) == 27


def test_every_row_has_a_document_and_valid_rules():
    for row in figures.published_rows().values():
        assert row.document in figures.documents()
        assert row.figures
        assert any(figure.rule != "shown" for figure in row.figures.values())
        for figure in row.figures.values():
            right = figure.expected if figure.expected is not None else figure.published
            for number in np.ravel(np.nan if right is None else right):
                low, high = Rule(figure.rule).limits(float(number))
                assert low <= high


def test_functions_do_not_get_published_figures():
    for function in FUNCTIONS.values():
        assert list(inspect.signature(function).parameters) == ["inputs", "context"]
    for row in figures.published_rows().values():
        assert not {"published", "expected"} & row.inputs.keys()


def test_a_printed_error_is_judged_by_the_expected_figure():
    misprint = Figure("3 decimals", published=[0.114, 0.02], expected=[0.114, 0.002])
    numbers = list(misprint.numbers("probability", [0.1141, 0.00209]))
    assert [number.met for number in numbers] == [True, True]
    assert [number.corrected for number in numbers] == [False, True]
    assert numbers[1].published == 0.02
    assert numbers[1].difference == pytest.approx(0.00009)
    assert not list(misprint.numbers("probability", [0.114, 0.02]))[1].met


def test_numbers_of_an_array_are_named_by_their_indices():
    names = [number.name for number in Figure("shown").numbers("z", np.zeros((2, 2)))]
    assert names == ["z 0,0", "z 0,1", "z 1,0", "z 1,1"]
    assert [number.name for number in Figure("shown").numbers("z", 0)] == ["z"]


def test_one_published_number_applies_to_all_and_other_shapes_must_match():
    assert [number.published for number in Figure("shown", published=3).numbers("z", [1, 2])] == [3, 3]
    with pytest.raises(ValueError, match="published"):
        list(Figure("exact", published=[1, 2, 3]).numbers("z", [1, 2]))


def row(**rules):
    return PublishedRow("some", "001", "something", {name: Figure(rule, expected=1.0) for name, rule in rules.items()})


def test_a_row_passes_if_all_its_numbers_do():
    both = row(a="1 decimal", b="1 decimal")
    assert figures.judge(both, ReproducedValues({"a": 1.01, "b": 0.99}), 0.0).verdict == "passes"
    failing = figures.judge(both, ReproducedValues({"a": 1.01, "b": 1.2}), 0.0)
    assert failing.verdict == "fails"
    assert failing.headline.name == "b"


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_number_that_is_not_finite_fails(bad):
    assert figures.judge(row(a="shown"), ReproducedValues({"a": bad}), 0.0).verdict == "fails"


def test_the_headline_is_the_number_that_uses_most_of_its_tolerance():
    found = figures.judge(
        row(a="1 decimal", b="1 decimal", c="shown"), ReproducedValues({"a": 1.01, "b": 0.96, "c": 9}), 0.0
    )
    assert found.headline.name == "b"
    assert found.headline.tolerance_used == pytest.approx(0.8)
    assert isfinite(found.headline.tolerance_used)


def test_figures_that_the_row_does_not_have_raise_value_error():
    with pytest.raises(ValueError, match="are published"):
        figures.judge(row(a="exact"), ReproducedValues({"b": 1.0}), 0.0)


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
def test_the_limits_of_a_rule(words, expected, inside, outside):
    figure = Figure(words, expected=expected)
    assert all(number.met for number in figure.numbers("x", inside))
    assert not any(number.met for number in figure.numbers("x", outside))


@pytest.mark.parametrize("words", ["", "about 3", "decimals", "5 decimal places", "within"])
def test_an_unknown_rule_raises_value_error(words):
    with pytest.raises(ValueError, match="no rule"):
        Rule(words).limits(1.0)


@pytest.mark.parametrize("words", ["exact", "3 decimals", "3 digits", "within 1", "relative 1"])
def test_a_rule_that_is_a_distance_needs_an_expected_number(words):
    assert Rule(words).needs_expected
    with pytest.raises(ValueError, match="needs an expected number"):
        Rule(words).limits(nan)
