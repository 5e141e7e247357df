"""A SQLite store: tracking and registry in one database.

The tables are those of `mlflow.store.tracking.dbmodels.models` and
`mlflow.store.model_registry.dbmodels.models`, MLflow 3.17.2 and 2.22.5.
"""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np

from pytest_mlflow_check.reading.content import text_or_none
from pytest_mlflow_check.reading.metrics import POINT, metric_series
from pytest_mlflow_check.reading.models import LoggedModel, logged_model_status
from pytest_mlflow_check.reading.registry import DELETED_STAGE, PROMPT_TAG, aliases_of, registered_models
from pytest_mlflow_check.reading.runs import CONTEXT_TAG, StoredRun, run_records, sorted_datasets
from pytest_mlflow_check.records import Dataset, MetricSeries, ModelVersion, RegisteredModel, StoreRecord

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
_SERIES = "SELECT run_uuid, key, COUNT(*) FROM metrics GROUP BY run_uuid, key ORDER BY run_uuid, key"
# By step, since there is an index for that: sorting by rowid takes SQLite longer than all the rest, and numpy
# next to nothing. Infinity is stored as ±1.797e308 (`SqlAlchemyStore.sanitize_metric_value`) and stays that,
# as MLflow's client gives it: nothing tells it from the number itself.
_POINTS = """
    SELECT timestamp, CASE WHEN is_nan THEN NULL ELSE value END, step, rowid
    FROM metrics WHERE run_uuid = ? AND key = ? ORDER BY step
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


def read_sqlite_store(database: Path) -> StoreRecord:
    """All that the database holds; nothing where the file is missing or MLflow's tables are.

    Raises:
        sqlite3.DatabaseError: the file is no database, or another process keeps it locked.
    """
    if not database.is_file():
        return StoreRecord()
    with _open(database) as connection:
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
        # A process killed in the middle of the first migrations leaves some out.
        if not tables >= _TABLES:
            return StoreRecord()
        # MLflow 2 has no logged models.
        models = list(_logged_models(connection)) if "logged_models" in tables else []
        return StoreRecord(
            runs=run_records(_runs(connection), models), registered_models=_registered_models(connection)
        )


@contextmanager
def _open(database: Path) -> Iterator[sqlite3.Connection]:
    with closing(_connect(database, "ro")) as connection:
        try:
            # One transaction for all that is read, and the first access to the file.
            connection.execute("BEGIN")
            connection.execute("SELECT * FROM sqlite_master")
        except sqlite3.OperationalError as error:
            if "readonly" not in str(error):
                raise
        else:
            yield connection
            return
    # A process killed while it committed leaves its journal behind, and undoing that takes writing.
    with tempfile.TemporaryDirectory() as directory:
        for file in database.parent.glob(f"{database.name}*"):
            shutil.copy(file, directory)
        with closing(_connect(Path(directory, database.name), "rw")) as connection:
            yield connection


def _connect(database: Path, mode: str) -> sqlite3.Connection:
    return sqlite3.connect(
        f"{database.absolute().as_uri()}?mode={mode}", uri=True, timeout=_PATIENCE, isolation_level=None
    )


def _runs(connection: sqlite3.Connection) -> Iterator[StoredRun]:
    params, tags = _texts(connection, _PARAMS), _texts(connection, _TAGS)
    metrics, datasets = _metrics(connection), _datasets(connection)
    for run_id, name, experiment, status, start_time, end_time, artifact_uri in connection.execute(_RUNS):
        yield StoredRun(
            run_id=run_id,
            name=name,
            experiment=experiment,
            status=status,
            start_time=start_time or 0,
            end_time=end_time,
            artifact_uri=artifact_uri,
            params=params[run_id],
            tags=tags[run_id],
            metrics=metrics[run_id],
            datasets=sorted_datasets(datasets[run_id]),
        )


def _texts(connection: sqlite3.Connection, query: str) -> defaultdict[str, dict[str, str]]:
    texts: defaultdict[str, dict[str, str]] = defaultdict(dict)
    for run_id, key, value in connection.execute(query):
        texts[run_id][key] = value or ""
    return texts


def _metrics(connection: sqlite3.Connection) -> defaultdict[str, dict[str, MetricSeries]]:
    metrics: defaultdict[str, dict[str, MetricSeries]] = defaultdict(dict)
    for run_id, key, count in connection.execute(_SERIES).fetchall():
        # numpy makes NaN of SQL's NULL.
        rows = np.fromiter(connection.execute(_POINTS, (run_id, key)), dtype=_ROW, count=count)
        # SQLite numbers rows as they come, so the rowid gives the order of logging.
        metrics[run_id][key] = metric_series(key, rows[np.argsort(rows["rowid"])])
    return metrics


def _datasets(connection: sqlite3.Connection) -> defaultdict[str, list[Dataset]]:
    datasets: defaultdict[str, list[Dataset]] = defaultdict(list)
    for run_id, *dataset in connection.execute(_DATASETS):
        datasets[run_id].append(Dataset(*dataset))
    return datasets


def _logged_models(connection: sqlite3.Connection) -> Iterator[LoggedModel]:
    for model_id, name, run_id, status, created, location in connection.execute(_LOGGED_MODELS):
        yield LoggedModel(model_id, name, run_id, logged_model_status(status), created, location)


def _registered_models(connection: sqlite3.Connection) -> tuple[RegisteredModel, ...]:
    aliases: defaultdict[str, dict[str, str]] = defaultdict(dict)
    for name, alias, target in connection.execute(_ALIASES):
        aliases[name][alias] = str(target)
    tags, versions = _texts(connection, _VERSION_TAGS), defaultdict[str, list[ModelVersion]](list)
    for name, version, source, run_id, status, description in connection.execute(_VERSIONS):
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
    tags = _texts(connection, _MODEL_TAGS)
    return registered_models(
        RegisteredModel(name, tuple(versions[name]), tags[name], text_or_none(description))
        for name, description in connection.execute(_REGISTERED_MODELS)
    )
