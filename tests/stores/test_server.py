"""`--mlflow-store=server`: a real `mlflow server`, its launches apart from each other, and its end."""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from pytest_mlflow_check.core.errors import UserError
from pytest_mlflow_check.core.store import Store
from pytest_mlflow_check.runtime.sandbox.environment import HERE, launch_environment
from pytest_mlflow_check.stores.readers import read_store
from pytest_mlflow_check.stores.relocate import relocate_fetched
from pytest_mlflow_check.stores.server import Server, _free_port
from support.sessions import outcome, run_session

LOG = """
import mlflow, sys
from mlflow import MlflowClient

class Model(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        return model_input

client = MlflowClient()
assert [one.name for one in client.search_experiments()] == ["Default"]
assert client.search_registered_models() == []
print(client.create_experiment("x"))
mlflow.set_experiment("x")
with mlflow.start_run():
    mlflow.log_param("of", sys.argv[1])
    mlflow.log_text("hello", "a folder/ü.txt")
    mlflow.pyfunc.log_model("m", python_model=Model(), registered_model_name="m", pip_requirements=[])
mlflow.set_experiment("Default")
with mlflow.start_run():
    mlflow.log_text("hello", "file.txt")
"""

HOLDING = """
import sys, threading
from pathlib import Path
from pytest_mlflow_check.stores.server import Server

area, root = map(Path, sys.argv[1:])
with Server(area, None).open_store(root, check=lambda: None) as opened:
    print(opened.store.address, flush=True)
    threading.Event().wait()
"""


@pytest.fixture
def server(tmp_path: Path, template: Path) -> Iterator[Callable[[], Server]]:
    """Makes a process's way to the server of the test's session."""
    made = []

    def make() -> Server:
        made.append(Server(tmp_path / "area", lambda: template))
        return made[-1]

    yield make
    for one in made:
        one.stop()


def nothing_to_check() -> None:
    """Nobody ends the waiting."""


