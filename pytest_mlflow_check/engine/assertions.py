"""`assert_runs_match`: the checks for launches or runs that a test holds in its hand."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pytest_mlflow_check.checks.run_matching import RunPair
from pytest_mlflow_check.checks.runner import CaseJudge, Comparison, Policy, compare_launches
from pytest_mlflow_check.config.settings import ProjectConfig, validate_settings
from pytest_mlflow_check.core.findings import CHECKS, Allowance, Finding
from pytest_mlflow_check.core.masking import Secrets
from pytest_mlflow_check.core.records import Launch, RunRecord
from pytest_mlflow_check.reporting.text import render
from pytest_mlflow_check.rules import check_slugs


def assert_runs_match(
    fluent: Launch | RunRecord,
    mlflow_run: Launch | RunRecord,
    *,
    ignore: Mapping[str, Sequence[str]] | None = None,
    metric_tolerance: Mapping[str, float] | None = None,
    artifact_contents: Sequence[str] = (),
    rules: Mapping[str, str] | None = None,
    allow: Iterable[Mapping[str, str]] = (),
    strict: bool = False,
) -> None:
    """Asserts that two launches, or two runs, logged the same, with the same findings as the items.

    Given launches, it makes every check; given runs, those that need no launch: params, metrics,
    artifacts, and models as far as they can be compared.

    Args:
        fluent: what the plain command logged.
        mlflow_run: what `mlflow run` logged.
        ignore: patterns never compared, by `params`, `metrics`, `artifacts`, `models`.
        metric_tolerance: `rel` and `abs`.
        artifact_contents: patterns of artifacts compared byte by byte.
        rules: severity by rule: `error`, `warning` or `off`.
        allow: mappings with `rule`, `match` and `reason`.
        strict: whether warnings fail too.

    Raises:
        AssertionError: with the findings as text.
        UserError: where a setting doesn't fit.
        TypeError: where one side is a launch and the other a run.
    """
    __tracebackhide__ = True
    given: dict[str, Any] = {
        "ignore": ignore or {},
        "metric_tolerance": metric_tolerance or {},
        "artifact_contents": artifact_contents,
        "rules": rules or {},
        "allow": list(allow),
    }
    settings = validate_settings(given, "assert_runs_match")
    check_slugs([*settings.rules, *(one.rule for one in settings.allow)], where="assert_runs_match")
    allowances = tuple(Allowance(one.rule, one.match, one.reason) for one in settings.allow)
    policy = Policy(settings.rules, allowances, Secrets.among(os.environ))
    findings = list(_findings(fluent, mlflow_run, settings, policy))
    if any(strict or finding.severity == "error" for finding in findings):
        raise AssertionError(render(findings))


def _findings(
    fluent: Launch | RunRecord,
    mlflow_run: Launch | RunRecord,
    settings: ProjectConfig,
    policy: Policy,
) -> Iterable[Finding]:
    __tracebackhide__ = True
    if isinstance(fluent, Launch) and isinstance(mlflow_run, Launch):
        comparison = compare_launches({"fluent": fluent, "mlflow-run": mlflow_run}, settings=settings)
    elif isinstance(fluent, RunRecord) and isinstance(mlflow_run, RunRecord):
        comparison = Comparison({}, (RunPair("", fluent, mlflow_run),), settings)
    else:
        raise TypeError("assert_runs_match takes two launches or two runs, not one of each")
    judge = CaseJudge(comparison, policy).judge
    for check in CHECKS:
        yield from judge(check).findings
