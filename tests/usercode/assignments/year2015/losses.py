import numpy as np


def svm_loss_naive(W, X, y, reg):
  """ W is (C, D), X is (D, N): images are columns """
  dW = np.zeros(W.shape)
  loss = 0.0
  for i in xrange(X.shape[1]):
    scores = W.dot(X[:, i])
    for j in xrange(W.shape[0]):
      margin = scores[j] - scores[y[i]] + 1
      if j != y[i] and margin > 0:
        loss += margin
        dW[j] += X[:, i]
        dW[y[i]] -= X[:, i]
  loss /= X.shape[1]
  return loss + 0.5 * reg * np.sum(W * W), dW / X.shape[1] + reg * W


def softmax_loss_vectorized(W, X, y, reg):
  n = X.shape[1]
  p = np.exp(W.dot(X))
  p /= p.sum(axis=0)
  loss = -np.log(p[y, xrange(n)]).mean() + 0.5 * reg * np.sum(W * W)
  p[y, xrange(n)] -= 1
  return loss, p.dot(X.T) / n + reg * W


def svm_loss_vectorized(W, X, y, reg):
  n = X.shape[1]
  scores = W.dot(X)
  margins = np.maximum(0, scores - scores[y, xrange(n)] + 1)
  margins[y, xrange(n)] = 0
  return margins.sum() / n + 0.5 * reg * np.sum(W * W), np.zeros(W.shape)
