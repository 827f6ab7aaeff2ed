import dataclasses

import msgspec
import numpy as np
import pytest

from lcbench.errors import LcbenchError
from lcbench.learn import model as model_file
from lcbench.learn import solvers, training
from lcbench.learn.evaluation import accuracy, predict
from lcbench.learn.recipe import Recipe
from lcbench.learn.training import train
from small_splits import splits

DATA = splits()
RECIPE = Recipe(
    data="clouds", scaling="standard", learning_rate=0.05, reg=0.01, batch=8, iterations=45, report_every=10,
    momentum=0.9,
)  # fmt: skip


def same(one, other):
    arrays = ("W", "last_W", "velocity")
    curves = ("losses", "steps", "train_accuracy", "validation_accuracy")
    return (
        all(np.array_equal(getattr(one, name), getattr(other, name)) for name in arrays)
        and all(np.array_equal(getattr(one.curves, name), getattr(other.curves, name)) for name in curves)
        and (one.status, one.step, one.accuracy) == (other.status, other.step, other.accuracy)
    )


def test_it_learns_and_says_how_well():
    told = []
    model = train(DATA, RECIPE, progress=lambda *given: told.append(given))
    assert model.status == "finished"
    assert {(stage, total) for stage, _, total, _ in told} == {("steps", 45)}
    assert [step for _, step, _, _ in told] == model.curves.steps.tolist() == [0, 10, 20, 30, 40, 45]
    assert model.curves.losses.shape == (45,)
    assert model.accuracy["test"] > 0.8 > model.curves.validation_accuracy[0]
    for name, part in (("train", DATA.train), ("validation", DATA.validation), ("test", DATA.test)):
        assert model.accuracy[name] == accuracy(predict(model.W, model.scaling, part.X), part.y)
    assert model.curves.validation_accuracy[-1] == model.accuracy["validation"]
    last = f"loss {model.curves.losses[-1]:.4g}  train {100 * model.curves.train_accuracy[-1]:.1f} %  "
    assert told[-1][3] == f"{last}validation {100 * model.accuracy['validation']:.1f} %"


@pytest.mark.parametrize("solver", ["sgd", "lbfgs", "random"])
@pytest.mark.parametrize("patience", [0, 2])
def test_from_every_checkpoint_it_comes_to_the_same_model(monkeypatch, tmp_path, solver, patience):
    monkeypatch.setattr(training, "SECONDS_BETWEEN_CHECKPOINTS", 0.0)
    recipe = Recipe(
        **{**{f: getattr(RECIPE, f) for f in RECIPE.__struct_fields__}, "solver": solver, "patience": patience}
    )
    kept = []
    whole = train(DATA, recipe, checkpoint=kept.append)
    assert len(kept) > 2
    for number, unfinished in enumerate(kept):
        assert unfinished.status == "unfinished"
        model_file.write(tmp_path / f"{number}.h5", unfinished)
        assert same(train(DATA, recipe, resume=model_file.read(tmp_path / f"{number}.h5")), whole)


def test_between_two_looks_it_can_be_kept_too(monkeypatch, tmp_path):
    monkeypatch.setattr(training, "SECONDS_BETWEEN_CHECKPOINTS", 0.0)
    monkeypatch.setattr(solvers, "SECONDS_AT_ONCE", 0.0)
    monkeypatch.setattr(solvers, "STEPS_AT_ONCE", 7)
    for solver, implementation in (("sgd", "numpy"), ("sgd", "numba-parallel"), ("random", "numpy")):
        recipe = msgspec.structs.replace(RECIPE, solver=solver, implementation=implementation, report_every=20)
        kept = []
        whole = train(DATA, recipe, checkpoint=kept.append)
        assert len({unfinished.step for unfinished in kept}) > len(whole.curves.steps)
        for unfinished in kept:
            model_file.write(tmp_path / "kept.h5", unfinished)
            assert same(train(DATA, recipe, resume=model_file.read(tmp_path / "kept.h5")), whole)


def test_how_often_it_is_looked_at_changes_nothing():
    often, rarely = (train(DATA, msgspec.structs.replace(RECIPE, report_every=steps)) for steps in (3, 45))
    assert (often.W == rarely.W).all()


def test_a_finished_model_is_not_trained_on():
    whole = train(DATA, RECIPE)
    assert same(train(DATA, RECIPE, resume=whole), whole)


def test_it_stops_early_and_keeps_the_best(monkeypatch):
    worse = Recipe(data="", scaling="standard", learning_rate=5.0, iterations=2000, report_every=1, batch=4, patience=3)
    model = train(DATA, worse)
    seen = model.curves.validation_accuracy
    assert model.status == "stopped early"
    assert model.step < 2000
    assert len(seen) - 1 - seen.argmax() == 3
    assert model.accuracy["validation"] == seen.max()


def test_divergence_ends_it_and_the_curve_shows_where():
    model = train(DATA, Recipe(data="", loss="svm", learning_rate=1e3, reg=1e3, iterations=500, report_every=10))
    assert model.status == "diverged"
    assert model.step < 500
    assert not np.isfinite(model.curves.losses).all()


def test_when_it_is_stopped_the_checkpoint_is_where_it_was():
    def stop(stage, step, total, detail):
        if step == 20:
            raise KeyboardInterrupt

    kept = []
    with pytest.raises(KeyboardInterrupt):
        train(DATA, RECIPE, checkpoint=kept.append, progress=stop)
    assert kept[-1].step == 20
    assert same(train(DATA, RECIPE, resume=kept[-1]), train(DATA, RECIPE))


def test_other_data_is_not_what_it_was_trained_on():
    model = train(DATA, RECIPE)
    with pytest.raises(LcbenchError, match="other data"):
        train(splits(seed=1), RECIPE, resume=model)


def test_without_validation_rows_it_cannot_stop_early():
    none = dataclasses.replace(DATA, validation=type(DATA.train)(DATA.train.X[:0], DATA.train.y[:0]))
    with pytest.raises(LcbenchError, match="no validation rows"):
        train(none, Recipe(data="", patience=1))
    assert "validation" not in train(none, RECIPE).accuracy
