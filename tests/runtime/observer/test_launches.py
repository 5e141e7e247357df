"""The observer and the guard with the real MLflow: what whole scripts are seen to do, and where."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Protocol

import pytest

from pytest_mlflow_check.core.records import StoreRecord
from pytest_mlflow_check.core.store import Store
from pytest_mlflow_check.runtime.observer.inject import observed
from pytest_mlflow_check.runtime.observer.read_calls import read_observations
from pytest_mlflow_check.runtime.sandbox.environment import interpreter_directory, launch_environment
from pytest_mlflow_check.stores.readers import read_store
from support.observing import afterwards

pytestmark = pytest.mark.launch

MLFLOW = interpreter_directory() / "mlflow"


class Ran:
    """A script that ran observed: its output, what was seen of it, and what it logged."""

    def __init__(self, done: subprocess.CompletedProcess[str], script: str, area: Path, store: Store) -> None:
        self.code, self.stdout, self.stderr = done.returncode, done.stdout, done.stderr
        self.observations = read_observations(area / "calls.jsonl")
        self.store: StoreRecord = read_store(store)
        self._script = script

    def seen(self, *kinds: str) -> list[tuple[str, str, str | None, int | None, str, str | None]]:
        return [
            (call.what, call.key, call.value, call.step, call.by, call.source_line)
            for call in self.observations
            if not kinds or call.what in kinds
        ]

    def at(self, text: str) -> str:
        """The place of the script's only line that contains a text."""
        (number,) = (n for n, line in enumerate(self._script.splitlines(), 1) if text in line)
        return f"train.py:{number}"


class Run(Protocol):
    """What the fixture `run` gives."""

    def __call__(
        self,
        script: str,
        *,
        files: Mapping[str, str] | None = None,
        block: bool = False,
        command: list[str] | None = None,
    ) -> Ran:
        """Runs a script as `train.py` of a project in a workspace."""


@pytest.fixture(params=["from the start", "afterwards"])
def run(tmp_path: Path, request: pytest.FixtureRequest) -> Run:
    """Runs scripts observed, each in a workspace and with a store of its own: in processes that are observed
    from their start, and in such as are only when they have loaded MLflow."""

    def start(
        script: str,
        *,
        files: Mapping[str, str] | None = None,
        block: bool = False,
        command: list[str] | None = None,
    ) -> Ran:
        root, project = tmp_path / "ws", tmp_path / "ws" / "proj"
        for name, text in {"train.py": script, **(files or {})}.items():
            (project / name).parent.mkdir(parents=True, exist_ok=True)
            (project / name).write_text(text)
        store = Store("file", tmp_path / "store")
        env = observed(
            launch_environment(store, root=root, copy=root),
            place=tmp_path,
            file=tmp_path / "calls.jsonl",
            directory=project,
            root=root,
            uri=store.uri,
            block=block,
        )
        command = command or [sys.executable, "train.py"]
        if request.param == "afterwards":
            command, env = afterwards(command[command[0] == sys.executable :], env)
        done = subprocess.run(
            command,
            cwd=project,
            env=env,
            capture_output=True,
            text=True,
            timeout=300,
        )
        return Ran(done, script, tmp_path, store)

    return start


EVERYTHING = """\
import sys
import mlflow
from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag

sys.path.insert(0, "../lib")
import net

mlflow.set_experiment("exp")
mlflow.log_param("implicit", "x")
mlflow.end_run()
mlflow.end_run()
with mlflow.start_run(run_name="outer") as outer:
    mlflow.log_param("p", 1)
    mlflow.log_params({"q": 0.5, "r": None})
    mlflow.log_metric("left out", 0.5)
    mlflow.log_metric("given", 0.5, step=0)
    mlflow.log_metric("positional", 0.5, 7)
    mlflow.log_metrics({"many": 1.0, "more": 2}, step=3)
    mlflow.log_metrics({"many without": 1.0})
    mlflow.log_metric("later", 1.0, step=1, synchronous=False).wait()
    net.callback()
    mlflow.set_tag("t", "v")
    mlflow.set_tags({"u": 1})
    mlflow.log_artifact("data/a.txt")
    mlflow.log_artifact("data", "below")
    mlflow.log_artifacts("data", "all/of/it")
    mlflow.log_artifacts("data")
    mlflow.log_text("hello", "texts/hello.txt")
    mlflow.log_dict({"a": 1}, "d.json")
    mlflow.log_input(
        mlflow.data.from_numpy(__import__("numpy").zeros(3), name="zeros"),
        context="training",
    )
    with mlflow.start_run(nested=True, run_name="inner"):
        mlflow.log_param("p", 2)
    try:
        mlflow.log_param("p", "again")
    except mlflow.MlflowException as error:
        print("refused")
client = MlflowClient()
made = client.create_run("0", run_name="made")
run_id = made.info.run_id
client.log_metric(run_id, "c left out", 1.0, 1234)  # the fourth is the time
client.log_metric(run_id, "c given", 1.0, step=2)
client.log_param(run_id, key="c p", value="v")
client.log_batch(run_id, [Metric("bm", 1.5, 1, 4)], [Param("bp", "v")], [RunTag("bt", "v")])
client.set_tag(run_id, "c t", "v")
client.set_terminated(run_id, "FAILED")
with mlflow.start_run(run_name="models"):
    info = mlflow.pyfunc.log_model("m", python_model=net.Model(), registered_model_name="reg")
    mlflow.register_model(info.model_uri, "reg")
mlflow.start_run(run_name="open")
"""

