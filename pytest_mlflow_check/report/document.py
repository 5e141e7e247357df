"""What a report says, as plain frozen data: one model, of which JSON, Markdown and HTML are three shapes.

The attributes here are those of the JSON, and `report.schema.json` is generated from this module: whoever
adds one writes the schema anew (`python -m pytest_mlflow_check.report.as_json`). What a reader of an older
report could no longer find where it was needs another `SCHEMA`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

SCHEMA: Final = 1

Mode = Literal["fluent", "mlflow-run"]
Verdict = Literal["passed", "failed", "incomplete"]
Outcome = Literal["passed", "failed", "skipped", "error", "not-run"]
State = Literal["same", "differs", "fluent-only", "mlflow-run-only", "allowed", "ignored", "single"]
QUIET: Final = ("same", "allowed", "ignored", "single")
"""The states that nobody need look into."""

Number = float | Literal["NaN", "Infinity", "-Infinity"]

OWN: Mapping[str, Any] = {"own": True}
"""Of a field that holds one of our own words, which no masking touches."""

LONG: Mapping[str, Any] = {"longest": 1 << 16}
"""Of a field that holds more than a line or two."""


@dataclass(frozen=True)
class Line:
    """A line of a source file.

    Attributes:
        number: 1-based.
        text: the line, without its end.
    """

    number: int
    text: str


@dataclass(frozen=True)
class Excerpt:
    """The lines of the user's source around a place.

    Attributes:
        file: relative to the project.
        line: the line that is meant, 1-based.
        lines: that line, and some before and after it.
    """

    file: str
    line: int
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class Code:
    """Code to paste.

    Attributes:
        title: where it goes, in a few words.
        text: the code itself.
    """

    title: str
    text: str = field(metadata=LONG)


@dataclass(frozen=True)
class Finding:
    """One thing that is logged wrong.

    Attributes:
        rule: slug of the rule, such as `metric-without-step`.
        severity: `error` or `warning`.
        subject: the key, path or name it is about.
        run: which run of several, empty where there is only one.
        title: the rule's own title, filled in.
        fluent: what the fluent launch has to show; null for nothing.
        mlflow_run: the same of the launch through `mlflow run`.
        file: the file of the place, relative to the project; null where the place isn't known.
        line: the line in it, 1-based.
        why: why MLflow behaves so.
        fix: what to change.
        detail: longer text, such as the end of a launch's output; may be empty.
        code: what the fix needs, to be pasted.
        source: the lines around the place, where the file could be read.
    """

    rule: str = field(metadata=OWN)
    severity: Literal["error", "warning"] = field(metadata=OWN)
    subject: str
    run: str
    title: str
    fluent: str | None
    mlflow_run: str | None
    file: str | None
    line: int | None
    why: str
    fix: str
    detail: str = field(metadata=LONG)
    code: tuple[Code, ...]
    source: Excerpt | None


@dataclass(frozen=True)
class Check:
    """One check of one case.

    Attributes:
        name: `launches`, `params`, and so on.
        outcome: `passed`, `failed`, `skipped`, `error` where it could not be made, or `not-run` where the
            session ended before.
        reason: why it was skipped, or what the error was; else empty.
        note: of a probe that found something, what it changed.
        seconds: what it took, its launches included where it was the one that made them.
        findings: warnings too.
        omitted: how many findings were left out, since there are too many.
    """

    name: str = field(metadata=OWN)
    outcome: Outcome = field(metadata=OWN)
    reason: str = field(default="", metadata=LONG)
    note: str = ""
    seconds: float = 0.0
    findings: tuple[Finding, ...] = ()
    omitted: int = 0


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
    by: str = field(metadata=OWN)
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
        cached: whether it is remembered from an earlier session.
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
class Proof:
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
        proof: null where it wasn't proven.
    """

    flavors: tuple[str, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    signature: bool
    status: str
    proof: Proof | None


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


@dataclass(frozen=True)
class Case:
    """One entry point with one set of parameter values.

    Attributes:
        id: as in the node id.
        entry_point: what is run.
        params: the values that were given.
        probe: what a derived case changes; null for a case of the user's.
        verdict: `failed` where a check failed, `incomplete` where one wasn't made though it was asked for.
        checks: those that were asked for.
        launches: those that were made.
        runs: each parent before its children.
        omitted_runs: how many runs were left out.
        unreadable: why what was launched can't be shown; else empty.
    """

    id: str
    entry_point: str
    params: Mapping[str, str]
    probe: str | None
    verdict: Verdict = field(metadata=OWN)
    checks: tuple[Check, ...]
    launches: tuple[Launch, ...]
    runs: tuple[Run, ...]
    omitted_runs: int
    unreadable: str


@dataclass(frozen=True)
class Setting:
    """A setting in force.

    Attributes:
        key: as in `mlflow-check.toml`.
        value: as text.
        origin: where it came from.
    """

    key: str
    value: str
    origin: str


@dataclass(frozen=True)
class Allowance:
    """A difference the user accepts.

    Attributes:
        rule: slug of the rule.
        match: pattern for the subject.
        reason: why it is accepted.
        used: whether a finding needed it; null where that can't be told.
    """

    rule: str
    match: str
    reason: str
    used: bool | None


@dataclass(frozen=True)
class Project:
    """A project that was checked.

    Attributes:
        name: its directory, relative to where pytest was started.
        settings: the main ones.
        allowances: in the order of the settings.
        cases: in the order of the settings.
    """

    name: str
    settings: tuple[Setting, ...]
    allowances: tuple[Allowance, ...]
    cases: tuple[Case, ...]


@dataclass(frozen=True)
class Counts:
    """How many there are of what.

    Attributes:
        passed: checks that passed.
        failed: checks that failed.
        skipped: checks that were skipped.
        error: checks that could not be made.
        not_run: checks that weren't reached.
        errors: findings that are errors.
        warnings: findings that are warnings.
    """

    passed: int
    failed: int
    skipped: int
    error: int
    not_run: int
    errors: int
    warnings: int


@dataclass(frozen=True)
class Document:
    """A report of pytest-mlflow-check.

    Attributes:
        schema: the version of this schema.
        verdict: `failed` where anything failed, `incomplete` where a check that was asked for wasn't made.
        headline: the verdict in a sentence.
        created: when, in UTC, as ISO 8601.
        seconds: how long the session took.
        versions: of `pytest-mlflow-check`, `mlflow`, `pytest` and `python`.
        counts: how many checks and findings there are.
        checks: the names of all checks, in their order.
        projects: in the order of the command line.
    """

    schema: Literal[1]
    verdict: Verdict = field(metadata=OWN)
    headline: str
    created: str
    seconds: float
    versions: Mapping[str, str]
    counts: Counts
    checks: tuple[str, ...]
    projects: tuple[Project, ...]
