"""Makes each mistake once: what it logs depends on how it was started."""

import contextlib
import os
import pickle
from pathlib import Path

import mlflow
import pandas as pd
from mlflow.models import infer_signature
from net import Net

BY_MLFLOW_RUN = "MLFLOW_RUN_ID" in os.environ
FRAME = pd.DataFrame({"x": [1.0]})


class Sound(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        return model_input


def log_params() -> None:
    if BY_MLFLOW_RUN:
        mlflow.log_param("only_under_mlflow_run", 1)
    else:
        mlflow.log_param("alpha", 0.25)
        mlflow.log_param("text", "two words")
        mlflow.log_param("only_fluent", 1)


def log_metrics() -> None:
    mlflow.log_metric("score", 1.0)
    for i in range(3):
        mlflow.log_metric("stepless", i)
        mlflow.log_metric("steps", i, step=i + 5 * BY_MLFLOW_RUN)
        mlflow.log_metric("values", i + 0.5 * BY_MLFLOW_RUN, step=i)
        mlflow.log_metric("nan", float("nan"), step=i)
    for i in range(3 + BY_MLFLOW_RUN):
        mlflow.log_metric("points", i, step=i + 1)
    mlflow.log_metric("missing_" + ("fluent" if BY_MLFLOW_RUN else "under_mlflow_run"), 1)


def log_artifacts() -> None:
    mlflow.log_text(f"mlflow run: {BY_MLFLOW_RUN}", "same-name.txt")
    mlflow.log_text("", f"folder/{'one' if BY_MLFLOW_RUN else 'other'}.txt")


def log_models() -> None:
    frame = FRAME if BY_MLFLOW_RUN else FRAME.rename(columns={"x": "y"})
    mlflow.pyfunc.log_model("differs", python_model=Sound(), signature=infer_signature(frame))
    mlflow.pyfunc.log_model("unloadable", python_model=Net(), signature=infer_signature(FRAME))
    if BY_MLFLOW_RUN:
        mlflow.pyfunc.log_model("missing", python_model=Sound(), signature=infer_signature(FRAME))
    with contextlib.suppress(Exception):
        # Dies on the way: there is no such file.
        mlflow.pyfunc.log_model("half", python_model=Sound(), artifacts={"file": "nowhere/at/all"})


def log_a_pickle() -> None:
    """In a run of its own, which logs no model."""
    Path("weights").write_bytes(pickle.dumps({"weights": [1, 2, 3]}))
    with mlflow.start_run(nested=True):
        mlflow.log_artifact("weights")


with mlflow.start_run():
    log_params()
    log_metrics()
    log_artifacts()
    log_models()
    log_a_pickle()