NET = """\
import mlflow

class Model(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input):
        return model_input

def callback():
    mlflow.log_metric("elsewhere", 1.0, step=5)
"""


def test_everything_once(run: Run) -> None:
    ran = run(EVERYTHING, files={"../lib/net.py": NET, "data/a.txt": "a", "data/b.txt": "b"})
    assert ran.code == 0, ran.stderr
    assert ran.stdout.startswith("refused\n")
    at = ran.at

    def code(what: str, key: str, value: str | None, step: int | None, text: str) -> tuple[object, ...]:
        return what, key, value, step, "code", at(text)

    found = ran.seen()
    names = {call.run_id: call.key for call in ran.observations if call.what in ("start_run", "create_run")}
    invented = next(key for what, key, *_ in found if what == "start_run")
    expected = [
        code("set_experiment", "exp", None, None, 'set_experiment("exp")'),
        code("log_param", "implicit", "x", None, '"implicit"'),
        code("start_run", invented, None, None, '"implicit"'),
        ("end_run", "", "FINISHED", None, "code", "train.py:11"),
        code("start_run", "outer", "outer", None, '"outer"'),
        code("enter_run", "outer", None, None, '"outer"'),
        code("log_param", "p", "1", None, '"p", 1'),
        code("log_param", "q", "0.5", None, '"q"'),
        code("log_param", "r", None, None, '"q"'),
        code("log_metric", "left out", "0.5", None, '"left out"'),
        code("log_metric", "given", "0.5", 0, '"given"'),
        code("log_metric", "positional", "0.5", 7, '"positional"'),
        code("log_metric", "many", "1.0", 3, '"many"'),
        code("log_metric", "more", "2", 3, '"many"'),
        code("log_metric", "many without", "1.0", None, '"many without"'),
        code("log_metric", "later", "1.0", 1, '"later"'),
        ("log_metric", "elsewhere", "1.0", 5, "code", "../lib/net.py:8"),
        code("set_tag", "t", "v", None, 'set_tag("t"'),
        code("set_tag", "u", "1", None, 'set_tags({"u"'),
        code("log_artifact", "a.txt", "data/a.txt", None, "data/a.txt"),
        code("log_artifacts", "below/data", "data", None, '"below"'),
        code("log_artifacts", "all/of/it", "data", None, "all/of/it"),
        code("log_artifacts", "", "data", None, 'log_artifacts("data")'),
        code("log_artifact", "texts/hello.txt", None, None, "hello.txt"),
        code("log_artifact", "d.json", None, None, "d.json"),
        code("log_input", "zeros", "training", None, "mlflow.log_input("),
        code("start_run", "inner", "inner", None, '"inner"'),
        code("enter_run", "inner", None, None, '"inner"'),
        code("log_param", "p", "2", None, '"p", 2'),
        code("end_run", "", "FINISHED", None, '"inner"'),
        code("log_param", "p", "again", None, '"again"'),
        code("raised", "log_param", "MlflowException", None, '"again"'),
        code("end_run", "", "FINISHED", None, '"outer"'),
        code("create_run", "made", "made", None, '"made"'),
        code("log_metric", "c left out", "1.0", None, '"c left out"'),
        code("log_metric", "c given", "1.0", 2, '"c given"'),
        code("log_param", "c p", "v", None, '"c p"'),
        code("log_metric", "bm", "1.5", 4, '"bm"'),
        code("log_param", "bp", "v", None, '"bm"'),
        code("set_tag", "bt", "v", None, '"bm"'),
        code("set_tag", "c t", "v", None, '"c t"'),
        code("end_run", "", "FAILED", None, '"FAILED"'),
        code("start_run", "models", "models", None, '"models"'),
        code("enter_run", "models", None, None, '"models"'),
        code("log_model", "m", "mlflow.pyfunc", None, "log_model("),
        code("register_model", "reg", None, None, "log_model("),
        code("register_model", "reg", None, None, "mlflow.register_model("),
        code("end_run", "", "FINISHED", None, '"models"'),
        code("start_run", "open", "open", None, '"open"'),
        ("end_run", "", "FINISHED", None, "exit", None),
    ]
    # A model's URI holds its id, and what was raised a long text.
    seen = {"register_model": lambda _: None, "raised": lambda value: value.partition(":")[0]}
    assert [(w, k, seen.get(w, str)(v) if v else v, *rest) for w, k, v, *rest in found] == expected
    runs = {call.key: names[call.run_id] for call in ran.observations if call.what == "log_metric"}
    assert runs == {
        **dict.fromkeys(
            ["left out", "given", "positional", "many", "more", "many without", "later", "elsewhere"], "outer"
        ),
        **dict.fromkeys(["c left out", "c given", "bm"], "made"),
    }
    assert [names.get(call.run_id) for call in ran.observations if call.key == "p"] == [
        "outer",
        "inner",
        "outer",
    ]
    assert names[ran.observations[-1].run_id] == "open"
    # What is logged is as ever.
    (outer,) = (each for each in ran.store.runs if each.name == "outer")
    assert outer.params == {"p": "1", "q": "0.5", "r": "None"}
    assert outer.metrics["left out"].steps.tolist() == [0]
    assert set(outer.artifacts) >= {"a.txt", "below/data/b.txt", "all/of/it/b.txt", "texts/hello.txt"}


