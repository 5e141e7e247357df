"""Series with points about several datasets and models, and what `mlflow.models.evaluate` writes twice."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pytest_mlflow_check.core.first_rows import first_rows
from pytest_mlflow_check.core.records import MetricSeries


def without_repeats(series: MetricSeries) -> MetricSeries:
    """The series with each score of a dataset once.

    `mlflow.models.evaluate` writes each metric twice, at step 0 and with two timestamps: its evaluator does,
    and then it does so itself (MLflow 3.17.2, `log_metrics` in `models/evaluation/default_evaluator.py` and
    `_evaluate` in `base.py`).
    """
    if series.subjects is None:
        return series
    first = first_rows(series.subjects, series.steps, (series.values + 0.0).view(np.int64))
    # What is about no dataset is kept whole.
    return series.at(np.union1d(first, np.flatnonzero(series.subjects == 0)))


def by_subject(series: MetricSeries) -> Iterator[MetricSeries]:
    """The points about one dataset and model at a time: a step may be the same in each of these series."""
    if series.subjects is None:
        yield series
        return
    for subject in np.unique(series.subjects):
        yield series.at(np.flatnonzero(series.subjects == subject))
