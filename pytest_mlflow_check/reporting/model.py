"""What a report says, as plain frozen data: one model, of which JSON, Markdown and HTML are three shapes.

The attributes here and in `run_model` are those of the JSON, and `report.schema.json` is generated from both:
whoever adds one writes the schema anew (`python -m pytest_mlflow_check.reporting.json_report`). What a reader
of an older report could no longer find where it was needs another `SCHEMA`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from pytest_mlflow_check.reporting.run_model import LONG, OWN, Launch, Run

SCHEMA: Final = 1

Verdict = Literal["passed", "failed", "incomplete"]
Outcome = Literal["passed", "failed", "skipped", "error", "not-run"]


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
        cause: what a launch failed of, in one line; empty for all else.
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
    cause: str
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
        unwritten: what of a contract isn't written that was asked for, and why.
        counts: how many checks and findings there are.
        checks: the names of all checks, in their order.
        projects: in the order of the command line.
    """

    schema: Literal[1]
    verdict: Verdict = field(metadata=OWN)
    headline: str
    created: str
    seconds: float
    # By the versions a report is known, and not copied for a launch: they stand near its beginning.
    versions: Mapping[str, str]
    unwritten: tuple[str, ...]
    counts: Counts
    checks: tuple[str, ...]
    projects: tuple[Project, ...]
