"""The guard without MLflow: what is another store, how its URI is shown, and the environment."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from pytest_mlflow_check.runtime.observer import inject
from pytest_mlflow_check.runtime.observer.read_calls import read_observations
from support.observing import with_own_store

PATH = Path(inject.__file__).with_name("payload")


@pytest.fixture
def inside(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    monkeypatch.syspath_prepend(str(PATH))
    # A recorder looks after the ways to end a process.
    for name in ("_exit", "execv", "execve"):
        monkeypatch.setattr(os, name, getattr(os, name))
    return lambda name: importlib.import_module(f"_mlflow_check_observer.{name}")


@pytest.fixture
def guard(inside: Callable[[str], ModuleType], tmp_path: Path) -> Callable[..., Any]:
    """Makes a guard of a store."""

    def make(uri: str, block: bool = False) -> Any:
        here = str(tmp_path)
        recorder = inside("recorder").Recorder(str(tmp_path / "calls.jsonl"), here, here, here)
        return inside("store_guard").Guard(recorder, uri, here, block)

    return make


def run(code: str, tmp_path: Path, block: bool = False, **env: str) -> subprocess.CompletedProcess[str]:
    """Runs a script whose own store is `file:///own`."""
    (tmp_path / "train.py").write_text(code)
    whole = with_own_store(tmp_path, env, block=block)
    return subprocess.run(
        [sys.executable, "train.py"], cwd=tmp_path, env=whole, capture_output=True, text=True
    )


def redirects(tmp_path: Path) -> list[tuple[str, str | None, str | None]]:
    found = read_observations(tmp_path / "calls.jsonl")
    assert {call.what for call in found} <= {"redirect"}
    return [(call.key, call.value, call.source_line) for call in found]


def test_forms_of_the_own_store(guard: Callable[..., Any], tmp_path: Path) -> None:
    store = tmp_path / "a store"
    own = guard(store.as_uri())
    relative = os.path.relpath(store)
    for uri in (
        store.as_uri(),
        store,
        str(store),
        f"{store}/",
        relative,
        f"file:{store}",
        f"file://localhost{store}",
        f"file:{relative}",
        os.fsencode(store),
        f"{tmp_path}/x/../a store",
    ):
        assert own.is_own(uri), uri
        assert own.lead(uri, "how", None) == uri
    assert own.lead(None, "how", None) == own.lead("", "how", None) == store.as_uri()
    assert redirects(tmp_path) == []


@pytest.mark.parametrize(
    "uri",
    [
        "http://prod:5000",
        "databricks",
        "databricks-uc",
        "file:./mlruns",
        "mlruns",
        "sqlite:///mlflow.db",
        "postgresql://u@h/db",
        Path("mlruns"),
        5,
    ],
)
def test_others(guard: Callable[..., Any], tmp_path: Path, uri: Any) -> None:
    own = guard((tmp_path / "store").as_uri())
    assert own.lead(uri, "how", None) == own.uri
    assert len(redirects(tmp_path)) == 1


def test_relative_form_is_judged_each_time(
    guard: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = guard((tmp_path / "mlruns").as_uri())
    (tmp_path / "sub").mkdir()
    monkeypatch.chdir(tmp_path)
    assert own.is_own("mlruns")
    assert own.is_own("file:mlruns")
    monkeypatch.chdir(tmp_path / "sub")
    assert not own.is_own("mlruns")
    assert not own.is_own("file:mlruns")


def test_forms_of_a_server(guard: Callable[..., Any]) -> None:
    own = guard("http://127.0.0.1:5001")
    assert own.is_own("http://127.0.0.1:5001/")
    assert not own.is_own("http://127.0.0.1:5000")
    assert own.keeps_artifacts_at("mlflow-artifacts:/0/r/artifacts")
    assert not own.keeps_artifacts_at("mlflow-artifacts://elsewhere/0")
    assert not own.keeps_artifacts_at("s3://bucket/0")
    assert not guard("file:///own").keeps_artifacts_at("mlflow-artifacts:/0")


def test_forms_of_postgresql(guard: Callable[..., Any]) -> None:
    own = guard("postgresql://me:secret@127.0.0.1:5432/own")
    assert own.is_own("postgresql://me:secret@127.0.0.1:5432/own")
    assert not own.is_own("postgresql://me:secret@127.0.0.1:5432/production")
    assert not own.is_own("http://127.0.0.1:5432/own")


def test_sqlite_forms(guard: Callable[..., Any]) -> None:
    own = guard("sqlite:////tmp/s/mlflow.db")
    assert own.is_own("sqlite:////tmp/s/mlflow.db")
    assert own.is_own("sqlite:////tmp/s/../s/mlflow.db")
    assert not own.is_own("sqlite:///mlflow.db")
    assert not own.is_own("sqlite:////tmp/s/other.db")


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("http://prod:5000", "http://prod:5000"),
        ("http://me:secret@prod:5000/x", "http://me:***@prod:5000/x"),
        ("https://me@prod/", "https://me@prod/"),
        ("postgresql+psycopg2://u:p@ss:w@h:5432/db", "postgresql+psycopg2://u:***@h:5432/db"),
        ("mysql://u:pa/ss@h/db", "mysql://u:***@h/db"),
        ("http://h:5000/a@b", "http://h:5000/a@b"),
        ("mssql://h/db?user=u&password=secret&x=1", "mssql://h/db?user=u&password=***&x=1"),
        ("http://h/?access_token=abc#f", "http://h/?access_token=***#f"),
        ("databricks", "databricks"),
        ("sqlite:///a:b@c.db", "sqlite:///a:b@c.db"),
    ],
)
def test_passwords_are_masked(inside: Callable[[str], ModuleType], uri: str, shown: str) -> None:
    assert inside("uris").masked(uri) == shown


@pytest.mark.parametrize(
    ("location", "kept"),
    [
        ("s3://bucket/x", False),
        ("mlflow-artifacts:/x", False),
        ("dbfs:/x", False),
        ("file://host/x", False),
        ("/x", False),
        ("file:///x", False),
        ("../x", False),
        ("./x", True),
        ("{here}/x", True),
        ("file://{here}/x", True),
        ("{here}/../x", False),
    ],
)
def test_artifact_locations(
    guard: Callable[..., Any], location: str, kept: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert guard("file:///own").keeps_artifacts_at(location.format(here=tmp_path)) is kept


@pytest.mark.parametrize(
    ("endpoint", "is_mlflows"),
    [
        ("/api/2.0/mlflow/runs/create", True),
        ("/api/3.0/mlflow/traces", True),
        ("/api/2.0/mlflow-artifacts/artifacts/1/model", True),
        ("/api/2.1/unity-catalog/models", True),
        ("/ajax-api/2.0/mlflow/gateway-proxy", True),
        ("/v1/traces", True),
        ("/get-artifact", True),
        ("/endpoints/chat/invocations", False),
        ("/api/2.0/serving-endpoints", False),
        ("/mlflow/file.csv", False),
    ],
)
def test_what_a_tracking_server_is_asked(
    inside: Callable[[str], ModuleType], endpoint: str, is_mlflows: bool
) -> None:
    assert inside("uris").is_of_mlflow(f"http://h:5000{endpoint}") is is_mlflows


ASSIGNMENTS = """
import os

