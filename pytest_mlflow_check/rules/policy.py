"""What the settings make of findings: severities, rules switched off, allowances."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Literal

from pytest_mlflow_check.core.findings import (
    Allowance,
    CheckResult,
    CodePart,
    Finding,
    Severity,
    errors_first,
)
from pytest_mlflow_check.core.masking import Secrets
from pytest_mlflow_check.core.secret_names import is_secret
from pytest_mlflow_check.rules import RULES


@dataclass(frozen=True)
class Policy:
    """How findings are taken.

    Attributes:
        severities: by rule, where the settings differ from the rule's own.
        allowances: in the order of the settings.
        secrets: what findings must not show.
    """

    severities: Mapping[str, Severity | Literal["off"]] = field(default_factory=dict)
    allowances: tuple[Allowance, ...] = ()
    secrets: Secrets = field(default_factory=Secrets)

    def apply(self, check: str, findings: Sequence[Finding]) -> CheckResult:
        """What remains of the findings, with severities, errors first; and which allowances were needed."""
        remaining: list[Finding] = []
        used: set[int] = set()
        for finding in findings:
            milder = "warning" if finding.severity == "warning" else RULES[finding.rule].severity
            severity = self.severities.get(finding.rule, milder)
            if severity == "off":
                continue
            covering = [
                position
                for position, allowance in enumerate(self.allowances)
                if allowance.rule == finding.rule and fnmatchcase(finding.subject, allowance.match)
            ]
            used.update(covering)
            if not covering:
                remaining.append(replace(self._shown(finding), severity=severity))
        return CheckResult(check, errors_first(remaining), None, tuple(sorted(used)))

    def _shown(self, finding: Finding) -> Finding:
        """The finding without secrets, whole: what is cut short afterwards no longer looks like one."""
        masked = self.secrets.with_words(_secret_sides(finding)).masked

        def side(value: str | None) -> str | None:
            return None if value is None else masked(value)

        return replace(
            finding,
            subject=masked(finding.subject),
            why=masked(finding.why),
            cause=masked(finding.cause),
            fix=masked(finding.fix),
            fluent=side(finding.fluent),
            mlflow_run=side(finding.mlflow_run),
            source_line=side(finding.source_line),
            run=masked(finding.run),
            detail=masked(finding.detail),
            code=tuple(CodePart(masked(part.title), masked(part.text)) for part in finding.code),
        )


def _secret_sides(finding: Finding) -> Iterator[str]:
    """The values of a param or tag whose name says that they are secret, however short they are."""
    kind, _, name = finding.subject.rpartition(" ")
    if finding.rule.startswith(("param-", "tag-")) or kind in ("param", "tag"):
        sides = (finding.fluent, finding.mlflow_run)
        yield from (value for value in sides if value is not None and is_secret(name, value))
