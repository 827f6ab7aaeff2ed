"""Search file: round trip, errors for damaged or foreign files, and the ranking of trials."""

from __future__ import annotations

import json

import pytest

from lcbench.errors import LcbenchError
from lcbench.learn.recipe import Recipe
from lcbench.learn.search import search_file
from lcbench.learn.search.search_file import Refit, Search, Trial, ranking


def make_search(**fields):
    recipe = Recipe(data="synthetic", reg=5.0)
    trials = [
        Trial(recipe=recipe, status="finished", validation_accuracy=0.25, train_accuracy=0.5, loss=1.5, seconds=0.1),
        Trial(recipe=recipe, status="diverged"),
        Trial(recipe=recipe),
    ]
    given = {"created": "2026-11-21T18:00:00+00:00", "way": "grid", "axes": {"reg": [5.0]}, "fingerprint": "ab"}
    return Search(**given | {"threads": 1, "trials": trials} | fields)


def test_a_written_search_is_read_back(tmp_path):
    search = make_search(refit=Refit(trial=0, model="s.h5", accuracy={"test": 0.5}))
    search_file.write(tmp_path / "deep" / "s.json", search)
    assert search_file.read(tmp_path / "deep" / "s.json") == search
    assert search.waiting == [2]
    assert [trial.succeeded for trial in search.trials] == [True, False, False]


def test_json_can_have_additional_fields(tmp_path):
    search_file.write(tmp_path / "s.json", make_search())
    printed = json.loads(search_file.to_json(make_search(), file="s.json"))
    assert printed == {"file": "s.json"} | json.loads((tmp_path / "s.json").read_text())
    assert printed["trials"][0]["recipe"]["reg"] == 5.0


def changed_json(**fields):
    return json.dumps(json.loads(search_file.to_json(make_search())) | fields)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot read .*: No such file"),
        ("", "is not a search, or damaged"),
        ("{}", "is not a search, or damaged: .*format"),
        (changed_json(format="lcbench model"), "is not a search: its format is 'lcbench model'"),
        (changed_json(schema=search_file.SCHEMA + 1), "search schema 2, this lcbench reads up to 1: upgrade"),
        (changed_json(trials=[]), "is not a search, or damaged: .*trials"),
        (changed_json(threads=0), "is not a search, or damaged: .*threads"),
        (changed_json(trials=[{"recipe": {"data": "x", "loss": "hinge"}}]), "is not a search, or damaged: .*hinge"),
        (changed_json(refit={"trial": 3, "model": "s.h5", "accuracy": {}}), "it refitted trial 3 of 3"),
        (changed_json()[:200], "is not a search, or damaged"),
        (changed_json(axes={"a": [1.0]}), "is not a search, or damaged: .*learning_rate"),
        (changed_json(trials=[{"recipe": {"seed": -1}}]), r"damaged: trials\[0\]\.recipe\.seed must be at least 0"),
        (changed_json(trials=[{"recipe": {"batch": 10**18}}]), "recipe.batch must be at most 1,000,000,000"),
        (
            changed_json(trials=[{"recipe": {}}, {"recipe": {"data": "x.csv"}}]),
            "trial 2 has other settings than trial 1",
        ),
        (changed_json(trials=[{"recipe": {}, "validation_accuracy": 0.5}]), "trial 1 is waiting and has an accuracy"),
        (changed_json(refit={"trial": 0, "model": "../s.h5", "accuracy": {}}), "is not in the folder of the search"),
        ('{"format": ' + 5000 * "[", "is not a search, or damaged"),
        ("\udcff", "is not a search, or damaged"),
    ],
)
def test_a_file_that_is_not_a_search_is_a_one_line_error(tmp_path, content, message):
    if content is not None:
        (tmp_path / "s.json").write_text(content, errors="surrogateescape")
    with pytest.raises(LcbenchError, match=message) as refused:
        search_file.read(tmp_path / "s.json")
    assert "\n" not in str(refused.value)


def test_a_failed_write_is_an_error_with_a_hint(tmp_path):
    (tmp_path / "folder").write_text("a file")
    with pytest.raises(LcbenchError, match="--output names another file"):
        search_file.write(tmp_path / "folder" / "s.json", make_search())


def trial_with(accuracy, learning_rate=1e-7, reg=1.0, batch=200, margin=1.0, status="finished"):
    recipe = Recipe(data="synthetic", learning_rate=learning_rate, reg=reg, batch=batch, margin=margin)
    return Trial(recipe=recipe, status=status, validation_accuracy=accuracy)


def test_ranking_is_by_validation_accuracy_then_by_the_safer_settings():
    trials = [
        trial_with(0.4, learning_rate=1e-6),
        trial_with(0.3),
        trial_with(0.4, reg=1.0),
        trial_with(0.4, reg=5.0),
        trial_with(None, status="diverged"),
        trial_with(None, status="waiting"),
        trial_with(0.4, reg=5.0, batch=100),
        trial_with(0.4, reg=5.0, batch=100, margin=0.5),
        trial_with(0.35, status="stopped early"),
    ]
    assert ranking(trials) == [7, 6, 3, 2, 0, 8, 1]
    assert ranking(trials[4:6]) == []
