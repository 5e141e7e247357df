"""Metric series from what a store keeps of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pytest_mlflow_check.records import MetricSeries

# A point as the functions here take and give it.
POINT = np.dtype([("timestamp", np.int64), ("value", np.float64), ("step", np.int64)])
_LIMIT = 2**63


def read_metric_file(key: str, file: Path) -> MetricSeries | None:
    """The series in one metric file of a file store; None where it holds no point."""
    try:
        points = parse_metric_lines(file.read_bytes())
    except OSError:
        return None
    return metric_series(key, points) if len(points) else None


def metric_series(key: str, points: NDArray[np.void]) -> MetricSeries:
    """A series of `points` (of type `POINT`) in the order given, without exact repeats of an earlier one."""
    kept = points[_first_occurrences(points)]
    # Copies, since a field of a structured array isn't contiguous and keeps all of it alive.
    return MetricSeries(
        key=key,
        steps=kept["step"].copy(),
        values=kept["value"].copy(),
        timestamps=kept["timestamp"].copy(),
    )


def parse_metric_lines(data: bytes) -> NDArray[np.void]:
    """The points (of type `POINT`) in the bytes of a metric file, repeats included.

    A line is `timestamp value step`, as `FileStore._log_run_metric` of MLflow writes it, with a dataset's
    name and digest behind it where the metric belongs to one, and in old stores without the step. Lines
    that are none of these are left out, and so is what follows the last line end: MLflow writes a line and
    its end at once, so a process was killed in the middle of it.
    """
    lines = data[: data.rfind(b"\n") + 1].split(b"\n")
    points = (point for point in map(_parse_line, lines) if point is not None)
    return np.fromiter(points, dtype=POINT)


def _parse_line(line: bytes) -> tuple[int, float, int] | None:
    fields = line.split()
    # Four fields are a five-field line cut short, or a line of a logged model's own metrics. More than five
    # come from a dataset whose name has spaces in it, which MLflow writes as it is.
    if len(fields) in (0, 1, 4):
        return None
    try:
        # MLflow 3.17.2 (`FileStore._get_metric_from_line`) gives step 0 for a line with a dataset. The step
        # that was logged stands in the third field there too, and is what counts here.
        return _integer(fields[0]), float(fields[1]), _integer(fields[2]) if len(fields) > 2 else 0
    except (ValueError, OverflowError):
        return None


def _integer(field: bytes) -> int:
    try:
        number = int(field)
    except ValueError:
        # MLflow lets fractions pass (`_validate_metric`) and writes them, and its file store then can't read
        # them. The point was logged all the same.
        number = int(float(field))
    if not -_LIMIT <= number < _LIMIT:
        raise OverflowError
    return number


def _first_occurrences(points: NDArray[np.void]) -> NDArray[np.intp]:
    values = points["value"]
    # Compared bit by bit, every NaN must look alike, and 0.0 like -0.0.
    bits = np.where(np.isnan(values), np.nan, values + 0.0).view(np.int64)
    columns = (bits, points["timestamp"], points["step"])
    order = np.lexsort(columns)
    first = np.ones(len(order), dtype=np.bool_)
    first[1:] = np.any([column[order][1:] != column[order][:-1] for column in columns], axis=0)
    # lexsort is stable, so the first of its kind in this order is the one logged first.
    return np.sort(order[first])
