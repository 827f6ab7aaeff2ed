"""Axes of a sweep: expansion of texts into values, and error messages for invalid ones."""

from __future__ import annotations

import pytest

from lcbench.errors import LcbenchError
from lcbench.measure import axes


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("rows=1e2:1e5", [100, 215, 464, 1000, 2154, 4642, 10_000, 21_544, 46_416, 100_000]),
        ("rows=100:200", [100, 200]),
        ("rows=1:1000:4", [1, 10, 100, 1000]),
        ("features=1:4:9", [1, 2, 3, 4]),
        ("features=lin:10:50:5", [10, 20, 30, 40, 50]),
        ("threads=4, 1,2,1", [1, 2, 4]),
        ("classes=2,1e1", [2, 10]),
        ("dtype=float64,float32", ["float32", "float64"]),
        ("dtype=uint8,float32", ["float32", "uint8"]),
    ],
)
def test_ranges_are_geometric_and_values_are_ascending_integers(text, values):
    [(name, found)] = axes.parse([text]).items()
    assert name == text.partition("=")[0]
    assert found == values


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ([], "a sweep has one or two axes, not 0: choose among rows, features, classes, batch, threads, dtype"),
        (["rows=1", "batch=1", "threads=1"], "a sweep has one or two axes, not 3"),
        (["rowz=1:10"], "no axis 'rowz': did you mean 'rows'?"),
        (["xyz=1"], "no axis 'xyz': there is rows, features"),
        (["rows"], "axis 'rows' has no values: write NAME=VALUES, as in rows=1e2:1e5"),
        (["rows="], "axis 'rows=' has no values"),
        (["rows=1,2", "rows=3"], "axis 'rows' is given twice"),
        (["rows=1:x"], "axis 'rows': 'x' is not a number: write LOW:HIGH"),
        (["rows=1:2:3:4"], "axis 'rows': '1:2:3:4' is not a range"),
        (["rows=lin:1:2"], "axis 'rows': 'lin:1:2' is not a range"),
        (["rows=10:10"], "axis 'rows': '10:10' is not a range, since 10 is not below 10"),
        (["rows=1.5,2"], "axis 'rows': 1.5 is not an integer"),
        (["rows=1,inf"], "axis 'rows': inf is not an integer"),
        (["rows=1:5:1"], "axis 'rows': 1 is not from 2 to 1,000,000,000,000,000,000"),
        (["threads=0,1"], "axis 'threads': 0 is not from 1 to 1,024"),
        (["classes=1,2"], "axis 'classes': 1 is not from 2 to 1,000,000"),
        (["dtype=float16"], "axis 'dtype' has no value 'float16': there is float32, float64, uint8"),
    ],
)
def test_invalid_axes_are_refused_with_one_line(texts, message):
    with pytest.raises(LcbenchError) as refused:
        axes.parse(texts)
    assert str(refused.value).startswith(message)
    assert "\n" not in str(refused.value)


def test_values_can_be_given_as_lists():
    assert axes.resolve({"rows": [300, 100], "dtype": ["float64"]}) == {"rows": [100, 300], "dtype": ["float64"]}
    with pytest.raises(LcbenchError, match="axis 'rows' has no values"):
        axes.resolve({"rows": []})


def test_points_are_all_combinations_with_the_last_axis_fastest():
    assert axes.points({"rows": [1, 2], "threads": [1, 4]}) == [
        {"rows": 1, "threads": 1},
        {"rows": 1, "threads": 4},
        {"rows": 2, "threads": 1},
        {"rows": 2, "threads": 4},
    ]


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["rows=1e2:1e5:99999999"], "axis 'rows': 99,999,999 points are too many: choose at most 1,000 in all"),
        (["rows=lin:1:9:1e18"], "axis 'rows': 1,000,000,000,000,000,000 points are too many: choose at most 1,000"),
        (["rows=1e2:1e5:1e30"], "axis 'rows': 1e30 is not from 2 to 1,000,000,000,000,000,000"),
        (["rows=lin:1:50:50", "features=lin:1:50:50"], "2,500 points are too many: choose at most 1,000 in all"),
        (["rows=1e2:1e30"], "axis 'rows': 1e30 is not from 1 to 1,000,000,000,000"),
        (["classes=2,1e19"], "axis 'classes': 1e19 is not from 2 to 1,000,000"),
        (["threads=1,2000"], "axis 'threads': 2000 is not from 1 to 1,024"),
    ],
)
def test_too_many_or_too_large_points_are_refused_before_allocation(texts, message):
    with pytest.raises(LcbenchError) as refused:
        axes.parse(texts)
    assert str(refused.value).startswith(message)
    assert len(str(refused.value)) < 80 + len(texts[0])


def test_the_maximum_number_of_points_is_allowed():
    assert len(axes.resolve({"rows": "lin:1:1000:1000"})["rows"]) == axes.MOST_POINTS
