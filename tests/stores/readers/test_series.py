"""Series as read from a store against `MlflowClient.get_metric_history`: the same points, to the last bit."""

from __future__ import annotations

import inspect
import math
import sqlite3
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_mlflow_check.core.records import MetricSeries
from pytest_mlflow_check.core.store import Store
from pytest_mlflow_check.stores.readers import metrics, read_store
from pytest_mlflow_check.stores.readers.metrics import parse_metric_lines, read_metric_file

Point = tuple[int, int, str]
"""Step, timestamp, and the value in hexadecimal, which has all of its bits."""

Answers = Callable[[bytes], tuple[list[Point], list[Point]]]
thorough = settings(deadline=None, max_examples=150, database=None)

small = st.integers(0, 3)
stamps = small | st.integers(0, 2**53)
numbers = (
    st.floats()
    | st.sampled_from([0.0, -0.0, 1.0, math.nan, math.inf, -math.inf, 5e-324, 2.2250738585072011e-308])
    # Between two neighbours, where a parser that isn't exact rounds the wrong way.
    | st.sampled_from([9007199254740993.0, 0.1 + 0.2, 1.7976931348623157e308, 8.41e21, 5e-324])
)
steps = small | st.integers(-(2**63), 2**63 - 1)
words = st.text("abc.-_é|0", min_size=1, max_size=4)
plain = st.builds("{} {} {}".format, stamps, numbers, steps)
old = st.builds("{} {}".format, stamps, numbers)
# Texts of numbers that MLflow never writes, and Python reads.
odd = st.builds(
    "{} {} {}".format,
    st.sampled_from(["007", "+1", "1_0", "-1"]),
    st.sampled_from(
        ["1", ".5", "5.", "1e5", "1E-400", "1e400", "1_0.5", "Infinity", "-NaN", "+inf", "0" * 400]
    )
    | st.builds("{}.{}e{}".format, st.integers(0, 10**20), st.integers(0, 10**20), st.integers(-330, 330)),
    st.sampled_from(["00", "-0", "+3", "1_000"]),
)
of_dataset = st.builds("{} {} {} {} {}".format, stamps, numbers, small, words | st.just(""), words)
# A model's own line, one cut short, no number, a number that is too large: the client refuses them all.
broken = st.sampled_from(
    ["", "7", "1 2 3 m-1", " ", "1 x 3", "a 2 3", "1 2 9223372036854775808", "1 0x1p3 2"]
)


def points(series: MetricSeries | None) -> list[Point]:
    if series is None:
        return []
    columns = (series.steps.tolist(), series.timestamps.tolist(), map(float.hex, series.values.tolist()))
    return list(zip(*columns, strict=True))


def client_points(client: Any, run_id: str, key: str) -> list[Point]:
    history = client.get_metric_history(run_id, key)
    return [(point.step, point.timestamp, point.value.hex()) for point in history]


def distinct(some: list[Point]) -> list[Point]:
    """Without repeats; 0 repeats -0, as it does for SQL."""
    found: dict[Any, Point] = {}
    for point in some:
        found.setdefault((*point[:2], point[2].replace("-0x0.0p+0", "0x0.0p+0")), point)
    return list(found.values())


@pytest.fixture(scope="module", autouse=True)
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
        patch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
        patch.chdir(tmp_path_factory.mktemp("cwd"))
        yield


@pytest.fixture(scope="module")
def answers(real_mlflow: ModuleType, environment: None, tmp_path_factory: pytest.TempPathFactory) -> Answers:
    """Gives what we and what the client read from the bytes of a metric file."""
    from mlflow import MlflowClient

    store = Store("file", tmp_path_factory.mktemp("series") / "store")
    client = MlflowClient(store.uri)
    run_id = client.create_run("0").info.run_id
    file = store.root / "0" / run_id / "metrics" / "m"

    def both(data: bytes) -> tuple[list[Point], list[Point]]:
        file.write_bytes(data)
        return points(read_metric_file("m", file)), distinct(client_points(client, run_id, "m"))

    return both


def text(lines: list[str]) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()


@thorough
@given(lines=st.lists(plain, max_size=20) | st.lists(plain | old | odd | st.just("1 2 3 "), max_size=20))
def test_lines_without_datasets_are_what_the_client_reads(answers: Answers, lines: list[str]) -> None:
    ours, theirs = answers(text(lines))
    assert ours == theirs


