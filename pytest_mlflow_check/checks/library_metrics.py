"""Metrics that MLflow logs by a call of its own, which the user can't change."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pytest_mlflow_check.core.records import MetricSeries

_PREFIX, _WITH_STEPS = "validation_", "val_"
"""What the callback of `mlflow.keras` and `mlflow.tensorflow` puts before a metric that it logs without step
at the end of a validation, and what Keras puts before the same one at the end of an epoch (`on_test_end` and
`on_epoch_end` in keras/callback.py and tensorflow/callback.py of MLflow 3.17.2)."""


def logged_without_step_by_mlflow(
    name: str, sides: Iterable[Mapping[str, MetricSeries]]
) -> tuple[str, str] | None:
    """Why MLflow's own call gave a metric no step, and what to do; None for a metric that the user logs."""
    rest = name.removeprefix(_PREFIX)
    twin = f"{_WITH_STEPS}{rest}"
    if rest == name or not all(twin in metrics for metrics in sides if name in metrics):
        return None
    return (
        "mlflow/keras (the library's own call) logs it at the end of each validation, and gives no step. "
        f"{twin} has the same values with their steps.",
        f'use {twin}, and leave this one out in the settings:  ignore = {{ metrics = ["{_PREFIX}*"] }}',
    )
