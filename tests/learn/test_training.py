"""Training loop: results, checkpoints and resuming, early stopping, and divergence."""

import dataclasses

import msgspec
import numpy as np
import pytest

from lcbench.datasets.preprocessing import Scaling
from lcbench.errors import LcbenchError
from lcbench.learn import model as model_file
from lcbench.learn import objective, solvers, training
from lcbench.learn.evaluation import accuracy, predict
from lcbench.learn.recipe import Recipe
from lcbench.learn.training import train
from small_splits import splits

DATA = splits()
RECIPE = Recipe(
    data="clouds", scaling="standard", learning_rate=0.05, reg=0.01, batch=8, iterations=45, report_every=10,
    momentum=0.9,
)  # fmt: skip


def equal_models(one, other):
    arrays = ("W", "last_W", "velocity")
    curves = ("losses", "steps", "train_accuracy", "validation_accuracy")
    return (
        all(np.array_equal(getattr(one, name), getattr(other, name)) for name in arrays)
        and all(np.array_equal(getattr(one.curves, name), getattr(other.curves, name)) for name in curves)
        and (one.status, one.step, one.accuracy) == (other.status, other.step, other.accuracy)
    )


def test_training_reports_progress_and_accuracies():
    reported = []
    model = train(DATA, RECIPE, progress=lambda *given: reported.append(given))
    assert model.status == "finished"
    lines, bars = reported[::2], reported[1::2]
    assert {(stage, total) for stage, _, total in bars} == {("steps", 45)}
    assert [step for _, step, _ in bars] == model.curves.steps.tolist() == [0, 10, 20, 30, 40, 45]
    assert [line.partition(":")[0] for (line,) in lines] == [f"step {step}" for _, step, _ in bars]
    assert model.curves.losses.shape == (45,)
    assert model.accuracy["test"] > 0.8 > model.curves.validation_accuracy[0]
    for name, part in (("train", DATA.train), ("validation", DATA.validation), ("test", DATA.test)):
        assert model.accuracy[name] == accuracy(predict(model.W, model.scaling, part.X), part.y)
    assert model.curves.validation_accuracy[-1] == model.accuracy["validation"]
    last = f"step 45: loss {model.curves.losses[-1]:.4g}, train {100 * model.curves.train_accuracy[-1]:.1f} %, "
    assert lines[-1][0] == f"{last}validation {100 * model.accuracy['validation']:.1f} %"


@pytest.mark.parametrize("solver", ["sgd", "lbfgs", "random"])
@pytest.mark.parametrize("patience", [0, 2])
def test_resuming_from_any_checkpoint_gives_the_same_model_bit_for_bit(monkeypatch, tmp_path, solver, patience):
    monkeypatch.setattr(training, "SECONDS_BETWEEN_CHECKPOINTS", 0.0)
    recipe = Recipe(
        **{**{f: getattr(RECIPE, f) for f in RECIPE.__struct_fields__}, "solver": solver, "patience": patience}
    )
    checkpoints = []
    whole = train(DATA, recipe, checkpoint=checkpoints.append)
    assert len(checkpoints) > 1
    for number, unfinished in enumerate(checkpoints):
        assert unfinished.status == "unfinished"
        model_file.write(tmp_path / f"{number}.h5", unfinished)
        assert equal_models(train(DATA, recipe, resume=model_file.read(tmp_path / f"{number}.h5")), whole)


def test_checkpoints_between_two_evaluations_resume_bit_for_bit_too(monkeypatch, tmp_path):
    monkeypatch.setattr(training, "SECONDS_BETWEEN_CHECKPOINTS", 0.0)
    monkeypatch.setattr(solvers, "SECONDS_PER_REPORT", 0.0)
    monkeypatch.setattr(solvers, "MAX_STEPS_PER_CALL", 7)
    for solver, implementation in (("sgd", "numpy"), ("sgd", "numba-parallel"), ("random", "numpy")):
        recipe = msgspec.structs.replace(RECIPE, solver=solver, implementation=implementation, report_every=20)
        checkpoints = []
        whole = train(DATA, recipe, checkpoint=checkpoints.append)
        assert len({unfinished.step for unfinished in checkpoints}) > len(whole.curves.steps)
        for unfinished in checkpoints:
            model_file.write(tmp_path / "model.h5", unfinished)
            assert equal_models(train(DATA, recipe, resume=model_file.read(tmp_path / "model.h5")), whole)


