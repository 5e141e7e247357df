"""A file store: a directory for each experiment, in it one for each run, and `models` for the registry.

The layout is that of `mlflow.store.tracking.file_store` and `mlflow.store.model_registry.file_store`, MLflow
3.17.2 and 2.22.5. Whatever else lies in these directories is passed over.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pytest_mlflow_check.reading.content import (
    files_below,
    integer,
    read_mapping,
    read_texts,
    subdirectories,
    text_or_none,
)
from pytest_mlflow_check.reading.metrics import read_metric_file
from pytest_mlflow_check.reading.models import LoggedModel, logged_model_status
from pytest_mlflow_check.reading.registry import DELETED_STAGE, PROMPT_TAG, aliases_of, registered_models
from pytest_mlflow_check.reading.runs import CONTEXT_TAG, StoredRun, run_records, sorted_datasets
from pytest_mlflow_check.records import Dataset, MetricSeries, ModelVersion, RegisteredModel, StoreRecord

_META = "meta.yaml"
# `mlflow.entities.RunStatus`; a run without a status counts as running (`_read_persisted_run_info_dict`).
_RUN_STATUS = {1: "RUNNING", 2: "SCHEDULED", 3: "FINISHED", 4: "FAILED", 5: "KILLED"}


def read_file_store(root: Path) -> StoreRecord:
    """All that the file store in the directory `root` holds; nothing where there is none."""
    runs: list[StoredRun] = []
    models: list[LoggedModel] = []
    # Deleted experiments are moved to `.trash`, so they aren't seen here at all.
    for directory in subdirectories(root):
        meta = _active_meta(directory, "experiment_id")
        if meta is not None:
            runs.extend(_runs(directory, str(meta.get("name"))))
            models.extend(_logged_models(directory))
    return StoreRecord(runs=run_records(runs, models), registered_models=_registered_models(root / "models"))


def _active_meta(directory: Path, id_key: str) -> Mapping[str, Any] | None:
    # Where the store's root is the artifact root too, any directory may hold a meta.yaml of someone else's.
    meta = read_mapping(directory / _META)
    active = meta.get("lifecycle_stage", "active") == "active"
    return meta if active and str(meta.get(id_key)) == directory.name else None


def _runs(experiment: Path, experiment_name: str) -> Iterator[StoredRun]:
    for directory in subdirectories(experiment):
        meta = _active_meta(directory, "run_id")
        if meta is None:
            continue
        yield StoredRun(
            run_id=directory.name,
            name=text_or_none(meta.get("run_name")),
            experiment=experiment_name,
            status=_RUN_STATUS.get(integer(meta.get("status")), "RUNNING"),
            start_time=integer(meta.get("start_time")),
            end_time=meta.get("end_time"),
            artifact_uri=text_or_none(meta.get("artifact_uri")),
            params=read_texts(directory / "params"),
            tags=read_texts(directory / "tags"),
            metrics=_metrics(directory / "metrics"),
            datasets=sorted_datasets(_datasets(directory / "inputs", experiment / "datasets")),
        )


def _metrics(directory: Path) -> dict[str, MetricSeries]:
    series = (read_metric_file(key, file) for key, file in files_below(directory).items())
    return {each.key: each for each in series if each is not None}


def _datasets(inputs: Path, datasets: Path) -> Iterator[Dataset]:
    for directory in subdirectories(inputs):
        link = read_mapping(directory / _META)
        # Logged models are inputs too, with the type MODEL.
        if link.get("source_type") != "DATASET":
            continue
        dataset = read_mapping(datasets / str(link.get("source_id")) / _META)
        tags = link.get("tags")
        if dataset:
            yield Dataset(
                name=str(dataset.get("name")),
                digest=str(dataset.get("digest")),
                source_type=str(dataset.get("source_type")),
                context=text_or_none(tags.get(CONTEXT_TAG)) if isinstance(tags, dict) else None,
            )


def _logged_models(experiment: Path) -> Iterator[LoggedModel]:
    for directory in subdirectories(experiment / "models"):
        meta = _active_meta(directory, "model_id")
        if meta is not None:
            yield LoggedModel(
                model_id=directory.name,
                name=str(meta.get("name")),
                run_id=text_or_none(meta.get("source_run_id")),
                status=logged_model_status(meta.get("status")),
                created=integer(meta.get("creation_timestamp")),
                location=str(meta.get("artifact_location")),
            )


def _registered_models(root: Path) -> tuple[RegisteredModel, ...]:
    return registered_models(_models_of_registry(root))


def _models_of_registry(root: Path) -> Iterator[RegisteredModel]:
    for directory in subdirectories(root):
        meta, tags = read_mapping(directory / _META), read_texts(directory / "tags")
        if meta.get("name") == directory.name and tags.get(PROMPT_TAG) != "true":
            description = text_or_none(meta.get("description"))
            yield RegisteredModel(directory.name, tuple(_versions(directory)), tags, description)


def _versions(model: Path) -> Iterator[ModelVersion]:
    aliases = read_texts(model / "aliases")
    for directory in subdirectories(model):
        meta = read_mapping(directory / _META)
        version = str(integer(meta.get("version")))
        if directory.name != f"version-{version}" or meta.get("current_stage") == DELETED_STAGE:
            continue
        yield ModelVersion(
            version=version,
            source=text_or_none(meta.get("source")),
            run_id=text_or_none(meta.get("run_id")),
            status=text_or_none(meta.get("status")),
            aliases=aliases_of(version, aliases),
            tags=read_texts(directory / "tags"),
            description=text_or_none(meta.get("description")),
        )
