"""Output of ``lcbench features``."""

from __future__ import annotations

import json

import pytest

from commands import invoke, lcbench
from lcbench.datasets.features.catalog import CATALOG


@pytest.mark.parametrize("arguments", [[], ["--list"]])
def test_list_has_80_columns(tmp_path, arguments):
    done = invoke(tmp_path, "features", *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert [line.split()[0] for line in lines[3:]] == list(CATALOG)


def test_json_list_has_dimensions_by_number_of_words(tmp_path):
    done = invoke(tmp_path, "features", "--words", "7", "--json")
    dimensions = {entry["name"]: entry["dimensions"] for entry in json.loads(done.stdout)["features"]}
    assert (dimensions["words"], dimensions["colour"]) == (28, 10)


def test_features_are_computed_once_then_read(tmp_path):
    first = lcbench(tmp_path, "features", "colour,hog-assignment", "--data", "synthetic")
    assert first.returncode == 0
    assert "colour, train: 8,000 of 8,000 in " in first.stderr
    rows = [line.split() for line in first.stdout.splitlines() if line.startswith(("colour", "hog"))]
    assert [(row[0], row[1], row[-1]) for row in rows] == [
        ("colour", "10", "computed"),
        ("hog-assignment", "144", "computed"),
    ]
    assert first.stdout.splitlines()[-1].rstrip() == "stored in data/features, for train, validation, test"
    assert len(list((tmp_path / "data" / "features").iterdir())) == 6

    again = lcbench(tmp_path, "features", "colour", "--data", "synthetic", "--json")
    assert (again.returncode, again.stderr) == (0, "")
    [entry] = json.loads(again.stdout)["features"]
    assert entry["kept"]
    assert all((tmp_path / file).exists() for file in entry["files"].values())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["color"], "error: no feature 'color': did you mean 'colour'?"),
        (["colour"], "error: no data/cifar10.h5: 'lcbench download' fetches CIFAR-10, and --data synthetic"),
        (["colour", "--wrds", "3"], "Error: No such option '--wrds'"),
        (["words", "--words", "500000"], "Error: Invalid value for '--words'"),
    ],
)
def test_invalid_input_is_one_line_error(tmp_path, arguments, message):
    done = invoke(tmp_path, "features", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[-1].startswith(message)
    assert not (tmp_path / "data").exists()
