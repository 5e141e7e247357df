"""Metric series as a report has them: figures, and a curve of few enough points to draw."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from pytest_mlflow_check.core.records import MetricSeries
from pytest_mlflow_check.reporting.run_model import Number, Series

MOST_POINTS = 60_000
"""Points of all curves of a report together."""

_FEWEST, _MOST = 40, 400
"""Points of one curve."""


def points_each(series: int) -> int:
    """How many points a curve may have, where there are so many of them."""
    return min(_MOST, max(_FEWEST, MOST_POINTS // max(series, 1)))


def as_series(series: MetricSeries, most: int) -> Series:
    """The series with at most that many points."""
    finite = np.isfinite(series.values)
    values, steps = series.values[finite], series.steps[finite]
    if np.any(steps[1:] < steps[:-1]):
        order = np.argsort(steps, kind="stable")
        values, steps = values[order], steps[order]
    kept = thinned(values, most)
    return Series(
        points=len(series),
        not_finite=int(len(series) - len(values)),
        first=number(series.values[0]) if len(series) else None,
        last=number(series.values[-1]) if len(series) else None,
        lowest=float(values.min()) if len(values) else None,
        highest=float(values.max()) if len(values) else None,
        steps=tuple(steps[kept].tolist()),
        values=tuple(values[kept].tolist()),
    )


def thinned(values: NDArray[np.float64], most: int) -> NDArray[np.intp]:
    """Positions of at most so many values: of each stretch the lowest and highest, so that spikes stay."""
    if len(values) <= most:
        return np.arange(len(values))
    bounds = np.linspace(0, len(values), most // 2, dtype=np.intp)
    kept = {0, len(values) - 1}
    for start, end in pairwise(bounds):
        kept |= {int(start + values[start:end].argmin()), int(start + values[start:end].argmax())}
    return np.array(sorted(kept), dtype=np.intp)


def number(value: float) -> Number:
    """A value as JSON can hold it, which knows neither NaN nor infinities."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return float(value)
