"""Tables of ``lcbench search`` in a terminal of 80 columns."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from lcbench.learn.recipe import Recipe
from lcbench.learn.search.search_file import Refit, Search, Trial
from lcbench.report.tables import search as search_tables
from printed import printed


def searched(rates, regs, way="grid", accuracy=lambda rate, reg: 0.1 + rate, **fields):
    """Return a search whose trials all finished, with the validation accuracy of a function."""
    trials = [
        Trial(
            recipe=Recipe(data="cifar10", loss="svm", learning_rate=rate, reg=reg),
            status="finished", validation_accuracy=accuracy(rate, reg), train_accuracy=0.5, loss=1.25, seconds=1.5,
        )
        for rate in rates for reg in regs
    ]  # fmt: skip
    said = {"created": "2026-11-21T18:00:00+00:00", "way": way, "fingerprint": "ab", "threads": 1, "trials": trials}
    return Search(**said | {"axes": {"learning_rate": list(rates), "reg": list(regs)}} | fields)


def lines(search):
    return printed(search_tables.tables(search, Path("results/searches/s.json")))


def the_grid(text):
    start = text.index("validation accuracy in %: rows are learning rates, columns are reg")
    return [line.split() for line in text[start + 1 :] if line and not line.startswith("─")]


def test_a_grid_with_diverged_trials():
    search = searched([1e-7, 5e-5], [2.5e4, 5e4], accuracy=lambda rate, reg: 0.384 if reg < 3e4 else 0.37)
    bad = [Trial(recipe=trial.recipe, status="diverged") for trial in search.trials[2:]]
    refit = Refit(trial=0, model="s.h5", accuracy={"train": 0.39, "validation": 0.384, "test": 0.371})
    search = Search(**{f: getattr(search, f) for f in search.__struct_fields__} | {
        "trials": search.trials[:2] + bad, "refit": refit,
    })  # fmt: skip
    text = lines(search)
    assert text[0] == "4 trials (2 diverged): svm by sgd, 1,500 steps, on cifar10"
    rows = [line.split() for line in text if line.endswith(("finished", "diverged"))]
    assert rows[0] == ["1e-07", "25000", "38.4", "%", "50.0", "%", "1.25", "1.50", "s", "finished"]
    assert rows[2] == ["5e-05", "25000", "-", "-", "-", "-", "diverged"]
    assert the_grid(text)[:3] == [
        ["25000", "50000"],
        ["1e-07", "38.4", "37.0"],
        ["5e-05", "diverged", "diverged"],
    ]
    assert [line.split()[-2] for line in text if "accuracy  " in line] == ["39.0", "38.4", "37.1"]
    assert text[-1].split() == ["model", "results/searches/s.h5"]
    assert any(line.split()[1:] == ["learning", "rate", "1e-07,", "reg", "25000"] for line in text)


def chosen(search, place):
    refit = Refit(trial=place, model="s.h5", accuracy={"test": 0.3})
    return " ".join(lines(msgspec.structs.replace(search, refit=refit)))


def test_the_uncertainty_of_the_best_trial():
    search = searched([0.1, 0.2], [1.0, 2.0], accuracy=lambda rate, reg: 0.36 + 0.02 * (rate > 0.1) + 0.02 * (reg > 1))
    text = chosen(msgspec.structs.replace(search, validation_rows=1000), 3)
    assert "validation accuracy 40.0 %, standard error 1.5 % (1,000 rows)" in text
    assert "2 of the 3 other trials lie within two standard errors of the best" in text
    exact = chosen(msgspec.structs.replace(search, validation_rows=1_000_000), 3)
    assert "two standard errors" not in exact
    old = chosen(search, 3)  # files of earlier versions lack the number of rows
    assert "standard error" not in old


@pytest.mark.parametrize(
    ("fields", "place", "ends"),
    [
        ({}, 0, ["has the smallest learning rate of the grid", "has the smallest reg of the grid"]),
        ({}, 4, []),
        ({}, 5, ["has the largest reg of the grid"]),
        ({"way": "random", "axes": {"learning_rate": [1e-9, 1e-1], "reg": [1.0, 4.0]}}, 5,
         ["has the largest reg of the range"]),
        ({"way": "random", "axes": {"learning_rate": [0.9e-3, 1.0], "reg": [0.0, 100.0]}}, 0,
         ["is close to the smallest learning rate of the range"]),
    ],
)  # fmt: skip
def test_a_best_trial_at_the_end_of_an_axis_is_told(fields, place, ends):
    text = chosen(searched([1e-3, 1e-2, 1e-1], [1.0, 2.0, 4.0], **fields), place)
    assert text.count("values beyond it may be better") == len(ends)
    for end in ends:
        assert f"the best trial {end}" in text


def test_many_trials_show_the_best_and_no_grid_that_is_too_wide():
    regs = [1000.0 + number for number in range(20)]
    text = lines(searched([0.1, 0.2], regs))
    rows = [line.split() for line in text if line.endswith("finished")]
    assert len(rows) == search_tables.ROWS
    assert {row[0] for row in rows} == {"0.2"}
    assert "and 20 trials more, in results/searches/s.json" in text
    assert not any("columns are reg" in line for line in text)


def test_random_trials_have_no_grid():
    assert not any("columns are reg" in line for line in lines(searched([0.1, 0.2], [1.0, 2.0], way="random")))


@pytest.mark.parametrize(
    ("axes", "columns"),
    [
        ({"learning_rate": [1e-7], "reg": [1.0, 2.0]}, ["reg"]),
        ({"learning_rate": [1e-7], "reg": [1.0]}, ["learning_rate"]),
        ({"reg": [1.0]}, ["reg"]),
        ({}, []),
    ],
)
def test_only_axes_that_vary_have_a_column(axes, columns):
    search = searched(axes.get("learning_rate", [1e-7]), axes.get("reg", [1.0]), axes=axes)
    assert search_tables.axes(search) == columns
    assert lines(search)


def test_the_reason_of_crashed_trials_is_shown_once():
    search = searched([0.1, 0.2], [1.0])
    crashed = [Trial(recipe=t.recipe, status="crashed", reason="killed by SIGKILL [oom]") for t in search.trials]
    text = lines(Search(**{f: getattr(search, f) for f in search.__struct_fields__} | {"trials": crashed}))
    assert text.count("crashed: killed by SIGKILL [oom]") == 1
    assert text[0].startswith("2 trials (2 crashed): ")
