import numpy as np
import pytest

from lcbench.losses import catalog, oracle
from lcbench.losses.implementation import LOSSES, Convention, Implementation, Unavailable
from lcbench.losses.streamed import Batch, batched


@pytest.fixture
def problem():
    rng = np.random.default_rng(0)
    X = rng.normal(0, 1, (300, 20)).astype(np.float32)
    return rng.normal(0, 0.1, (20, 4)).astype(np.float32), X, rng.integers(0, 4, 300), rng.integers(0, 300, 90)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("name", ["numpy", "naive", "numba-parallel"])
def test_the_loss_is_that_of_the_rows(problem, name, loss):
    W, X, y, rows = problem
    implementation = batched(catalog.load(name))
    own_W, own_X, own_y = implementation.prepare(W, X, y)
    found = implementation.fetch(*implementation.functions[loss](own_W, Batch(own_X, rows), own_y, 0.3))
    assert oracle.expected(loss, W, X[rows], y[rows], 0.3).mismatch(*found) is None


def test_rows_are_handed_over_where_they_are_taken(problem):
    W, X, y, rows = problem

    def loss(W, X, y, reg, *, rows):
        return len(X), rows

    found = batched(Implementation("it", "cpu", {"svm": loss}, takes_rows=True)).functions["svm"](
        W, Batch(X, rows), y, 0.0
    )
    assert found == (300, rows)


def test_rows_that_lie_as_columns_are_chosen_as_such(problem):
    W, X, y, rows = problem
    turned = Implementation(
        "turned",
        "cpu",
        {"softmax": lambda W, X, y, reg: oracle.softmax_loss(W.T, X.T, y, reg)},
        lambda W, X, y: (W.T.copy(), X.T.copy(), y),
        convention=Convention(columns=True),
    )
    implementation = batched(turned)
    own_W, own_X, own_y = implementation.prepare(W, X, y)
    found = implementation.functions["softmax"](own_W, Batch(own_X, rows), own_y, 0.3)
    assert oracle.expected("softmax", W, X[rows], y[rows], 0.3).mismatch(*found) is None


def test_where_rows_cannot_be_chosen_it_says_so(problem):
    W, X, y, _ = problem
    packed = batched(Implementation("packed", "cpu", {}, lambda W, X, y: (W, object(), y)))
    with pytest.raises(Unavailable, match="rows cannot be chosen from the object that packed makes of X"):
        packed.prepare(W, X, y)
