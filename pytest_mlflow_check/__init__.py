"""Checks what a project logs to MLflow, started both as a plain command and with `mlflow run`."""
