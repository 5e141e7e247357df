"""What we read from a store against what MLflow's own client gives, and files MLflow would choke on."""

from __future__ import annotations

import inspect
import json
import math
import os
import pickle
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, get_args

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from inline_snapshot import snapshot

from pytest_mlflow_check.core.records import MetricSeries, Model, RunRecord, StoreRecord
from pytest_mlflow_check.core.store import Store, StoreKind
from pytest_mlflow_check.stores.readers import read_store
from pytest_mlflow_check.stores.readers.artifacts import list_artifacts, local_directory
from pytest_mlflow_check.stores.readers.metrics import (
    POINT,
    metric_series,
    parse_metric_lines,
    read_metric_file,
)
from pytest_mlflow_check.stores.readers.models import logged_model_status, run_models
from pytest_mlflow_check.stores.readers.sqlite_store import _connect

Points = list[tuple[int, int, float]]


@dataclass(frozen=True)
class Logged:
    """A filled store, MLflow's client for it, what we read from it, and ids by a speaking name."""

    store: Store
    client: Any
    record: StoreRecord
    ids: Mapping[str, str]

    def run(self, name: str) -> RunRecord:
        return next(run for run in self.record.runs if run.run_id == self.ids[name])


@pytest.fixture(scope="module", autouse=True)
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[pytest.MonkeyPatch]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
        patch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
        # A SQLite store puts the artifacts of its Default experiment into the current directory.
        patch.chdir(tmp_path_factory.mktemp("cwd"))
        yield patch


@pytest.fixture(scope="module", params=get_args(StoreKind))
def filled(
    real_mlflow: ModuleType,
    request: pytest.FixtureRequest,
    environment: pytest.MonkeyPatch,
    tmp_path_factory: pytest.TempPathFactory,
) -> Logged:
    from mlflow import MlflowClient

    store = Store(request.param, tmp_path_factory.mktemp(request.param) / "a störe #1")
    if store.kind == "sqlite":
        store.root.mkdir()
    client = MlflowClient(store.uri, store.uri)
    with environment.context() as patch, warnings.catch_warnings():
        patch.setenv("MLFLOW_TRACKING_URI", store.uri)
        patch.setenv("MLFLOW_REGISTRY_URI", store.uri)
        # MLflow has much to say about models as small as these.
        warnings.simplefilter("ignore")
        ids = fill(client, store)
    return Logged(store, client, read_store(store), ids)


@pytest.fixture
def logged(filled: Logged, monkeypatch: pytest.MonkeyPatch) -> Logged:
    # What MLflow asks its global store, also where it is called through a client of another.
    monkeypatch.setenv("MLFLOW_TRACKING_URI", filled.store.uri)
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", filled.store.uri)
    return filled


def fill(client: Any, store: Store) -> dict[str, str]:
    import mlflow

    second = client.create_experiment("second one", (store.root.parent / "else where").as_uri())
    gone = client.create_experiment("gone", str(store.root.parent / "gone"))
    ids = {"of a deleted experiment": client.create_run(gone).info.run_id}
    client.delete_experiment(gone)
    with mlflow.start_run(run_name="parent", experiment_id="0") as run:
        ids["parent"] = run.info.run_id
        log_texts(client, run.info.run_id)
        log_artifacts(client, run.info.run_id, store.root.parent / "files")
        # MLflow 3.17.2 links what was logged at step 0 to a model logged later. A file store then has such a
        # point twice, and in SQLite log_model dies where two points share step and time, as some below do.
        mlflow.log_metric("before the model", 0.5, step=0)
        log_models(client, store.root.parent / "saved")
        log_metrics(client, run.info.run_id)
        log_datasets()
        for name in ("first child", "deleted", "second child"):
            with mlflow.start_run(nested=True, run_name=name, experiment_id="0") as child:
                mlflow.log_metric("score", 1.0)
                ids[name] = child.info.run_id
    client.delete_run(ids["deleted"])
    for name, status in (("failed", "FAILED"), ("killed", "KILLED"), ("running", None)):
        ids[name] = client.create_run(second, tags={"mlflow.runName": name}).info.run_id
        client.log_text(ids[name], name, "note.txt")
        if status:
            client.set_terminated(ids[name], status)
    register(client, ids["parent"])
    return ids


def log_texts(client: Any, run_id: str) -> None:
    values = {"plain": "1", "a/b/c": "x\ny", "crlf": "x\r\ny\n", "empty": "", "pad": "  ", "letters": "é ✓"}
    for key, value in values.items():
        client.log_param(run_id, key, value)
        client.set_tag(run_id, key, value)


