"""Returns the result of the previous call: the work is done, but for other inputs."""

from lcbench.losses import vectorized

results = []


def softmax_loss(W, X, y, reg):
    results.append(vectorized.softmax_loss(W, X, y, reg))
    loss, dW = results[-2] if len(results) > 3 else results[-1]
    return loss, dW.copy()
