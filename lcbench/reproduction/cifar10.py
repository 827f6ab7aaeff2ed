"""Rows on CIFAR-10."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lcbench.datasets.examples import Examples
from lcbench.datasets.preprocessing import design_matrix, mean_image
from lcbench.learn.evaluation import accuracy, predict
from lcbench.learn.model import Model
from lcbench.reproduction.context import Context
from lcbench.reproduction.figures import ReproducedValues

FIRST_TEST_IMAGES = 1000
"""Number of test images on which the assignment reports its test accuracy."""


def loss_near_zero_weights(inputs: dict[str, Any], context: Context) -> ReproducedValues:
    """Compute the softmax loss of a sample of training images at W = 0 and at small random W."""
    splits = context.cifar10
    rng = np.random.default_rng(0)
    rows = rng.choice(len(splits.train), inputs["images"], replace=False)
    X = design_matrix(splits.train.X[rows], mean_image(splits.train.X))
    y = splits.train.y[rows]

    def loss(W: NDArray[Any]) -> float:
        return context.loss("softmax", W.astype(np.float32), X, y)[0]

    shape = (X.shape[1], len(splits.class_names))
    losses = [loss(inputs["spread"] * rng.standard_normal(shape)) for _ in range(inputs["draws"])]
    return ReproducedValues(
        {"loss, mean of ten": np.mean(losses), "loss, of each": losses, "loss at W = 0": loss(np.zeros(shape))}
    )


def svm_protocol(inputs: dict[str, Any], context: Context) -> ReproducedValues:
    """Compute the accuracies of trainings that differ in their seeds only."""
    test = context.cifar10.test
    models = [_train_by_protocol(context, inputs, seed=seed) for seed in range(inputs["seeds"])]
    validation = np.array([model.accuracy["validation"] for model in models])
    first_images = np.array([_accuracy(model, test, FIRST_TEST_IMAGES) for model in models])
    return ReproducedValues(
        {
            "validation, mean of ten": validation.mean(),
            "validation": validation,
            "test less validation": (first_images - validation).mean(),
            "test": first_images,
            "test, 10,000 images": [model.accuracy["test"] for model in models],
        }
    )


def _train_by_protocol(context: Context, protocol: dict[str, Any], **changes: Any) -> Model:
    recipe = {
        "loss": "svm",
        "scaling": "mean",
        "learning_rate": protocol["learning rate"],
        "reg": protocol["reg"],
        "batch": protocol["batch"],
        "iterations": protocol["iterations"],
        "initial_scale": protocol["spread"],
        "report_every": protocol["iterations"],
    }
    return context.trained(**(recipe | changes))


def _accuracy(model: Model, examples: Examples, first: int | None = None) -> float:
    return accuracy(predict(model.W, model.scaling, examples.X[:first]), examples.y[:first])


def svm_hyperparameters(inputs: dict[str, Any], context: Context) -> ReproducedValues:
    """Find the learning rate and reg with the best mean validation accuracy; count the pairs that diverge."""
    protocol = context.inputs(inputs["protocol"])
    pairs = list(product(inputs["learning rates"], inputs["regs"]))
    models = {
        (rate, reg): [
            _train_by_protocol(context, protocol, learning_rate=rate, reg=reg, seed=seed)
            for seed in range(inputs["seeds"])
        ]
        for rate, reg in pairs
    }
    validation = {pair: np.mean([model.accuracy["validation"] for model in models[pair]]) for pair in pairs}
    best = max(pairs, key=lambda pair: validation[pair])
    return ReproducedValues(
        {
            "best learning rate": best[0],
            "best reg": best[1],
            "its validation accuracy": validation[best],
            "validation": [validation[pair] for pair in pairs],
            "pairs that diverge": sum(all(model.status == "diverged" for model in models[pair]) for pair in pairs),
        },
    )


def templates(inputs: dict[str, Any], context: Context) -> ReproducedValues:
    """Compute the correlation of each class's weights, as an image, with the mean image of each class."""
    splits = context.cifar10
    model = _train_by_protocol(context, context.inputs(inputs["protocol"]))
    W = model.W[:-1]
    classes = range(W.shape[1])
    images = W.T.reshape(-1, *(splits.image_shape or ())).transpose(0, 2, 3, 1)
    means = np.stack([splits.train.X[splits.train.y == c].mean(axis=0) for c in classes])
    means -= mean_image(splits.train.X)
    correlations = np.corrcoef(W.T, means)[: len(classes), len(classes) :]
    return ReproducedValues(
        {
            "width, height, colours": images.shape[1:],
            "finite templates": np.isfinite(images).all(axis=(1, 2, 3)).sum(),
            "like its class's mean image": np.diag(correlations),
            "like none as much": (correlations.argmax(axis=1) == classes).sum(),
        },
        {"svm": model},
    )


def random_search(inputs: dict[str, Any], context: Context) -> ReproducedValues:
    """Compare the best of many random weights with as many steps of descent from the first of them."""
    shared = {
        "loss": "svm",
        "reg": 0.0,  # for both, so that their losses are the same function of W
        "iterations": inputs["tries"],
        "initial_scale": inputs["spread"],
        "report_every": inputs["tries"] // 20,
    }
    best = context.trained(solver="random", batch=inputs["images a try"], **shared)
    descended = context.trained(solver="sgd", batch=inputs["batch"], learning_rate=inputs["learning rate"], **shared)
    return ReproducedValues(
        {
            "test, random search": best.accuracy["test"],
            "test, descent": descended.accuracy["test"],
            "loss, random search": best.curves.losses[-1],
            "loss, descent": descended.curves.losses[-1],
        },
        {"tries": best, "descent": descended},
    )


def features_and_classifier(inputs: dict[str, Any], context: Context) -> ReproducedValues:
    """Compute test accuracies of pixels, each feature and all features, and the best of a grid on HOG and colour."""
    names, words = tuple(inputs["features"]), inputs["words"]
    grid = [
        context.trained(
            ("hog", "colour"), loss="svm", learning_rate=rate, reg=reg, iterations=inputs["iterations"],
            batch=inputs["batch"],
        )
        for rate, reg in product(inputs["learning rates"], inputs["regs"])
    ]  # fmt: skip
    best = max(grid, key=lambda model: model.accuracy["validation"])
    test = {name: context.trained((name,), words if name == "words" else None).accuracy["test"] for name in names}
    pixels, together = context.trained().accuracy["test"], context.trained(names, words).accuracy["test"]
    return ReproducedValues(
        {
            "validation, hog and colour, SGD": best.accuracy["validation"],
            "test, hog and colour, SGD": best.accuracy["test"],
            "test, pixels": pixels,
            **{f"test, {name}": accuracy for name, accuracy in test.items()},
            "test, all": together,
            "all less the best one": together - max(test.values()),
            "best one less pixels": max(test.values()) - pixels,
        }
    )