def log_metrics(client: Any, run_id: str) -> None:
    from mlflow.entities import Metric

    for step in range(20):
        client.log_metric(run_id, "loss/train", 1 / (step + 1), step=step)
    shuffled = [3, 1, 2, -7, 0, 2**40]
    client.log_batch(
        run_id, [Metric("shuffled", step / 3, 1000 - i, step) for i, step in enumerate(shuffled)]
    )
    for i, value in enumerate((math.nan, math.inf, -math.inf, math.nan, 0.0, 5e-324, 1.7e308)):
        client.log_metric(run_id, "odd values", value, timestamp=1000 + i, step=2)
    for timestamp, value, step in [
        (5, 1.0, 0),
        (6, 1.0, 0),
        (5, 1.0, 0),
        (5, 2.0, 0),
        (5, 1.0, 1),
        (6, 1.0, 0),
    ]:
        client.log_metric(run_id, "repeats", value, timestamp=timestamp, step=step)
    # The second of two equal NaN is an IntegrityError in SQLite with MLflow 2.22.5.
    for _ in range(3 if client.tracking_uri.startswith("file:") else 1):
        client.log_metric(run_id, "nan repeats", math.nan, timestamp=7, step=1)


def log_artifacts(client: Any, run_id: str, files: Path) -> None:
    inner = files / "dir with %20 and #" / "ünder"
    inner.mkdir(parents=True)
    (files / "empty").touch()
    (inner / "text.txt").write_text("text")
    (inner / "model_pickle").write_bytes(pickle.dumps(print))
    client.log_artifacts(run_id, str(files))
    client.log_artifacts(run_id, str(files), "again")


def log_models(client: Any, saved: Path) -> None:
    import mlflow
    from mlflow.models import infer_signature

    frame = {"z": np.array([1.0]), "a": np.array(["x"])}
    kwargs: dict[str, Any] = {"python_model": lambda model_input: model_input, "pip_requirements": ["mlflow"]}
    mlflow.pyfunc.save_model(saved, signature=infer_signature(frame, frame, {"p": 1}), **kwargs)
    mlflow.log_artifacts(str(saved), "saved/model")
    mlflow.pyfunc.log_model("mod", signature=infer_signature(frame), **kwargs)
    if hasattr(client, "create_logged_model"):
        log_scores(client, mlflow.pyfunc.log_model(name="mod", **kwargs).model_id)
        pending = mlflow.initialize_logged_model("pending")
        client.set_logged_model_tags(pending.model_id, {"tag": "value"})
        client.finalize_logged_model(mlflow.initialize_logged_model("failed").model_id, "FAILED")
        client.delete_logged_model(mlflow.initialize_logged_model("deleted").model_id)


def log_scores(client: Any, model_id: str) -> None:
    """A metric as `mlflow.models.evaluate` logs it, for two datasets: twice, with two timestamps."""
    import mlflow

    run_id = mlflow.active_run().info.run_id
    for timestamp, value, digest in [(5, 0.5, "1f"), (6, 0.5, "1f"), (7, 0.6, "2e"), (8, 0.6, "2e")]:
        about = {"dataset_name": "d", "dataset_digest": digest, "model_id": model_id}
        client.log_metric(run_id, "accuracy", value, timestamp=timestamp, step=0, **about)


def log_datasets() -> None:
    import mlflow
    import mlflow.data

    for name, context in (("test set", "evaluation"), ("all", None), ("all/train", "training")):
        dataset = mlflow.data.from_numpy(np.arange(len(name)), name=name)
        mlflow.log_input(dataset, context=context)


def register(client: Any, run_id: str) -> None:
    client.create_registered_model("no versions")
    client.create_registered_model("many")
    source = client.get_run(run_id).info.artifact_uri + "/saved/model"
    for _ in range(11):
        client.create_model_version("many", source, run_id)
    client.create_model_version("many", "/some/where/else")
    client.delete_model_version("many", "3")
    client.set_registered_model_alias("many", "champion", "10")
    client.set_registered_model_alias("many", "best", "10")
    client.set_registered_model_alias("many", "old", "2")
    client.register_prompt("a-prompt", "Say {{ word }}.")


def has_logged_models(logged: Logged) -> bool:
    return hasattr(logged.client, "create_logged_model")


