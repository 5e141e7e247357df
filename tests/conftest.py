"""What all tests share: an environment without the user's MLflow, and projects that cost little to launch."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from queue import Queue
from threading import Thread
from typing import Protocol

import pytest
from hypothesis import settings

pytest_plugins = ["pytester"]

# No deadline, which a busy machine would break.
settings.register_profile("usual", max_examples=50, deadline=None, derandomize=True)
settings.register_profile("thorough", max_examples=5000, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "usual"))

FILES = {
    "MLproject": 'entry_points:\n  main:\n    command: "python train.py"\n',
    "train.py": 'print("trained")\n',
}

LOGGING = """
import os
from pathlib import Path
from urllib.parse import urlsplit

store = Path(urlsplit(os.environ["MLFLOW_TRACKING_URI"]).path)
run = store / "0" / "f00d"
(run / "metrics").mkdir(parents=True)
(store / "0" / "meta.yaml").write_text("{experiment_id: '0', name: Default}")
(run / "meta.yaml").write_text("{run_id: f00d, run_name: r, status: 3, start_time: 1, end_time: 2}")
(run / "metrics" / "loss").write_text("1 0.5 0\\n2 0.25 0\\n")
"""
"""Logs a metric without step, by hand: MLflow takes seconds for it."""


class MakeProject(Protocol):
    """What the fixture `make_project` gives."""

    def __call__(self, directory: str = "proj", files: Mapping[str, str] = FILES) -> Path:
        """Writes the files into a directory, an MLproject and a script without MLflow by default."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves out what needs large libraries unless `-m` names it. In addopts, `-m` gives way to any other."""
    if "heavy" not in config.getoption("markexpr"):
        heavy = [item for item in items if item.get_closest_marker("heavy")]
        config.hook.pytest_deselected(items=heavy)
        items[:] = [item for item in items if item not in heavy]


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


@pytest.fixture(scope="session")
def gate_loaded() -> None:
    """What a test with `pytester` imports goes away with it, and NumPy can't be loaded twice."""
    import pytest_mlflow_check.engine
    import pytest_mlflow_check.gate  # noqa: F401


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty, migrated SQLite database, which takes MLflow seconds."""
    from pytest_mlflow_check.environment import launch_environment
    from pytest_mlflow_check.store import Store, sqlite_template

    cache = tmp_path_factory.mktemp("template")
    return sqlite_template(cache, launch_environment(Store("sqlite", cache), root=cache, copy=cache))


@pytest.fixture
def pytester(
    gate_loaded: None, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> pytest.Pytester:
    """Without what else is installed here: Hypothesis takes a second at the end of each inner session."""
    monkeypatch.setenv("PYTEST_ADDOPTS", "-p no:hypothesispytest -p no:anyio -p no:platformdirs")
    return pytester


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
