"""What both launches of a case logged, as a report has it: the lower part of `model`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

Mode = Literal["fluent", "mlflow-run"]
State = Literal["same", "differs", "fluent-only", "mlflow-run-only", "allowed", "ignored", "single"]

QUIET: Final = ("same", "allowed", "ignored", "single")
"""The states that nobody need look into."""

Number = float | Literal["NaN", "Infinity", "-Infinity"]

OWN: Mapping[str, Any] = {"own": True}
"""Of a field that holds one of our own words, which no masking touches."""

LONG: Mapping[str, Any] = {"longest": 1 << 16}
"""Of a field that holds more than a line or two."""


@dataclass(frozen=True)
class Call:
    """Logging calls of one kind from one line.

    Attributes:
        what: the kind of call, such as `log_metric`.
        keys: what they were about: keys, paths, names; the first few.
        more_keys: how many more keys there are.
        count: how many calls.
        first: seconds from the start of the launch to the first of them.
        last: to the last of them.
        first_step: the lowest step that was given; null where none was.
        last_step: the highest one.
        by: who called: `code`, `autologging`, `mlflow-run`, `exit` or `mlflow`.
        place: the user's line, such as `train.py:12`; null where there is none.
        run: the label of the run; empty where there is only one.
    """

    what: str
    keys: tuple[str, ...]
    more_keys: int
    count: int
    first: float
    last: float
    first_step: int | None
    last_step: int | None
    by: str
    place: str | None
    run: str


@dataclass(frozen=True)
class Launch:
    """The case started in one mode.

    Attributes:
        mode: `fluent` or `mlflow-run`.
        command: the command line as a user would type it.
        exit_code: as the operating system gave it, negative for a signal; null after a timeout.
        seconds: how long it took.
        cached: whether it is cached from an earlier session.
        observed: whether logging calls were watched.
        files: the directory with its store and output.
        notes: what there is to know of the copy it ran in.
        runs: how many runs it logged.
        points: how many metric points it logged.
        timeline: the observed calls in the order of the first of each kind.
        more_calls: how many kinds of call were left out of the timeline.
        stdout: the end of its output, as a terminal shows it.
        stderr: the same of standard error.
    """

    mode: Mode = field(metadata=OWN)
    command: str = field(metadata=LONG)
    exit_code: int | None
    seconds: float
    cached: bool
    observed: bool
    files: str
    notes: tuple[str, ...]
    runs: int
    points: int
    timeline: tuple[Call, ...]
    more_calls: int
    stdout: str = field(metadata=LONG)
    stderr: str = field(metadata=LONG)


@dataclass(frozen=True)
class Entry:
    """A param, tag or dataset, side by side.

    Attributes:
        name: its key.
        fluent: what the fluent launch logged; null for nothing.
        mlflow_run: what the launch through `mlflow run` logged.
        state: `same`, `differs`, `fluent-only`, `mlflow-run-only`; `allowed` where an allowance accepts that;
            `ignored` where it is never compared; `single` where there is only one launch to look at.
    """

    name: str
    fluent: str | None
    mlflow_run: str | None
    state: State = field(metadata=OWN)


@dataclass(frozen=True)
class Series:
    """One side of a metric.

    Attributes:
        points: how many were logged.
        not_finite: how many of them are NaN or infinite.
        first: the first value.
        last: the last value.
        lowest: the lowest finite value; null where there is none.
        highest: the highest finite value.
        steps: the steps of the curve.
        values: the finite values at these steps: all of them where they are few, else of each stretch the
            lowest and the highest.
    """

    points: int
    not_finite: int
    first: Number | None
    last: Number | None
    lowest: float | None
    highest: float | None
    steps: tuple[int, ...]
    values: tuple[float, ...]


@dataclass(frozen=True)
class Metric:
    """A metric, side by side.

    Attributes:
        key: its name.
        fluent: what the fluent launch logged; null for nothing.
        mlflow_run: what the launch through `mlflow run` logged.
        state: as of a param.
        first_difference: the first step at which the two differ; null where they don't.
    """

    key: str
    fluent: Series | None
    mlflow_run: Series | None
    state: State = field(metadata=OWN)
    first_difference: int | None


@dataclass(frozen=True)
class Artifact:
    """A file among the artifacts, side by side.

    Attributes:
        path: with forward slashes.
        fluent: its size in bytes in the fluent launch; null where it isn't there.
        mlflow_run: its size in the launch through `mlflow run`.
        format: `pickle` or the like, where it holds a serialised object.
        state: as of a param; contents count only where the settings ask for it.
    """

    path: str
    fluent: int | None
    mlflow_run: int | None
    format: str | None
    state: State = field(metadata=OWN)


@dataclass(frozen=True)
class Validation:
    """What became of a model in a fresh process.

    Attributes:
        registered: whether a version was made and became READY.
        loaded: whether it loaded.
        predicted: whether it took its own input example; null for a model without one.
        error: what failed; null where nothing did.
        unmet: requirements that aren't met.
        unlisted: packages it needs that no requirement names.
    """

    registered: bool
    loaded: bool
    predicted: bool | None
    error: str | None
    unmet: tuple[str, ...]
    unlisted: tuple[str, ...]


@dataclass(frozen=True)
class ModelSide:
    """A model of one launch.

    Attributes:
        flavors: names of its flavors.
        inputs: its signature's inputs, a line each; empty where there is none.
        outputs: its outputs.
        signature: whether it has a signature.
        status: `READY`, `PENDING` or `FAILED`.
        proof: null where it wasn't validated.
    """

    flavors: tuple[str, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    signature: bool
    status: str
    proof: Validation | None


@dataclass(frozen=True)
class Model:
    """A model, side by side.

    Attributes:
        name: as it was logged.
        fluent: that of the fluent launch; null where there is none.
        mlflow_run: that of the launch through `mlflow run`.
        state: as of a param, of flavors and signature.
    """

    name: str
    fluent: ModelSide | None
    mlflow_run: ModelSide | None
    state: State = field(metadata=OWN)


@dataclass(frozen=True)
class RunSide:
    """A run of one launch.

    Attributes:
        run_id: MLflow's id.
        name: given or invented.
        status: `FINISHED`, `FAILED` and so on.
    """

    run_id: str
    name: str
    status: str


@dataclass(frozen=True)
class Run:
    """A run, side by side.

    Attributes:
        label: tells it from the case's other runs; empty where it is the only one.
        fluent: the fluent launch's; null where it has none.
        mlflow_run: that of the launch through `mlflow run`.
        params: what was logged as params.
        tags: as tags, without MLflow's own.
        datasets: as inputs, with their digests.
        metrics: those that differ first.
        artifacts: by path.
        models: by name.
        omitted: how many of each kind were left out, since there are too many.
    """

    label: str
    fluent: RunSide | None
    mlflow_run: RunSide | None
    params: tuple[Entry, ...]
    tags: tuple[Entry, ...]
    datasets: tuple[Entry, ...]
    metrics: tuple[Metric, ...]
    artifacts: tuple[Artifact, ...]
    models: tuple[Model, ...]
    omitted: Mapping[str, int]