def test_runs_are_those_of_the_client_oldest_first(logged: Logged) -> None:
    experiments = logged.client.search_experiments()
    runs = logged.client.search_runs([each.experiment_id for each in experiments])
    names = {each.experiment_id: each.name for each in experiments}
    expected = [
        (
            run.info.run_id,
            run.info.run_name,
            names[run.info.experiment_id],
            run.info.status,
            run.info.start_time,
            run.info.end_time,
        )
        for run in sorted(runs, key=lambda run: run.info.start_time)
    ]
    read = [
        (run.run_id, run.name, run.experiment, run.status, run.start_time, run.end_time)
        for run in logged.record.runs
    ]
    assert read == expected
    assert [run.name for run in logged.record.runs] == [
        "parent",
        "first child",
        "second child",
        "failed",
        "killed",
        "running",
    ]
    assert [run.status for run in logged.record.runs][-3:] == ["FAILED", "KILLED", "RUNNING"]
    assert {run.experiment for run in logged.record.runs} == {"Default", "second one"}


def test_parents_and_children_know_each_other(logged: Logged) -> None:
    parent = logged.run("parent")
    assert parent.parent_id is None
    assert parent.children == (logged.ids["first child"], logged.ids["second child"])
    assert logged.run("first child").parent_id == parent.run_id
    assert logged.run("first child").children == ()


def test_params_and_tags_are_those_of_the_client(logged: Logged) -> None:
    for run in logged.record.runs:
        data = logged.client.get_run(run.run_id).data
        assert run.params == data.params
        assert run.tags == data.tags
    assert logged.run("parent").params["a/b/c"] == snapshot("""\
x
y\
""")
    assert logged.run("parent").params["crlf"] == snapshot("""\
x\r
y
""")
    assert logged.run("parent").params["empty"] == ""


def test_metrics_are_those_of_the_client_in_logged_order(logged: Logged) -> None:
    for run in logged.record.runs:
        keys = logged.client.get_run(run.run_id).data.metrics
        assert set(run.metrics) == set(keys)
        for key, series in run.metrics.items():
            history = logged.client.get_metric_history(run.run_id, key)
            expected = distinct([(each.step, each.timestamp, each.value) for each in history])
            if logged.store.kind == "sqlite":
                # The client sorts by the primary key here.
                assert sorted(comparable(points(series))) == sorted(comparable(expected))
            else:
                assert comparable(points(series)) == comparable(expected)
            assert series.key == key
            assert [each.dtype.str for each in (series.steps, series.values, series.timestamps)] == [
                "<i8",
                "<f8",
                "<i8",
            ]


def test_metrics_keep_the_order_of_logging(logged: Logged) -> None:
    metrics = logged.run("parent").metrics
    assert metrics["shuffled"].steps.tolist() == [3, 1, 2, -7, 0, 2**40]
    assert metrics["shuffled"].timestamps.tolist() == [1000, 999, 998, 997, 996, 995]
    assert points(metrics["repeats"]) == [(0, 5, 1.0), (0, 6, 1.0), (0, 5, 2.0), (1, 5, 1.0)]
    assert len(metrics["nan repeats"]) == 1
    assert len(metrics["before the model"]) == 1
    if logged.store.kind == "file" and has_logged_models(logged):
        assert len(logged.client.get_metric_history(logged.ids["parent"], "before the model")) > 1
    assert len(metrics["loss/train"]) == 20


def test_infinity_is_what_the_kind_of_store_makes_of_it(logged: Logged) -> None:
    values = logged.run("parent").metrics["odd values"].values
    infinity = math.inf if logged.store.kind == "file" else 1.7976931348623157e308
    assert np.array_equal(
        values, [math.nan, infinity, -infinity, math.nan, 0, 5e-324, 1.7e308], equal_nan=True
    )


def test_a_step_that_is_no_whole_number_is_read_all_the_same(logged: Logged, tmp_path: Path) -> None:
    run_id = logged.client.create_run("0").info.run_id
    logged.client.log_metric(run_id, "m", 1.0, timestamp=12.7, step=3)
    logged.client.log_metric(run_id, "m", 2.0, timestamp=13, step=4.5)
    series = next(run for run in read_store(logged.store).runs if run.run_id == run_id).metrics["m"]
    assert points(series) == [(3, 12, 1.0), (4, 13, 2.0)]
    logged.client.delete_run(run_id)


