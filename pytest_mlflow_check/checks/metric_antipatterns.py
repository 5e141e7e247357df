"""What may be wrong with one series by itself. Each gives what to show of it, or None where nothing is."""

from __future__ import annotations

import numpy as np

from pytest_mlflow_check.core.records import MetricSeries

_LONG = 20
"""Points that make a series long."""

_LATE = 2000
"""Milliseconds after the start of the run from which on the first point comes late."""

_GAP = 8
"""Milliseconds between two points, on average, at which nothing is computed between them: a file store
takes 0.7 ms for one, SQLite 7 ms (measured with MLflow 3.17.2)."""

_SHARE = 5
"""How many times as long as the series itself the time before it has to be."""


def step_repeated(series: MetricSeries) -> str | None:
    """The first step that has two different values."""
    ordered = np.sort(series.steps)
    # Most series have none twice, and finding that out takes a tenth of what sorting their values too does.
    if np.all(ordered[1:] != ordered[:-1]):
        return None
    order = np.lexsort((series.values, series.steps))
    steps, values = series.steps[order], series.values[order]
    both_nan = np.isnan(values[1:]) & np.isnan(values[:-1])
    repeated = (steps[1:] == steps[:-1]) & (values[1:] != values[:-1]) & ~both_nan
    if not repeated.any():
        return None
    step = steps[1:][repeated][0]
    return f"{np.count_nonzero(steps == step)} values at step {step}"


def not_finite(series: MetricSeries) -> str | None:
    """The first infinity, or the first NaN of those that a series with values ends in.

    SQLite stores an infinity as the greatest number there is (`SqlAlchemyStore.sanitize_metric_value`).
    """
    largest = np.finfo(np.float64).max
    infinite = np.flatnonzero(np.abs(series.values) >= largest)
    if infinite.size:
        return f"{'-' if series.values[infinite[0]] < 0 else ''}inf at step {series.steps[infinite[0]]}"
    known = np.flatnonzero(~np.isnan(series.values))
    if known.size and known[-1] < len(series) - 1:
        return f"nan from step {series.steps[known[-1] + 1]} to the end"
    return None


def all_at_end(series: MetricSeries, started: int) -> str | None:
    """How many points came how long after the run's start, in milliseconds since the epoch."""
    if len(series) < _LONG:
        return None
    first, last = int(series.timestamps.min()), int(series.timestamps.max())
    late = first - started
    span = last - first
    if late < max(_LATE, _SHARE * span) or span > _GAP * (len(series) - 1):
        return None
    return f"{len(series)} points in {span / 1000:.1f} s, after {late / 1000:.1f} s"
