"""Models and plots of ``lcbench reproduce``."""

from xml.etree import ElementTree

import numpy as np
import pytest

from lcbench.datasets.examples import load_splits
from lcbench.learn import model as models
from lcbench.learn.evaluation import predict
from lcbench.losses import catalog
from lcbench.report import plots
from lcbench.report.plots.files import draw_reproduced, reproduced_rows
from lcbench.reproduction import figures
from lcbench.reproduction.context import Context
from lcbench.reproduction.figures import Outcome
from lcbench.reproduction.rows import reproduce

RATES = ("lr-0.1-first", "lr-too-large", "lr-too-small", "lr-0.1-second")


@pytest.fixture(scope="module")
def outcomes():
    context = Context(catalog.load("numpy"))
    return {
        name: reproduce(figures.published_rows()[name], context) for name in (*RATES, "decision-boundary", "quadratic")
    }


def test_every_trained_model_is_stored_and_plotted(outcomes, tmp_path):
    drawn = list(draw_reproduced(list(outcomes.values()), tmp_path))
    assert [path.name for path in drawn] == ["learning-rates.png", "decision-boundary.png"]
    assert {path.stem for path in tmp_path.glob("*.h5")} == {*RATES, "decision-boundary"}
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in drawn)


def test_stored_losses_are_the_measured_ones(outcomes, tmp_path):
    list(draw_reproduced(list(outcomes.values()), tmp_path))
    for name in RATES:
        losses = models.read(tmp_path / f"{name}.h5").curves.losses
        np.testing.assert_array_equal(losses, [number.measured for number in outcomes[name].numbers])


def test_the_boundary_can_be_plotted_from_its_files(outcomes, tmp_path):
    list(draw_reproduced([outcomes["decision-boundary"]], tmp_path))
    stored = tmp_path / "decision-boundary.h5"
    svg = plots.render_plot(plots.find_kind("boundaries"), [stored], "svg")
    assert ElementTree.fromstring(svg) is not None
    model, points = models.read(stored), load_splits(str(tmp_path / "decision-boundary.npz"))
    np.testing.assert_array_equal(points.train.X, outcomes["decision-boundary"].points.X)
    assert np.mean(predict(model.W, model.scaling, points.train.X) == points.train.y) > 0.9


def test_skipped_rows_have_no_plot(tmp_path):
    skipped = Outcome(figures.published_rows()["templates"], skipped="no images")
    assert list(draw_reproduced([skipped], tmp_path)) == []
    assert list(tmp_path.iterdir()) == []


def test_rows_with_a_plot():
    assert set(reproduced_rows()) == {*RATES, "decision-boundary", "templates", "random-search"}