def logged(server: Server, launch: Path, **base: str) -> tuple[str, str]:
    """Launches the script; gives the address of the server, and the id of the new experiment."""
    stand = launch / "workspace"
    stand.mkdir(parents=True)
    with server.open_store(launch / "store", check=nothing_to_check) as open_store:
        env = launch_environment(open_store.store, root=stand, copy=stand, base={**os.environ, **base})
        command = [sys.executable, "-c", LOG, launch.name]
        done = subprocess.run(command, cwd=stand, env=env, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        open_store.fetch()
    return open_store.store.address, done.stdout.split()[0]


def servers(session_dir: Path) -> list[str]:
    """The command lines of the processes that know a directory."""
    listed = subprocess.run(["ps", "-ewwo", "args"], capture_output=True, text=True, check=True)
    return [line for line in listed.stdout.splitlines() if str(session_dir) in line]


def none_left(session_dir: Path) -> bool:
    """Waits until no process knows the directory, as long as that may take on a busy machine."""
    end = time.monotonic() + 60
    while servers(session_dir) and time.monotonic() < end:
        os.sched_yield()
    return not servers(session_dir)


@pytest.mark.launch
def test_a_port_that_is_taken_in_between(
    tmp_path: Path, server: Callable[[], Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server((HERE, 0)) as taken:
        ports = iter([taken.getsockname()[1], _free_port()])
        monkeypatch.setattr("pytest_mlflow_check.stores.server._free_port", lambda: next(ports))
        with server().open_store(tmp_path / "store", check=nothing_to_check) as handle:
            assert handle.store.address != f"http://{HERE}:{taken.getsockname()[1]}"


@pytest.mark.launch
def test_two_launches_at_one_server_both_find_it_empty(tmp_path: Path, server: Callable[[], Server]) -> None:
    one, other = server(), server()
    # No proxy of the user's stands between.
    proxies = dict.fromkeys(("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"), "http://127.0.0.1:9")
    first = logged(one, tmp_path / "first", **proxies)
    second = logged(other, tmp_path / "second")
    assert first == second
    for name in ("first", "second"):
        store = Store("sqlite", tmp_path / name / "store")
        record = read_store(store)
        runs = {run.experiment: run for run in record.runs}
        assert {key: list(run.artifacts) for key, run in runs.items()} == {
            "x": ["a folder/ü.txt"],
            "Default": ["file.txt"],
        }
        assert runs["x"].params == {"of": name}
        assert runs["x"].models["m"].flavors == ("python_function",)
        assert runs["x"].models["m"].path.is_relative_to(store.artifact_root)
        for artifact in (*runs["x"].artifacts.values(), *runs["Default"].artifacts.values()):
            assert artifact.file.is_relative_to(store.artifact_root)
            assert artifact.file.read_text() == "hello"
        assert [(one.name, [v.version for v in one.versions]) for one in record.registered_models] == [
            ("m", ["1"])
        ]
    one.stop()
    assert servers(tmp_path), "the other one uses it"
    other.stop()
    assert none_left(tmp_path)


@pytest.mark.heavy
def test_where_a_process_is_killed_in_the_middle_nobody_finds_what_it_left(
    tmp_path: Path, server: Callable[[], Server]
) -> None:
    own = server()
    with own.open_store(tmp_path / "first", check=nothing_to_check) as open_store:
        before = open_store.store.address
    holding = subprocess.Popen(
        [sys.executable, "-c", HOLDING, str(tmp_path / "area"), str(tmp_path / "second")],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holding.stdout is not None
    with holding:
        assert holding.stdout.readline().strip() == before
        holding.kill()
    with own.open_store(tmp_path / "third", check=nothing_to_check) as open_store:
        assert open_store.store.address != before
    own.stop()
    assert none_left(tmp_path)


@pytest.mark.heavy
def test_with_who_started_it_killed_the_server_ends(tmp_path: Path, template: Path) -> None:
    code = HOLDING.replace("None)", "lambda: Path(sys.argv[3]))").replace("= map", ", _ = map")
    command = [sys.executable, "-c", code, *map(str, (tmp_path / "area", tmp_path / "store", template))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holding:
        assert holding.stdout is not None
        assert holding.stdout.readline().startswith("http://127.0.0.1:")
        holding.send_signal(signal.SIGKILL)
    assert none_left(tmp_path)


def test_a_server_that_does_not_start_is_a_clear_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "mlflow.py").write_text("raise ImportError('no such thing')")
    monkeypatch.setenv("PYTHONPATH", str(broken))
    server = Server(tmp_path / "area", lambda: small_template(tmp_path))
    with (
        pytest.raises(UserError, match="`mlflow server` for --mlflow-store=server ended before") as failure,
        server.open_store(tmp_path / "store", check=nothing_to_check),
    ):
        pass
    assert "use --mlflow-store=sqlite, or fix the installation" in str(failure.value)
    assert "ImportError: no such thing" in str(failure.value)
    assert none_left(tmp_path / "area")


class Ended(Exception):
    """As `processes.Stopped`."""


def test_nobody_waits_for_a_server_when_all_is_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stuck = tmp_path / "stuck"
    stuck.mkdir()
    (stuck / "mlflow.py").write_text("import threading; threading.Event().wait()")
    monkeypatch.setenv("PYTHONPATH", str(stuck))
    server = Server(tmp_path / "area", lambda: small_template(tmp_path))
    looks: list[Any] = []

    def check() -> None:
        looks.append(servers(tmp_path / "area"))
        if looks[-1]:
            raise Ended

    with pytest.raises(Ended), server.open_store(tmp_path / "store", check=check):
        pass
    assert none_left(tmp_path / "area")


def small_template(directory: Path) -> Path:
    """As much of one as is touched before the server starts."""
    template = directory / "template.db"
    with closing(sqlite3.connect(template)) as database, database:
        database.execute("CREATE TABLE experiments (experiment_id INTEGER, artifact_location TEXT)")
        database.execute("CREATE TABLE experiment_tags (key TEXT, value TEXT, experiment_id INTEGER)")
    return template


def test_artifacts_that_went_through_the_server_are_named_where_they_lie(tmp_path: Path) -> None:
    store = Store("sqlite", tmp_path)
    places = {
        "mlflow-artifacts:/0/r/artifacts": store.artifact_root.as_uri() + "/0/r/artifacts",
        "mlflow-artifacts:/a%20b": store.artifact_root.as_uri() + "/a%20b",
        "s3://bucket/x": "s3://bucket/x",
        "/elsewhere": "/elsewhere",
    }
    with closing(sqlite3.connect(store.database)) as database, database:
        database.execute("CREATE TABLE runs (artifact_uri TEXT)")
        database.executemany("INSERT INTO runs VALUES (?)", [(place,) for place in places])
    relocate_fetched(store)
    with closing(sqlite3.connect(store.database)) as database:
        assert [row for (row,) in database.execute("SELECT * FROM runs")] == list(places.values())


@pytest.mark.heavy
@pytest.mark.parametrize("workers", ["0", "2"])
def test_the_reference_project(tmp_path: Path, workers: str) -> None:
    options = ("--mlflow-project=example_project", "--mlflow-store=server", "--mlflow-strict", "-n", workers)
    output, report = run_session(tmp_path, *options)
    assert outcome(report) == {"example_project": {}}, output
    assert [(suite.get("tests"), suite.get("skipped")) for suite in report.iter("testsuite")] == [("5", "0")]
    assert len([*(tmp_path / "base" / "mlflow-check" / "server").glob("server-*")]) == 1
    assert none_left(tmp_path)
