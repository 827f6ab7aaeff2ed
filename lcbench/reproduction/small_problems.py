"""What a row trained in a loop of its own, as a model file holds it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lcbench.checks import gradient
from lcbench.checks.gradient import GradientCheck, Problem, slope
from lcbench.datasets import synthetic
from lcbench.datasets.preprocessing import Scaling, design_matrix, mean_image, standardisation
from lcbench.learn.model import Curves, Model
from lcbench.learn.recipe import Recipe
from lcbench.reproduction.context import Context
from lcbench.reproduction.figures import Points, ReproducedValues


def model_by_hand(context: Context, W: NDArray[Any], losses: Sequence[float], learning_rate: float, rows: int) -> Model:
    """Softmax by descent over all `rows` of a table at once, to W (D + 1, C); losses: before each step."""
    recipe = Recipe(
        data="a table", scaling="none", implementation=context.implementation.name, iterations=len(losses),
        batch=rows, sampling="shuffle", learning_rate=learning_rate,
        dtype="float32" if W.dtype == np.float32 else "float64",
    )  # fmt: skip
    columns, classes = W.shape[0] - 1, W.shape[1]
    unscaled = Scaling(np.zeros(columns), np.ones(columns))
    names = tuple(map(str, range(classes)))
    return Model(
        recipe, W, unscaled, names, None, "", 1, Curves(np.array(losses)), "finished", len(losses), W, None, {}
    )


# Rows about single scores: softmax, cross-entropy, hinge.


def softmax(inputs: dict[str, Any], context: Context) -> ReproducedValues:
    """Softmax of a few scores."""
    return ReproducedValues({"probability": context.softmax(inputs["scores"])})


def softmax_layer(inputs: dict[str, Any], context: Context) -> ReproducedValues:
    """Softmax in two steps: exponentials, then each over their sum."""
    exponentials = np.exp(np.array(inputs["scores"], np.float32))
    return ReproducedValues(
        {
            "exponential": exponentials,
            "sum": exponentials.sum(),
            "probability": context.softmax(inputs["scores"]),
        }
    )


def hardmax(inputs: dict[str, Any], context: Context) -> ReproducedValues:
    """1 where the score is highest."""
    scores = np.array(inputs["scores"])
    return ReproducedValues({"hardmax": scores == scores.max()})


def cross_entropy_in_steps_and_at_once(inputs: dict[str, Any], context: Context) -> ReproducedValues:
    """The mean of -log(probability) picked out by one-hot rows, and the fused loss."""
    scores, labels = np.array(inputs["scores"], np.float32), np.array(inputs["labels"])
    probabilities = context.softmax(scores)
    one_hot = np.eye(scores.shape[1], dtype=np.float32)[labels]
    in_steps = (one_hot * -np.log(probabilities)).sum(axis=1).mean()
    at_once, _ = context.loss_of_scores("softmax", scores, labels)
    return ReproducedValues(
        {
            "cost, step by step": in_steps,
            "cost, one call": at_once,
            "the two apart": abs(in_steps - at_once),
            "probability": probabilities,
            "log probability": np.log(probabilities),
        }
    )


def loss_of_one_example(inputs: dict[str, Any], context: Context) -> ReproducedValues:
    """Cross-entropy of probabilities that are given: their logarithms are scores that lead to them."""
    scores = np.log([inputs["probabilities"]])
    loss, _ = context.loss_of_scores("softmax", scores, [inputs["label"]], np.float64)
    return ReproducedValues({"loss": loss})


def hinge_and_softmax(inputs: dict[str, Any], context: Context) -> ReproducedValues:
    """Both losses of the same three scores."""
    scores, labels = [inputs["scores"]], [inputs["label"]]
    exponentials = np.exp(np.array(inputs["scores"], np.float32))
    hinge, _ = context.loss_of_scores("svm", scores, labels)
    cross_entropy, _ = context.loss_of_scores("softmax", scores, labels)
    return ReproducedValues(
        {
            "hinge loss": hinge,
            "exponential": exponentials[:2],
            "exponential of -1.7": exponentials[2],
            "probability": context.softmax(scores)[0],
            "softmax loss": cross_entropy,
        }
    )


def two_classes(inputs: dict[str, Any], context: Context) -> ReproducedValues:
    """Softmax of the scores (z, 0) against 1 / (1 + exp(-z)), and the gradients of both losses, in float64."""
    odds = inputs["odds"]
    rng = np.random.default_rng(0)
    X = rng.normal(0, 1, (inputs["rows"], inputs["features"]))
    labels = rng.integers(0, 2, len(X))
    w = rng.normal(0, 1, X.shape[1])
    z = X @ w
    logistic = 1 / (1 + np.exp(-z))
    loss, dW = context.loss("softmax", np.stack([w, np.zeros_like(w)], axis=1), X, labels)
    is_first = labels == 0
    return ReproducedValues(
        {
            "probability": context.softmax([np.log(odds[0] / odds[1]), 0.0]),
            "off logistic, probability": np.abs(
                context.softmax(np.stack([z, np.zeros_like(z)], axis=1), np.float64)[:, 0] - logistic
            ).max(),
            "off logistic, loss": abs(loss + np.log(np.where(is_first, logistic, 1 - logistic)).mean()),
            "off logistic, gradient": np.abs(dW[:, 0] - X.T @ (logistic - is_first) / len(X)).max(),
        }
    )


# Rows about linear regression with squared error, in float32 as the document does it.

REGRESSION_EPOCHS = 20


def standardise(inputs: dict[str, Any], context: Context) -> ReproducedValues:
    """Each column less its mean, over its sample standard deviation."""
    return ReproducedValues({"standardised": _standardised(inputs["x"])})


def _standardised(x: list[list[float]]) -> NDArray[np.float32]:
    X = np.array(x, np.float32)
    mean, deviation = standardisation(X, ddof=1)
    return ((X - mean) / deviation).astype(np.float32)


def squared_error(inputs: dict[str, Any], context: Context) -> ReproducedValues:
    """The cost before each step."""
    return ReproducedValues({"cost": _costs(inputs, context, penalised=False)})


def squared_error_and_norms(inputs: dict[str, Any], context: Context) -> ReproducedValues:
    """The same with the norm of the weights and the size of the bias added, neither squared."""
    return ReproducedValues({"cost": _costs(inputs, context, penalised=True)})


def _costs(inputs: dict[str, Any], context: Context, penalised: bool) -> list[float]:
    X = _standardised(context.inputs(inputs["standardised from"])["x"])
    targets = np.array(inputs["targets"], np.float32)
    w, b = np.array(inputs["weight"], np.float32), np.float32(inputs["bias"])
    rate = np.float32(inputs["learning rate"])
    costs = []
    for _ in range(REGRESSION_EPOCHS):
        errors = X @ w + b - targets
        cost = (errors * errors).mean()
        dw, db = np.float32(2) * (X.T @ errors) / np.float32(len(X)), 2 * errors.mean()
        if penalised:
            norm = np.sqrt((w * w).sum())
            cost += norm + abs(b)
            dw, db = dw + w / norm, db + np.sign(b)
        costs.append(float(cost))
        w, b = w - rate * dw, b - rate * db
    return costs


# Rows that hold a gradient against the slope of its loss.


def backpropagation_of_softmax(inputs: dict[str, Any], context: Context) -> ReproducedValues:
    """dZ = (probabilities - one-hot) / m at the last layer: of scores (m, C), and of the document's (C, m)."""
    rng = np.random.default_rng(0)
    examples, classes = inputs["examples"], inputs["classes"]
    Z = rng.normal(0, 2, (classes, examples))
    labels = rng.integers(0, classes, examples)
    Y = np.eye(classes)[:, labels]

    def probabilities_in_columns(Z: NDArray[np.float64]) -> NDArray[np.float64]:
        exponentials = np.exp(Z - Z.max(axis=0))
        return exponentials / exponentials.sum(axis=0)

    def cost_of_columns(Z: NDArray[np.float64]) -> float:
        return float(-(Y * np.log(probabilities_in_columns(Z))).sum() / examples)

    def cost_of_rows(Z: NDArray[np.float64]) -> float:
        return context.loss_of_scores("softmax", Z, labels, np.float64)[0]

    of_columns = (probabilities_in_columns(Z) - Y) / examples
    _, of_rows = context.loss_of_scores("softmax", Z.T, labels, np.float64)
    return ReproducedValues(
        {
            "off the slopes, (m, C)": np.abs(of_rows - _slopes(cost_of_rows, Z.T)).max(),
            "off the slopes, (C, m)": np.abs(of_columns - _slopes(cost_of_columns, Z)).max(),
            "rows against columns": np.abs(of_rows.T - of_columns).max(),
        }
    )


