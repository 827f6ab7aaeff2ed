"""CSV export of samples."""

from __future__ import annotations

import csv
from io import StringIO

from lcbench.report.exports import export
from results import record, row
from results_to_export import NOTHING_TIMED, RESULT, TIMED, sides


def lines_of(result):
    """Return the lines as dictionaries by column."""
    return list(csv.DictReader(StringIO(export(result, "csv"))))


def test_samples_are_exact():
    read = [line for line in lines_of(RESULT) if line["implementation"] == "numpy"]
    assert [(line["block"], line["sample"], float(line["seconds"])) for line in read] == [
        ("0", "0", 2e-3),
        ("0", "1", 2.2e-3),
        ("1", "0", 2.1e-3),
    ]
    assert {line["threads"] for line in read} == {"2"}


def test_a_row_without_a_time_has_one_line_without_sample():
    untimed = [line for line in lines_of(RESULT) if line["implementation"] not in TIMED]
    assert [(line["implementation"], line["device"], line["status"]) for line in untimed] == [
        ("wrong.py:f", "cpu", "wrong"),
        ("torch", "cpu", "crashed"),
        ("jax", "cpu", "timeout"),
        ("cupy", "cpu", "unavailable"),
        ("numba-cuda", "simulator", "ok"),
    ]
    assert {(line["block"], line["sample"], line["seconds"]) for line in untimed} == {("", "", "")}


def test_a_result_without_times_has_lines():
    assert len(lines_of(NOTHING_TIMED)) == 2


def test_files_of_several_results_can_be_joined():
    one, other = record(*sides("base", "head")), record(row(medians=[1.0]))
    lines = lines_of(one) + lines_of(other)
    assert {(line["result"], line["side"]) for line in lines} == {(one.id, "base"), (one.id, "head"), (other.id, "")}


def test_names_may_hold_commas_and_quotes():
    name = 'my "best", so far.py:f'
    assert lines_of(record(row(name, [1.0])))[0]["implementation"] == name


def test_control_characters_are_visible():
    found = export(record(row("a\x1b[31m\nb", [1e-3])), "csv")
    assert "\x1b" not in found
    assert r"a\x1b[31m\nb" in found
    assert len(found.splitlines()) == 2
