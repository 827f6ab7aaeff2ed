"""Linear classifiers of an assignment: the loss is a method, and W an attribute."""

import numpy as np


class LinearSVM:
    """Classifier with the multiclass hinge loss."""

    def __init__(self):
        self.W = None

    def loss(self, X, y, reg):
        """Return the loss and its gradient with respect to self.W."""
        rows = np.arange(len(X))
        scores = X @ self.W
        margins = np.maximum(0, scores - scores[rows, y][:, None] + 1)
        margins[rows, y] = 0
        loss = margins.sum() / len(X) + reg * np.sum(self.W**2)
        counts = (margins > 0).astype(X.dtype)
        counts[rows, y] = -counts.sum(axis=1)
        return loss, X.T @ counts / len(X) + 2 * reg * self.W
