"""Trains a linear classifier on a handful of points, epoch by epoch."""

import argparse

import mlflow
import numpy as np
from mlflow.models import infer_signature
from sklearn.linear_model import SGDClassifier


def load_data():
    x = np.linspace(-1.0, 1.0, 24).reshape(12, 2)
    return x, (x.sum(axis=1) > 0.3).astype(int)


def train(args):
    x, y = load_data()
    model = SGDClassifier(alpha=args.alpha, random_state=0)
    for epoch in range(args.epochs):
        model.partial_fit(x, y, classes=[0, 1])
        mlflow.log_metric("accuracy", model.score(x, y), step=epoch)
        mlflow.log_metric("norm", float(np.linalg.norm(model.coef_)), step=epoch)
    mlflow.sklearn.log_model(
        model, "classifier", signature=infer_signature(x, model.predict(x)), pip_requirements=["scikit-learn"]
    )


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--alpha", type=float, default=0.01)
    parser.add_argument("--epochs", type=int, default=3)
    args = parser.parse_args()
    with mlflow.start_run() as run:
        logged = mlflow.get_run(run.info.run_id).data.params
        mlflow.log_params({name: value for name, value in vars(args).items() if name not in logged})
        mlflow.log_param("loss", "hinge")
        train(args)


if __name__ == "__main__":
    main()
