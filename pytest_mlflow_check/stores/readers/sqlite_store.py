"""A SQLite store: tracking and registry in one database.

The tables are those of `mlflow.store.tracking.dbmodels.models` and
`mlflow.store.model_registry.dbmodels.models`, MLflow 3.17.2 and 2.22.5.
"""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pytest_mlflow_check.core.files import open_regular
from pytest_mlflow_check.core.records import (
    Dataset,
    MetricSeries,
    ModelVersion,
    RegisteredModel,
    RunRecord,
    StoreRecord,
)
from pytest_mlflow_check.stores.readers.metrics import POINT, metric_series
from pytest_mlflow_check.stores.readers.models import LoggedModel, logged_model_status
from pytest_mlflow_check.stores.readers.registry import (
    DELETED_STAGE,
    PROMPT_TAG,
    aliases_of,
    registered_models,
)
from pytest_mlflow_check.stores.readers.runs import CONTEXT_TAG, StoredRun, run_records, sorted_datasets
from pytest_mlflow_check.stores.readers.safe_files import (
    Content,
    integer,
    integer_or_none,
    text_or_none,
)

# Seconds to wait for a process that is still writing; MLflow's own connections wait as long.
_PATIENCE = 20.0
# Those that every MLflow 2.20 and later has.
_TABLES = {
    *("experiments", "runs", "metrics", "params", "tags", "inputs", "input_tags", "datasets"),
    *("registered_models", "registered_model_tags", "registered_model_aliases", "model_versions"),
}

_RUNS = """
    SELECT runs.run_uuid, runs.name, experiments.name, runs.status, start_time, end_time, artifact_uri
    FROM runs JOIN experiments USING (experiment_id)
    WHERE runs.lifecycle_stage = 'active' AND experiments.lifecycle_stage = 'active'
    ORDER BY runs.rowid
"""
_DELETED = """
    SELECT runs.run_uuid FROM runs JOIN experiments USING (experiment_id)
    WHERE runs.lifecycle_stage != 'active' OR experiments.lifecycle_stage != 'active'
"""
_SERIES = "SELECT run_uuid, key, COUNT(*) FROM metrics GROUP BY run_uuid, key ORDER BY run_uuid, key"
# By step, since there is an index for that: sorting by rowid takes SQLite longer than all the rest, and numpy
# next to nothing. Infinity is stored as ±1.797e308 (`SqlAlchemyStore.sanitize_metric_value`) and stays that,
# as MLflow's client gives it: nothing tells it from the number itself.
_POINTS = """
    SELECT timestamp, CASE WHEN is_nan THEN NULL ELSE value END, step, rowid
    FROM metrics WHERE run_uuid = ? AND key = ? ORDER BY step
"""
# What is about a model stands there too (`SqlAlchemyStore._log_metrics` of MLflow 3.17.2).
_SCORES = """
    SELECT run_id, metric_name, metric_timestamp_ms, metric_step, metric_value,
        model_id, dataset_name, dataset_digest
    FROM logged_model_metrics WHERE dataset_digest IS NOT NULL
"""
_ROW = np.dtype([*POINT.descr, ("rowid", np.int64)])
_PARAMS = "SELECT run_uuid, key, value FROM params ORDER BY key"
_TAGS = "SELECT run_uuid, key, value FROM tags ORDER BY key"
_DATASETS = f"""
    SELECT destination_id, datasets.name, digest, dataset_source_type, input_tags.value
    FROM inputs
    JOIN datasets ON dataset_uuid = source_id
    LEFT JOIN input_tags ON input_tags.input_uuid = inputs.input_uuid AND input_tags.name = '{CONTEXT_TAG}'
    WHERE source_type = 'DATASET' AND destination_type = 'RUN'
"""
_LOGGED_MODELS = """
    SELECT model_id, name, source_run_id, status, creation_timestamp_ms, artifact_location
    FROM logged_models WHERE lifecycle_stage = 'active'
"""
_REGISTERED_MODELS = f"""
    SELECT name, description FROM registered_models
    WHERE name NOT IN (SELECT name FROM registered_model_tags WHERE key = '{PROMPT_TAG}' AND value = 'true')
"""
_VERSIONS = f"""
    SELECT name, version, source, run_id, status, description FROM model_versions
    WHERE current_stage != '{DELETED_STAGE}'
"""
_MODEL_TAGS = "SELECT name, key, value FROM registered_model_tags"
_VERSION_TAGS = "SELECT name || '/' || version, key, value FROM model_version_tags"
_ALIASES = "SELECT name, alias, version FROM registered_model_aliases"
_NO_TEXTS = partial(defaultdict[str, dict[str, str]], dict)


