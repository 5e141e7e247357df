import argparse

import mlflow
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

parser = argparse.ArgumentParser()
parser.add_argument("--max-iter", type=int, default=200)
parser.add_argument("--C", type=float, default=0.5)
args = parser.parse_args()

mlflow.sklearn.autolog()
X, y = load_iris(return_X_y=True)
LogisticRegression(max_iter=args.max_iter, C=args.C).fit(X, y)
