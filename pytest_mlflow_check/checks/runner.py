"""What a case is tested for. Checks are pure: records in, findings out."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from pytest_mlflow_check.checks.artifacts import check_artifacts
from pytest_mlflow_check.checks.comparison import Comparison, compare_launches
from pytest_mlflow_check.checks.confirmation import VARIES, Subject, explained, unexplained
from pytest_mlflow_check.checks.empty_launch import empty_launches
from pytest_mlflow_check.checks.launches import check_launches, failed_launches, launch_failed
from pytest_mlflow_check.checks.metrics import check_metrics
from pytest_mlflow_check.checks.models import check_models, logs_models
from pytest_mlflow_check.checks.params import check_params
from pytest_mlflow_check.checks.probe_results import beside_its_case, refused
from pytest_mlflow_check.checks.static import obstacle
from pytest_mlflow_check.checks.store_redirects import stopped
from pytest_mlflow_check.core.findings import CheckResult, Finding, errors_first
from pytest_mlflow_check.rules import RULES
from pytest_mlflow_check.rules.policy import Policy

__all__ = ["CaseJudge", "Comparison", "Policy", "beside_its_case", "compare_launches"]

_CHECKS: Mapping[str, Callable[[Comparison], list[Finding]]] = {
    "launches": check_launches,
    "params": check_params,
    "metrics": check_metrics,
    "artifacts": check_artifacts,
    "models": check_models,
    "contract": lambda _: [],
}


@dataclass(frozen=True)
class CaseJudge:
    """Judges the launches of one case. What a check finds is found once, however many ask for it.

    Attributes:
        comparison: the launches.
        policy: severities and allowances.
    """

    comparison: Comparison
    policy: Policy
    _findings: dict[str, list[Finding]] = field(default_factory=dict, init=False, repr=False, compare=False)

    def judge(self, check: str, find: Callable[[Comparison], list[Finding]] | None = None) -> CheckResult:
        """Make one check and apply the policy to what it finds.

        Args:
            check: one of `CHECKS`.
            find: what finds, for the check `contract`: it lies in a file, and nothing is found without one.
        """
        comparison = self.comparison
        if check != "launches" and (reason := _reason_to_skip(check, comparison)):
            return CheckResult(check, skipped=reason)
        if check == "launches" and (reason := refused(comparison)):
            return CheckResult(check, skipped=reason)
        found = self._found(check) if find is None else find(comparison)
        findings = self.without_superseded(found)
        if found and not findings:
            # Nothing but symptoms is neither a failure of this check nor a pass.
            causes = dict.fromkeys(one.rule for one in self._launch_findings if RULES[one.rule].supersedes)
            return CheckResult(check, skipped=f"{', '.join(causes)} (see launches)")
        result = self._policy.apply(check, _one_sided(comparison, findings))
        failed = failed_launches(comparison.launches)
        if check == "launches" and failed and not _explains_failure(result, comparison):
            # A failed launch stays a failed launch when the rule that explains it is off or allowed.
            plain = self._policy.apply(check, _one_sided(comparison, [launch_failed(failed)]))
            used = {*result.used_allowances, *plain.used_allowances}
            whole = errors_first(result.findings + plain.findings)
            return CheckResult(check, whole, None, tuple(sorted(used)))
        return result

    def without_superseded(self, findings: Sequence[Finding]) -> list[Finding]:
        """Return the findings that no rule supersedes whose own findings say the cause.

        Causes are looked for among the findings themselves and those of the launches, which come first. An
        allowance accepts a cause with all it brings; a rule that is switched off hides nothing.
        """
        causes = {
            (finding.rule, finding.subject, finding.run)
            for finding in [*findings, *self._launch_findings]
            if self.policy.severities.get(finding.rule) != "off"
        }
        superseded = {slug for cause, _, _ in causes for slug in RULES[cause].supersedes}
        of_subject = {
            (slug, subject, run)
            for cause, subject, run in causes
            for slug in RULES[cause].supersedes_same_subject
        }
        return [
            finding
            for finding in findings
            if finding.rule not in superseded
            and (finding.rule, finding.subject, finding.run) not in of_subject
        ]

    @cached_property
    def _policy(self) -> Policy:
        """The policy, which also knows the secrets among what was logged."""
        return replace(self.policy, secrets=self.policy.secrets.including(self.comparison.named_values()))

    def unexplained(self, checks: Iterable[str]) -> list[Finding]:
        """Return the findings of some checks that only a second fluent launch can explain."""
        judged = [
            finding
            for check in checks
            if check in _CHECKS and _reason_to_skip(check, self.comparison) is None
            for finding in self.without_superseded(self._found(check))
        ]
        return unexplained(self.comparison, self._policy.apply("", judged).findings)

    def varying(self, checks: Iterable[str]) -> frozenset[Subject]:
        """Return what of some checks varies by itself, as `Comparison.known_to_vary` has it."""
        return frozenset(
            (rule, finding.subject, finding.run)
            for check in checks
            if check in _CHECKS
            for finding in self._found(check)
            for rule, varies in VARIES.items()
            if varies == finding.rule
        )

    def _found(self, check: str) -> list[Finding]:
        """Return what a check found, with the evidence there is of what varies by itself."""
        if check not in self._findings:
            find = _CHECKS[check]
            self._findings[check] = explained(self.comparison, find(self.comparison), find)
        return self._findings[check]

    @property
    def _launch_findings(self) -> list[Finding]:
        return self._found("launches")


def _one_sided(comparison: Comparison, findings: Iterable[Finding]) -> list[Finding]:
    """The findings; where one launch was made, the other one's side says so instead of seeming empty."""
    if set(comparison.launches) == {"fluent"}:
        return [replace(finding, mlflow_run="not launched") for finding in findings]
    if set(comparison.launches) == {"mlflow-run"}:
        return [replace(finding, fluent="not launched") for finding in findings]
    return list(findings)


_CAUSES = {
    "launch-failed",
    "param-rewritten",
    "experiment-hardcoded",
    "needs-run-id",
    "inner-run-environment",
    "file-outside-workspace",
    "mlproject-missing-file",
    "mlproject-unknown-option",
}
"""The rules that say what a launch crashed with."""


def _explains_failure(result: CheckResult, comparison: Comparison) -> bool:
    blocked = any(stopped(comparison, launch) for launch in comparison.launches.values())
    blocking = {"tracking-uri-hardcoded"} if blocked else set()
    return any(finding.rule in _CAUSES | blocking for finding in result.findings)


def _reason_to_skip(check: str, comparison: Comparison) -> str | None:
    if rule := obstacle(comparison):
        return f"nothing was launched: {rule} (see launches)"
    if failed := failed_launches(comparison.launches):
        return f"{_named(failed)} failed (see launches)"
    if empty := empty_launches(comparison):
        return f"{_named(empty)} logged nothing (see launches)"
    if check == "params" and not any(pair.both for pair in comparison.pairs):
        return "only one launch was made, so there is nothing to compare"
    if check == "models" and not logs_models(comparison):
        return "no model was logged"
    return None


def _named(modes: Collection[str]) -> str:
    names = " and ".join(mode.replace("-", " ") for mode in modes)
    return f"the {names} launch" + ("es" if len(modes) > 1 else "")
