import numpy as np
from random import shuffle


def softmax_loss_naive(W, X, y, reg):
  """
  Softmax loss, with a loop over the images.

  W: (D, C) weights, X: (N, D) images, y: (N,) labels, reg: regularization strength
  """
  loss = 0.0
  dW = np.zeros_like(W)
  num_train, num_classes = X.shape[0], W.shape[1]

  for i in range(num_train):
    f = X[i].dot(W)
    f -= np.max(f)
    p = np.exp(f) / np.sum(np.exp(f))
    loss -= np.log(p[y[i]])
    for k in range(num_classes):
      dW[:, k] += (p[k] - (k == y[i])) * X[i]

  loss = loss / num_train + reg * np.sum(W * W)
  dW = dW / num_train + 2 * reg * W
  return loss, dW


def softmax_loss_vectorized(W, X, y, reg):
  N = len(y)
  f = X @ W
  p = np.exp(f - f.max(axis=1, keepdims=True))
  p /= p.sum(axis=1, keepdims=True)
  loss = -np.log(p[np.arange(N), y]).mean() + reg * (W ** 2).sum()
  p[np.arange(N), y] -= 1
  return loss, X.T @ p / N + 2 * reg * W