@pytest.mark.parametrize("solver", ["sgd", "lbfgs", "random"])
@pytest.mark.parametrize("implementation", ["numpy", "numba-parallel"])
def test_a_design_matrix_that_does_not_fit_in_memory_is_not_made(monkeypatch, solver, implementation):
    recipe = msgspec.structs.replace(RECIPE, solver=solver, implementation=implementation)
    in_memory = train(DATA, recipe)
    monkeypatch.setattr(objective, "memory_available", lambda: 4 * 120 * 7 - 1)
    designs = []
    make = Scaling.design_matrix
    monkeypatch.setattr(Scaling, "design_matrix", lambda self, X, *more: designs.append(len(X)) or make(self, X, *more))
    assert equal_models(train(DATA, recipe), in_memory)
    assert designs


def test_the_evaluation_interval_does_not_change_the_weights():
    often, rarely = (train(DATA, msgspec.structs.replace(RECIPE, report_every=steps)) for steps in (3, 45))
    assert (often.W == rarely.W).all()


def test_a_finished_model_is_not_trained_further():
    whole = train(DATA, RECIPE)
    assert equal_models(train(DATA, RECIPE, resume=whole), whole)


def test_early_stopping_keeps_the_best_weights(monkeypatch):
    recipe = Recipe(
        data="", scaling="standard", learning_rate=5.0, iterations=2000, report_every=1, batch=4, patience=3
    )
    model = train(DATA, recipe)
    accuracies = model.curves.validation_accuracy
    assert model.status == "stopped early"
    assert model.step < 2000
    assert len(accuracies) - 1 - accuracies.argmax() == 3
    assert model.accuracy["validation"] == accuracies.max()


def test_divergence_ends_training_and_shows_in_the_curve():
    model = train(DATA, Recipe(data="", loss="svm", learning_rate=1e3, reg=1e3, iterations=500, report_every=10))
    assert model.status == "diverged"
    assert model.step < 500
    assert not np.isfinite(model.curves.losses).all()


@pytest.mark.parametrize(
    ("losses", "diverged"),
    [
        (1551 * 1.21 ** np.arange(200), True),
        (1551 * 1.005 ** np.arange(200), True),
        (2.3 * 1.5 ** np.arange(4), True),
        (np.full(200, 2.3), False),
        (np.concatenate([[9.0], np.random.default_rng(0).uniform(300, 500, 199)]), False),  # jumps, and stays there
        (9 * 0.99 ** np.arange(200), False),
        (np.array([1.0, 10.0, 100.0]), False),
    ],
)
def test_a_loss_that_grows_to_the_end_is_divergence(losses, diverged):
    assert training.grows(losses) == diverged


def test_a_training_whose_loss_grows_has_diverged_unless_the_best_weights_are_kept():
    recipe = Recipe(data="", loss="svm", scaling="standard", learning_rate=2.1e-2, reg=50, iterations=60, batch=20)
    model = train(DATA, recipe)
    assert np.isfinite(model.W).all()
    assert model.curves.losses[-1] > 100 * model.curves.losses[0]
    assert model.status == "diverged"
    kept = train(DATA, msgspec.structs.replace(recipe, patience=5, report_every=20))
    assert kept.status == "finished"


def test_nothing_is_checkpointed_before_the_first_steps():
    def stop(*arguments):
        raise KeyboardInterrupt

    checkpoints = []
    with pytest.raises(KeyboardInterrupt):
        train(DATA, RECIPE, checkpoint=checkpoints.append, progress=stop)
    assert checkpoints == []


def test_an_interrupted_training_is_checkpointed_at_its_last_step():
    def stop(stage, step=0, total=0, detail=""):
        if step == 20:
            raise KeyboardInterrupt

    checkpoints = []
    with pytest.raises(KeyboardInterrupt):
        train(DATA, RECIPE, checkpoint=checkpoints.append, progress=stop)
    assert checkpoints[-1].step == 20
    assert equal_models(train(DATA, RECIPE, resume=checkpoints[-1]), train(DATA, RECIPE))


def test_resuming_on_other_data_is_refused():
    model = train(DATA, RECIPE)
    with pytest.raises(LcbenchError, match="different data"):
        train(splits(seed=1), RECIPE, resume=model)


def test_early_stopping_needs_validation_rows():
    without_validation = dataclasses.replace(DATA, validation=type(DATA.train)(DATA.train.X[:0], DATA.train.y[:0]))
    with pytest.raises(LcbenchError, match="no validation rows"):
        train(without_validation, Recipe(data="", patience=1))
    assert "validation" not in train(without_validation, RECIPE).accuracy
