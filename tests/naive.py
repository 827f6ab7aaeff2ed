"""Slow, obvious reference functions, what everything is held against: plain Python numbers, a line a term."""

from math import exp, log


def scores(W, x):
    return [sum(float(x[d]) * float(W[d][c]) for d in range(len(x))) for c in range(len(W[0]))]


def svm_row(W, x, label):
    """Loss of one row and its gradient with respect to the scores (Weston & Watkins, margin 1)."""
    s = scores(W, x)
    margins = [max(0.0, s[c] - s[label] + 1) if c != label else 0.0 for c in range(len(s))]
    dscores = [1.0 if margin > 0 else 0.0 for margin in margins]
    dscores[label] = -sum(dscores)
    return sum(margins), dscores


def softmax_row(W, x, label):
    """Loss of one row and its gradient with respect to the scores."""
    s = scores(W, x)
    exponentials = [exp(value - max(s)) for value in s]
    total = sum(exponentials)
    dscores = [value / total - (c == label) for c, value in enumerate(exponentials)]
    return log(total) - (s[label] - max(s)), dscores


def loss_and_gradient(row, W, X, y, reg):
    """Mean of `row` over X plus reg * sum(W * W), and the gradient, as a float and nested lists (D, C)."""
    features, classes, rows = len(W), len(W[0]), len(X)
    loss = reg * sum(float(w) ** 2 for weights in W for w in weights)
    dW = [[2 * reg * float(W[d][c]) for c in range(classes)] for d in range(features)]
    for x, label in zip(X, y, strict=True):
        row_loss, dscores = row(W, x, int(label))
        loss += row_loss / rows
        for d in range(features):
            for c in range(classes):
                dW[d][c] += float(x[d]) * dscores[c] / rows
    return loss, dW


def svm_loss(W, X, y, reg):
    return loss_and_gradient(svm_row, W, X, y, reg)


def softmax_loss(W, X, y, reg):
    return loss_and_gradient(softmax_row, W, X, y, reg)
