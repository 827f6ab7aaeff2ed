"""The published figures, and how measured ones are held against them."""

import inspect
from importlib import resources
from math import isfinite

import numpy as np
import pytest

from lcbench.reproduction import figures
from lcbench.reproduction.figures import Figure, PublishedRow, ReproducedValues, Rule
from lcbench.reproduction.rows import FUNCTIONS


def test_the_figures_are_part_of_the_package():
    assert resources.files("lcbench.reproduction").joinpath("figures.json").is_file()


def test_every_row_has_its_function_and_every_function_its_row():
    assert figures.published_rows().keys() == FUNCTIONS.keys()
    assert len(FUNCTIONS) == 27


def test_every_row_names_a_document_and_every_rule_can_be_applied():
    for row in figures.published_rows().values():
        assert row.document in figures.documents()
        assert row.figures
        assert any(figure.rule != "shown" for figure in row.figures.values())
        for figure in row.figures.values():
            right = figure.expected if figure.expected is not None else figure.published
            for number in np.ravel(np.nan if right is None else right):
                low, high = Rule(figure.rule).limits(float(number))
                assert low <= high


def test_no_function_sees_a_published_figure():
    for function in FUNCTIONS.values():
        assert list(inspect.signature(function).parameters) == ["inputs", "context"]
    for row in figures.published_rows().values():
        assert not {"published", "expected"} & row.inputs.keys()


def test_a_slip_is_held_against_what_is_right():
    slip = Figure("3 decimals", published=[0.114, 0.02], expected=[0.114, 0.002])
    numbers = list(slip.numbers("probability", [0.1141, 0.00209]))
    assert [number.met for number in numbers] == [True, True]
    assert [number.corrected for number in numbers] == [False, True]
    assert numbers[1].published == 0.02
    assert numbers[1].difference == pytest.approx(0.00009)
    assert not list(slip.numbers("probability", [0.114, 0.02]))[1].met


def test_places_of_an_array_are_named():
    names = [number.name for number in Figure("shown").numbers("z", np.zeros((2, 2)))]
    assert names == ["z 0,0", "z 0,1", "z 1,0", "z 1,1"]
    assert [number.name for number in Figure("shown").numbers("z", 0)] == ["z"]


def test_one_published_number_stands_for_all_and_other_shapes_do_not_fit():
    assert [number.published for number in Figure("shown", published=3).numbers("z", [1, 2])] == [3, 3]
    with pytest.raises(ValueError, match="published"):
        list(Figure("exact", published=[1, 2, 3]).numbers("z", [1, 2]))


def row(**rules):
    return PublishedRow("some", "001", "something", {name: Figure(rule, expected=1.0) for name, rule in rules.items()})


def test_a_row_passes_where_all_of_it_does():
    both = row(a="1 decimal", b="1 decimal")
    assert figures.judge(both, ReproducedValues({"a": 1.01, "b": 0.99}), 0.0).verdict == "passes"
    failing = figures.judge(both, ReproducedValues({"a": 1.01, "b": 1.2}), 0.0)
    assert failing.verdict == "fails"
    assert failing.headline.name == "b"


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_never_passes(bad):
    assert figures.judge(row(a="shown"), ReproducedValues({"a": bad}), 0.0).verdict == "fails"


def test_the_headline_is_nearest_to_its_limit():
    found = figures.judge(
        row(a="1 decimal", b="1 decimal", c="shown"), ReproducedValues({"a": 1.01, "b": 0.96, "c": 9}), 0.0
    )
    assert found.headline.name == "b"
    assert found.headline.strain == pytest.approx(0.8)
    assert isfinite(found.headline.strain)


def test_other_figures_than_the_rows_are_a_defect():
    with pytest.raises(ValueError, match="are published"):
        figures.judge(row(a="exact"), ReproducedValues({"b": 1.0}), 0.0)
