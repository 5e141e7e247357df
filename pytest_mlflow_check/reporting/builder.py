"""From what a session knows to what its report says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from pytest_mlflow_check.checks.runner import Comparison, compare_launches
from pytest_mlflow_check.config.settings import ResolvedConfig, shown_setting
from pytest_mlflow_check.core import findings, models, records
from pytest_mlflow_check.core.findings import CHECKS, CheckResult, split_source_line
from pytest_mlflow_check.core.masking import MASK, Secrets
from pytest_mlflow_check.core.secret_names import is_secret
from pytest_mlflow_check.core.text import counted, final
from pytest_mlflow_check.reporting.downsampling import points_each
from pytest_mlflow_check.reporting.model import (
    SCHEMA,
    Allowance,
    Case,
    Check,
    Code,
    Counts,
    Document,
    Finding,
    Outcome,
    Project,
    Setting,
    Verdict,
)
from pytest_mlflow_check.reporting.redaction import shown
from pytest_mlflow_check.reporting.run_comparison import MOST_METRICS, MOST_RUNS, runs_of
from pytest_mlflow_check.reporting.run_model import Launch
from pytest_mlflow_check.reporting.source_excerpts import Sources
from pytest_mlflow_check.reporting.text import render_title
from pytest_mlflow_check.reporting.timeline import timeline_of

_SETTINGS = ("store", "launch", "env_manager", "timeout", "strict")
_MOST_FINDINGS = 1000
"""Of a check."""


@dataclass(frozen=True)
class CheckOutcome:
    """What became of a check.

    Attributes:
        outcome: as in the report.
        result: what it found, where it was made.
        text: why it was skipped, or couldn't be made.
        seconds: what it took.
    """

    outcome: Outcome
    result: CheckResult | None = None
    text: str = ""
    seconds: float = 0.0


NOT_RUN = CheckOutcome("not-run")


@dataclass(frozen=True)
class CaseResults:
    """A case, with what the session has of it.

    Attributes:
        case: the case.
        launches: those that were made.
        checks: by name, those that were asked for.
        unreadable: why its launches couldn't be read.
    """

    case: models.Case
    launches: Mapping[records.Mode, records.Launch] = field(default_factory=dict)
    checks: Mapping[str, CheckOutcome] = field(default_factory=dict)
    unreadable: str = ""


@dataclass(frozen=True)
class ProjectResults:
    """A project, with what the session has of it.

    Attributes:
        name: as the report calls it.
        settings: those in force.
        secrets: what the report must not show.
        cases: in the order of the settings.
        unused: the allowances that nothing needed; None where that can't be told.
    """

    name: str
    settings: ResolvedConfig
    secrets: Secrets = field(default_factory=Secrets)
    cases: Sequence[CaseResults] = ()
    unused: Sequence[findings.Allowance] | None = None

    @property
    def failed_by_allowance(self) -> bool:
        """Whether it fails since an allowance has outlived its cause."""
        return self.settings.values.strict and bool(self.unused)


def build(
    projects: Sequence[ProjectResults],
    *,
    versions: Mapping[str, str],
    created: str = "",
    seconds: float = 0.0,
    complete: bool = True,
    unwritten: Sequence[str] = (),
) -> Document:
    """The report.

    Args:
        projects: in their order.
        versions: by package.
        created: when, as ISO 8601.
        seconds: how long the session took.
        complete: False where the session ended before its time, whatever the checks say.
        unwritten: what of a contract isn't written that was asked for, and why; secrets are masked in it.
    """
    most = points_each(sum(_series(one.launches) for project in projects for one in project.cases))
    made = tuple(_project(project, most) for project in projects)
    checks = [check for project in made for case in project.cases for check in case.checks]
    counts = _counts(checks)
    outlived = any(one.failed_by_allowance for one in projects)
    failed = bool(counts.failed or counts.error or unwritten) or outlived
    whole = complete and checks and not counts.not_run
    verdict: Verdict = "failed" if failed else "passed" if whole else "incomplete"
    names = dict.fromkeys([*CHECKS, *(check.name for check in checks)])
    return Document(
        schema=SCHEMA,
        verdict=verdict,
        headline=_headline(
            verdict,
            counts,
            sum(len(project.cases) for project in made),
            "the contract isn't written whole" if unwritten else "an allowance has outlived its cause",
        ),
        created=created,
        seconds=round(seconds, 3),
        versions=versions,
        unwritten=shown(tuple(unwritten), Secrets()),
        counts=counts,
        checks=tuple(name for name in names if any(check.name == name for check in checks)),
        projects=made,
    )


def _series(launches: Mapping[records.Mode, records.Launch]) -> int:
    return sum(
        min(len(run.metrics), MOST_METRICS) for launch in launches.values() for run in launch.runs[:MOST_RUNS]
    )


def _counts(checks: Sequence[Check]) -> Counts:
    outcomes = [check.outcome for check in checks]
    severities = [finding.severity for check in checks for finding in check.findings]
    return Counts(
        passed=outcomes.count("passed"),
        failed=outcomes.count("failed"),
        skipped=outcomes.count("skipped"),
        error=outcomes.count("error"),
        not_run=outcomes.count("not-run"),
        errors=severities.count("error"),
        warnings=severities.count("warning"),
    )


def _headline(verdict: Verdict, counts: Counts, number_of_cases: int, beside: str) -> str:
    """The verdict in a sentence; `beside` is what failed where no check did."""
    total = counts.passed + counts.failed + counts.skipped + counts.error + counts.not_run
    of = f"of {total} checks in {counted(number_of_cases, 'case')}"
    if not total:
        return "No check was made."
    lacking = f"{counts.not_run} {of} weren't made" if counts.not_run else ""
    if counts.failed + counts.error:
        return f"{counts.failed + counts.error} {of} failed."
    if verdict == "failed":
        return f"{lacking}, and {beside}." if lacking else f"All checks passed, but {beside}."
    if verdict == "incomplete":
        early = "The session ended early"
        return f"{early}: {lacking}." if lacking else f"{early}, when {total} checks were made."
    if not counts.passed:
        return f"None {of} had anything to say."
    warned = f", with {counted(counts.warnings, 'warning')}" if counts.warnings else ""
    return f"{counts.passed} {of} passed{warned}."


def _project(project: ProjectResults, most: int) -> Project:
    values, sources = project.settings.values, Sources(project.settings.project)
    unused = project.unused
    made = Project(
        name=project.name,
        settings=tuple(
            Setting(key, shown_setting(key, getattr(values, key)), project.settings.origin(key))
            for key in _SETTINGS
        ),
        allowances=tuple(
            Allowance(
                one.rule,
                one.match,
                one.reason,
                None if unused is None else (one.rule, one.match) not in {(a.rule, a.match) for a in unused},
            )
            for one in values.allow
        ),
        cases=(),
    )
    # A case has secrets of its own among what it logged, and what was masked and cut isn't cut again.
    cases = tuple(_case(project, one, sources, most) for one in project.cases)
    return replace(shown(made, project.secrets), cases=cases)


def _case(project: ProjectResults, given: CaseResults, sources: Sources, most: int) -> Case:
    case = given.case
    comparison = compare_launches(given.launches, settings=project.settings.values, case=case)
    labels = _labels(comparison)
    names = dict.fromkeys([*(name for name in CHECKS if name in given.checks), *given.checks])
    checks = tuple(_check(name, given.checks[name], sources) for name in names)
    outcomes = {check.outcome for check in checks}
    found = {(check.name, finding.subject) for check in checks for finding in check.findings}
    runs, omitted = runs_of(comparison, found, most)
    made = Case(
        id=case.id,
        entry_point=case.entry_point.name,
        params={name: MASK if is_secret(name, value) else value for name, value in case.params.items()},
        probe=case.probe,
        verdict="failed" if outcomes & {"failed", "error"} else _passed_or_not(outcomes),
        checks=checks,
        launches=tuple(_launch(given.launches[mode], labels) for mode in _MODES if mode in given.launches),
        runs=runs,
        omitted_runs=omitted,
        unreadable=given.unreadable,
    )
    return shown(made, project.secrets.including(comparison.named_values()))


_MODES: tuple[records.Mode, ...] = ("fluent", "mlflow-run")


def _passed_or_not(outcomes: set[Outcome]) -> Verdict:
    return "passed" if outcomes and "not-run" not in outcomes else "incomplete"


def _labels(comparison: Comparison) -> dict[str, str]:
    pairs = [*comparison.pairs, *comparison.missing]
    return {run.run_id: pair.label for pair in pairs for _, run in pair.sides}


def _check(name: str, checked: CheckOutcome, sources: Sources) -> Check:
    result = checked.result or CheckResult(name)
    return Check(
        name=name,
        outcome=checked.outcome,
        reason=checked.text,
        note=result.note,
        seconds=round(checked.seconds, 3),
        findings=tuple(_finding(one, sources) for one in result.findings[:_MOST_FINDINGS]),
        omitted=max(len(result.findings) - _MOST_FINDINGS, 0),
    )


def _finding(finding: findings.Finding, sources: Sources) -> Finding:
    place = split_source_line(finding.source_line)
    return Finding(
        rule=finding.rule,
        severity=finding.severity,
        subject=finding.subject,
        run=finding.run,
        title=render_title(finding.rule, [finding]),
        cause=finding.cause,
        fluent=finding.fluent,
        mlflow_run=finding.mlflow_run,
        file=place[0] if place else finding.source_line,
        line=place[1] if place else None,
        why=finding.why,
        fix=finding.fix,
        detail=finding.detail,
        code=tuple(Code(part.title, part.text) for part in finding.code),
        source=sources.excerpt(finding.source_line),
    )


def _launch(launch: records.Launch, labels: Mapping[str, str]) -> Launch:
    timeline, more = timeline_of(launch, labels)
    output = launch.stdout_path
    return Launch(
        mode=launch.mode,
        command=launch.command,
        exit_code=launch.exit_code,
        seconds=round(launch.duration, 3),
        cached=launch.cached is not None,
        observed=launch.observed,
        files=str(output.parent) if output else "",
        notes=launch.notes,
        runs=len(launch.runs),
        points=launch.points,
        timeline=timeline,
        more_calls=more,
        stdout=final(launch.stdout).rstrip(),
        stderr=final(launch.stderr).rstrip(),
    )
