import tempfile
from pathlib import Path

import mlflow
from digits import X, parse, report, train
from mlflow.models import infer_signature

args = parse()
with mlflow.start_run():
    mlflow.log_params(vars(args))
    for epoch, classifier, score in train(args.epochs):
        mlflow.log_metric("accuracy", score, step=epoch)
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "report.txt").write_text(report(classifier))
            mlflow.log_artifacts(folder, f"epoch-{epoch}")
        mlflow.sklearn.log_model(
            classifier,
            f"model-{epoch}",
            signature=infer_signature(X[:3], classifier.predict(X[:3])),
            input_example=X[:3],
            pip_requirements=["scikit-learn"],
        )
