"""A file store: a directory for each experiment, in it one for each run, and `models` for the registry.

The layout is that of `mlflow.store.tracking.file_store` and `mlflow.store.model_registry.file_store`, MLflow
3.17.2 and 2.22.5. Whatever else lies in these directories is passed over.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pytest_mlflow_check.core.records import Dataset, MetricSeries, ModelVersion, RegisteredModel, StoreRecord
from pytest_mlflow_check.stores.readers.metrics import read_metric_file
from pytest_mlflow_check.stores.readers.models import LoggedModel, logged_model_status
from pytest_mlflow_check.stores.readers.registry import (
    DELETED_STAGE,
    PROMPT_TAG,
    aliases_of,
    registered_models,
)
from pytest_mlflow_check.stores.readers.runs import CONTEXT_TAG, StoredRun, run_records, sorted_datasets
from pytest_mlflow_check.stores.readers.safe_files import Content, integer, integer_or_none, text_or_none

_META = "meta.yaml"
_TRASH = ".trash"
# As MLflow numbers experiments and runs (`FileStore._create_experiment_with_id`, `FileStore.create_run`).
_EXPERIMENT = re.compile(r"\d{1,20}")
_RUN = re.compile(r"[0-9a-f]{32}")
_RUN_PARTS = ("metrics", "params", "tags")
# `mlflow.entities.RunStatus`; a run without a status counts as running (`_read_persisted_run_info_dict`).
_RUN_STATUS = {1: "RUNNING", 2: "SCHEDULED", 3: "FINISHED", 4: "FAILED", 5: "KILLED"}


def read_file_store(root: Path) -> StoreRecord:
    """All that the file store in the directory `root` holds; nothing where there is none."""
    content = Content(root)
    runs: list[StoredRun] = []
    models: list[LoggedModel] = []
    deleted: list[str] = []
    if root.exists() and not root.is_dir():
        content.damaged(".", "isn't a directory")
    for directory in content.subdirectories(root):
        meta = _meta(
            content, directory, "experiment_id", expected=bool(_EXPERIMENT.fullmatch(directory.name))
        )
        if meta and _is_active(meta):
            runs.extend(_runs(content, directory, str(meta.get("name")), deleted))
            models.extend(_logged_models(content, directory))
    # Deleted experiments are moved there, with their runs.
    for directory in content.subdirectories(root / _TRASH):
        deleted += [run.name for run in content.subdirectories(directory) if _RUN.fullmatch(run.name)]
    return StoreRecord(
        runs=run_records(runs, models, content),
        registered_models=_registered_models(content, root / "models"),
        damages=tuple(dict.fromkeys(content.damages)),
        deleted=tuple(deleted),
    )


def _meta(content: Content, directory: Path, id_key: str, *, expected: bool = False) -> Mapping[str, Any]:
    """What the `meta.yaml` of an experiment, a run or a model says; empty where it isn't one.

    Args:
        content: the store.
        directory: its directory.
        id_key: what holds the directory's name.
        expected: whether it is nothing else, so that a missing or strange `meta.yaml` is damage.
    """
    file = directory / _META
    # Where the store's root is the artifact root too, any directory may hold a meta.yaml of someone else's.
    meta = (content if expected else Content(content.root)).mapping(file)
    if meta and str(meta.get(id_key)) == directory.name:
        return meta
    if expected and (meta or not file.exists()):
        content.damaged(file, f"isn't that of {directory.name}" if meta else "is missing")
    return {}


def _is_active(meta: Mapping[str, Any]) -> bool:
    return bool(meta.get("lifecycle_stage", "active") == "active")


def _runs(
    content: Content, experiment: Path, experiment_name: str, deleted: list[str]
) -> Iterator[StoredRun]:
    for directory in content.subdirectories(experiment):
        mine = content.of_run(directory.name)
        meta = _meta(mine, directory, "run_id", expected=_is_run(directory))
        if meta and not _is_active(meta):
            deleted.append(directory.name)
        if not meta or not _is_active(meta):
            continue
        for key in ("status", "start_time", "end_time"):
            if not isinstance(meta.get(key), int | None):
                mine.damaged(directory / _META, f"{key} isn't a number")
        yield StoredRun(
            run_id=directory.name,
            name=text_or_none(meta.get("run_name")),
            experiment=experiment_name,
            status=_RUN_STATUS.get(integer(meta.get("status")), "RUNNING"),
            start_time=integer(meta.get("start_time")),
            end_time=integer_or_none(meta.get("end_time")),
            artifact_uri=text_or_none(meta.get("artifact_uri")),
            params=mine.texts(directory / "params"),
            tags=mine.texts(directory / "tags"),
            metrics=_metrics(mine, directory / "metrics"),
            datasets=sorted_datasets(_datasets(mine, directory / "inputs", experiment / "datasets")),
        )


def _is_run(directory: Path) -> bool:
    """Whether it can be nothing else, whatever its `meta.yaml` says."""
    return bool(_RUN.fullmatch(directory.name)) or any((directory / part).is_dir() for part in _RUN_PARTS)


def _metrics(content: Content, directory: Path) -> dict[str, MetricSeries]:
    series = (read_metric_file(key, file, content) for key, file in content.files(directory).items())
    return {each.key: each for each in series if each is not None}


def _datasets(content: Content, inputs: Path, datasets: Path) -> Iterator[Dataset]:
    for directory in content.subdirectories(inputs):
        link = content.mapping(directory / _META)
        # Logged models are inputs too, with the type MODEL.
        if link.get("source_type") != "DATASET":
            continue
        dataset = content.mapping(datasets / str(link.get("source_id")) / _META)
        tags = link.get("tags")
        if dataset:
            yield Dataset(
                name=str(dataset.get("name")),
                digest=str(dataset.get("digest")),
                source_type=str(dataset.get("source_type")),
                context=text_or_none(tags.get(CONTEXT_TAG)) if isinstance(tags, dict) else None,
            )


def _logged_models(content: Content, experiment: Path) -> Iterator[LoggedModel]:
    for directory in content.subdirectories(experiment / "models"):
        meta = _meta(content, directory, "model_id", expected=directory.name.startswith("m-"))
        if meta and _is_active(meta):
            yield LoggedModel(
                model_id=directory.name,
                name=str(meta.get("name")),
                run_id=text_or_none(meta.get("source_run_id")),
                status=logged_model_status(meta.get("status")),
                created=integer(meta.get("creation_timestamp")),
                location=str(meta.get("artifact_location")),
            )


def _registered_models(content: Content, root: Path) -> tuple[RegisteredModel, ...]:
    return registered_models(_models_of_registry(content, root))


def _models_of_registry(content: Content, root: Path) -> Iterator[RegisteredModel]:
    for directory in content.subdirectories(root):
        meta, tags = content.mapping(directory / _META), content.texts(directory / "tags")
        if meta.get("name") == directory.name and tags.get(PROMPT_TAG) != "true":
            description = text_or_none(meta.get("description"))
            yield RegisteredModel(directory.name, tuple(_versions(content, directory)), tags, description)


def _versions(content: Content, model: Path) -> Iterator[ModelVersion]:
    aliases = content.texts(model / "aliases")
    for directory in content.subdirectories(model):
        meta = content.mapping(directory / _META)
        version = str(integer(meta.get("version")))
        if directory.name != f"version-{version}" or meta.get("current_stage") == DELETED_STAGE:
            continue
        yield ModelVersion(
            version=version,
            source=text_or_none(meta.get("source")),
            run_id=text_or_none(meta.get("run_id")),
            status=text_or_none(meta.get("status")),
            aliases=aliases_of(version, aliases),
            tags=content.texts(directory / "tags"),
            description=text_or_none(meta.get("description")),
        )
