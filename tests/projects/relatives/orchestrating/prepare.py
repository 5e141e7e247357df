import argparse
import tempfile
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd

parser = argparse.ArgumentParser()
parser.add_argument("--rows", type=int, default=60)
args = parser.parse_args()

with mlflow.start_run(), tempfile.TemporaryDirectory() as folder:
    x = np.linspace(-1, 1, args.rows)
    noise = np.random.default_rng(0).normal(0, 0.05, args.rows)
    data = Path(folder, "points.csv")
    pd.DataFrame({"x": x, "y": 1 - 2 * x + 3 * x**2 + noise}).to_csv(data, index=False)
    mlflow.log_artifact(data, "data")
