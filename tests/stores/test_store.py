"""The stores launches log to; migrations are run for real, once."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_mlflow_check.core.errors import UserError
from pytest_mlflow_check.core.store import Store, prepare_store, sqlite_template
from pytest_mlflow_check.runtime.sandbox.environment import launch_environment
from pytest_mlflow_check.stores.readers import read_store

LOG = """
import mlflow
mlflow.set_experiment("its own")
with mlflow.start_run():
    mlflow.log_text("hello", "folder/file.txt")
mlflow.set_experiment("Default")
with mlflow.start_run():
    mlflow.log_text("hello", "file.txt")
"""


def environment(store: Store) -> dict[str, str]:
    """As a launch gets it, without a copy to map to."""
    return launch_environment(store, root=store.root, copy=store.root)


@pytest.mark.launch
@pytest.mark.parametrize("kind", ["file", "sqlite"])
def test_all_artifacts_end_up_in_the_launch_s_own_area(tmp_path: Path, kind: str) -> None:
    store = Store(kind, tmp_path / "launch" / "store")  # type: ignore[arg-type]
    template = None
    if kind == "sqlite":
        template = sqlite_template(tmp_path / "cache", environment(store))
        assert sqlite_template(tmp_path / "cache", {}) == template
    store.root.parent.mkdir()
    prepare_store(store, template)
    stand = tmp_path / "launch" / "workspace"
    stand.mkdir()
    subprocess.run([sys.executable, "-c", LOG], cwd=stand, env=environment(store), check=True)
    runs = read_store(store).runs
    assert {run.experiment: list(run.artifacts) for run in runs} == {
        "its own": ["folder/file.txt"],
        "Default": ["file.txt"],
    }
    for run in runs:
        for artifact in run.artifacts.values():
            assert artifact.file.is_relative_to(tmp_path / "launch")


def test_a_template_that_cannot_be_made_is_a_clear_message(tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "mlflow.py").write_text("raise ImportError('no such thing')")
    with pytest.raises(UserError, match="can't make a SQLite store here; use --mlflow-store=file") as failure:
        sqlite_template(tmp_path / "cache", {"PYTHONPATH": str(broken)})
    assert "ImportError: no such thing" in str(failure.value)
    assert [path.name for path in (tmp_path / "cache").iterdir() if path.suffix == ".db"] == []


def test_a_sqlalchemy_too_new_for_this_mlflow_is_named(tmp_path: Path) -> None:
    """What MLflow 2.22.5 says under SQLAlchemy 2.1.9."""
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "mlflow.py").write_text(
        "raise ImportError(\"cannot import name 'FallbackAsyncAdaptedQueuePool' from 'sqlalchemy.pool'\")"
    )
    with pytest.raises(UserError, match=r"or pip install 'SQLAlchemy<2\.1', which MLflow before 3\.9 needs"):
        sqlite_template(tmp_path / "cache", {"PYTHONPATH": str(broken)})


def test_a_copied_template_points_into_its_own_store(tmp_path: Path) -> None:
    template = tmp_path / "template.db"
    with sqlite3.connect(template) as database:
        database.execute("CREATE TABLE experiments (experiment_id INTEGER, artifact_location TEXT)")
        database.execute("INSERT INTO experiments VALUES (0, 'somewhere else'), (1, 'its own')")
    store = Store("sqlite", tmp_path / "store")
    prepare_store(store, template)
    with sqlite3.connect(store.database) as database:
        rows = database.execute("SELECT * FROM experiments").fetchall()
    assert rows == [(0, str(store.artifact_root / "0")), (1, "its own")]
