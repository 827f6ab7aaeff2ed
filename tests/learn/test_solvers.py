import numpy as np
import pytest

from lcbench.datasets.preprocessing import scaling
from lcbench.learn.objective import Objective, batches
from lcbench.learn.recipe import Recipe
from lcbench.learn.solvers import SOLVERS, Position, first_weights, learning_rates, stretches
from small_splits import splits

PLAIN = {
    "data": "", "scaling": "standard", "iterations": 25, "batch": 8, "learning_rate": 0.05, "reg": 0.01,
    "report_every": 10, "dtype": "float64",
}  # fmt: skip


def positions(recipe, start=None, until=None, part=None):
    train = part or splits().train
    objective = Objective(recipe, train, scaling(recipe.scaling, train.X))
    told = []

    def report(position):
        told.append(position)
        return len(told) != until

    W = first_weights(recipe, (train.X.shape[1] + 1, 3))
    SOLVERS[recipe.solver](objective, start or Position(0, W, np.empty(0)), report)
    return told, objective


@pytest.mark.parametrize(
    ("first", "last", "length", "expected"),
    [(0, 25, 10, [(0, 10), (10, 20), (20, 25)]), (10, 30, 10, [(10, 20), (20, 30)]), (13, 18, 10, [(13, 18)]),
     (5, 5, 10, []), (0, 3, 100, [(0, 3)])],
)  # fmt: skip
def test_stretches_end_at_whole_multiples(first, last, length, expected):
    assert stretches(first, last, length) == expected


@pytest.mark.parametrize("implementation", ["numba-parallel", "numpy"])
@pytest.mark.parametrize(
    "more",
    [{}, {"momentum": 0.9}, {"loss": "svm"}, {"loss": "svm", "margin": 10.0, "momentum": 0.5}, {"schedule": "cosine"},
     {"sampling": "shuffle"}],
)  # fmt: skip
def test_sgd_takes_the_textbook_steps(implementation, more):
    recipe = Recipe(**PLAIN | more, implementation=implementation)
    told, objective = positions(recipe)
    W = first_weights(recipe, (7, 3))
    velocity, losses = np.zeros_like(W), []
    rates = learning_rates(recipe.schedule, recipe.learning_rate, 25)
    for first, last in ((0, 10), (10, 20), (20, 25)):
        for rate, rows in zip(rates[first:last], batches(recipe.sampling, 120, 8, first, last, 0), strict=True):
            loss, dW = objective(W, rows)
            velocity = recipe.momentum * velocity - rate * dW
            W = W + velocity
            losses.append(loss)
    assert [position.step for position in told] == [10, 20, 25]
    np.testing.assert_allclose(np.concatenate([position.losses for position in told]), losses, rtol=1e-9)
    np.testing.assert_allclose(told[-1].W, W, rtol=1e-8, atol=1e-12)
    np.testing.assert_allclose(told[-1].velocity, velocity, rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize("solver", ["sgd", "random"])
def test_from_where_it_was_it_goes_on_bit_for_bit(solver):
    recipe = Recipe(**PLAIN | {"solver": solver, "momentum": 0.9, "dtype": "float32"})
    whole, _ = positions(recipe)
    rest, _ = positions(recipe, start=whole[0])
    assert [position.step for position in rest] == [20, 25]
    for ours, theirs in zip(rest, whole[1:], strict=True):
        assert (ours.W == theirs.W).all()
        assert (ours.losses == theirs.losses).all()


@pytest.mark.parametrize("solver", ["sgd", "random", "lbfgs"])
def test_it_stops_when_it_is_told_to(solver):
    told, _ = positions(Recipe(**PLAIN | {"solver": solver, "report_every": 5}), until=2)
    assert [position.step for position in told] == [5, 10]


@pytest.mark.parametrize("implementation", ["numba-parallel", "numpy"])
def test_lbfgs_ends_where_the_gradient_vanishes(implementation):
    part = splits(dtype="uint8").train
    recipe = Recipe(**PLAIN | {"solver": "lbfgs", "iterations": 500, "implementation": implementation})
    told, objective = positions(recipe, part=part)
    loss, dW = objective(told[-1].W)
    assert np.abs(dW).max() < 1e-4
    assert told[-1].losses[-1] == pytest.approx(loss, rel=1e-6)
    rng = np.random.default_rng(0)
    assert all(objective(told[-1].W + 0.1 * rng.standard_normal((7, 3)))[0] > loss for _ in range(20))


def test_random_search_keeps_the_best_it_has_seen():
    recipe = Recipe(**PLAIN | {"solver": "random", "initial_scale": 1.0, "batch": 60})
    told, objective = positions(recipe)
    losses = np.concatenate([position.losses for position in told])
    assert (np.diff(losses) <= 0).all()
    assert losses[-1] < losses[0]
    sample = np.random.default_rng([0, 3]).choice(120, 60, replace=False)
    assert objective(told[-1].W, sample)[0] == losses[-1]