def _slopes(cost: Any, Z: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.array([[slope(cost, Z, (i, j)) for j in range(Z.shape[1])] for i in range(Z.shape[0])])


def kinks(inputs: dict[str, Any], context: Context) -> ReproducedValues:
    """The SVM's gradient on real images at two margins: the larger one moves the scores away from the kinks."""
    train = context.cifar10.train
    rows = np.random.default_rng(0).choice(len(train), inputs["images"], replace=False)
    X, y = design_matrix(train.X[rows], mean_image(train.X), np.float64), train.y[rows]
    near, far = (
        _check(context, Problem("svm", _weights(inputs, X.shape[1]), X, y, 0.0, margin), inputs)
        for margin in inputs["margins"]
    )
    checks = (near, far)
    return ReproducedValues(
        {
            "worst error, margin 1": near.worst_error(),
            "worst error, margin 100": far.worst_error(),
            "margin 100 over margin 1": far.worst_error() / near.worst_error(),
            "kinks, margin 1": near.count("kink"),
            "kinks, margin 100": far.count("kink"),
            "away from kinks": sum(check.count("right") for check in checks),
            "worst error away from kinks": max(check.worst_error(kinks=False) for check in checks),
            "wrong": sum(check.count("wrong") for check in checks),
        }
    )


def ways(inputs: dict[str, Any], context: Context) -> ReproducedValues:
    """What the whole gradient of the softmax loss costs either way, and how far each is from the oracle's."""
    pixels, y = synthetic.images(inputs["images"])
    X = design_matrix(pixels, mean_image(pixels), np.float64)
    check = _check(context, Problem("softmax", _weights(inputs, X.shape[1]), X, y, 0.0), inputs)
    numerical, analytic = (next(way for way in check.ways if way.name == name) for name in ("numerical", "analytic"))
    return ReproducedValues(
        {
            "evaluations, numerical": numerical.whole_evaluations,
            "evaluations, analytic": analytic.whole_evaluations,
            "seconds, numerical": numerical.whole_seconds,
            "seconds, analytic": analytic.whole_seconds,
            "numerical over analytic": numerical.whole_seconds / analytic.whole_seconds,
            "worst error, numerical": numerical.worst_error,
            "worst error, analytic": analytic.worst_error,
            "error analytic over numerical": analytic.worst_error / numerical.worst_error,
        }
    )


def _weights(inputs: dict[str, Any], features: int) -> NDArray[np.float64]:
    return inputs["spread"] * np.random.default_rng(0).standard_normal((features, 10))


def _check(context: Context, problem: Problem, inputs: dict[str, Any]) -> GradientCheck:
    context.require(problem.loss)
    coordinates = gradient.random_coordinates(problem.W.shape, inputs["coordinates"], np.random.default_rng(1))
    return gradient.check(context.implementation, problem, coordinates, inputs["h"])


# Where a classifier without a hidden layer changes its mind: straight lines, on which two scores are equal.

GRID_LINES = 41
HALVINGS = 60


def decision_boundary(inputs: dict[str, Any], context: Context) -> ReproducedValues:
    """Trains on clouds of points in the plane, then searches the borders between the predicted classes.

    A border is found by halving an edge of a grid whose ends are predicted differently, so from predictions alone.
    """
    X, y = _clouds(inputs["centres"], inputs["points a class"])
    W, losses = np.zeros((3, len(inputs["centres"]))), []
    for _ in range(inputs["steps"]):
        loss, dW = context.loss("softmax", W, X, y)
        losses.append(loss)
        W -= inputs["learning rate"] * dW

    crossings, pairs = _crossings(W, np.abs(X[:, :2]).max())
    ordered = np.sort(_scores(W, crossings), axis=1)
    borders = [crossings[(pairs == pair).all(axis=1)] for pair in combinations(range(W.shape[1]), 2)]
    return ReproducedValues(
        {
            "boundaries": sum(len(border) > 2 for border in borders),
            "winning scores apart": (ordered[:, -1] - ordered[:, -2]).max(),
            "off a straight line": max(_off_a_line(border) for border in borders if len(border) > 2),
        },
        {"descent": model_by_hand(context, W, losses, inputs["learning rate"], len(y))},
        Points(X[:, :2], y),
    )


def _clouds(centres: list[list[float]], points: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """X (N, 3), the ones column last, and y (N,)."""
    y = np.repeat(np.arange(len(centres)), points)
    X = np.ones((len(y), 3))
    X[:, :2] = np.array(centres)[y] + np.random.default_rng(0).normal(0, 0.8, (len(y), 2))
    return X, y


def _scores(W: NDArray[np.float64], points: NDArray[np.float64]) -> NDArray[np.float64]:
    return points @ W[:2] + W[2]


def _crossings(W: NDArray[np.float64], reach: float) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Points (n, 2) where the predicted class changes along a grid's edges, and the two classes (n, 2), ascending."""
    ticks = np.linspace(-reach, reach, GRID_LINES)
    grid = np.stack(np.meshgrid(ticks, ticks), axis=-1)
    start = np.concatenate([grid[:, :-1].reshape(-1, 2), grid[:-1].reshape(-1, 2)])
    stop = np.concatenate([grid[:, 1:].reshape(-1, 2), grid[1:].reshape(-1, 2)])

    def predicted(points: NDArray[np.float64]) -> NDArray[np.int64]:
        return _scores(W, points).argmax(axis=1)

    changes = predicted(start) != predicted(stop)
    start, stop = start[changes], stop[changes]
    before = predicted(start)
    for _ in range(HALVINGS):
        middle = (start + stop) / 2
        same = (predicted(middle) == before)[:, None]
        start, stop = np.where(same, middle, start), np.where(same, stop, middle)
    return (start + stop) / 2, np.sort(np.stack([before, predicted(stop)], axis=1), axis=1)


def _off_a_line(points: NDArray[np.float64]) -> float:
    """The largest distance of points (n, 2) from the line that fits them best."""
    centred = points - points.mean(axis=0)
    normal = np.linalg.svd(centred)[2][1]
    return float(np.abs(centred @ normal).max())


# Rows that follow gradient descent over every row of a small table, in float32 as the documents do.

DESCENT_EPOCHS = 20


def twenty_costs(inputs: dict[str, Any], context: Context) -> ReproducedValues:
    """The cost before each step of softmax regression."""
    costs, W = _descend(inputs, context)
    return ReproducedValues({"cost": costs}, {"descent": _model(inputs, context, W, costs)})


def costs_of_too_large_steps(inputs: dict[str, Any], context: Context) -> ReproducedValues:
    """The same, told apart where the difference between two roundings has grown as large as the costs."""
    costs, W = _descend(inputs, context)
    model = _model(inputs, context, W, costs)
    return ReproducedValues({"cost": costs[:4], "cost once chaotic": costs[4:]}, {"descent": model})


def test_set(inputs: dict[str, Any], context: Context) -> ReproducedValues:
    """Accuracy and cost of weights trained in another row, on rows unlike those that they were trained on."""
    _, W = _descend(context.inputs(inputs["trained as"]), context)
    X, y = _with_ones(inputs["x"]), np.array(inputs["labels"])
    cost, _ = context.loss("softmax", W, X, y)
    return ReproducedValues({"accuracy": ((X @ W).argmax(axis=1) == y).mean(), "cost": cost})


def _descend(inputs: dict[str, Any], context: Context) -> tuple[list[float], NDArray[np.float32]]:
    """The costs before each step, and W (D + 1, C) after the last: the bias is its last row."""
    X, y = _with_ones(inputs["x"]), np.array(inputs["labels"])
    W = np.vstack([np.array(inputs["weight"], np.float32).T, np.array(inputs["bias"], np.float32)])
    rate = np.float32(inputs["learning rate"])
    costs = []
    for _ in range(DESCENT_EPOCHS):
        cost, dW = context.loss("softmax", W, X, y)
        costs.append(cost)
        W -= rate * dW
    return costs, W


def _model(inputs: dict[str, Any], context: Context, W: NDArray[np.float32], costs: list[float]) -> Model:
    return model_by_hand(context, W, costs, inputs["learning rate"], len(inputs["x"]))


def _with_ones(x: list[list[float]]) -> NDArray[np.float32]:
    rows = np.array(x, np.float32)
    return np.hstack([rows, np.ones((len(rows), 1), np.float32)])


def four_features(inputs: dict[str, Any], context: Context) -> ReproducedValues:
    """Softmax regression with one bias for all classes; then the same with a second softmax before the cost."""
    x, y = np.array(inputs["x"], np.float32), np.array(inputs["labels"])
    one_hot = np.eye(3, dtype=np.float32)[y]

    def once(scores: NDArray[np.float32]) -> tuple[float, NDArray[np.float32]]:
        return context.loss_of_scores("softmax", scores, y)

    def twice(scores: NDArray[np.float32]) -> tuple[float, NDArray[np.float32]]:
        probabilities = context.softmax(scores)
        cost, gradient = context.loss_of_scores("softmax", probabilities, y)
        along = (gradient * probabilities).sum(axis=1, keepdims=True)
        return cost, probabilities * (gradient - along)  # the transposed Jacobian of softmax times the gradient

    found = {}
    for name, cost_of in (("cost", once), ("cost, softmax twice", twice)):
        W, b = np.zeros((x.shape[1], one_hot.shape[1]), np.float32), np.float32(0)
        costs = []
        for epoch in range(inputs["epochs"] + 1):
            cost, dscores = cost_of(x @ W + b)
            if epoch % inputs["every"] == 0:
                costs.append(cost)
            rate = np.float32(inputs["learning rate"])
            W, b = W - rate * (x.T @ dscores), b - rate * dscores.sum()
        found[name] = costs
    return ReproducedValues(found)


def quadratic(inputs: dict[str, Any], context: Context) -> ReproducedValues:
    """Steps down the slope of a w w + b w + c, in float32."""
    a, b, _ = np.array(inputs["coefficients"], np.float32)
    rate, w = np.float32(inputs["learning rate"]), np.float32(0)
    for _ in range(inputs["steps"]):
        w -= rate * (2 * a * w + b)
    return ReproducedValues({"w": w})