os.environ["MLFLOW_TRACKING_URI"] = "http://one"
os.environ.update(MLFLOW_REGISTRY_URI="http://two", OTHER="x")
del os.environ["MLFLOW_TRACKING_URI"]
os.environ.setdefault("MLFLOW_TRACKING_URI", "http://three")
os.environ |= {"MLFLOW_TRACKING_URI": "http://four"}
os.environb[b"MLFLOW_TRACKING_URI"] = b"http://five"
os.environ["MLFLOW_TRACKING_URI"] = "file:/own"
os.environ["MLFLOW_TRACKING_URI"] = ""
os.environ["MLFLOW_TRACKING_URI"] = "file:///own"
print(os.environ["MLFLOW_TRACKING_URI"], os.environ["MLFLOW_REGISTRY_URI"], os.environ["OTHER"])
try:
    os.environ["MLFLOW_TRACKING_URI"] = 5
except TypeError as error:
    print(error)
print(type(os.environ), dict(os.environ.copy())["OTHER"])
"""


def test_assignments_to_the_environment(tmp_path: Path) -> None:
    done = run(ASSIGNMENTS, tmp_path)
    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        "file:///own file:///own x",
        "str expected, not int",
        "<class 'os._Environ'> x",
    ]
    tracking, registry = 'os.environ["MLFLOW_TRACKING_URI"]', 'os.environ["MLFLOW_REGISTRY_URI"]'
    assert redirects(tmp_path) == [
        ("http://one", tracking, "train.py:4"),
        ("http://two", registry, "train.py:5"),
        ("http://three", tracking, "train.py:7"),
        ("http://four", tracking, "train.py:8"),
        ("http://five", tracking, "train.py:9"),
    ]


def test_process_started_for_another_store(tmp_path: Path) -> None:
    code = "import os; print(os.environ['MLFLOW_TRACKING_URI'], os.environ['MLFLOW_REGISTRY_URI'])"
    done = run(code, tmp_path, MLFLOW_TRACKING_URI="http://me:pw@x", MLFLOW_REGISTRY_URI="file:/own")
    assert (done.stdout, done.stderr) == ("file:///own file:/own\n", "")
    assert redirects(tmp_path) == [("http://me:***@x", "environment variable MLFLOW_TRACKING_URI", None)]


def test_child_started_for_another_store(tmp_path: Path) -> None:
    code = """
