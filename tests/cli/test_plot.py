"""``lcbench plot`` as a user runs it."""

from __future__ import annotations

import numpy as np
import pytest

from commands import lcbench
from lcbench.datasets.scaling import Scaling
from lcbench.learn import model as models
from lcbench.learn.model import Curves, Model
from lcbench.learn.recipe import Recipe


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a model of two features, m.h5."""
    folder = tmp_path_factory.mktemp("work")
    W = np.arange(6.0).reshape(3, 2)
    curves = Curves(np.array([1.0, 0.5]), np.array([0, 2]), np.array([0.5, 0.7]), np.array([0.4, 0.6]), np.zeros(2))
    scaling = Scaling(np.zeros(2), np.ones(2))
    recipe = Recipe(data="points.csv")
    stored = Model(recipe, W, scaling, ("a", "b"), None, "", 1, curves, "finished", 2, W, None, {})
    models.write(folder / "m.h5", stored)
    return folder


def test_beside_the_file_unless_said_otherwise(folder):
    done = lcbench(folder, "plot", "curves", "m.h5")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "picture: m-curves.png\n")
    assert (folder / "m-curves.png").read_bytes().startswith(b"\x89PNG")


def test_the_ending_chooses_the_format_and_a_second_time_gives_the_same_bytes(folder):
    for name in ("new/one.svg", "new/two.svg"):
        done = lcbench(folder, "plot", "curves", "m.h5", "--output", name)
        assert (done.returncode, done.stderr) == (0, f"picture: {name}\n")
    assert (folder / "new" / "one.svg").read_bytes() == (folder / "new" / "two.svg").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["curvs", "m.h5"], "error: no kind of picture 'curvs': did you mean 'curves'?\n"),
        (["curves", "n.h5"], "error: no model n.h5: it does not exist; 'lcbench train' makes one\n"),
        (["curves", "m.h5", "--output", "c.pdf"], "error: cannot draw c.pdf: pictures are .png or .svg\n"),
        (["templates", "m.h5"], "error: m.h5 has no templates: its rows of 2 columns are no images; what can be drawn"),
        (["boundaries", "m.h5"], "error: no data 'points.csv'"),
        (["curves", "m.h5", "--dpi", "0"], "Invalid value for '--dpi'"),
        (["curves"], "error: no model in results/models: 'lcbench train' makes one, or name a file\n"),
        (["search"], "error: no search in results/searches: 'lcbench search' makes one, or name a file\n"),
        (["descents"], "error: descents is drawn of several models: name their files\n"),
    ],
)
def test_bad_input_is_one_line_and_no_file(folder, arguments, message):
    before = sorted(folder.iterdir())
    done = lcbench(folder, "plot", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr
    assert sorted(folder.iterdir()) == before


def test_without_matplotlib_the_line_that_installs_it(folder):
    (folder / "stub").mkdir()
    (folder / "stub" / "matplotlib.py").write_text("raise ImportError('no module named matplotlib')\n")
    done = lcbench(folder, "plot", "curves", "m.h5", PYTHONPATH=str(folder / "stub"))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: pictures need matplotlib, which is not installed: pip install 'lcbench[lab]'\n"


def test_help_names_every_kind(folder):
    done = lcbench(folder, "plot", "--help")
    assert all(f"\n    {kind} " in done.stdout for kind in ("templates", "search", "learning-rates", "boundaries"))
    assert max(map(len, done.stdout.splitlines())) <= 80
