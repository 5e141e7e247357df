"""An estimator in a module of its own."""

import numpy as np
from sklearn.base import BaseEstimator


class Own(BaseEstimator):
    """Answers 0 to everything."""

    def predict(self, x):
        return np.zeros(len(x))
