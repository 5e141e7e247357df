from dataclasses import asdict

import mlflow

from config import parse, train

_, config = parse()
with mlflow.start_run():
    # The names are those of the MLproject, whose parameters `mlflow run` has logged as they were given.
    mlflow.log_params(asdict(config))
    for epoch, loss in train(config):
        mlflow.log_metric("loss", loss, step=epoch)
