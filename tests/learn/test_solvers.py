"""Solvers: textbook steps, resuming, stopping, and the batches and learning rates of SGD."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lcbench.datasets.preprocessing import fit_scaling
from lcbench.learn.objective import Objective
from lcbench.learn.recipe import Recipe
from lcbench.learn.solvers import SOLVERS, Position, draw_batches, first_weights, learning_rates, step_ranges
from small_splits import splits

SETTINGS = {
    "data": "", "scaling": "standard", "iterations": 25, "batch": 8, "learning_rate": 0.05, "reg": 0.01,
    "report_every": 10, "dtype": "float64",
}  # fmt: skip


def positions(recipe, start=None, until=None, part=None):
    train = part or splits().train
    objective = Objective(recipe, train, fit_scaling(recipe.scaling, train.X))
    reported = []

    def report(position):
        reported.append(position)
        return len(reported) != until

    W = first_weights(recipe, (train.X.shape[1] + 1, 3))
    SOLVERS[recipe.solver](objective, start or Position(0, W, np.empty(0)), report)
    return reported, objective


@pytest.mark.parametrize(
    ("first", "last", "length", "expected"),
    [(0, 25, 10, [(0, 10), (10, 20), (20, 25)]), (10, 30, 10, [(10, 20), (20, 30)]), (13, 18, 10, [(13, 18)]),
     (5, 5, 10, []), (0, 3, 100, [(0, 3)])],
)  # fmt: skip
def test_step_ranges_end_at_multiples_of_the_length(first, last, length, expected):
    assert step_ranges(first, last, length) == expected


@pytest.mark.parametrize("implementation", ["numba-parallel", "numpy"])
@pytest.mark.parametrize(
    "more",
    [{}, {"momentum": 0.9}, {"loss": "svm"}, {"loss": "svm", "margin": 10.0, "momentum": 0.5}, {"schedule": "cosine"},
     {"sampling": "shuffle"}],
)  # fmt: skip
def test_sgd_takes_the_textbook_steps(implementation, more):
    recipe = Recipe(**SETTINGS | more, implementation=implementation)
    reported, objective = positions(recipe)
    W = first_weights(recipe, (7, 3))
    velocity, losses = np.zeros_like(W), []
    rates = learning_rates(recipe.schedule, recipe.learning_rate, 25)
    for first, last in ((0, 10), (10, 20), (20, 25)):
        for rate, rows in zip(rates[first:last], draw_batches(recipe.sampling, 120, 8, first, last, 0), strict=True):
            loss, dW = objective(W, rows)
            velocity = recipe.momentum * velocity - rate * dW
            W = W + velocity
            losses.append(loss)
    assert [position.step for position in reported] == [10, 20, 25]
    np.testing.assert_allclose(np.concatenate([position.losses for position in reported]), losses, rtol=1e-9)
    np.testing.assert_allclose(reported[-1].W, W, rtol=1e-8, atol=1e-12)
    np.testing.assert_allclose(reported[-1].velocity, velocity, rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize("solver", ["sgd", "random"])
def test_resuming_from_a_position_gives_the_same_steps_bit_for_bit(solver):
    recipe = Recipe(**SETTINGS | {"solver": solver, "momentum": 0.9, "dtype": "float32"})
    whole, _ = positions(recipe)
    rest, _ = positions(recipe, start=whole[0])
    assert [position.step for position in rest] == [20, 25]
    for ours, theirs in zip(rest, whole[1:], strict=True):
        assert (ours.W == theirs.W).all()
        assert (ours.losses == theirs.losses).all()


@pytest.mark.parametrize("solver", ["sgd", "random", "lbfgs"])
def test_a_solver_stops_when_the_report_callback_says_so(solver):
    reported, _ = positions(Recipe(**SETTINGS | {"solver": solver, "report_every": 5}), until=2)
    assert [position.step for position in reported] == [5, 10]


@pytest.mark.parametrize("implementation", ["numba-parallel", "numpy"])
def test_lbfgs_converges_to_a_zero_gradient(implementation):
    part = splits(dtype="uint8").train
    recipe = Recipe(**SETTINGS | {"solver": "lbfgs", "iterations": 500, "implementation": implementation})
    reported, objective = positions(recipe, part=part)
    loss, dW = objective(reported[-1].W)
    assert np.abs(dW).max() < 1e-4
    assert reported[-1].losses[-1] == pytest.approx(loss, rel=1e-6)
    rng = np.random.default_rng(0)
    assert all(objective(reported[-1].W + 0.1 * rng.standard_normal((7, 3)))[0] > loss for _ in range(20))


def test_random_search_keeps_the_best_weights():
    recipe = Recipe(**SETTINGS | {"solver": "random", "initial_scale": 1.0, "batch": 60})
    reported, objective = positions(recipe)
    losses = np.concatenate([position.losses for position in reported])
    assert (np.diff(losses) <= 0).all()
    assert losses[-1] < losses[0]
    sample = np.random.default_rng([0, 3]).choice(120, 60, replace=False)
    assert objective(reported[-1].W, sample)[0] == losses[-1]


def test_batches_with_replacement_depend_on_the_steps_and_the_seed_only():
    first = draw_batches("replacement", 50, 8, 0, 10, seed=1)
    assert first.shape == (10, 8)
    assert (first == draw_batches("replacement", 50, 8, 0, 10, seed=1)).all()
    assert (first != draw_batches("replacement", 50, 8, 10, 20, seed=1)).any()
    assert (first != draw_batches("replacement", 50, 8, 0, 10, seed=2)).any()
    assert 0 <= first.min() <= first.max() < 50


@settings(deadline=None)
@given(rows=st.integers(1, 40), batch=st.integers(1, 60), steps=st.integers(1, 30), cut=st.integers(0, 30))
def test_shuffled_batches_have_each_row_once_per_epoch_and_can_be_drawn_in_parts(rows, batch, steps, cut):
    whole = draw_batches("shuffle", rows, batch, 0, steps, seed=3)
    cut = min(cut, steps)
    ranges = [(start, stop) for start, stop in ((0, cut), (cut, steps)) if stop > start]
    parts = [draw_batches("shuffle", rows, batch, start, stop, seed=3) for start, stop in ranges]
    assert (np.concatenate(parts) == whole).all()
    stream = whole.ravel()
    for epoch in range(len(stream) // rows):
        assert sorted(stream[epoch * rows : (epoch + 1) * rows]) == list(range(rows))


def test_constant_schedule():
    assert learning_rates("constant", 0.1, 4).tolist() == [0.1] * 4


def test_step_schedule_decays_every_n_steps():
    assert learning_rates("step", 1.0, 6, decay=0.5, decay_every=2).tolist() == [1, 1, 0.5, 0.5, 0.25, 0.25]


@pytest.mark.parametrize(("schedule", "half_way"), [("linear", 0.5), ("cosine", 0.5)])
def test_linear_and_cosine_schedules_decrease_to_zero(schedule, half_way):
    rates = learning_rates(schedule, 2.0, 100)
    assert rates[0] == 2
    assert rates[50] == pytest.approx(2 * half_way)
    assert 0 < rates[-1] < 0.05
    assert (np.diff(rates) < 0).all()