def test_artifacts_are_those_of_the_client(logged: Logged) -> None:
    for run in logged.record.runs:
        files = client_files(logged.client, run.run_id)
        models = tuple(f"{name}/" for name, model in run.models.items() if model.uri.startswith("runs:"))
        others = {path: size for path, size in files.items() if not path.startswith(models)}
        assert {path: artifact.size for path, artifact in run.artifacts.items()} == others
        assert list(run.artifacts) == sorted(run.artifacts)
        for path, artifact in run.artifacts.items():
            assert artifact.path == path
            assert artifact.file.stat().st_size == artifact.size
    artifacts = logged.run("parent").artifacts
    assert {path: each.format for path, each in artifacts.items() if each.format} == {
        "dir with %20 and #/ünder/model_pickle": "pickle",
        "again/dir with %20 and #/ünder/model_pickle": "pickle",
    }


def test_models_are_those_of_mlflow(logged: Logged) -> None:
    from mlflow.models import get_model_info

    models = logged.run("parent").models
    for name in ("mod", "saved/model"):
        info = get_model_info(models[name].uri)
        assert models[name].flavors == tuple(sorted(info.flavors)) == ("python_function",)
        signature = {key: value and json.loads(value) for key, value in info.signature.to_dict().items()}
        assert models[name].signature == json.dumps(signature, sort_keys=True)
        assert models[name].status == "READY"
        assert (models[name].path / "MLmodel").is_file()
    assert models["saved/model"].uri == f"runs:/{logged.ids['parent']}/saved/model"
    assert models["saved/model"].model_id is None
    assert '"p"' in str(models["saved/model"].signature)


def test_a_model_of_mlflow_2_is_a_directory_among_the_artifacts(logged: Logged) -> None:
    if has_logged_models(logged):
        pytest.skip("MLflow 3 keeps logged models")
    models = logged.run("parent").models
    assert list(models) == ["mod", "saved/model"]
    assert models["mod"].uri == f"runs:/{logged.ids['parent']}/mod"


def test_logged_models_are_those_of_the_client(logged: Logged) -> None:
    if not has_logged_models(logged):
        pytest.skip("MLflow 2 has no logged models")
    of_run = f"source_run_id = '{logged.ids['parent']}'"
    found = logged.client.search_logged_models(["0"], filter_string=of_run)
    models = logged.run("parent").models
    assert list(models) == ["mod", "mod#2", "pending", "failed", "saved/model"]
    by_id = {model.model_id: model for model in models.values() if model.model_id}
    assert set(by_id) == {each.model_id for each in found}
    for each in found:
        model = by_id[each.model_id]
        assert (model.name, model.uri, model.status) == (each.name, each.model_uri, str(each.status))
        assert model.path == local_directory(each.artifact_location)
    assert [models[name].status for name in ("mod", "pending", "failed")] == ["READY", "PENDING", "FAILED"]
    assert models["mod"].signature
    assert models["mod#2"].signature is None
    assert models["failed"].flavors == ()
    assert logged.run("first child").models == {}


def test_datasets_are_those_of_the_client(logged: Logged) -> None:
    inputs = logged.client.get_run(logged.ids["parent"]).inputs.dataset_inputs
    expected = {
        (
            each.dataset.name,
            each.dataset.digest,
            each.dataset.source_type,
            next((tag.value for tag in each.tags if tag.key == "mlflow.data.context"), None),
        )
        for each in inputs
    }
    datasets = logged.run("parent").datasets
    assert [(each.name, each.context) for each in datasets] == [
        ("all", None),
        ("all/train", "training"),
        ("test set", "evaluation"),
    ]
    assert {(each.name, each.digest, each.source_type, each.context) for each in datasets} == expected
    assert logged.run("first child").datasets == ()


def test_the_registry_is_that_of_the_client(logged: Logged) -> None:
    registered = logged.record.registered_models
    assert [model.name for model in registered] == ["many", "no versions"]
    assert sorted(model.name for model in logged.client.search_registered_models()) == ["many", "no versions"]
    many, empty = registered
    assert empty.versions == ()
    assert [version.version for version in many.versions] == [str(n) for n in range(1, 13) if n != 3]
    for version in many.versions:
        expected = logged.client.get_model_version("many", version.version)
        assert (version.source, version.status) == (expected.source, expected.status)
        assert version.run_id == (expected.run_id or None)
        assert version.aliases == tuple(sorted(expected.aliases))
    aliases = {version.version: version.aliases for version in many.versions if version.aliases}
    assert aliases == {"2": ("old",), "10": ("best", "champion")}
    assert many.versions[0].run_id == logged.ids["parent"]
    assert many.versions[-1].run_id is None


def test_reading_twice_gives_the_same_and_writes_nothing(logged: Logged) -> None:
    before = {file: file.stat().st_mtime_ns for file in logged.store.root.rglob("*")}
    again = read_store(logged.store)
    assert without_series(again) == without_series(logged.record)
    assert {file: file.stat().st_mtime_ns for file in logged.store.root.rglob("*")} == before


