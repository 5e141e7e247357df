"""What the checks have to say, as plain frozen data."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Severity = Literal["error", "warning"]

CHECKS = ("launches", "params", "metrics", "artifacts", "models", "contract")
"""The checks in the order in which they are collected and reported; `contract` only where there is one."""

_PLACE = re.compile(r"(?P<file>[^\0\n]+?):(?P<line>[1-9][0-9]{0,8})")


@dataclass(frozen=True)
class CodePart:
    """Code to paste.

    Attributes:
        title: where it goes, in a few words.
        text: the code itself.
    """

    title: str
    text: str


@dataclass(frozen=True)
class Finding:
    """One thing that is logged wrong, about one param, metric, artifact, model or launch.

    Attributes:
        rule: slug of the rule, such as `metric-without-step`.
        subject: the key, path or name it is about; allowances match against it.
        why: why MLflow behaves so, in a sentence or two.
        fix: what to change.
        fluent, mlflow_run: what each launch has to show; None for nothing.
        source_line: file and line, such as `MLproject:6`, relative to the project.
        run: which run of several, empty where there is only one.
        detail: longer text to show as it is, such as the end of a launch's output.
        code: what the fix needs, to be pasted: parts with a line of introduction each. Findings of one rule
            that need the same part show it once.
        severity: set by the policy; a rule's own severity unless the settings say otherwise. A check says
            `warning` where a finding of its rule is none to stop for.
        cause: what a launch failed of, in one line, which stands in the title; empty for all else.
    """

    rule: str
    subject: str
    why: str
    fix: str
    fluent: str | None = None
    mlflow_run: str | None = None
    source_line: str | None = None
    run: str = ""
    detail: str = ""
    code: tuple[CodePart, ...] = ()
    severity: Severity = "error"
    cause: str = ""


@dataclass(frozen=True)
class Allowance:
    """A difference the user accepts.

    Attributes:
        rule: slug of the rule.
        match: a pattern (`fnmatch`) for the finding's subject.
        reason: why it is accepted.
    """

    rule: str
    match: str
    reason: str


@dataclass(frozen=True)
class CheckResult:
    """What one check found out about one case.

    Attributes:
        check: one of `CHECKS`.
        findings: what remains after rules were switched off and allowances applied.
        skipped: why the check could not be made, else None.
        used_allowances: positions, in the settings, of the allowances that covered a finding.
        note: of a probe that found something: what it changed, and how the case it comes from fared.
    """

    check: str
    findings: tuple[Finding, ...] = ()
    skipped: str | None = None
    used_allowances: tuple[int, ...] = ()
    note: str = ""

    def failed(self, *, strict: bool) -> bool:
        """Whether an error was found, or, when strict, anything at all."""
        return any(strict or finding.severity == "error" for finding in self.findings)


@dataclass(frozen=True)
class CaseReport:
    """All checks of one case."""

    case: str
    results: tuple[CheckResult, ...]


@dataclass(frozen=True)
class Report:
    """All cases of one project.

    Attributes:
        project: the project's directory.
        cases: in the order of the settings.
        unused_allowances: the allowances that no finding needed.
        strict: whether warnings fail too.
    """

    project: Path
    cases: tuple[CaseReport, ...]
    unused_allowances: tuple[Allowance, ...] = ()
    strict: bool = False

    @property
    def failed(self) -> bool:
        """Whether any check of any case failed."""
        return any(result.failed(strict=self.strict) for case in self.cases for result in case.results)


def errors_first(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """The findings in their order, those that fail before those that warn."""
    return tuple(sorted(findings, key=lambda finding: finding.severity != "error"))


def split_source_line(source_line: str | None) -> tuple[str, int] | None:
    """File and line of a place such as `train.py:12`; None where it is none. A launch may have made it up."""
    found = _PLACE.fullmatch(source_line or "")
    return (found["file"], int(found["line"])) if found else None
