"""What all tests share: an environment without the user's MLflow, and projects that cost little to launch."""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from queue import Queue
from threading import Thread
from types import ModuleType

import pytest

from support.inner.shared_fork_server import OPTION, VARIABLE
from support.projects import FILES, MakeProject

pytest_plugins = ["pytester"]

WITHOUT = " ".join(f"-p no:{name}" for name in ("hypothesispytest", "anyio", "inline_snapshot"))
"""Keeps plugins out of sessions under test that they don't use; each takes up to a second."""

MARKED_BY = {"pytester": "e2e", "real_mlflow": "mlflow", "template": "mlflow"}
"""Fixtures, and the marks of the tests that use them."""

MARKS = {"e2e", "launch", "mlflow", "heavy"}

MLFLOW_LOADED = pytest.StashKey[bool]()
"""Whether MLflow was loaded before a test."""


def pytest_collectstart(collector: pytest.Collector) -> None:
    """Sets up Hypothesis before the first test module is imported.

    Neither as this file is read nor as modules are found: sessions that check a project from here, and even
    one below this directory, come by both, and need no Hypothesis.
    """
    if isinstance(collector, pytest.Module):
        set_up_hypothesis()


@cache
def set_up_hypothesis() -> None:
    from hypothesis import settings

    # No deadline, which a busy machine would break.
    settings.register_profile("usual", max_examples=50, deadline=None, derandomize=True)
    settings.register_profile("thorough", max_examples=5000, deadline=None)
    settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "usual"))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Marks tests by what they use; leaves out what needs large libraries unless `-m` names it.

    In addopts, `-m` gives way to any other.
    """
    for item in items:
        for fixture, mark in MARKED_BY.items():
            if fixture in getattr(item, "fixturenames", ()):
                item.add_marker(mark)
        if hasattr(getattr(item, "module", None), "snapshot"):
            item.add_marker("snapshot")
    if "heavy" not in config.getoption("markexpr"):
        heavy = [item for item in items if item.get_closest_marker("heavy")]
        config.hook.pytest_deselected(items=heavy)
        items[:] = [item for item in items if item not in heavy]


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    item.stash[MLFLOW_LOADED] = "mlflow" in sys.modules


def pytest_runtest_teardown(item: pytest.Item) -> None:
    """Fails a test without mark that loads MLflow: such tests run under one version of MLflow only."""
    if not item.stash.get(MLFLOW_LOADED, True) and "mlflow" in sys.modules:
        assert {mark.name for mark in item.iter_markers()} & MARKS, "it loads MLflow: mark it `mlflow`"


@pytest.fixture(autouse=True)
def own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Takes away every MLflow variable but two, without which MLflow phones home and refuses file stores.

    And those of CI services, which we heed.
    """
    for name in [name for name in os.environ if "MLFLOW_" in name]:
        monkeypatch.delenv(name)
    for name in ("CI", "GITHUB_ACTIONS", "GITHUB_WORKSPACE", "GITHUB_STEP_SUMMARY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("PYTEST_ADDOPTS", WITHOUT)


@pytest.fixture(autouse=True)
def deadline(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fails a test that waits for what never comes, wherever it waits."""
    seconds = 3600 if request.node.get_closest_marker("heavy") else 600

    def over(*_: object) -> None:
        pytest.fail(f"it isn't over after {seconds} s")

    before = signal.signal(signal.SIGALRM, over)
    signal.alarm(seconds)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture
def sigint_heeded() -> Iterator[None]:
    """Has processes that a test starts end by SIGINT, also where the tests are started with it ignored.

    That is how shells start `pytest &` and what `nohup` is often used with; processes inherit it.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="session")
def package_loaded() -> None:
    """What a test with `pytester` imports goes away with it, and NumPy can't be loaded twice."""
    import pytest_mlflow_check.engine.api
    import pytest_mlflow_check.plugin.session  # noqa: F401


@pytest.fixture(scope="session")
def real_mlflow() -> ModuleType:
    """MLflow itself, in this process; it takes seconds to load."""
    return importlib.import_module("mlflow")


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty, migrated SQLite database, which takes MLflow seconds: one for all workers of pytest-xdist."""
    from pytest_mlflow_check.core.store import Store, sqlite_template
    from pytest_mlflow_check.runtime.sandbox.environment import launch_environment

    base = tmp_path_factory.getbasetemp()
    cache = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "template"
    return sqlite_template(cache, launch_environment(Store("sqlite", cache), root=cache, copy=cache))


@pytest.fixture(scope="session")
def shared_fork_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The fork server of sessions under test, as the plugin in support/inner/ takes it."""
    from pytest_mlflow_check.plugin.resources import preparation
    from pytest_mlflow_check.runtime.forkserver.client import ForkServerProcess, unsupported_reason
    from pytest_mlflow_check.runtime.sandbox.environment import fork_server_environment

    home = str(tmp_path_factory.mktemp("home"))
    process = ForkServerProcess(fork_server_environment([]) | {"HOME": home}, preparation())
    if unsupported_reason() is None:
        process.begin()
    yield json.dumps({"address": process.address, "env": process.env, "failure": unsupported_reason()})
    process.stop()


@pytest.fixture
def pytester(
    package_loaded: None,
    shared_fork_server: str,
    pytester: pytest.Pytester,
    monkeypatch: pytest.MonkeyPatch,
) -> pytest.Pytester:
    """Runs sessions without what else is installed here, and with MLflow loaded already.

    The home directory is one for all of them: a fork server is of use only where it is that of the launches.
    """
    monkeypatch.setenv("PYTEST_ADDOPTS", f"{WITHOUT} {OPTION}")
    monkeypatch.setenv(VARIABLE, shared_fork_server)
    monkeypatch.setenv("HOME", json.loads(shared_fork_server)["env"]["HOME"])
    inner = str(Path(__file__).parent / "support" / "inner")
    # For sessions in processes of their own, and for those in this one.
    monkeypatch.setenv("PYTHONPATH", inner, prepend=os.pathsep)
    monkeypatch.syspath_prepend(inner)
    return pytester


@pytest.fixture
def own_fork_server(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """Has sessions under test start a fork server themselves."""
    monkeypatch.delenv(VARIABLE)


@pytest.fixture
def make_project(pytester: pytest.Pytester) -> MakeProject:
    """Makes projects in the test's own directory."""

    def make(directory: str = "proj", files: Mapping[str, str] = FILES) -> Path:
        project = pytester.path / directory
        for name, text in files.items():
            file = project / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
        return project

    return make


@pytest.fixture
def alive(tmp_path: Path) -> Queue[str]:
    """Gets what scripts write to the pipe `alive`, once every process that holds it is gone."""
    pipe, written = tmp_path / "alive", Queue[str]()
    os.mkfifo(pipe)
    # A daemon: should a process outlive its test, the session ends all the same.
    Thread(target=lambda: written.put(pipe.read_text()), daemon=True).start()
    return written
