"""Right, as assignments of 2015 and 2016 count."""
import numpy as np


def svm_loss_2015(W, X, y, reg):
  """ W: C x D, X: D x N """
  n = X.shape[1]
  scores = W.dot(X)
  margins = np.maximum(0, scores - scores[y, np.arange(n)] + 1)
  margins[y, np.arange(n)] = 0
  hit = (margins > 0).astype(float)
  hit[y, np.arange(n)] = -hit.sum(axis=0)
  return margins.sum() / n + 0.5 * reg * np.sum(W * W), hit.dot(X.T) / n + reg * W


def softmax_loss_2015(W, X, y, reg):
  loss, dW = 0.0, np.zeros_like(W)
  for i in xrange(X.shape[1]):
    f = W.dot(X[:, i])
    f -= np.max(f)
    p = np.exp(f) / np.sum(np.exp(f))
    loss -= np.log(p[y[i]])
    p[y[i]] -= 1
    dW += np.outer(p, X[:, i])
  return loss / X.shape[1] + 0.5 * reg * np.sum(W * W), dW / X.shape[1] + reg * W


def svm_loss_2016(W, X, y, reg):
  n = X.shape[0]
  scores = X.dot(W)
  margins = np.maximum(0, scores - scores[np.arange(n), y][:, None] + 1)
  margins[np.arange(n), y] = 0
  hit = 1.0 * (margins > 0)
  hit[np.arange(n), y] = -hit.sum(axis=1)
  return margins.sum() / n + 0.5 * reg * np.sum(W * W), X.T.dot(hit) / n + reg * W


def softmax_loss_columns_of_today(W, X, y, reg):
  n = X.shape[1]
  f = W.dot(X)
  f -= f.max(axis=0)
  p = np.exp(f) / np.exp(f).sum(axis=0)
  loss = -np.log(p[y, np.arange(n)]).mean() + reg * np.sum(W * W)
  p[y, np.arange(n)] -= 1
  return loss, p.dot(X.T) / n + 2 * reg * W