@pytest.mark.parametrize("kind", get_args(StoreKind))
def test_a_store_never_created_is_empty(kind: StoreKind, tmp_path: Path) -> None:
    assert read_store(Store(kind, tmp_path / "none")) == StoreRecord()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("filled", ["file"], indirect=True)
def test_what_is_no_run_is_passed_over(logged: Logged, tmp_path: Path) -> None:
    root = tmp_path / "store"
    shutil.copytree(logged.store.root, root)
    before = without_series(read_store(Store("file", root)))
    default, run_id = root / "0", logged.ids["parent"]
    strange = {
        root / "stray.txt": "text",
        root / "no meta" / "run" / "meta.yaml": "run_id: run",
        root / "7" / "meta.yaml": "experiment_id: '8'\nname: moved",
        root / "models" / "no meta" / "version-1" / "meta.yaml": "version: 1",
        root / "models" / "many" / "version-x" / "meta.yaml": "version: x",
        default / "stray.txt": "text",
        default / "empty meta" / "meta.yaml": "",
        default / "list" / "meta.yaml": "[1, 2]",
        default / "not yaml" / "meta.yaml": "a: b: c\x00",
        default / "other id" / "meta.yaml": "run_id: another\nlifecycle_stage: active",
        default / "only params" / "params" / "p": "1",
        default / "models" / "m-cut" / "meta.yaml": "model_id: m-c",
        default / run_id / "inputs" / "no dataset" / "meta.yaml": "source_type: DATASET\nsource_id: none",
        default / run_id / "inputs" / "cut" / "meta.yaml": "source_ty",
        default / run_id / "metrics" / "empty": "",
        default / run_id / "metrics" / "nonsense": "non sense at all\n",
        default / run_id / "other" / "file": "",
    }
    for file, content in strange.items():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
    assert without_series(read_store(Store("file", root))) == before


def test_a_run_with_nothing_but_its_meta_file_is_a_run(tmp_path: Path) -> None:
    (tmp_path / "1" / "ab").mkdir(parents=True)
    (tmp_path / "1" / "meta.yaml").write_text(yaml.safe_dump({"experiment_id": 1, "name": "n"}))
    (tmp_path / "1" / "ab" / "meta.yaml").write_text(yaml.safe_dump({"run_id": "ab"}))
    (run,) = read_store(Store("file", tmp_path)).runs
    assert run == RunRecord(run_id="ab", experiment="n", status="RUNNING")


@pytest.mark.parametrize("filled", ["sqlite"], indirect=True)
@pytest.mark.parametrize("name", ["a b", "p%20q", "h#x", "q?mode=rwc", "é"])
def test_a_database_in_a_directory_of_any_name_is_read(logged: Logged, tmp_path: Path, name: str) -> None:
    store = Store("sqlite", tmp_path / name)
    store.root.mkdir()
    shutil.copy(logged.store.database, store.database)
    assert without_series(read_store(store)) == without_series(logged.record)
    assert [file.name for file in store.root.iterdir()] == ["mlflow.db"]


@pytest.mark.parametrize("filled", ["sqlite"], indirect=True)
def test_a_database_left_in_the_middle_of_a_commit_is_read(logged: Logged, tmp_path: Path) -> None:
    store = Store("sqlite", tmp_path)
    shutil.copy(logged.store.database, store.database)
    script = f"""
import os, sqlite3
connection = sqlite3.connect({str(store.database)!r})
connection.execute("PRAGMA cache_size = 1")
connection.execute("UPDATE params SET value = 'half done'")
connection.execute("UPDATE runs SET status = 'KILLED'")
points = [("late", 1.0, n, {logged.ids["parent"]!r}, n, 0) for n in range(20000)]
connection.executemany("INSERT INTO metrics VALUES (?, ?, ?, ?, ?, ?)", points)
os.kill(os.getpid(), {int(signal.SIGKILL)})
"""
    subprocess.run([sys.executable, "-c", script], check=False)
    files = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    assert set(files) == {"mlflow.db", "mlflow.db-journal"}
    assert without_series(read_store(store)) == without_series(logged.record)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == files


