import argparse

import mlflow
import numpy as np
import pandas as pd

parser = argparse.ArgumentParser()
parser.add_argument("--data")
parser.add_argument("--degree", type=int, default=2)
args = parser.parse_args()

with mlflow.start_run():
    points = pd.read_csv(mlflow.artifacts.download_artifacts(args.data))
    for degree in range(args.degree + 1):
        fit = np.polyfit(points.x, points.y, degree)
        mlflow.log_metric("rmse", np.sqrt(np.mean((np.polyval(fit, points.x) - points.y) ** 2)), step=degree)
    mlflow.log_dict({"coefficients": fit.round(4).tolist()}, "fit.json")
