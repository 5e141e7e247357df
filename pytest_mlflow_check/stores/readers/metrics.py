"""Metric series from what a store keeps of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pytest_mlflow_check.core.files import open_regular
from pytest_mlflow_check.core.first_rows import first_rows
from pytest_mlflow_check.core.records import MetricSeries
from pytest_mlflow_check.stores.readers.safe_files import Content

# A point as the functions here take and give it.
POINT = np.dtype([("timestamp", np.int64), ("value", np.float64), ("step", np.int64)])
_LIMIT = 2**63

# Bytes read at once. While they are converted each field is an object, seven times as large as its number.
_BLOCK = 1 << 17
_LONGEST_LINE = 1 << 17
_MOST = 1 << 33


def read_metric_file(key: str, file: Path, content: Content | None = None) -> MetricSeries | None:
    """The series in one metric file of a file store; None where it holds no point.

    Args:
        key: the metric's name.
        file: its file.
        content: the store, which is told what couldn't be read.
    """
    content = content or Content(file.parent)
    lines = 0
    try:
        content.check_inside(file)
        blocks, datasets = [], _Datasets()
        for block in _whole_lines(file):
            blocks.append(parse_metric_lines(block))
            datasets.read(block, len(blocks[-1]))
            lines += _written(block)
    except OSError as error:
        content.damaged(file, (error.strerror or str(error)).lower())
        return None
    points = np.concatenate([np.empty(0, dtype=POINT), *blocks])
    del blocks  # A second copy of every point.
    if not lines:
        content.damaged(file, "is empty")
    elif lost := lines - len(points):
        content.damaged(file, f"{lost} of {lines} {'line' if lines == 1 else 'lines'} can't be read")
    return metric_series(key, points, datasets.subjects) if len(points) else None


def metric_series(
    key: str, points: NDArray[np.void], subjects: NDArray[np.int64] | None = None
) -> MetricSeries:
    """A series of `points` (of type `POINT`) in the order given, without exact repeats of an earlier one.

    Args:
        key: the metric's name.
        points: its points.
        subjects: as in `MetricSeries`, a number for each point.
    """
    kept = _first_occurrences(points)
    # Picking copies: a field of a structured array isn't contiguous, and keeps all of it alive.
    return MetricSeries(
        key=key,
        steps=points["step"][kept],
        values=points["value"][kept],
        timestamps=points["timestamp"][kept],
        subjects=None if subjects is None or not subjects.any() else subjects[kept],
    )


def parse_metric_lines(data: bytes) -> NDArray[np.void]:
    """The points (of type `POINT`) in the bytes of a metric file, repeats included.

    A line is `timestamp value step`, as `FileStore._log_run_metric` of MLflow writes it, with a dataset's
    name and digest behind it where the metric belongs to one, and in old stores without the step. Lines
    that are none of these are left out, and so is what follows the last line end: MLflow writes a line and
    its end at once, so a process was killed in the middle of it.
    """
    data = data[: data.rfind(b"\n") + 1]
    points = _parse_columns(data)
    if points is None:
        lines = (point for point in map(_parse_line, data.split(b"\n")) if point is not None)
        points = np.fromiter(lines, dtype=POINT)
    return points


class _Datasets:
    """Numbers the datasets that the lines of a metric file name."""

    def __init__(self) -> None:
        self._numbers: dict[bytes, int] = {}
        self._blocks: list[NDArray[np.int64]] = []

    def read(self, block: bytes, points: int) -> None:
        """Take in a block of lines, in which so many points were found."""
        if block.count(b" ") <= 2 * block.count(b"\n"):
            # No line can have a fourth field, so that nothing has to be looked at.
            self._blocks.append(np.zeros(points, dtype=np.int64))
            return
        lines = block[: block.rfind(b"\n") + 1].split(b"\n")
        labels = (b" ".join(line.split(b" ")[3:]) for line in lines if _parse_line(line) is not None)
        numbers = (
            self._numbers.setdefault(label, len(self._numbers) + 1) if label else 0 for label in labels
        )
        self._blocks.append(np.fromiter(numbers, dtype=np.int64))

    @property
    def subjects(self) -> NDArray[np.int64] | None:
        """A number for each point; None where no line names a dataset."""
        return np.concatenate(self._blocks) if self._numbers else None


def _whole_lines(file: Path) -> Iterator[bytes]:
    with open_regular(file, _MOST) as content:
        while block := content.read(_BLOCK):
            block += content.readline(_LONGEST_LINE)
            yield block
            # The rest of a line that is too long to be one.
            while not block.endswith(b"\n") and block:
                block = content.readline(_LONGEST_LINE)


def _written(block: bytes) -> int:
    """How many lines there are in a block, empty ones not counted."""
    count = block.count(b"\n") + (not block.endswith(b"\n"))
    return count if b"\n\n" not in block and block[:1] != b"\n" else sum(map(bool, block.split(b"\n")))


def _parse_columns(data: bytes) -> NDArray[np.void] | None:
    """The points of lines that all have three fields, as nearly every file has them; None for any others.

    `int` and `float` convert a whole column in one go, and are those that MLflow uses.
    """
    count = data.count(b"\n")
    # A line end becomes a field itself. Where not every fourth is one, one stands where a number is expected.
    fields = data.replace(b"\n", b" \n ").split(b" ")
    if len(fields) != 4 * count + 1:
        return None
    points = np.empty(count, dtype=POINT)
    try:
        points["timestamp"] = np.fromiter(map(int, fields[0:-1:4]), dtype=np.int64, count=count)
        points["value"] = np.fromiter(map(float, fields[1::4]), dtype=np.float64, count=count)
        points["step"] = np.fromiter(map(int, fields[2::4]), dtype=np.int64, count=count)
    except (ValueError, OverflowError):
        return None
    return points


def _parse_line(line: bytes) -> tuple[int, float, int] | None:
    fields = line.strip().split(b" ")
    # Four fields are a five-field line cut short, or a line of a logged model's own metrics. More than five
    # come from a dataset whose name has spaces in it, which MLflow writes as it is.
    if len(fields) in (1, 4):
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
    # A point can repeat another only where each of its numbers occurs twice; finding that out is cheap.
    if _all_different(points["step"]) or _all_different(points["timestamp"]):
        return np.arange(len(points))
    values = points["value"]
    # Compared bit by bit, every NaN must look alike, and 0.0 like -0.0.
    bits = np.where(np.isnan(values), np.nan, values + 0.0).view(np.int64)
    return first_rows(bits, points["timestamp"], points["step"])


def _all_different(numbers: NDArray[np.int64]) -> bool:
    ordered = np.sort(numbers)
    return bool(np.all(ordered[1:] != ordered[:-1]))
