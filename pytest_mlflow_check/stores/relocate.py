"""A store that was moved: where it says that artifacts lie is made true again.

MLflow writes absolute places down: in the `meta.yaml` of experiments, runs, logged models and versions, in
columns of the database, in a tag of each trace (file_store and dbmodels.models of mlflow.store.tracking and
of mlflow.store.model_registry, mlflow.utils.mlflow_tags, 3.17.2 and 2.22.5). What the code logged stays as it
was.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from urllib.parse import unquote, urlsplit

import yaml

from pytest_mlflow_check.core.store import Store
from pytest_mlflow_check.stores.readers.artifacts import local_directory
from pytest_mlflow_check.stores.readers.safe_files import read_mapping

_KEYS = ("artifact_location", "artifact_uri", "source", "storage_location")

_METAS = (
    *("*/meta.yaml", "*/*/meta.yaml", "*/models/*/meta.yaml"),
    *(".trash/*/*/meta.yaml", ".trash/*/models/*/meta.yaml"),
    "models/*/version-*/meta.yaml",
)
"""Of experiments, runs and logged models, the same of deleted experiments, and of versions."""

_TRACE_TAG = "mlflow.artifactLocation"

_COLUMNS = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
    ("trace_tags", "value"),
)


def relocate(store: Store, old: Path, new: Path) -> None:
    """Has a store name places below `new` instead of those below `old`.

    Args:
        store: the store, wherever it lies now.
        old: a directory that it names.
        new: what to name instead.

    Raises:
        OSError: where a file can't be written.
        sqlite3.DatabaseError: where the database can't be.
    """
    if store.kind == "file":
        _relocate_files(store.root, old, new)
    elif store.database.is_file():
        with closing(sqlite3.connect(store.database)) as database, database:
            _relocate_columns(database, partial(_moved, old=old, new=new))


def relocate_fetched(store: Store) -> None:
    """Has the database of a server name the files of the artifacts that it passed on, below the store's root.

    `mlflow-artifacts:/0/…` is the path `0/…` below the directory that the server was given as
    `--artifacts-destination` (mlflow.server.handlers, 3.17.2 and 2.22.5).
    """
    with closing(sqlite3.connect(store.database)) as database, database:
        _relocate_columns(database, partial(_passed_on, root=store.artifact_root))


def _relocate_files(root: Path, old: Path, new: Path) -> None:
    for file in {file for pattern in _METAS for file in root.glob(pattern)}:
        meta = read_mapping(file)
        moved = {key: place for key in _KEYS if (place := _moved(meta.get(key), old, new)) is not None}
        if moved:
            # As `mlflow.utils.yaml_utils.write_yaml` has it.
            text = yaml.safe_dump({**meta, **moved}, default_flow_style=False, allow_unicode=True)
            file.write_text(text, encoding="utf-8")
    for tag in root.glob(f"*/traces/*/tags/{_TRACE_TAG}"):
        place = _moved(tag.read_text(encoding="utf-8"), old, new)
        if place is not None:
            tag.write_text(place, encoding="utf-8")


def _relocate_columns(database: sqlite3.Connection, moved: Callable[[object], str | None]) -> None:
    for table, column in _known(database):
        rows = database.execute(f"SELECT rowid, {column} FROM {table}").fetchall()
        places = [(place, row) for row, value in rows if (place := moved(value)) is not None]
        database.executemany(f"UPDATE {table} SET {column} = ? WHERE rowid = ?", places)


def _known(database: sqlite3.Connection) -> Iterator[tuple[str, str]]:
    """The columns that this version of MLflow has."""
    for table, column in _COLUMNS:
        names = [name for _, name, *_ in database.execute(f"PRAGMA table_info({table})")]
        if column in names:
            yield table, column


def _moved(location: object, old: Path, new: Path) -> str | None:
    """The URI of where something lies now; None where it didn't lie below the old directory."""
    if not isinstance(location, str) or not location.startswith(("/", "file:")):
        return None
    place = local_directory(location)
    if place is None or not place.is_relative_to(old):
        return None
    # A plain path would have its percent signs undone.
    return (new / place.relative_to(old)).as_uri()


def _passed_on(location: object, root: Path) -> str | None:
    if not isinstance(location, str) or not location.startswith("mlflow-artifacts:"):
        return None
    return (root / unquote(urlsplit(location).path).lstrip("/")).as_uri()
