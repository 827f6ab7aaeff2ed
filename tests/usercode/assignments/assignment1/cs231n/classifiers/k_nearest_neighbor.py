import numpy as np
from scipy.stats import mode


class KNearestNeighbor(object):
    def train(self, X, y):
        self.X_train, self.y_train = X, y

    def predict(self, X):
        print sorted(X, key=lambda (a, b): a)
        return np.zeros(len(X))
