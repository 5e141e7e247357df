"""The guard in a launch's processes, however they are started: nothing reaches another server."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

import pytest_mlflow_check
from pytest_mlflow_check.core.store import Store
from pytest_mlflow_check.runtime.observer.inject import observed
from pytest_mlflow_check.runtime.observer.read_calls import read_observations
from pytest_mlflow_check.runtime.observer.read_processes import read_processes
from pytest_mlflow_check.runtime.sandbox.environment import launch_environment

pytestmark = pytest.mark.mlflow

TRAIN = """
import sys, mlflow
mlflow.set_tracking_uri(sys.argv[1])
with mlflow.start_run():
    mlflow.log_metric("loss", 1.0)
"""


@dataclass
class Server:
    """A real server that answers everything with an empty object, and keeps what it was asked."""

    uri: str
    requests: list[str] = field(default_factory=list)


@pytest.fixture
def server() -> Iterator[Server]:
    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            known.requests.append(f"{self.command} {self.path}")
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _answer

        def log_message(self, *_: object) -> None:
            pass

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    known = Server(f"http://127.0.0.1:{listening.server_port}")
    serving = threading.Thread(target=listening.serve_forever)
    serving.start()
    yield known
    listening.shutdown()
    serving.join()
    listening.server_close()


@dataclass
class Launch:
    """A place in which scripts are started as in a launch."""

    directory: Path

    @property
    def workspace(self) -> Path:
        return self.directory / "workspace"

    @property
    def store(self) -> Store:
        return Store("file", self.directory / "store")

    def run(self, command: str, *arguments: str, observe: bool = True) -> subprocess.CompletedProcess[str]:
        """Starts a shell's command, in which `$1` and so on are the arguments."""
        env = observed(
            launch_environment(self.store, root=self.workspace, copy=self.workspace),
            place=self.directory,
            file=self.directory / "calls.jsonl",
            directory=self.workspace,
            root=self.workspace,
            uri=self.store.uri,
            block=False,
            observe=observe,
        )
        return subprocess.run(
            ["bash", "-c", command, "bash", *arguments],
            cwd=self.workspace,
            env=env,
            capture_output=True,
            text=True,
            check=False,
        )

    @property
    def redirects(self) -> list[tuple[str, str | None]]:
        calls = read_observations(self.directory / "calls.jsonl")
        return [(call.key, call.source_line) for call in calls if call.what in ("redirect", "refused")]


@pytest.fixture
def launch(tmp_path: Path) -> Launch:
    place = Launch(tmp_path / "attempt-1")
    place.workspace.mkdir(parents=True)
    (place.workspace / "train.py").write_text(TRAIN)
    return place


CHILD = (
    "import os, subprocess, sys\nsubprocess.run([sys.executable, *{options}, 'train.py', sys.argv[1]], {env})"
)


@pytest.mark.parametrize(
    "command",
    [
        "PYTHONPATH=src python train.py $1",
        "unset PYTHONPATH; python train.py $1",
        "make -s URI=$1",
        "env -i PATH=$PATH python train.py $1",
        "cd / && env -i PATH=$PATH python $OLDPWD/train.py $1",
        "python -I train.py $1",
        "python -E train.py $1",
        "python without_environment.py $1",
    ],
)
def test_a_command_that_drops_variables_is_guarded(command: str, launch: Launch, server: Server) -> None:
    (launch.workspace / "Makefile").write_text("export PYTHONPATH := src\nall:\n\tpython train.py $(URI)\n")
    (launch.workspace / "without_environment.py").write_text(
        CHILD.format(options=[], env='env={"PATH": os.environ["PATH"]}')
    )
    ended = launch.run(command, server.uri)
    assert ended.returncode == 0, ended.stderr
    assert server.requests == []
    assert launch.redirects == [(server.uri, "train.py:3")]
    assert any(process.loaded_mlflow and process.observed for process in read_processes(launch.directory))


