from dataclasses import asdict

import mlflow

from config import parse, train

given, config = parse()
with mlflow.start_run() as run:
    logged = mlflow.get_run(run.info.run_id).data.params
    mlflow.log_params({name: text for name, text in given.items() if name not in logged})
    mlflow.log_params({f"cfg_{name}": value for name, value in asdict(config).items()})
    for epoch, loss in train(config):
        mlflow.log_metric("loss", loss, step=epoch)
