"""Where a classifier without a hidden layer changes its mind: straight lines, on which two scores are equal."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lcbench.learn.reproduction import by_hand
from lcbench.learn.reproduction.laboratory import Laboratory
from lcbench.learn.reproduction.outcome import Found, Points

GRID_LINES = 41
HALVINGS = 60


def decision_boundary(inputs: dict[str, Any], laboratory: Laboratory) -> Found:
    """Trains on clouds of points in the plane, then searches the borders between the predicted classes.

    A border is found by halving an edge of a grid whose ends are predicted differently, so from predictions alone.
    """
    X, y = _clouds(inputs["centres"], inputs["points a class"])
    W, losses = np.zeros((3, len(inputs["centres"]))), []
    for _ in range(inputs["steps"]):
        loss, dW = laboratory.loss("softmax", W, X, y)
        losses.append(loss)
        W -= inputs["learning rate"] * dW

    crossings, pairs = _crossings(W, np.abs(X[:, :2]).max())
    ordered = np.sort(_scores(W, crossings), axis=1)
    borders = [crossings[(pairs == pair).all(axis=1)] for pair in combinations(range(W.shape[1]), 2)]
    return Found(
        {
            "boundaries": sum(len(border) > 2 for border in borders),
            "winning scores apart": (ordered[:, -1] - ordered[:, -2]).max(),
            "off a straight line": max(_off_a_line(border) for border in borders if len(border) > 2),
        },
        {"descent": by_hand.model(laboratory, W, losses, inputs["learning rate"], len(y))},
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
