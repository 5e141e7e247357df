"""What a rule is."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_mlflow_check.core.findings import Severity


@dataclass(frozen=True, kw_only=True)
class Rule:
    """A named kind of finding.

    Attributes:
        slug: its name in settings, reports and on the command line.
        check: the check that reports it.
        severity: `error` for what loses or falsifies something or can't be registered, else `warning`.
        title: the first line of a report; `{n}` is the number of findings, `{subjects}` what they are about.
        summary: one line for tables.
        explanation: what MLflow does, and why that matters.
        example: code that gives the finding.
        fix: code or steps that don't.
        supersedes: the rules whose findings are symptoms of this one's: they aren't reported of a case
            beside it.
        supersedes_same_subject: the same, of one param, metric, artifact or model only.
        noun: what its findings are about: the title of the first column.
        needs_observer: whether it is found only where the launch's calls were observed.
    """

    slug: str
    check: str
    severity: Severity
    title: str
    summary: str
    explanation: str
    example: str
    fix: str
    supersedes: tuple[str, ...] = ()
    supersedes_same_subject: tuple[str, ...] = ()
    noun: str = ""
    needs_observer: bool = False