def test_the_connection_cant_write(tmp_path: Path) -> None:
    sqlite3.connect(tmp_path / "mlflow.db").execute("CREATE TABLE t (x)").connection.close()
    connection = _connect(tmp_path / "mlflow.db", "ro")
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        connection.execute("INSERT INTO t VALUES (1)")
    connection.close()


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", []),
        (b"\n\n", []),
        (b"1 2.5 3\n", [(1, 2.5, 3)]),
        (b"1 2.5 3\n4 5 6\n", [(1, 2.5, 3), (4, 5.0, 6)]),
        (b"1 2.5\n", [(1, 2.5, 0)]),
        (b"1 2.5\n1 2.5 3\n", [(1, 2.5, 0), (1, 2.5, 3)]),
        (b"1 2.5 3 name digest\n", [(1, 2.5, 3)]),
        (b"1 2.5 3 a long name digest\n", [(1, 2.5, 3)]),
        (b"1 2.5 3 4 5 6 7\n8 9 10\n", [(1, 2.5, 3), (8, 9.0, 10)]),
        (b"1 2\n3 4 5 6\n", [(1, 2.0, 0)]),
        (b"1 2 3 4\n5 6\n", [(5, 6.0, 0)]),
        (b"1 2.5 3\n4 5 6 name digest\n7 8 9\n", [(1, 2.5, 3), (4, 5.0, 6), (7, 8.0, 9)]),
        (b"1 inf 3\n2 -inf 3\n", [(1, math.inf, 3), (2, -math.inf, 3)]),
        (b"1 1e400 3\n", [(1, math.inf, 3)]),
        (b"1 2 -9223372036854775808\n", [(1, 2.0, -(2**63))]),
        (b"1 2 9223372036854775808\n3 4 5\n", [(3, 4.0, 5)]),
        (b"1.9 2 3.7\n", [(1, 2.0, 3)]),
        (b"1 2 inf\n1 2 nan\n3 4 5\n", [(3, 4.0, 5)]),
        (b"1 2 3\n\n4 5 6\n", [(1, 2.0, 3), (4, 5.0, 6)]),
        (b"1 2 3\n4 5 6", [(1, 2.0, 3)]),
        (b"1 2 3\n4", [(1, 2.0, 3)]),
        (b"1 2 3\n4 \n", [(1, 2.0, 3)]),
        (b"1 2", []),
        (b"1 2 3\nnon sense at\n4 5 6\n", [(1, 2.0, 3), (4, 5.0, 6)]),
        (b"1 2 3 run\n4 5 6\n", [(4, 5.0, 6)]),
        (b"\xff\xfe 2 3\n4 5 6\n", [(4, 5.0, 6)]),
        (b"# 2 3\n4 5 6\n", [(4, 5.0, 6)]),
    ],
)
def test_metric_lines(data: bytes, expected: list[tuple[int, float, int]]) -> None:
    assert parse_metric_lines(data).tolist() == expected


@pytest.mark.mlflow
def test_points_of_one_dataset_have_one_number(logged: Logged) -> None:
    if not has_logged_models(logged):
        pytest.skip("MLflow 2 logs no metrics of datasets")
    metrics = logged.run("parent").metrics
    subjects = metrics["accuracy"].subjects
    assert subjects is not None
    assert subjects.tolist() == [1, 1, 2, 2]
    assert all(series.subjects is None for key, series in metrics.items() if key != "accuracy")


@pytest.mark.mlflow
def test_a_metric_with_a_dataset_keeps_its_step(tmp_path: Path) -> None:
    from mlflow import MlflowClient

    store = Store("file", tmp_path / "store")
    client = MlflowClient(store.uri)
    if "dataset_name" not in inspect.signature(client.log_metric).parameters:
        pytest.skip("MLflow 2 logs no metrics of datasets")
    run_id = client.create_run("0").info.run_id
    client.log_metric(run_id, "m", 0.5, timestamp=7, step=3, dataset_name="d", dataset_digest="1f")
    assert client.get_metric_history(run_id, "m")[0].step == 0
    assert points(read_store(store).runs[0].metrics["m"]) == [(3, 7, 0.5)]


def test_a_metric_file_that_cant_be_read_is_no_series(tmp_path: Path) -> None:
    assert read_metric_file("m", tmp_path) is None
    assert read_metric_file("m", tmp_path / "none") is None


def test_repeats_are_dropped_and_nothing_else() -> None:
    nan = math.nan
    stamps = [5, 5, 5, 5, 5, 5, 5, 5, 6]
    values = [nan, 2.0, 0.0, -nan, 2.0, 3.0, -0.0, 2.0, 2.0]
    steps = [1, 1, 0, 1, 1, 1, 0, 2, 2]
    series = metric_series("m", np.array(list(zip(stamps, values, steps, strict=True)), dtype=POINT))
    assert comparable(points(series)) == [
        (1, 5, "nan"),
        (1, 5, 2.0),
        (0, 5, 0.0),
        (1, 5, 3.0),
        (2, 5, 2.0),
        (2, 6, 2.0),
    ]


