"""JUnit XML, validated by the schema of Jenkins' xUnit plugin."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
import xmlschema

from lcbench.report.exports import ci, export
from lcbench.stats.verdicts import Comparison
from results import record, row
from results_to_export import COMPARISONS, NOTHING_TIMED, RESULT, sides

SCHEMA = xmlschema.XMLSchema(Path(__file__).with_name("junit-10.xsd"))
"""Schema of Jenkins' xUnit plugin, an unchanged copy from the source distribution of pytest 9.0.2."""


def cases_of(text):
    """Return the test cases of a document, after checking it against the schema and its counts."""
    SCHEMA.validate(text)
    root = ElementTree.fromstring(text)
    [suite] = root
    cases = [element for element in suite if element.tag == "testcase"]
    for counted in (root, suite):
        assert counted.get("tests") == str(len(cases))
        for count, tag in (("failures", "failure"), ("errors", "error")):
            assert counted.get(count) == str(len(suite.findall(f"testcase/{tag}")))
    assert suite.get("skipped") == str(len(suite.findall("testcase/skipped")))
    names = [(case.get("classname"), case.get("name")) for case in cases]
    assert len(set(names)) == len(names)
    for case in cases:  # a string in the schema; GitLab reads a number without an exponent
        assert re.fullmatch(r"\d+\.\d+", case.get("time", "0.0"))
    return cases


def outcomes(cases):
    """Return the element and the type of every case by implementation."""
    return {
        case.get("name").split("[")[0]: next(((found.tag, found.get("type")) for found in case if found.attrib), None)
        for case in cases
    }


def test_statuses_of_a_result():
    cases = cases_of(export(RESULT, "junit"))
    assert outcomes(cases) == {
        "numpy": None,
        "mine.py:softmax_loss": None,
        "wrong.py:f": ("failure", "wrong"),
        "torch": ("error", "crashed"),
        "jax": ("error", "timeout"),
        "cupy": ("skipped", "unavailable"),
        "numba-cuda": None,
    }
    assert cases[0].get("classname") == "lcbench.softmax"
    assert [case.get("time") for case in cases] == ["0.002100000", "0.003000000", *[None] * 5]
    assert cases[-1].findtext("system-out") == "right; simulated: no GPU, so there are no times"


def test_characters_that_xml_cannot_hold_are_replaced():
    failure = cases_of(export(RESULT, "junit"))[2].find("failure")
    assert failure.text == "loss is 1,\N{REPLACEMENT CHARACTER}[31m\n right | is <2>"
    assert export(RESULT, "junit").isascii()


@pytest.mark.parametrize("result", [NOTHING_TIMED, record(), record(*sides("base", "control", "head"))])
def test_every_result_follows_the_schema(result):
    assert len(cases_of(export(result, "junit"))) == len(result.rows)


def test_the_shortest_and_longest_times_have_no_exponent():
    short, long = cases_of(export(record(row("a", [1e-9]), row("b", [1e6])), "junit"))
    assert (short.get("time"), long.get("time")) == ("0.000000001", "1000000.000000000")


def test_verdicts():
    cases = cases_of(ci.junit_verdicts(COMPARISONS, 0.05, "base & head"))
    assert outcomes(cases) == {
        "same": None,
        "grown": ("failure", "slower"),
        "__init__.py:f|g": ("skipped", "inconclusive"),
        "once": ("skipped", "inconclusive"),
        "mistaken": ("failure", "wrong"),
        "gone": ("error", "not measured"),
    }
    grown = cases[1].find("failure")
    assert grown.get("message") == (
        "400 us before, 500 us now: +25.0 % (95 %: +22.2 % to +27.9 %); slower than the 5.0 % allowed"
    )
    assert cases[0].findtext("system-out").endswith("not slower than the 5.0 % allowed")


def test_a_new_implementation_passes_and_says_so():
    base = row("added", status="unavailable", reason="base main does not have added.py:f", side="base")
    new = Comparison(base, row("added", side="head"), "new")
    [case] = cases_of(ci.junit_verdicts([new], 0.05, "head & main", "a note"))
    assert [child.tag for child in case] == ["system-out"]
    assert case.findtext("system-out") == "nothing to compare, base main does not have added.py:f; head is right"


@pytest.mark.parametrize("wrong", [("tests=", "count="), ("testcase", "case"), ("</testsuite>", "<x/></testsuite>")])
def test_the_schema_refuses_what_is_no_junit(wrong):
    with pytest.raises(xmlschema.XMLSchemaException):
        SCHEMA.validate(export(RESULT, "junit").replace(*wrong))


def test_nothing_compared_is_an_empty_suite():
    assert cases_of(ci.junit_verdicts([], 0.05, "base & head")) == []