@thorough
@given(lines=st.lists(of_dataset, max_size=5) | st.lists(plain | of_dataset, max_size=20))
def test_lines_with_datasets_are_what_the_client_reads_but_for_the_step(
    answers: Answers, lines: list[str]
) -> None:
    from mlflow import MlflowClient

    if "dataset_name" not in inspect.signature(MlflowClient.log_metric).parameters:
        pytest.skip("MLflow 2 logs no metrics of datasets")
    # The client forgets the step that stands there, and gives 0.
    data = text([" ".join([*line.split(" ")[:2], "0", *line.split(" ")[3:]]) for line in lines])
    ours, theirs = answers(data)
    assert ours == theirs
    assert parse_metric_lines(text(lines))["step"].tolist() == [int(line.split(" ")[2]) for line in lines]


@thorough
@given(
    lines=st.lists(st.tuples(plain, st.just(True)) | st.tuples(broken, st.just(False)), max_size=20),
    cut=st.sampled_from(["", "1", "1 2", "1 2 3", "1 2 3 d", "1 2."]),
)
def test_lines_that_the_client_refuses_are_left_out(
    answers: Answers, lines: list[tuple[str, bool]], cut: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    _, theirs = answers(text([line for line, whole in lines if whole]))
    ours = points(read_bytes(text([line for line, _ in lines]) + cut.encode(), tmp_path_factory))
    assert ours == theirs


def read_bytes(data: bytes, tmp_path_factory: pytest.TempPathFactory) -> MetricSeries | None:
    file = tmp_path_factory.getbasetemp() / "m"
    file.write_bytes(data)
    return read_metric_file("m", file)


@thorough
@given(lines=st.lists(plain | old | broken, max_size=20), block=st.integers(1, 40))
def test_where_a_block_ends_makes_no_difference(
    lines: list[str], block: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    whole = read_bytes(text(lines), tmp_path_factory)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(metrics, "_BLOCK", block)
        assert points(read_bytes(text(lines), tmp_path_factory)) == points(whole)


@pytest.fixture(scope="module")
def database(
    real_mlflow: ModuleType, environment: None, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Store, Any, str]:
    from mlflow import MlflowClient

    store = Store("sqlite", tmp_path_factory.mktemp("database"))
    client = MlflowClient(store.uri)
    return store, client, client.create_run("0").info.run_id


Row = tuple[str, int, float, int]


def storable(rows: list[Row]) -> list[Row]:
    """The rows without the second of two equal NaN, of which MLflow 2.22.5 dies."""
    seen: set[object] = set()
    kept = []
    for row in rows:
        same = (*row[:2], row[3]) if math.isnan(row[2]) else object()
        if same not in seen:
            kept.append(row)
        seen.add(same)
    return kept


rows = st.lists(st.tuples(st.sampled_from("ab"), stamps, numbers, steps), max_size=20).map(storable)


@settings(deadline=None, max_examples=60, database=None)
@given(rows=rows)
def test_series_in_a_database_are_those_of_the_client_in_logged_order(
    database: tuple[Store, Any, str], rows: list[tuple[str, int, float, int]]
) -> None:
    from mlflow.entities import Metric

    store, client, run_id = database
    with closing(sqlite3.connect(store.database)) as connection, connection:
        connection.execute("DELETE FROM metrics")
        connection.execute("DELETE FROM latest_metrics")
    client.log_batch(run_id, [Metric(key, value, timestamp, step) for key, timestamp, value, step in rows])
    (run,) = read_store(store).runs
    assert list(run.metrics) == sorted({key for key, *_ in rows})
    largest = float(np.finfo(np.float64).max)
    for key, series in run.metrics.items():
        assert sorted(points(series)) == sorted(client_points(client, run_id, key))
        logged = [(step, stamp, value) for name, stamp, value, step in rows if name == key]
        # What is infinite becomes the largest number, and SQLite drops the sign of a zero.
        stored = [
            (step, stamp, (min(max(value, -largest), largest) + 0.0).hex()) for step, stamp, value in logged
        ]
        assert points(series) == distinct(stored)


def test_a_long_series_takes_little_more_memory_than_its_points(tmp_path: Path) -> None:
    (tmp_path / "m").write_text("".join(f"{1700000000000 + i} {i / 7} {i}\n" for i in range(100_000)))
    tracemalloc.start()
    try:
        series = read_metric_file("m", tmp_path / "m")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert series is not None
    # Three times: block by block, in one piece, and as columns. The objects of a block come on top.
    assert peak < 3 * 24 * len(series) + 3_000_000