small = st.integers(0, 3)
whole = st.integers(-(2**63), 2**63 - 1)
number = st.floats() | st.sampled_from([0.0, 1.0, math.nan, math.inf, -math.inf])
lines = st.lists(st.tuples(small | st.integers(0, 2**53), number, small | whole), max_size=12)


@pytest.fixture(scope="module")
def history(
    real_mlflow: ModuleType, tmp_path_factory: pytest.TempPathFactory, environment: pytest.MonkeyPatch
) -> Callable[[bytes], tuple[Points, Points]]:
    from mlflow.store.tracking.file_store import FileStore

    root = tmp_path_factory.mktemp("history") / "store"
    store = FileStore(str(root))
    run_id = store.create_run("0", "user", 0, [], "run").info.run_id
    file = root / "0" / run_id / "metrics" / "m"

    def both(data: bytes) -> tuple[Points, Points]:
        file.write_bytes(data)
        ours = read_metric_file("m", file)
        theirs = [(each.step, each.timestamp, each.value) for each in store.get_metric_history(run_id, "m")]
        return points(ours) if ours else [], theirs

    return both


@settings(deadline=None, max_examples=150, database=None)
@given(rows=lines)
def test_metric_files_read_as_mlflow_reads_them(
    history: Callable[[bytes], tuple[Points, Points]], rows: list[tuple[int, float, int]]
) -> None:
    data = "".join(f"{timestamp} {value} {step}\n" for timestamp, value, step in rows).encode()
    ours, theirs = history(data)
    assert comparable(ours) == comparable(distinct(theirs))


def test_a_long_metric_file_is_read_quickly(tmp_path: Path) -> None:
    random = np.random.default_rng(0).random(200_000)
    lines = [f"{1700000000000 + i} {value} {i}\n" for i, value in enumerate(random.tolist())]
    (tmp_path / "m").write_text("".join(lines))
    start = time.process_time()
    series = read_metric_file("m", tmp_path / "m")
    assert time.process_time() - start < 1
    assert series is not None
    assert np.array_equal(series.values, random)


@pytest.mark.parametrize("filled", ["sqlite"], indirect=True)
def test_a_long_series_in_a_database_is_read_quickly(logged: Logged, tmp_path: Path) -> None:
    store = Store("sqlite", tmp_path)
    shutil.copy(logged.store.database, store.database)
    rows = [("long", i / 7, i, logged.ids["parent"], -i, 0) for i in range(200_000)]
    with sqlite3.connect(store.database) as connection:
        connection.executemany("INSERT INTO metrics VALUES (?, ?, ?, ?, ?, ?)", rows)
    connection.close()
    start = time.process_time()
    record = read_store(store)
    assert time.process_time() - start < 2
    series = next(run for run in record.runs if run.run_id == logged.ids["parent"]).metrics["long"]
    assert np.array_equal(series.steps, -np.arange(200_000))
    assert np.array_equal(series.values, np.arange(200_000) / 7)


def test_links_are_followed_within_the_artifacts_only(tmp_path: Path) -> None:
    root = tmp_path / "artifacts"
    (root / "dir").mkdir(parents=True)
    (tmp_path / "outside").write_text("secret")
    (root / "dir" / "file").write_text("inside")
    (root / "in").symlink_to(root / "dir" / "file")
    (root / "out").symlink_to(tmp_path / "outside")
    (root / "broken").symlink_to(root / "none")
    (root / "loop").symlink_to(root / "loop")
    (root / "dir link").symlink_to(root / "dir")
    (root / "up").symlink_to(tmp_path)
    os.mkfifo(root / "pipe")
    tree = list_artifacts(root.as_uri())
    assert {path: artifact.size for path, artifact in tree.artifacts.items()} == {"dir/file": 6, "in": 6}


def test_a_model_inside_a_model_is_its_own_affair(tmp_path: Path) -> None:
    for directory in ("a/model", "a/model/artifacts/inner", "b"):
        (tmp_path / directory).mkdir(parents=True)
        (tmp_path / directory / "MLmodel").write_text("flavors: {z: {}, a: {}}")
        (tmp_path / directory / "model.pkl").write_bytes(pickle.dumps(1))
    (tmp_path / "a" / "note").touch()
    tree = list_artifacts(str(tmp_path))
    assert list(tree.models) == ["a/model", "b"]
    assert list(tree.artifacts) == ["a/note"]
    models = run_models("r", [], tree.models)
    assert models["b"] == Model("b", "runs:/r/b", tmp_path / "b", flavors=("a", "z"))


