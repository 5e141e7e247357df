"""What was logged: everything one launch left in its store, as plain frozen data.

Nothing here knows MLflow, a store or pytest. The checks compare these records, and people get at them
through the fixtures: `launch.run.params["index"]`, `launch.run.metrics["loss"].values`.
"""

from __future__ import annotations

from pytest_mlflow_check.core.records.launch import (
    Caller,
    Frame,
    Launch,
    Mode,
    Observation,
    ProcessCrash,
    PythonProcess,
    RaisedException,
    SavedFile,
    Stack,
)
from pytest_mlflow_check.core.records.seeds import MissingSeed
from pytest_mlflow_check.core.records.store import (
    Artifact,
    Damage,
    Dataset,
    MetricSeries,
    Model,
    ModelValidation,
    ModelVersion,
    RegisteredModel,
    RunRecord,
    StoreRecord,
    given_tags,
)

__all__ = [
    "Artifact",
    "Caller",
    "Damage",
    "Dataset",
    "Frame",
    "Launch",
    "MetricSeries",
    "MissingSeed",
    "Mode",
    "Model",
    "ModelValidation",
    "ModelVersion",
    "Observation",
    "ProcessCrash",
    "PythonProcess",
    "RaisedException",
    "RegisteredModel",
    "RunRecord",
    "SavedFile",
    "Stack",
    "StoreRecord",
    "given_tags",
]