PROCESSES = """\
import multiprocessing, os, subprocess, sys, threading
from concurrent.futures import ThreadPoolExecutor
import mlflow

def work(run_id, key):
    mlflow.MlflowClient().log_metric(run_id, key, 1.0, step=1)  # worker

def leave(run_id):
    for _ in range(3):
        mlflow.MlflowClient().log_metric(run_id, "left", 1.0)  # leaving
    os._exit(0)

if __name__ == "__main__":
    with mlflow.start_run() as run:
        run_id = run.info.run_id
        thread = threading.Thread(target=work, args=(run_id, "thread"))
        thread.start()
        thread.join()
        for kind in ("fork", "spawn"):
            context = multiprocessing.get_context(kind)
            process = context.Process(target=work, args=(run_id, kind))
            process.start()
            process.join()
            assert process.exitcode == 0
        process = multiprocessing.get_context("fork").Process(target=leave, args=(run_id,))
        process.start()
        process.join()
        code = f"import mlflow; mlflow.MlflowClient().log_metric({run_id!r}, 'child', 1.0, step=1)"
        subprocess.run([sys.executable, "-c", code], check=True)
        with ThreadPoolExecutor(2) as pool:
            pool.submit(mlflow.MlflowClient().log_metric, run_id, "pool", 1.0).result()
        for number in range(20):
            mlflow.log_metric("async", number, step=number, synchronous=False)  # asynchronous
        mlflow.flush_async_logging()
"""


def test_processes_and_threads(run: Run) -> None:
    ran = run(PROCESSES)
    assert ran.code == 0, ran.stderr
    found = ran.seen("log_metric")
    worker = ran.at("# worker")
    for key in ("thread", "fork", "spawn"):
        assert ("log_metric", key, "1.0", 1, "code", worker) in found
    assert found.count(("log_metric", "left", "1.0", None, "code", ran.at("# leaving"))) == 3
    # No line of the workspace leads there.
    assert ("log_metric", "child", "1.0", 1, "code", None) in found
    assert ("log_metric", "pool", "1.0", None, "code", None) in found
    points = [row for row in found if row[1] == "async"]
    assert [row[3] for row in points] == list(range(20))
    assert {row[5] for row in points} == {ran.at("# asynchronous")}
    assert len(found) == 28
    assert len({call.process for call in ran.observations}) == 5
    assert len(ran.store.runs) == 1
    assert len(ran.store.runs[0].metrics) == 7


STARTS = """\
import mlflow

with mlflow.start_run() as parent:
    mlflow.start_run(nested=True)
    mlflow.end_run()
mlflow.log_metric("after", 1.0)
mlflow.end_run()
mlflow.start_run(run_id=parent.info.run_id, nested=False)
"""


def test_how_runs_were_started(run: Run) -> None:
    ran = run(STARTS)
    assert ran.code == 0, ran.stderr
    starts = [call for call in ran.observations if call.what == "start_run"]
    assert [(call.options, call.source_line) for call in starts] == [
        ((), "train.py:3"),
        (("nested",), "train.py:4"),
        (("implicit",), "train.py:6"),
        (("run_id",), "train.py:8"),
    ]


