"""What one writes by hand to see that a project logs the same both ways: the suite that the gate stands for.

    pytest benchmarks/handwritten

It starts the project of the directory `ITERATE_PROJECT`, by default `example_project`, once each way, and
compares what both logged through MLflow's client.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import mlflow
import pandas as pd
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

PROJECT = Path(os.environ.get("ITERATE_PROJECT") or Path(__file__).parents[2] / "example_project")


@dataclass(frozen=True)
class Logged:
    """What one way of starting the project logged."""

    uri: str
    client: MlflowClient
    run: Run

    @property
    def params(self) -> dict[str, str]:
        # `mlflow run` logs its parameters as they stand in the shell's command, with their quotes.
        return {name: "".join(shlex.split(value)) for name, value in self.run.data.params.items()}

    @property
    def metrics(self) -> dict[str, list[tuple[int, float]]]:
        run_id = self.run.info.run_id
        histories = {name: self.client.get_metric_history(run_id, name) for name in self.run.data.metrics}
        # MLflow 3 writes a point again when a model is logged after it.
        return {
            name: sorted({(point.step, point.value) for point in points})
            for name, points in histories.items()
        }

    @property
    def artifacts(self) -> dict[str, int]:
        found, waiting = {}, [""]
        while waiting:
            for file in self.client.list_artifacts(self.run.info.run_id, waiting.pop()):
                if file.is_dir:
                    waiting.append(file.path)
                else:
                    found[file.path] = file.file_size
        return found

    def text(self, path: str) -> str:
        return Path(self.client.download_artifacts(self.run.info.run_id, path)).read_text()


def launch(directory: Path, *command: str) -> Logged:
    """Starts a copy of the project against a store of its own."""
    project, uri = directory / "project", (directory / "store").as_uri()
    shutil.copytree(PROJECT, project)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    env = {**os.environ, "PATH": path, "MLFLOW_TRACKING_URI": uri, "MLFLOW_ALLOW_FILE_STORE": "true"}
    done = subprocess.run(command, cwd=project, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    client = MlflowClient(tracking_uri=uri, registry_uri=uri)
    (run,) = client.search_runs(["0"])
    return Logged(uri, client, run)


@pytest.fixture(scope="module", autouse=True)
def file_store_allowed() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
        yield


@pytest.fixture(scope="module")
def fluent(tmp_path_factory: pytest.TempPathFactory) -> Logged:
    return launch(tmp_path_factory.mktemp("fluent"), "python", "iterate.py", "-i", "10")


@pytest.fixture(scope="module")
def mlflow_run(tmp_path_factory: pytest.TempPathFactory) -> Logged:
    command = ["mlflow", "run", ".", "-P", "index=10", "--env-manager=local"]
    return launch(tmp_path_factory.mktemp("mlflow_run"), *command)


@pytest.fixture(params=["fluent", "mlflow_run"])
def logged(request: pytest.FixtureRequest) -> Iterator[Logged]:
    """Each of both, with its store active."""
    one: Logged = request.getfixturevalue(request.param)
    before = mlflow.get_tracking_uri(), mlflow.get_registry_uri()
    mlflow.set_tracking_uri(one.uri)
    mlflow.set_registry_uri(one.uri)
    yield one
    mlflow.set_tracking_uri(before[0])
    mlflow.set_registry_uri(before[1])


def test_both_runs_finished(fluent: Logged, mlflow_run: Logged) -> None:
    assert [fluent.run.info.status, mlflow_run.run.info.status] == ["FINISHED", "FINISHED"]


def test_both_log_the_same_params(fluent: Logged, mlflow_run: Logged) -> None:
    assert fluent.params["index"] == "10"
    assert fluent.params == mlflow_run.params


def test_both_log_the_same_metrics(fluent: Logged, mlflow_run: Logged) -> None:
    assert fluent.metrics == {"current_iter": [(i, float(i)) for i in range(10)]}
    assert fluent.metrics == mlflow_run.metrics


def test_both_log_the_same_artifacts(fluent: Logged, mlflow_run: Logged) -> None:
    log = "log_dir/log_file.txt"
    assert log in fluent.artifacts
    assert fluent.artifacts.keys() == mlflow_run.artifacts.keys()
    assert fluent.text(log) == mlflow_run.text(log) == "".join(f"{i}\n" for i in range(10))


def test_the_model_registers_loads_and_predicts(logged: Logged) -> None:
    version = mlflow.register_model(f"runs:/{logged.run.info.run_id}/iterate_model", "iterate")
    assert version.status == "READY"
    model = mlflow.pyfunc.load_model(f"models:/iterate/{version.version}")
    assert model.predict(pd.DataFrame({"index": [3, 7]}))["last"].tolist() == [2, 6]
