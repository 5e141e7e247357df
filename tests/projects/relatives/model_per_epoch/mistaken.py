import pickle
from pathlib import Path

import mlflow
from digits import parse, report, train

args = parse()
checkpoints = Path("checkpoints")
checkpoints.mkdir()
with mlflow.start_run():
    mlflow.log_params(vars(args))
    for epoch, classifier, score in train(args.epochs):
        mlflow.log_metric("accuracy", score, step=epoch)
        (checkpoints / f"report-{epoch}.txt").write_text(report(classifier))
        (checkpoints / f"model-{epoch}.pkl").write_bytes(pickle.dumps(classifier))
        # One directory for all epochs: each folder holds the ones before it too, and no model.
        mlflow.log_artifacts(checkpoints, f"epoch-{epoch}")