AUTOLOGGING = """\
import mlflow
import numpy as np
from sklearn.linear_model import LinearRegression

mlflow.sklearn.autolog(log_models=False)
LinearRegression().fit(np.arange(8.0).reshape(4, 2), np.arange(4.0))
mlflow.sklearn.autolog(disable=True)
mlflow.autolog(silent=True)
"""


@pytest.mark.skipif(importlib.util.find_spec("sklearn") is None, reason="needs scikit-learn")
def test_autologging(run: Run) -> None:
    ran = run(AUTOLOGGING)
    assert ran.code == 0, ran.stderr
    assert ran.seen("autolog") == [
        ("autolog", "sklearn", None, None, "code", "train.py:5"),
        ("autolog", "sklearn", "disable", None, "code", "train.py:7"),
        ("autolog", "mlflow", None, None, "code", "train.py:8"),
    ]
    found = [row for row in ran.seen() if row[0] != "autolog"]
    assert {(row[4], row[5]) for row in found} == {("autologging", "train.py:6")}
    (logged,) = ran.store.runs
    assert {row[1] for row in found if row[0] == "log_param"} == set(logged.params) != set()
    assert {row[1] for row in found if row[0] == "log_metric"} == set(logged.metrics) != set()
    assert [row[0] for row in found if row[0].endswith("_run")] == ["start_run", "end_run"]


GUARDED = """\
import os
from pathlib import Path
import mlflow
from mlflow import MlflowClient
from mlflow.tracking import _tracking_service

own = mlflow.get_tracking_uri()
server = "{server}".replace("http://", "http://user:s3cr3t-w0rd@")
mlflow.set_tracking_uri(server)  # setter
mlflow.set_registry_uri(server)  # registry
mlflow.set_tracking_uri("databricks")
mlflow.set_tracking_uri(Path("mlruns"))
mlflow.set_tracking_uri("")
mlflow.set_tracking_uri(None)
mlflow.set_tracking_uri(own)
mlflow.set_tracking_uri(own.replace("file://", ""))  # another form
mlflow.set_tracking_uri(own)
client = MlflowClient(server)  # positional
client = MlflowClient(tracking_uri=server, registry_uri="sqlite:///r.db")  # both
try:
    from dotenv import load_dotenv
    load_dotenv(override=True)  # dotenv
except ImportError:
    os.environ["MLFLOW_TRACKING_URI"] = "{server}"  # dotenv
_tracking_service.utils._get_store(server)  # door
_tracking_service.utils._get_store(server)
mlflow.tracking._model_registry.utils._get_store(None, server)  # other door
experiment = mlflow.create_experiment("far", artifact_location="s3://bucket/x")  # location
mlflow.set_experiment("far")
os.environ.pop("MLFLOW_TRACKING_URI")
os.environ.pop("MLFLOW_REGISTRY_URI")
with mlflow.start_run():
    mlflow.log_metric("m", 1.0, step=0)
    mlflow.log_text("x", "x.txt")
client.create_registered_model("reg")
assert mlflow.get_tracking_uri() == own, mlflow.get_tracking_uri()
assert mlflow.get_registry_uri() == own, mlflow.get_registry_uri()
"""


class Server:
    """A server on loopback that counts requests."""

    def __init__(self) -> None:
        self.requests: list[str] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def handle(self) -> None:
                outer.requests.append("connection")
                super().handle()

            def log_message(self, *_: object) -> None:
                pass

        self.http = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"
        Thread(target=self.http.serve_forever, daemon=True).start()


@pytest.fixture
def server() -> Server:
    """Closed when the test is over."""
    one = Server()
    try:
        yield one  # type: ignore[misc]
    finally:
        one.http.shutdown()
        one.http.server_close()


