"""The throw-away tracking store, registry and artifact root that one launch logs to."""

from __future__ import annotations

import contextlib
import importlib.metadata
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from filelock import FileLock

from pytest_mlflow_check.core.errors import UserError

StoreKind = Literal["file", "sqlite"]


@dataclass(frozen=True)
class Store:
    """Where a launch logs to.

    Attributes:
        kind: `file` or `sqlite`.
        root: the directory that holds all of it. For a file store it is the store itself, which MLflow
            must create by itself: an existing empty directory gets no Default experiment (measured
            with MLflow 3.17.2 and 2.22.5).
        address: where a launch reaches it, if not in its place: what is logged there is then brought here,
            into a SQLite store. It may hold a password.
    """

    kind: StoreKind
    root: Path
    address: str = field(default="", repr=False)

    @property
    def database(self) -> Path:
        """The SQLite file; only `sqlite` stores have one."""
        return self.root / "mlflow.db"

    @property
    def artifact_root(self) -> Path:
        """Below it lie the artifacts of all experiments that don't say otherwise."""
        return self.root if self.kind == "file" else self.root / "artifacts"

    @property
    def uri(self) -> str:
        """The tracking and registry URI."""
        if self.address:
            return self.address
        if self.kind == "file":
            return self.root.as_uri()
        return f"sqlite:///{self.database}"


def prepare_store(store: Store, template: Path | None) -> None:
    """Makes a store ready for a launch.

    A file store is left for MLflow to create. A SQLite store is a copy of the template, so that no
    launch spends seconds on migrations and no two migrate one database at a time; the one path that the
    template holds, the artifact location of the Default experiment, is set to the store's own.
    """
    if store.kind == "file":
        return
    refuse_unfit(store)
    assert template is not None, "a sqlite store needs a template"
    store.artifact_root.mkdir(parents=True)
    shutil.copyfile(template, store.database)
    location = str(store.artifact_root / "0")
    with contextlib.closing(sqlite3.connect(store.database)) as database, database:
        database.execute("UPDATE experiments SET artifact_location = ? WHERE experiment_id = 0", (location,))


def refuse_unfit(store: Store) -> None:
    """Refuses a place that a store can't lie in.

    Raises:
        UserError: where that is so.
    """
    if store.kind == "sqlite" and any(char in str(store.database) for char in "%?"):
        # SQLAlchemy 2.1 decodes percent signs in the path of a URI, 2.0 doesn't; neither takes a "?".
        raise UserError(
            f'{store.root}: a SQLite store can\'t lie in a directory with "%" or "?" in its name\n'
            "  let pytest make its temporary directories elsewhere:  --basetemp=DIR\n"
            "  or use the other store:  --mlflow-store=file"
        )


def sqlite_template(cache: Path, environment: Mapping[str, str]) -> Path:
    """An empty, migrated database for the installed MLflow, made once and kept in the cache directory.

    Args:
        cache: a directory that lasts; one template per MLflow version is kept in it.
        environment: for the process that makes it.

    Raises:
        UserError: where MLflow can't make one, with what it printed.
    """
    version = importlib.metadata.version("mlflow")
    template, unfinished = cache / f"mlflow-{version}.db", cache / "unfinished.db"
    if template.is_file():
        return template
    cache.mkdir(parents=True, exist_ok=True)
    with FileLock(cache / "template.lock"):
        if template.is_file():
            return template
        # Not in the cache: below a name with a quote in it MLflow can't make the Default experiment.
        with tempfile.TemporaryDirectory() as scratch:
            database = Path(scratch) / "mlflow.db"
            done = subprocess.run(
                [sys.executable, "-c", _MIGRATE, f"sqlite:///{database}"],
                cwd=scratch,
                env={**environment, "_MLFLOW_SERVER_ARTIFACT_ROOT": scratch},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
            )
            if done.returncode != 0:
                repair = "fix the installation"
                if _DROPPED_BY_SQLALCHEMY in done.stderr:
                    repair = "pip install 'SQLAlchemy<2.1', which MLflow before 3.9 needs"
                raise UserError(
                    f"MLflow {version} can't make a SQLite store here; "
                    f"use --mlflow-store=file, or {repair}. The end of what it printed:\n"
                    + textwrap.indent("\n".join(done.stderr.splitlines()[-5:]), "    ")
                )
            # Renaming is atomic: other processes see all of it or nothing.
            shutil.copyfile(database, unfinished)
            unfinished.rename(template)
    return template


_MIGRATE = "import sys, mlflow; mlflow.MlflowClient(sys.argv[1]).search_experiments()"
"""The first use of a SQL store through MLflow's public client runs all migrations."""

_DROPPED_BY_SQLALCHEMY = "cannot import name 'FallbackAsyncAdaptedQueuePool'"
"""SQLAlchemy 2.1 dropped this name. `mlflow.store.db.utils` needs it up to MLflow 3.8.1, and not in 3.9.0."""
