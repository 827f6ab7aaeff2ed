"""The file of a search: what is written is read again, and what is no search is one line."""

from __future__ import annotations

import json

import pytest

from lcbench.errors import LcbenchError
from lcbench.learn.recipe import Recipe
from lcbench.learn.search import search_file
from lcbench.learn.search.search_file import Refit, Search, Trial


def a_search(**fields):
    recipe = Recipe(data="synthetic", reg=5.0)
    trials = [
        Trial(recipe=recipe, status="finished", validation_accuracy=0.25, train_accuracy=0.5, loss=1.5, seconds=0.1),
        Trial(recipe=recipe, status="diverged"),
        Trial(recipe=recipe),
    ]
    said = {"created": "2026-11-21T18:00:00+00:00", "way": "grid", "axes": {"reg": [5.0]}, "fingerprint": "ab"}
    return Search(**said | {"threads": 1, "trials": trials} | fields)


def test_what_is_written_is_read(tmp_path):
    search = a_search(refit=Refit(trial=0, model="s.h5", accuracy={"test": 0.5}))
    search_file.write(tmp_path / "deep" / "s.json", search)
    assert search_file.read(tmp_path / "deep" / "s.json") == search
    assert search.waiting == [2]
    assert [trial.succeeded for trial in search.trials] == [True, False, False]


def test_what_the_command_prints_is_the_file_and_its_name(tmp_path):
    search_file.write(tmp_path / "s.json", a_search())
    beside = json.loads(search_file.to_json(a_search(), file="s.json"))
    assert beside == {"file": "s.json"} | json.loads((tmp_path / "s.json").read_text())
    assert beside["trials"][0]["recipe"]["reg"] == 5.0


def changed(**fields):
    return json.dumps(json.loads(search_file.to_json(a_search())) | fields)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot read .*: No such file"),
        ("", "is no search, or damaged"),
        ("{}", "is no search, or damaged: .*format"),
        (changed(format="lcbench model"), "is no search, but a file of format 'lcbench model'"),
        (changed(schema=search_file.SCHEMA + 1), "search schema 2, this lcbench reads up to 1: upgrade"),
        (changed(trials=[]), "is no search, or damaged: .*trials"),
        (changed(threads=0), "is no search, or damaged: .*threads"),
        (changed(trials=[{"recipe": {"data": "x", "loss": "hinge"}}]), "is no search, or damaged: .*hinge"),
        (changed(refit={"trial": 3, "model": "s.h5", "accuracy": {}}), "it refitted trial 3 of 3"),
        (changed()[:200], "is no search, or damaged"),
        ("\udcff", "is no search, or damaged"),
    ],
)
def test_what_is_no_search_is_one_line(tmp_path, content, message):
    if content is not None:
        (tmp_path / "s.json").write_text(content, errors="surrogateescape")
    with pytest.raises(LcbenchError, match=message) as refused:
        search_file.read(tmp_path / "s.json")
    assert "\n" not in str(refused.value)


def test_a_failed_write_leaves_the_old_file(tmp_path):
    (tmp_path / "folder").write_text("a file")
    with pytest.raises(LcbenchError, match="--output names another file"):
        search_file.write(tmp_path / "folder" / "s.json", a_search())