@dataclass(frozen=True)
class _Tables:
    """The tables of a database; what can't be read of them is noted, and the rest is read."""

    connection: sqlite3.Connection
    content: Content

    def rows(self, query: str, table: str, parameters: Sequence[object] = ()) -> Iterator[tuple[Any, ...]]:
        """The rows of a query, up to the first that can't be read; `table` is what is then named."""
        try:
            yield from self.connection.execute(query, parameters)
        except sqlite3.DatabaseError as error:
            self.content.damaged(f"table {table}", str(error))


def read_sqlite_store(database: Path, *, patience: float = _PATIENCE) -> StoreRecord:
    """All that can be read of the database; nothing where there is none.

    Args:
        database: its file.
        patience: seconds to wait where another process keeps it locked.
    """
    content = Content(database.parent)
    if not _files(database):
        if database.parent.is_dir():
            content.damaged(database, "is missing")
        return StoreRecord(damages=tuple(content.damages))
    runs: tuple[RunRecord, ...] = ()
    registered: tuple[RegisteredModel, ...] = ()
    deleted: list[str] = []
    try:
        # SQLite would wait for the other end of a named pipe.
        for file in _files(database):
            content.check_inside(file)
            open_regular(file).close()
        with _open(database, patience) as connection:
            tables = _Tables(connection, content)
            names = {
                name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            }
            if missing := sorted(_TABLES - names):
                all_of_them = len(missing) == len(_TABLES)
                content.damaged(
                    database, "holds no MLflow store" if all_of_them else f"lacks {', '.join(missing)}"
                )
            if {"runs", "experiments"} <= names:
                deleted = [run_id for (run_id,) in tables.rows(_DELETED, "runs")]
                # MLflow 2 has no logged models.
                models = list(_logged_models(tables)) if "logged_models" in names else []
                runs = run_records(_runs(tables, names), models, content)
            if "registered_models" in names:
                registered = _registered_models(tables, names)
    except sqlite3.DatabaseError as error:
        content.damaged(database, _reason(error, patience))
    except OSError as error:
        content.damaged(database, (error.strerror or str(error)).lower())
    return StoreRecord(runs, registered, tuple(dict.fromkeys(content.damages)), tuple(deleted))


def _files(database: Path) -> list[Path]:
    """The files that SQLite opens, those that there are."""
    journals = (database.with_name(f"{database.name}-{kind}") for kind in ("journal", "wal", "shm"))
    return [file for file in (database, *journals) if file.exists() or file.is_symlink()]


def _reason(error: sqlite3.DatabaseError, patience: float) -> str:
    locked = "locked" in str(error)
    return f"another process kept it locked for {patience:g} s" if locked else str(error)


@contextmanager
def _open(database: Path, patience: float) -> Iterator[sqlite3.Connection]:
    with closing(_connect(database, "ro", patience)) as connection:
        try:
            # One transaction for all that is read, and the first access to the file.
            connection.execute("BEGIN")
            connection.execute("SELECT * FROM sqlite_master")
        except sqlite3.OperationalError as error:
            if "readonly" not in str(error) and "unable to open" not in str(error):
                raise
        else:
            yield connection
            return
    # A process killed while it committed leaves its journal behind, and undoing that takes writing.
    with tempfile.TemporaryDirectory() as directory:
        for file in _files(database):
            shutil.copyfile(file, Path(directory, file.name))
        with closing(_connect(Path(directory, database.name), "rw", patience)) as connection:
            yield connection


def _connect(database: Path, mode: str, patience: float = _PATIENCE) -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"{database.absolute().as_uri()}?mode={mode}", uri=True, timeout=patience, isolation_level=None
    )
    connection.text_factory = lambda text: text.decode(errors="replace")
    return connection


def _runs(tables: _Tables, names: Collection[str]) -> Iterator[StoredRun]:
    params = _texts(tables, _PARAMS, "params") if "params" in names else _NO_TEXTS()
    tags = _texts(tables, _TAGS, "tags") if "tags" in names else _NO_TEXTS()
    metrics = (
        _metrics(tables, names) if "metrics" in names else defaultdict[str, dict[str, MetricSeries]](dict)
    )
    whole = {"inputs", "input_tags", "datasets"} <= set(names)
    datasets = _datasets(tables) if whole else defaultdict[str, list[Dataset]](list)
    for run_id, name, experiment, status, start_time, end_time, artifact_uri in tables.rows(_RUNS, "runs"):
        yield StoredRun(
            run_id=run_id,
            name=name,
            experiment=experiment,
            status=status,
            start_time=integer(start_time),
            end_time=integer_or_none(end_time),
            artifact_uri=artifact_uri,
            params=params[run_id],
            tags=tags[run_id],
            metrics=metrics[run_id],
            datasets=sorted_datasets(datasets[run_id]),
        )