def test_guard_leads_everything_back(run: Run, server: Server) -> None:
    files = {".env": f"MLFLOW_TRACKING_URI={server.url}\n"}
    ran = run(GUARDED.replace("{server}", server.url), files=files)
    assert ran.code == 0, ran.stderr
    assert server.requests == []
    at, shown = ran.at, server.url.replace("http://", "http://user:***@")
    dotenv = "train.py:22" if importlib.util.find_spec("dotenv") else "train.py:24"
    utils = "mlflow.tracking._tracking_service.utils._get_store"
    found = [(call.key, call.value, call.source_line) for call in ran.observations if call.what == "redirect"]
    mlruns = re.sub(r".*/ws/", "…/ws/", found[3][0])
    found[3] = (mlruns, *found[3][1:])
    assert found == [
        (shown, "mlflow.set_tracking_uri", at("# setter")),
        (shown, "mlflow.set_registry_uri", at("# registry")),
        ("databricks", "mlflow.set_tracking_uri", at('"databricks"')),
        ("…/ws/proj/mlruns", "mlflow.set_tracking_uri", at('Path("mlruns")')),
        (shown, "MlflowClient(tracking_uri=…)", at("# positional")),
        (shown, "MlflowClient(tracking_uri=…)", at("# both")),
        ("sqlite:///r.db", "MlflowClient(registry_uri=…)", at("# both")),
        (server.url, 'os.environ["MLFLOW_TRACKING_URI"]', dotenv),
        (shown, utils, at("# door")),
        (shown, "mlflow.tracking._model_registry.utils._get_store", at("# other door")),
        ("s3://bucket/x", "create_experiment(artifact_location=…)", at("# location")),
    ]
    # No word alone: MLflow makes run names such as "secretive-cat-886".
    assert "s3cr3t-w0rd" not in "".join(f"{call.key}{call.value}" for call in ran.observations)
    (logged,) = ran.store.runs
    assert (logged.experiment, set(logged.metrics), set(logged.artifacts)) == ("far", {"m"}, {"x.txt"})
    assert [model.name for model in ran.store.registered_models] == ["reg"]


@pytest.mark.parametrize(
    "attempt",
    [
        'mlflow.set_tracking_uri("{server}")',
        'mlflow.MlflowClient(registry_uri="{server}")',
        'mlflow.create_experiment("x", artifact_location="s3://u:pw@b")',
    ],
)
def test_blocked_attempt_stops_at_its_line(run: Run, server: Server, attempt: str) -> None:
    attempt = attempt.replace("{server}", server.url.replace("http://", "http://u:pw@"))
    script = f'import mlflow\nprint("before")\n{attempt}\nmlflow.log_param("after", 1)\n'
    ran = run(script, block=True)
    assert (ran.code, ran.stdout) == (1, "before\n")
    message = ran.stderr.strip().splitlines()[-1]
    assert message.startswith('RuntimeError: pytest-mlflow-check: tracking_uri = "block"')
    assert "u:***@" in message
    assert [(call.what, call.source_line) for call in ran.observations] == [("redirect", "train.py:3")]
    assert server.requests == []


MLPROJECT = """\
name: p
entry_points:
  main:
    parameters:
      alpha: {type: float, default: 0.5}
    command: "python train.py {alpha}"
  outer:
    command: "python outer.py"
"""

TRAIN = """\
import sys
import mlflow

with mlflow.start_run():
    mlflow.log_metric("m", float(sys.argv[1]), step=0)
mlflow.start_run()
"""

OUTER = """\
import mlflow

with mlflow.start_run():
    mlflow.run(".", env_manager="local", parameters={"alpha": 2})
"""


@pytest.mark.skipif(shutil.which(str(MLFLOW)) is None, reason="needs the mlflow command")
def test_mlflow_run_is_told_apart(run: Run) -> None:
    command = [str(MLFLOW), "run", ".", "--env-manager=local", "-e", "outer"]
    ran = run(TRAIN, files={"MLproject": MLPROJECT, "outer.py": OUTER}, command=command)
    assert ran.code == 0, ran.stderr
    by_itself = [row for row in ran.seen() if row[4] == "mlflow-run"]
    assert {row[5] for row in by_itself if row[0] == "create_run"} == {None, "outer.py:4"}
    assert [row[5] for row in by_itself if row[0:3] == ("log_param", "alpha", "2")] == ["outer.py:4"]
    assert [(row[4], row[5]) for row in ran.seen("run_project")] == [
        ("mlflow-run", None),
        ("code", "outer.py:4"),
    ]
    assert ran.seen("log_metric") == [("log_metric", "m", "2.0", 0, "code", "train.py:5")]
    assert [row[5] for row in ran.seen("enter_run")] == ["outer.py:3", "train.py:4"]
    assert [(row[4], row[5]) for row in ran.seen("end_run")] == [
        ("code", "train.py:4"),
        ("exit", None),
        ("mlflow-run", "outer.py:4"),
        ("code", "outer.py:3"),
        ("mlflow-run", None),
    ]
    assert not ran.seen("redirect")
    # The same runs, seen from the store: the inner one, the one of `mlflow run`, the one never ended.
    assert len(ran.store.runs) == 3
    assert {call.run_id for call in ran.observations if call.run_id} == {
        each.run_id for each in ran.store.runs
    }
