"""Run records out of what the two kinds of store hold."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from pytest_mlflow_check.core.records import Dataset, MetricSeries, RunRecord
from pytest_mlflow_check.stores.readers.artifacts import list_artifacts
from pytest_mlflow_check.stores.readers.models import LoggedModel, run_models
from pytest_mlflow_check.stores.readers.safe_files import Content

# `mlflow.utils.mlflow_tags` and `mlflow.entities` of MLflow 3.17.2 and 2.22.5.
_PARENT_TAG = "mlflow.parentRunId"
_NAME_TAG = "mlflow.runName"
CONTEXT_TAG = "mlflow.data.context"


@dataclass(frozen=True)
class StoredRun:
    """A run as the store itself describes it: what `RunRecord` has, but for links, artifacts and models.

    Attributes:
        artifact_uri: where its artifacts lie: a `file:` URI or a path.
    """

    run_id: str
    name: str | None
    experiment: str
    status: str
    start_time: int
    end_time: int | None
    artifact_uri: str | None
    params: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, MetricSeries] = field(default_factory=dict)
    datasets: tuple[Dataset, ...] = ()


def run_records(
    runs: Iterable[StoredRun], logged_models: Iterable[LoggedModel], content: Content
) -> tuple[RunRecord, ...]:
    """The records of `runs`, oldest first, with their artifacts and models, each linked to its relatives.

    Runs that started in the same millisecond stay in the order given.
    """
    ordered = sorted(runs, key=lambda run: run.start_time)
    children: dict[str | None, list[str]] = defaultdict(list)
    for run in ordered:
        children[_parent(run)].append(run.run_id)
    models: dict[str | None, list[LoggedModel]] = defaultdict(list)
    for model in logged_models:
        models[model.run_id].append(model)
    return tuple(
        _record(run, children[run.run_id], models[run.run_id], content.of_run(run.run_id)) for run in ordered
    )


def sorted_datasets(datasets: Iterable[Dataset]) -> tuple[Dataset, ...]:
    """`datasets` by name, digest and context."""
    return tuple(sorted(datasets, key=lambda each: (each.name, each.digest, each.context or "")))


def _record(
    run: StoredRun, children: Iterable[str], logged_models: Iterable[LoggedModel], content: Content
) -> RunRecord:
    tree = list_artifacts(run.artifact_uri, content)
    return RunRecord(
        run_id=run.run_id,
        name=run.name or run.tags.get(_NAME_TAG, ""),
        experiment=run.experiment,
        status=run.status,
        start_time=run.start_time,
        end_time=run.end_time,
        parent_id=_parent(run),
        children=tuple(children),
        params=run.params,
        tags=run.tags,
        metrics=run.metrics,
        artifacts=tree.artifacts,
        models=run_models(run.run_id, logged_models, tree.models, content),
        datasets=run.datasets,
    )


def _parent(run: StoredRun) -> str | None:
    return run.tags.get(_PARENT_TAG) or None