def test_without_site_it_is_guarded_and_not_observed(launch: Launch, server: Server) -> None:
    # Two places where the plugin is installed in editable mode, by a `.pth` file that isn't read here.
    packages = [str(Path(module.__file__ or "").parents[1]) for module in (pytest, pytest_mlflow_check)]
    (launch.workspace / "late.py").write_text(f"import sys\nsys.path += {packages}\n{TRAIN}")
    ended = launch.run("python -S late.py $1", server.uri)
    assert ended.returncode == 0, ended.stderr
    assert server.requests == []
    (process,) = read_processes(launch.directory)
    assert (process.command[1:3], process.observed) == (("-S", "late.py"), False)


def test_not_observed_is_guarded_all_the_same(launch: Launch, server: Server) -> None:
    ended = launch.run("python train.py $1", server.uri, observe=False)
    assert ended.returncode == 0, ended.stderr
    assert server.requests == []
    (call,) = read_observations(launch.directory / "calls.jsonl")
    assert (call.what, call.key, call.source_line) == ("redirect", server.uri, "train.py:3")


DOORS = """
import sys, mlflow
from mlflow.store.tracking.rest_store import RestStore
from mlflow.utils.rest_utils import MlflowHostCreds, http_request
uri = sys.argv[1]
creds = MlflowHostCreds(uri)

def refused(function, *arguments, **named):
    try:
        function(*arguments, **named)
    except RuntimeError as error:
        print(str(error).partition(":")[0])

refused(RestStore(lambda: creds).create_experiment, "a")
refused(http_request, creds, "/api/2.0/mlflow/runs/create", "POST", json={})
refused(mlflow.artifacts.download_artifacts, uri + "/api/2.0/mlflow-artifacts/artifacts/1/model")
mlflow.login(interactive=False)
print(http_request(creds, "/endpoints/chat/invocations", "POST", json={}).status_code)
"""


def test_what_is_past_the_stores_is_refused(launch: Launch, server: Server, tmp_path: Path) -> None:
    (launch.workspace / "doors.py").write_text(DOORS)
    (tmp_path / ".databrickscfg").write_text(f"[DEFAULT]\nhost = {server.uri}\ntoken = t\n")
    ended = launch.run(f"HOME={tmp_path} python doors.py $1", server.uri)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.splitlines() == ["pytest-mlflow-check"] * 3 + ["200"]
    # A model that is served is none of MLflow's stores.
    assert server.requests == ["POST /endpoints/chat/invocations"]
    assert [line for _, line in launch.redirects] == ["doors.py:10"] * 3 + ["doors.py:17"]


def test_artifacts_stay_in_the_launch(launch: Launch, tmp_path: Path) -> None:
    elsewhere, inside = tmp_path / "elsewhere", launch.workspace / "artifacts"
    (launch.workspace / "train.py").write_text(
        "import sys, mlflow\n"
        "for number, location in enumerate(sys.argv[1:]):\n"
        "    number = mlflow.create_experiment(str(number), artifact_location=location)\n"
        "    with mlflow.start_run(experiment_id=number):\n"
        "        mlflow.log_text('text', 'file.txt')\n"
    )
    ended = launch.run(
        'python train.py "$@"', elsewhere.as_uri(), str(elsewhere), inside.as_uri(), "relative"
    )
    assert ended.returncode == 0, ended.stderr
    assert not elsewhere.exists()
    assert len(list(launch.workspace.rglob("file.txt"))) == 2
    assert len(list(launch.store.root.rglob("file.txt"))) == 2
    assert launch.redirects == [(elsewhere.as_uri(), "train.py:3"), (str(elsewhere), "train.py:3")]


def test_outside_a_launch_nothing_is_loaded(tmp_path: Path) -> None:
    code = "import sys, mlflow; print('_mlflow_check_observer' in sys.modules)"
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_MLFLOW_CHECK")}
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=env, capture_output=True, text=True, check=True
    )
    assert ended.stdout == "False\n"
