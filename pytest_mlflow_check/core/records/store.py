"""What lies in a store: runs with all that they logged, and the registry."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pytest_mlflow_check.core.errors import UserError


def given_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """The tags that the user's code set: those of MLflow itself begin with `mlflow.`
    (`mlflow.utils.mlflow_tags` of MLflow 3.17.2 and 2.22.5)."""
    return {key: value for key, value in tags.items() if not key.startswith("mlflow.")}


@dataclass(frozen=True, eq=False)
class MetricSeries:
    """All points logged under one key, in logged order, exact repeats dropped.

    A repeat is a point with the same step, timestamp and value as an earlier one. SQL stores can't hold
    it, since the whole tuple is their key, and MLflow 3 writes one by itself into a file store when a
    model is logged after a metric (measured with 3.17.2).

    Attributes:
        key: the metric's name.
        steps: int64, shape (points,).
        values: float64, shape (points,).
        timestamps: int64, shape (points,), milliseconds since the epoch.
        subjects: int64, shape (points,): the same number for points about the same dataset (and, in a
            database, model); 0 for those about the run alone. None where all are.
    """

    key: str
    steps: NDArray[np.int64]
    values: NDArray[np.float64]
    timestamps: NDArray[np.int64]
    subjects: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.steps)

    def at(self, positions: NDArray[np.intp]) -> MetricSeries:
        """The series with the points at these positions, in that order."""
        subjects = None if self.subjects is None else self.subjects[positions]
        columns = (self.steps[positions], self.values[positions], self.timestamps[positions])
        return MetricSeries(self.key, *columns, subjects)


@dataclass(frozen=True)
class Artifact:
    """One file among a run's artifacts; files of a logged model are not among them.

    Attributes:
        path: relative to the run's artifact root, with forward slashes.
        size: bytes.
        format: `pickle`, … where the content is that of a serialised object, else None.
        file: where the file lies now.
        holds: the class of the object, such as `sklearn.svm._classes.SVC`, or the function that makes it
            again; empty where it is plain data; None where its format doesn't tell.
        of_script: the class or function of the started script that the file refers to as `__main__`'s.
    """

    path: str
    size: int
    format: str | None
    file: Path
    holds: str | None = None
    of_script: str = ""

    def digest(self) -> str:
        """SHA-256 of the content, in hex; read from disk each time it is asked for."""
        digest = hashlib.sha256()
        with self.file.open("rb") as content:
            while block := content.read(1 << 20):
                digest.update(block)
        return digest.hexdigest()


@dataclass(frozen=True)
class Model:
    """A model as MLflow keeps it: a 3.x logged model, or a directory with an `MLmodel` file.

    Attributes:
        name: `name=` of `log_model` in MLflow 3, the artifact path in MLflow 2.
        uri: what `mlflow.register_model` takes: `models:/m-…` or `runs:/<run id>/<path>`.
        path: the model's directory on disk.
        flavors: sorted names of the flavors.
        signature: the signature as canonical JSON text, or None for a model without one.
        status: `READY`, `PENDING` or `FAILED`; a directory with an `MLmodel` file is always `READY`.
        model_id: `m-…` in MLflow 3, else None.
        loader: the module that loads its flavor `python_function`, or None for a model without that.
    """

    name: str
    uri: str
    path: Path
    flavors: tuple[str, ...] = ()
    signature: str | None = None
    status: str = "READY"
    model_id: str | None = None
    loader: str | None = None


@dataclass(frozen=True)
class ModelValidation:
    """What happened when a model was registered, loaded and asked for a prediction, in a process of its own.

    Attributes:
        uri: the `Model.uri` this is about, or `models:/NAME/VERSION` for one that the project registered
            from something else than a logged model.
        registered: whether a version was made and became READY.
        loaded: whether `models:/NAME/1` loaded.
        error: the exception's type and message where a step failed, else None.
        chain: the same of the exception and of all that led to it, the first cause last.
        module: the module that wasn't found, or that lacks what a pickle looks for in it.
        lacks: what the module lacks; None where it wasn't found.
        module_file: where the project has that module, relative to the project; None where it doesn't.
        network: whether another machine was asked for.
        made: the path that it made below the directory the project was trained in; None for one that
            made none.
        predicted: whether it took its own input example; None for a model without one.
        example: a digest of the example.
        prediction: what it predicted, as numbers, texts, lists and mappings; None where it answers
            differently each time.
        unmet: requirements that aren't met here, each with the version that is installed, or None.
        unlisted: installed packages that its code imports, and none of its requirements brings along.
    """

    uri: str
    registered: bool
    loaded: bool
    error: str | None = None
    chain: tuple[str, ...] = ()
    module: str | None = None
    lacks: str | None = None
    module_file: str | None = None
    network: bool = False
    made: str | None = None
    predicted: bool | None = None
    example: str | None = None
    prediction: Any = field(default=None, repr=False)
    unmet: tuple[tuple[str, str | None], ...] = ()
    unlisted: tuple[str, ...] = ()

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> ModelValidation:
        """The validation out of its fields as JSON holds them."""
        lists = {name: tuple(fields.get(name, ())) for name in ("chain", "unlisted")}
        unmet = tuple((requirement, version) for requirement, version in fields.get("unmet", ()))
        return cls(**{**fields, **lists, "unmet": unmet})


@dataclass(frozen=True)
class ModelVersion:
    """One version of a registered model, as the project itself registered it."""

    version: str
    source: str | None = None
    run_id: str | None = None
    status: str | None = None
    aliases: tuple[str, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    description: str | None = None


@dataclass(frozen=True)
class RegisteredModel:
    """A name in the registry with its versions, oldest first."""

    name: str
    versions: tuple[ModelVersion, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    description: str | None = None


@dataclass(frozen=True)
class Dataset:
    """An input of a run (`mlflow.log_input`); `context` is `training` or the like, or None."""

    name: str
    digest: str
    source_type: str
    context: str | None = None

    @property
    def label(self) -> str:
        """What it is called among the inputs of a run: one name may stand there in several contexts."""
        return f"{self.name} ({self.context})" if self.context else self.name


@dataclass(frozen=True)
class RunRecord:
    """All that one MLflow run logged.

    Attributes:
        run_id: 32 hex digits.
        name: MLflow's run name, given or invented.
        experiment: the experiment's name.
        status: `RUNNING`, `FINISHED`, `FAILED`, `KILLED` or `SCHEDULED`.
        start_time, end_time: milliseconds since the epoch; `end_time` is None for a run never ended.
        parent_id: the parent's run id for a nested run.
        children: run ids of the nested runs, in order of their start.
        params, tags: as text. `tags` holds MLflow's own tags too.
        metrics: series by key.
        artifacts: files by path, those of models left out.
        models: by name; a second model of the same name in one run is `name#2`.
        datasets: in no particular order; sorted by name, digest and context.
    """

    run_id: str
    name: str = ""
    experiment: str = "Default"
    status: str = "FINISHED"
    start_time: int = 0
    end_time: int | None = None
    parent_id: str | None = None
    children: tuple[str, ...] = ()
    params: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, MetricSeries] = field(default_factory=dict)
    artifacts: Mapping[str, Artifact] = field(default_factory=dict)
    models: Mapping[str, Model] = field(default_factory=dict)
    datasets: tuple[Dataset, ...] = ()


@dataclass(frozen=True)
class Damage:
    """Something in a store that couldn't be read.

    Attributes:
        where: the file or directory, relative to the store, or the table of its database.
        why: such as `isn't UTF-8`.
        run_id: the run it belongs to, where that is known.
    """

    where: str
    why: str
    run_id: str | None = None


@dataclass(frozen=True)
class StoreRecord:
    """Everything in one store: every run of every experiment, oldest first, and the registry.

    Attributes:
        runs: those that weren't deleted.
        registered_models: by name.
        damages: what couldn't be read, and is missing from the others.
        deleted: ids of the runs that were deleted, by themselves or with their experiment.
    """

    runs: tuple[RunRecord, ...] = ()
    registered_models: tuple[RegisteredModel, ...] = ()
    damages: tuple[Damage, ...] = ()
    deleted: tuple[str, ...] = ()

    def only_run(self, who: str) -> RunRecord:
        """The one top-level run.

        Raises:
            UserError: where there is none, or more than one; `who` says who logged them.
        """
        top = [run for run in self.runs if run.parent_id is None]
        if len(top) != 1:
            raise UserError(f"{who} logged {len(top)} top-level runs, not one; look at .runs instead of .run")
        return top[0]
