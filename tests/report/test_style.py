"""Numbers and tables look the same everywhere, and say nothing that was not given."""

from __future__ import annotations

import io
import math

import pytest
from rich.console import Console

from lcbench.report import formatting, style
from lcbench.report.table import NUMBER, SECONDS, Column, Table, pairs


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.00402, "4.02 ms"),
        (62.0, "62.0 s"),
        (750.4, "750 s"),
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
    ("value", "text"),
    [(48 * 1024, "48 KiB"), (32 * 1024**2, "32 MiB"), (7.5 * 1024**3, "7.5 GiB"), (1000, "1000 B"), (None, "-")],
)
def test_size(value, text):
    assert formatting.size(value) == text


def printed(table) -> list[str]:
    console = style.console()
    console.file, console.width = io.StringIO(), 80
    console.print(table)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def test_numbers_stand_right_and_names_left():
    rows = [{"name": "numpy", "median": "20.0 ms"}, {"name": "numba-parallel", "median": "402 us"}]
    lines = printed(Table("Times", rows, Column("implementation", "name"), Column("median", "median", NUMBER)))
    assert lines[0] == "Times"
    assert lines[-2] == "numpy           20.0 ms"
    assert lines[-1] == "numba-parallel   402 us"


def test_csv_has_the_values_and_not_how_they_are_written():
    rows = [{"name": 'a,"b"', "median": 0.02}, {"name": "c", "median": None}]
    table = Table("", rows, Column("name", "name"), Column("median", "median", SECONDS))
    assert table.csv() == 'name,median\n"a,""b""",0.02\nc,\n'


def test_square_brackets_are_text():
    table = pairs("Install", [("dask", "pip install 'lcbench[dask]'")])
    assert printed(table)[-1] == "dask  pip install 'lcbench[dask]'"


def test_consoles_write_where_they_are_told():
    assert isinstance(style.console(), Console)
    assert style.console(stderr=True).stderr
    assert not style.console().stderr