def test_a_model_that_is_the_artifact_root_hides_no_file(tmp_path: Path) -> None:
    (tmp_path / "plots").mkdir()
    (tmp_path / "MLmodel").write_text("flavors: {python_function: {}}")
    (tmp_path / "plots" / "loss.txt").touch()
    tree = list_artifacts(str(tmp_path))
    assert run_models("r", [], tree.models)["."].uri == "runs:/r/."
    assert set(tree.artifacts) == {"MLmodel", "plots/loss.txt"}


@pytest.mark.parametrize(
    ("mlmodel", "flavors", "signature"),
    [
        ("flavors: {b: {}, a: {}}", ("a", "b"), None),
        ("", (), None),
        ("flavors: [a]\nsignature: text", (), None),
        ("not: yaml: at all", (), None),
        ("signature: null", (), None),
        (
            'signature: {outputs: \'{"b": 1, "a": 2}\', inputs: "[]"}',
            (),
            '{"inputs": [], "outputs": {"a": 2, "b": 1}, "params": null}',
        ),
        ("signature: {inputs: no json}", (), '{"inputs": "no json", "outputs": null, "params": null}'),
    ],
)
def test_mlmodel_files(mlmodel: str, flavors: tuple[str, ...], signature: str | None, tmp_path: Path) -> None:
    (tmp_path / "MLmodel").write_text(mlmodel)
    model = run_models("r", [], {"m": tmp_path})["m"]
    assert (model.flavors, model.signature) == (flavors, signature)


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        (0, "PENDING"),
        (1, "PENDING"),
        (2, "READY"),
        (3, "FAILED"),
        (9, "FAILED"),
        ("READY", "READY"),
        ("UPLOAD_FAILED", "FAILED"),
        (None, "FAILED"),
    ],
)
def test_model_status(stored: object, expected: str) -> None:
    assert logged_model_status(stored) == expected


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        ("file:///a%20b/c", "/a b/c"),
        ("file:/a/b", "/a/b"),
        ("/a b/c", "/a b/c"),
        # As MLflow does: see test_mlflow_puts_artifacts_where_we_look.
        ("/a%20b/c", "/a b/c"),
        ("s3://bucket/path", None),
        ("mlflow-artifacts:/0/run/artifacts", None),
        ("relative/path", None),
        ("", None),
        (None, None),
    ],
)
def test_artifact_locations(location: str | None, expected: str | None) -> None:
    assert local_directory(location) == (Path(expected) if expected else None)


@pytest.mark.mlflow
@pytest.mark.parametrize("as_uri", [True, False])
@pytest.mark.parametrize("name", ["a b", "p%20q", "é", "c:d"])
def test_mlflow_puts_artifacts_where_we_look(name: str, as_uri: bool, tmp_path: Path) -> None:
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    place = tmp_path / "artifacts" / name
    location = place.as_uri() if as_uri else str(place)
    (tmp_path / "x.txt").write_text("text")
    get_artifact_repository(location).log_artifact(str(tmp_path / "x.txt"), "d")
    assert list(list_artifacts(location).artifacts) == ["d/x.txt"]


def points(series: MetricSeries) -> Points:
    return list(zip(series.steps.tolist(), series.timestamps.tolist(), series.values.tolist(), strict=True))


def comparable(some: Points) -> list[tuple[Any, ...]]:
    """NaN as a text, since it equals nothing."""
    return [(step, stamp, "nan" if math.isnan(value) else value) for step, stamp, value in some]


def distinct(some: Points) -> Points:
    """The points without exact repeats, the plain way."""
    found: dict[tuple[Any, ...], tuple[int, int, float]] = {}
    for point, key in zip(some, comparable(some), strict=True):
        found.setdefault(key, point)
    return list(found.values())


def client_files(client: Any, run_id: str, path: str | None = None) -> dict[str, int]:
    files = {}
    for entry in client.list_artifacts(run_id, path):
        if entry.is_dir:
            files.update(client_files(client, run_id, entry.path))
        else:
            files[entry.path] = entry.file_size
    return files


def without_series(record: StoreRecord) -> Any:
    """Everything in a record, the numbers of the series as lists so that records can be compared."""
    runs = [
        SimpleNamespace(
            **{**vars(run), "metrics": {key: comparable(points(each)) for key, each in run.metrics.items()}}
        )
        for run in record.runs
    ]
    return runs, record.registered_models
