"""Reads a throw-away store back into records, straight from its files or its database.

MLflow isn't imported: that takes seconds, and `MlflowClient.get_metric_history` minutes for a million points.
MLflow 3.17.2 reads the whole series again for every 25,000 of them.
The layouts are those of MLflow 3.17.2 and 2.22.5.
"""

from __future__ import annotations

from pytest_mlflow_check.core.records import StoreRecord
from pytest_mlflow_check.core.store import Store
from pytest_mlflow_check.stores.readers.file_store import read_file_store
from pytest_mlflow_check.stores.readers.sqlite_store import read_sqlite_store

__all__ = ["read_store"]


def read_store(store: Store) -> StoreRecord:
    """All active runs of all active experiments in `store`, and its model registry.

    A store that MLflow never created, since nothing was logged, gives an empty record.
    """
    if store.kind == "file":
        return read_file_store(store.root)
    return read_sqlite_store(store.database)