import os, subprocess, sys
env = {**os.environ, "MLFLOW_TRACKING_URI": "http://child"}
show = "import os; print(os.environ['MLFLOW_TRACKING_URI'])"
subprocess.run([sys.executable, "-c", show], env=env)
"""
    done = run(code, tmp_path)
    assert (done.stdout, done.stderr) == ("file:///own\n", "")
    assert [key for key, _, _ in redirects(tmp_path)] == ["http://child"]


def test_blocked_assignment_raises_at_the_line(tmp_path: Path) -> None:
    done = run('import os\nos.environ["MLFLOW_TRACKING_URI"] = "http://u:pw@x"\n', tmp_path, block=True)
    assert done.returncode == 1
    message = done.stderr.splitlines()[-1]
    assert message.startswith('RuntimeError: pytest-mlflow-check: tracking_uri = "block"')
    assert "http://u:***@x" in message
    assert 'train.py", line 2' in done.stderr
    assert redirects(tmp_path) == [("http://u:***@x", 'os.environ["MLFLOW_TRACKING_URI"]', "train.py:2")]


def test_modules_keep_their_loader_and_unknown_ones_work(tmp_path: Path) -> None:
    """Something called mlflow that looks quite different."""
    for name in ("__init__", "tracking/__init__", "tracking/fluent", "tracking/client", "sub/__init__"):
        file = tmp_path / "mlflow" / f"{name}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"NAME = {name!r}\n")
    code = """
import inspect
import mlflow.tracking.fluent, mlflow.tracking.client, mlflow.sub
for module in (mlflow, mlflow.tracking.fluent, mlflow.tracking.client, mlflow.sub):
    print(module.NAME, type(module.__loader__).__name__, module.__spec__.loader is module.__loader__)
"""
    done = run(code, tmp_path)
    assert done.stderr == ""
    names = ["__init__", "tracking/fluent", "tracking/client", "sub/__init__"]
    assert done.stdout.splitlines() == [f"{name} SourceFileLoader True" for name in names]
