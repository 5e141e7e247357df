"""What a case is tested for. Checks are pure: records in, findings out."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace

from pytest_mlflow_check.checks.artifacts import check_artifacts
from pytest_mlflow_check.checks.comparison import Comparison, compare_launches
from pytest_mlflow_check.checks.launches import (
    check_launches,
    empty_launches,
    failed_launches,
    launch_failed,
)
from pytest_mlflow_check.checks.metrics import check_metrics
from pytest_mlflow_check.checks.models import check_models, logs_models
from pytest_mlflow_check.checks.params import check_params
from pytest_mlflow_check.checks.policy import Policy
from pytest_mlflow_check.findings import CheckResult, Finding

__all__ = ["Comparison", "Policy", "compare_launches", "judge"]

_CHECKS: Mapping[str, Callable[[Comparison], list[Finding]]] = {
    "launches": check_launches,
    "params": check_params,
    "metrics": check_metrics,
    "artifacts": check_artifacts,
    "models": check_models,
}


def judge(check: str, comparison: Comparison, policy: Policy) -> CheckResult:
    """Makes one check and applies the policy to what it finds."""
    if check != "launches" and (reason := _reason_to_skip(check, comparison)):
        return CheckResult(check, skipped=reason)
    result = policy.apply(check, _one_sided(comparison, _CHECKS[check](comparison)))
    failed = failed_launches(comparison.launches)
    if check == "launches" and failed and not _explains_failure(result):
        # A failed launch stays a failed launch when the rule that explains it is off or allowed.
        plain = policy.apply(check, _one_sided(comparison, [launch_failed(failed)]))
        used = {*result.used_allowances, *plain.used_allowances}
        return CheckResult(check, result.findings + plain.findings, None, tuple(sorted(used)))
    return result


def _one_sided(comparison: Comparison, findings: Iterable[Finding]) -> list[Finding]:
    """The findings; where one launch was made, the other one's side says so instead of seeming empty."""
    if set(comparison.launches) == {"fluent"}:
        return [replace(finding, mlflow_run="not launched") for finding in findings]
    if set(comparison.launches) == {"mlflow-run"}:
        return [replace(finding, fluent="not launched") for finding in findings]
    return list(findings)


def _explains_failure(result: CheckResult) -> bool:
    # A default that is null is found by reading the MLproject, whether or not the launches fail.
    return any(finding.rule != "mlproject-null-default" for finding in result.findings)


def _reason_to_skip(check: str, comparison: Comparison) -> str | None:
    if comparison.unset:
        return "nothing was launched: mlproject-null-default (see launches)"
    if failed := failed_launches(comparison.launches):
        return f"{_named(failed)} failed (see launches)"
    if empty := empty_launches(comparison):
        return f"{_named(empty)} logged nothing (see launches)"
    if not comparison.pairs:
        return "the runs of the two launches can't be matched (see launches)"
    if check == "params" and not any(pair.both for pair in comparison.pairs):
        return "only one launch was made, so there is nothing to compare"
    if check == "models" and not logs_models(comparison):
        return "no model was logged"
    return None


def _named(modes: Collection[str]) -> str:
    names = " and ".join(mode.replace("-", " ") for mode in modes)
    return f"the {names} launch" + ("es" if len(modes) > 1 else "")