def _texts(tables: _Tables, query: str, table: str) -> defaultdict[str, dict[str, str]]:
    texts = _NO_TEXTS()
    for owner, key, value in tables.rows(query, table):
        texts[owner][key] = value.decode(errors="replace") if isinstance(value, bytes) else str(value or "")
    return texts


def _metrics(tables: _Tables, names: Collection[str]) -> defaultdict[str, dict[str, MetricSeries]]:
    scores = _scores(tables) if "logged_model_metrics" in names else {}
    metrics: defaultdict[str, dict[str, MetricSeries]] = defaultdict(dict)
    for run_id, key, count in list(tables.rows(_SERIES, "metrics")):
        mine = replace(tables, content=tables.content.of_run(run_id))
        # numpy makes NaN of SQL's NULL.
        points = mine.rows(_POINTS, "metrics", (run_id, key))
        try:
            rows = np.fromiter(points, dtype=_ROW, count=count)
        except (ValueError, TypeError, OverflowError):
            # A database that holds texts where numbers are expected, or that ends early.
            mine.content.damaged("table metrics", f"the points of {key} can't be read")
            continue
        # SQLite numbers rows as they come, so the rowid gives the order of logging.
        rows = rows[np.argsort(rows["rowid"])]
        about = scores.get((run_id, key))
        metrics[run_id][key] = metric_series(key, rows, _subjects(rows, about) if about else None)
    return metrics


def _subjects(rows: NDArray[np.void], about: Mapping[tuple[int, int, float], int]) -> NDArray[np.int64]:
    """The number of what each point is about."""
    points = rows[["timestamp", "step", "value"]].tolist()
    return np.array([about.get(point, 0) for point in points], dtype=np.int64)


def _scores(tables: _Tables) -> Mapping[tuple[str, str], Mapping[tuple[int, int, float], int]]:
    """By run and metric: the points about a model and a dataset, with a number for both."""
    scores: dict[tuple[str, str], dict[tuple[int, int, float], int]] = defaultdict(dict)
    subjects: dict[tuple[str, ...], int] = {}
    for run_id, key, timestamp, step, value, *subject in tables.rows(_SCORES, "logged_model_metrics"):
        number = subjects.setdefault(tuple(subject), len(subjects) + 1)
        scores[run_id, key][timestamp, step, value] = number
    return scores


def _datasets(tables: _Tables) -> defaultdict[str, list[Dataset]]:
    datasets: defaultdict[str, list[Dataset]] = defaultdict(list)
    for run_id, *dataset in tables.rows(_DATASETS, "inputs"):
        datasets[run_id].append(Dataset(*dataset))
    return datasets


def _logged_models(tables: _Tables) -> Iterator[LoggedModel]:
    for model_id, name, run_id, status, created, location in tables.rows(_LOGGED_MODELS, "logged_models"):
        yield LoggedModel(model_id, name, run_id, logged_model_status(status), integer(created), location)


def _registered_models(tables: _Tables, names: Collection[str]) -> tuple[RegisteredModel, ...]:
    def texts(query: str, table: str) -> defaultdict[str, dict[str, str]]:
        return _texts(tables, query, table) if table in names else _NO_TEXTS()

    aliases = texts(_ALIASES, "registered_model_aliases")
    tags, versions = texts(_VERSION_TAGS, "model_version_tags"), defaultdict[str, list[ModelVersion]](list)
    stored = tables.rows(_VERSIONS, "model_versions") if "model_versions" in names else ()
    for name, version, source, run_id, status, description in stored:
        versions[name].append(
            ModelVersion(
                version=str(version),
                source=text_or_none(source),
                run_id=text_or_none(run_id),
                status=status,
                aliases=aliases_of(str(version), aliases[name]),
                tags=tags[f"{name}/{version}"],
                description=text_or_none(description),
            )
        )
    tags = texts(_MODEL_TAGS, "registered_model_tags")
    models = tables.rows(_REGISTERED_MODELS, "registered_models") if "registered_model_tags" in names else ()
    return registered_models(
        RegisteredModel(name, tuple(versions[name]), tags[name], text_or_none(description))
        for name, description in models
    )
