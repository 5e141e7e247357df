"""What was logged: everything one launch left in its store, as plain frozen data.

Nothing here knows MLflow, a store or pytest. The checks compare these records, and people get at them
through the fixtures: `launch.run.params["index"]`, `launch.run.metrics["loss"].values`.
"""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from heapq import merge
from operator import itemgetter
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pytest_mlflow_check.errors import UserError

Mode = Literal["fluent", "mlflow-run"]
Caller = Literal["code", "autologging", "mlflow-run", "exit", "mlflow"]


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
    """

    key: str
    steps: NDArray[np.int64]
    values: NDArray[np.float64]
    timestamps: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.steps)


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
class ModelProof:
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
    predicted: bool | None = None
    example: str | None = None
    prediction: Any = field(default=None, repr=False)
    unmet: tuple[tuple[str, str | None], ...] = ()
    unlisted: tuple[str, ...] = ()

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> ModelProof:
        """The proof out of its fields as JSON holds them."""
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


@dataclass(frozen=True)
class Observation:
    """One logging call as it happened, seen from inside the user's process.

    Attributes:
        what: the kind of call: `log_param`, `log_metric`, `set_tag`, `log_artifact`, `log_artifacts`,
            `log_input`, `log_model`, `register_model`, `create_run`, `start_run`, `enter_run` (a `with`),
            `end_run`, `set_experiment`, `autolog`, `run_project`, `command_ended` (that of an entry point),
            or `redirect`: an attempt to lead MLflow to another store than the launch's own.
        key: what it was about: the key, artifact path, name of a model, run or experiment, or the URI, with
            passwords masked.
        value: the value as text (both ends of a long one), the local path of an artifact, the flavor of a
            model, the name that the code asked for when it made a run (None where it was left out), the
            final status of a run, the environment manager of an inner project (None where it was left
            out), the exit code of a command (below 0 for a signal), or how a redirect was tried, such as
            `mlflow.set_tracking_uri`.
        length: characters of the whole value.
        run_id: the run, where the call names or makes one.
        step: as given; None where it was left out.
        by: `code`; `autologging`; `mlflow-run` for what `mlflow run` logs by itself; `exit` for what
            MLflow does when the interpreter ends; `mlflow` for other calls without a line of the user's.
        place: the nearest line outside MLflow and installed packages, such as `train.py:12`, relative to the
            project; None where there is none.
        process: process id.
        time: seconds since the epoch.
    """

    what: str
    key: str = ""
    value: str | None = None
    length: int = 0
    run_id: str | None = None
    step: int | None = None
    by: Caller = "code"
    place: str | None = None
    process: int = 0
    time: float = 0.0


@dataclass(frozen=True)
class Frame:
    """A line that a thread was at.

    Attributes:
        file: relative to the project, for one of the project's; the name alone for others.
        line: 1-based.
        function: the function it is in.
        own: whether it is the project's.
    """

    file: str
    line: int
    function: str
    own: bool


@dataclass(frozen=True)
class Stack:
    """Where a thread stood when its process crashed, or shortly before the launch was ended.

    Attributes:
        process: process id.
        reason: such as `Segmentation fault`; empty for one that didn't crash.
        frames: innermost first.
    """

    process: int
    reason: str
    frames: tuple[Frame, ...]


@dataclass(frozen=True)
class SavedFile:
    """A serialised object that a launch wrote into its workspace and logged nowhere.

    Attributes:
        format, holds, of_script: as in `Artifact`.
    """

    format: str
    holds: str | None = None
    of_script: str = ""


@dataclass(frozen=True)
class Launch:
    """One case started in one mode.

    Attributes:
        mode: `fluent` or `mlflow-run`.
        command: the command line as a user would type it.
        exit_code: as the operating system gave it, negative for a signal; None after a timeout.
        duration: seconds.
        started: seconds since the epoch.
        stacks: where the threads of observed processes stood that crashed, or were ended at the timeout.
        directory: the project's copy in which it ran.
        workspace, origin: the whole copy that holds it, and the directory that was copied.
        store_uri: the tracking URI of its own store.
        stdout, stderr: the last 64 kB of the output.
        stdout_path, stderr_path: the whole of it, or the first and the last megabyte.
        record: what the store held when the launch had ended.
        proofs: by `Model.uri`.
        observations: the logging calls in the order in which they happened; empty where nothing was observed.
        observed: whether the observer was switched on. Python started with `-S`, `-E` or `-I`, or another
            language, goes unobserved all the same.
        changed: files of the project that the launch changed or deleted, relative to the project.
        changed_originals: the user's own files that changed while the launch was led to them by a link
            (`workspace.link`), relative to `origin`.
        notes: what the user should know of the copy, a line each.
        stale: by directory logged whole, the files in it that the launch didn't write while it wrote others;
            all relative to the project.
        saved: serialised objects that the launch wrote and logged nowhere, by path relative to the project,
            the newest first.
        logged_to: the tracking URI that its store had while it ran, where the store was moved since: what it
            logged may name it. Else empty.
        cached: of one that is remembered from an earlier session, when it was made (seconds since the epoch),
            else None. The copy of such a one is gone.
    """

    mode: Mode
    command: str
    exit_code: int | None
    duration: float
    directory: Path
    store_uri: str
    stdout: str = field(default="", repr=False)
    stderr: str = field(default="", repr=False)
    stdout_path: Path | None = None
    stderr_path: Path | None = None
    workspace: Path | None = None
    origin: Path | None = None
    record: StoreRecord = field(default_factory=StoreRecord, repr=False)
    proofs: Mapping[str, ModelProof] = field(default_factory=dict, repr=False)
    observations: tuple[Observation, ...] = field(default=(), repr=False)
    observed: bool = False
    changed: tuple[str, ...] = ()
    changed_originals: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    stale: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    saved: Mapping[str, SavedFile] = field(default_factory=dict)
    started: float = 0.0
    stacks: tuple[Stack, ...] = ()
    logged_to: str = ""
    cached: float | None = None

    @cached_property
    def _calls_by_run(self) -> Mapping[str | None, Sequence[tuple[int, Observation]]]:
        calls: dict[str | None, list[tuple[int, Observation]]] = defaultdict(list)
        for position, call in enumerate(self.observations):
            calls[call.run_id].append((position, call))
        return calls

    def calls_about(self, run_id: str, *, or_none: bool = False) -> Iterator[Observation]:
        """The observed calls that name a run, in their order; with `or_none` also those that name no run."""
        named, nameless = self._calls_by_run.get(run_id, ()), self._calls_by_run.get(None, ())
        yield from (call for _, call in (merge(named, nameless, key=itemgetter(0)) if or_none else named))

    def as_original(self, text: str) -> str:
        """A text with the places of the copy in it turned into those of the user's own files."""
        return text.replace(str(self.workspace), str(self.origin)) if self.workspace else text

    def comparable(self, text: str) -> str:
        """A text as both launches should have it: without what is another one in each by its nature.

        These are the places of the copy and of the store, and the ids of runs and models.
        """
        text = self.as_original(text)
        for uri in filter(None, (self.store_uri, self.logged_to)):
            text = text.replace(uri, "STORE").replace(uri.removeprefix("file://"), "STORE")
            if uri.startswith("sqlite:///"):
                # Its artifacts lie beside it.
                text = text.replace(str(Path(uri.removeprefix("sqlite:///")).parent), "STORE")
        # Looked for only where the text holds what may be an id: every param and tag comes by here.
        text = re.sub(
            r"\b[0-9a-f]{32}\b",
            lambda found: "RUN" if any(run.run_id == found[0] for run in self.runs) else found[0],
            text,
        )
        return re.sub(r"\bm-[0-9a-f]{32}\b", "MODEL", text)

    @property
    def runs(self) -> tuple[RunRecord, ...]:
        """Every run the launch logged, oldest first."""
        return self.record.runs

    @property
    def run(self) -> RunRecord:
        """The one top-level run.

        Raises:
            UserError: where there is none, or more than one.
        """
        return self.record.only_run(f"{self.command!r}, which ended with exit code {self.exit_code},")
