"""Output and files of ``lcbench plot``."""

from __future__ import annotations

import numpy as np
import pytest

from commands import invoke, lcbench
from lcbench.datasets.preprocessing import Scaling
from lcbench.learn import model as models
from lcbench.learn.model import Curves, Model
from lcbench.learn.recipe import Recipe
from lcbench.record import to_json
from lcbench.report.plots import KINDS
from results import record, row


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Folder with a model of two features, m.h5, and results, one of them saved as a baseline."""
    folder = tmp_path_factory.mktemp("work")
    W = np.arange(6.0).reshape(3, 2)
    curves = Curves(np.array([1.0, 0.5]), np.array([0, 2]), np.array([0.5, 0.7]), np.array([0.4, 0.6]), np.zeros(2))
    scaling = Scaling(np.zeros(2), np.ones(2))
    recipe = Recipe(data="points.csv")
    stored = Model(recipe, W, scaling, ("a", "b"), None, "", 1, curves, "finished", 2, W, None, {})
    models.write(folder / "m.h5", stored)
    for name in ("", "baselines"):
        (folder / "results" / name).mkdir()
    (folder / "results" / "20260102T030405Z-0badcafe.json").write_text(to_json(RESULT))
    (folder / "results" / "baselines" / "before.json").write_text(to_json(RESULT))
    return folder


RESULT = record(row("numpy", [2e-3, 2.1e-3]), row("torch", [1e-3, 1.1e-3]), command=["run"])


def test_default_output_is_next_to_the_file(folder):
    done = lcbench(folder, "plot", "curves", "m.h5")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "plot: m-curves.png\n")
    assert (folder / "m-curves.png").read_bytes().startswith(b"\x89PNG")


def test_backend_that_matplotlib_has_not_is_named(folder):
    done = lcbench(folder, "plot", "curves", "m.h5", MPLBACKEND="nix")
    line = "error: matplotlib has no backend 'nix': unset MPLBACKEND, which no plot needs\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", line)


def test_suffix_selects_the_format_and_output_is_reproducible(folder):
    (folder / "new").mkdir()
    for name in ("new/one.svg", "new/two.svg"):
        done = lcbench(folder, "plot", "curves", "m.h5", "--output", name)
        assert (done.returncode, done.stderr) == (0, f"plot: {name}\n")
    assert (folder / "new" / "one.svg").read_bytes() == (folder / "new" / "two.svg").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["curvs", "m.h5"], "error: no kind of plot 'curvs': did you mean 'curves'?\n"),
        (["curves", "n.h5"], "error: no model n.h5: it does not exist; 'lcbench train' makes one\n"),
        (["curves", "m.h5", "--output", "c.pdf"], "error: cannot draw c.pdf: plots are .png or .svg\n"),
        (
            ["templates", "m.h5"],
            "error: m.h5 has no templates: its rows of 2 columns are not images; plots that it has",
        ),
        (["boundaries", "m.h5"], "error: no data 'points.csv'"),
        (["--all", "m.h5", "--output", "a.png"], "several files are written; name a folder, without .png"),
        (["--all", "m.h5", "--output", "m.h5"], "cannot write to m.h5: it is a file"),
        (["curves", "m.h5", "--dpi", "0"], "Invalid value for '--dpi'"),
        (["curves"], "error: no model in results/models: 'lcbench train' makes one, or name a file\n"),
        (["search"], "error: no search in results/searches: 'lcbench search' makes one, or name a file\n"),
        (["descents"], "error: descents is a plot of several models: name their files\n"),
        ([], "Error: name a KIND of plot, or use --all; 'lcbench plot --help' lists the kinds\n"),
        (["bars", "--all"], "Error: --all draws every kind: leave out 'bars', or --all\n"),
        (["bars", "nothing"], "error: no result 'nothing' in results; saved names: before\n"),
        (["scaling"], "error: no result in results has a plot scaling: 'lcbench sweep' makes one, or name"),
        (
            ["table", "before", "--output", "t.png"],
            "error: cannot draw t.png: a table is text, and can only be an .svg\n",
        ),
        (
            ["curves", "m.h5", "--output", "no/where/c.png"],
            "error: cannot write no/where/c.png: no folder no/where; create it first\n",
        ),
        (["--all", "m.h5", "--output", "no/where"], "error: cannot write no/where: no folder no; create it first\n"),
        (["--all", "nothing.h5"], "error: no model nothing.h5: it does not exist"),
    ],
)
def test_invalid_input_is_one_line_error_and_writes_nothing(folder, arguments, message):
    before = sorted(folder.iterdir())
    done = invoke(folder, "plot", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr
    assert sorted(folder.iterdir()) == before


def test_characters_without_a_font_are_a_warning(folder):
    unusual = record(row("\ue123\U00013080.py:f", [1e-3, 1.1e-3]), command=["run"])  # private use, Egyptian
    (folder / "unusual.json").write_text(to_json(unusual))
    done = lcbench(folder, "plot", "bars", "unusual.json", "--output", "unusual.png")
    assert done.returncode == 0
    told, plotted = done.stderr.splitlines()
    assert told == "warning: no installed font has these characters, which are drawn as boxes: EGYPTIAN, UNKNOWN"
    assert plotted == "plot: unusual.png"
    done = lcbench(folder, "plot", "--all", "unusual.json", "--output", "unusual")
    assert done.stderr.splitlines().count(told) == 1


def test_missing_matplotlib_is_an_error_with_the_install_command(folder):
    (folder / "stub").mkdir()
    (folder / "stub" / "sitecustomize.py").write_text("import sys; sys.modules['matplotlib'] = None\n")
    done = lcbench(folder, "plot", "curves", "m.h5", PYTHONPATH=str(folder / "stub"))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: plots need matplotlib, which is not installed: pip install 'lcbench[lab]'\n"


@pytest.mark.parametrize("name", [(), ("0badcafe",), ("20260102T0304",)])
def test_result_by_id_or_beginning_of_its_name(folder, name):
    done = lcbench(folder, "plot", "bars", *name)
    assert (done.returncode, done.stderr) == (0, "plot: results/20260102T030405Z-0badcafe-bars.png\n")


def test_saved_result_by_name(folder):
    done = lcbench(folder, "plot", "table", "before")
    assert (done.returncode, done.stderr) == (0, "plot: results/baselines/before-table.svg\n")
    assert "numpy" in (folder / "results" / "baselines" / "before-table.svg").read_text()


def test_all_plots_are_reproducible(folder):
    contents = []
    for _ in range(2):
        done = lcbench(folder, "plot", "--all", "before", "m.h5", "--output", "docs")
        assert (done.returncode, done.stdout) == (0, "")
        lines = done.stderr.splitlines()
        assert lines[0] == "plot: docs/before-bars.png"
        assert [line.split(": ")[1] for line in lines if line.startswith("left out")] == [
            "m-boundaries.png",
            "m-confusion.png",
        ]
        contents.append({path.name: path.read_bytes() for path in (folder / "docs").iterdir()})
    assert contents[0] == contents[1]
    assert contents[0].keys() == {"before-bars.png", "before-samples.png", "before-table.svg", "m-curves.png"}


def test_all_plots_of_the_newest_files(folder):
    done = lcbench(folder, "plot", "--all")
    assert done.returncode == 0
    names = {path.name for path in (folder / "results" / "pictures").iterdir()}
    assert names == {f"20260102T030405Z-0badcafe-{name}" for name in ("bars.png", "samples.png", "table.svg")}


def test_help_names_every_kind(folder):
    done = invoke(folder, "plot", "--help")
    assert all(f"\n    {kind} " in done.stdout for kind in KINDS)
    assert max(map(len, done.stdout.splitlines())) <= 80
