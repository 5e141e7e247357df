"""What the settings make of findings: severities, rules switched off, allowances."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Literal

from pytest_mlflow_check.findings import Allowance, CheckResult, Finding, Severity
from pytest_mlflow_check.rules import RULES


@dataclass(frozen=True)
class Policy:
    """How findings are taken.

    Attributes:
        severities: by rule, where the settings differ from the rule's own.
        allowances: in the order of the settings.
    """

    severities: Mapping[str, Severity | Literal["off"]] = field(default_factory=dict)
    allowances: tuple[Allowance, ...] = ()

    def apply(self, check: str, findings: Sequence[Finding]) -> CheckResult:
        """What remains of the findings, with their severities, and which allowances were needed."""
        remaining: list[Finding] = []
        used: set[int] = set()
        for finding in findings:
            severity = self.severities.get(finding.rule, RULES[finding.rule].severity)
            if severity == "off":
                continue
            covering = [
                position
                for position, allowance in enumerate(self.allowances)
                if allowance.rule == finding.rule and fnmatchcase(finding.subject, allowance.match)
            ]
            used.update(covering)
            if not covering:
                remaining.append(replace(finding, severity=severity))
        return CheckResult(check, tuple(remaining), None, tuple(sorted(used)))
