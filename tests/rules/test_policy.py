"""What the settings make of findings, and what stays of a failed launch whatever they say."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_mlflow_check.checks.runner import Policy
from pytest_mlflow_check.core.findings import Allowance, CaseReport, CheckResult, Finding, Report, Severity
from pytest_mlflow_check.rules import RULES
from support.builders import HOME, case, compare, compare_runs, finding, judge, launch, parameter, run, slugs


def allow(rule: str, match: str = "*") -> Allowance:
    return Allowance(rule, match, "known")


FOUND = [
    finding("param-differs", "model_dir"),
    finding("param-missing-in-fluent", "index"),
    finding("param-missing-in-fluent", "log_dir"),
    finding("param-quoted", "text"),
]


def test_errors_stand_before_warnings() -> None:
    result = Policy().apply("params", FOUND[::-1])
    assert slugs(result.findings) == slugs([*FOUND[2::-1], FOUND[3]])
    strict = Policy({"param-quoted": "error", "param-differs": "warning"}).apply("params", FOUND)
    assert slugs(strict.findings) == slugs([*FOUND[1:], FOUND[0]])


def test_findings_get_the_severity_of_their_rule() -> None:
    result = Policy().apply("params", FOUND)
    assert slugs(result.findings) == slugs(FOUND)
    assert [one.severity for one in result.findings] == [RULES[one.rule].severity for one in FOUND]
    assert (result.check, result.skipped, result.used_allowances) == ("params", None, ())


@pytest.mark.parametrize("severity", ["error", "warning"])
def test_the_settings_change_severities(severity: Severity) -> None:
    result = Policy({"param-differs": severity, "param-quoted": severity}).apply(
        "params", [FOUND[0], FOUND[3]]
    )
    assert [one.severity for one in result.findings] == [severity, severity]


def test_a_rule_that_is_off_says_nothing_and_uses_no_allowance() -> None:
    policy = Policy({"param-differs": "off"}, (allow("param-differs"),))
    result = policy.apply("params", FOUND)
    assert slugs(result.findings) == slugs(FOUND[1:])
    assert result.used_allowances == ()


def test_allowances_match_rule_and_subject() -> None:
    policy = Policy(
        allowances=(
            allow("param-differs", "index"),  # another rule's subject
            allow("param-missing-in-fluent", "*_dir"),
            allow("param-missing-in-fluent", "Log_dir"),  # case counts
        )
    )
    result = policy.apply("params", FOUND)
    assert slugs(result.findings) == slugs([*FOUND[:2], FOUND[3]])
    assert result.used_allowances == (1,)


@pytest.mark.parametrize(
    ("match", "subject", "covers"),
    [
        ("*", "log/a b.txt", True),
        ("log/*", "log/deep/a.txt", True),
        ("a?c", "abc", True),
        ("[ab]", "b", True),
        ("model", "model_dir", False),
        ("", "", True),
        ("log", "log\n", False),
    ],
)
def test_patterns(match: str, subject: str, covers: bool) -> None:
    policy = Policy(allowances=(allow("artifact-missing", match),))
    result = policy.apply("artifacts", [finding("artifact-missing", subject)])
    assert (result.findings == ()) is covers
    assert result.used_allowances == ((0,) if covers else ())


def test_every_allowance_that_covers_a_finding_is_used() -> None:
    policy = Policy(
        allowances=(
            allow("param-missing-in-fluent", "index"),
            allow("param-quoted", "none"),
            allow("param-missing-in-fluent", "i*"),
        )
    )
    result = policy.apply("params", FOUND)
    assert slugs(result.findings) == slugs([FOUND[0], *FOUND[2:]])
    assert result.used_allowances == (0, 2)


def test_what_an_allowance_covers_has_no_severity_to_change() -> None:
    policy = Policy({"param-quoted": "error"}, (allow("param-quoted"),))
    assert slugs(policy.apply("params", FOUND).findings) == slugs(FOUND[:3])


# Failed launches

REWRITING = (
    "Changing param values is not allowed. Param with key='alpha' was already logged with value='1' for run "
    "ID='0123'. Attempted logging new value '1.0'."
)


def judged(policy: Policy, **fields: Any) -> CheckResult:
    """The check `launches` of a project whose parameter has the default null and a value given with -P."""
    of = case(parameter("alpha", null_default=True), params={"alpha": "1"})
    failed = launch("mlflow-run", exit_code=1, stderr=REWRITING, **fields)
    comparison = compare(launch("fluent", run(params={"alpha": "1"})), failed, case=of)
    return judge("launches", comparison, policy)


QUIET = {"mlproject-null-default": "off"}


@pytest.mark.parametrize(
    "policy",
    [
        Policy({**QUIET, "param-rewritten": "off"}),  # type: ignore[dict-item]
        Policy({"mlproject-null-default": "off"}, (allow("param-rewritten", "alpha"),)),
    ],
)
def test_a_failed_launch_stays_one_when_its_reason_is_off_or_allowed(policy: Policy) -> None:
    result = judged(policy)
    assert slugs(result.findings) == [("launch-failed", "mlflow run")]
    assert result.findings[0].mlflow_run == "exit code 1"
    assert result.failed(strict=False)


def test_a_finding_about_the_mlproject_file_doesnt_stand_for_the_failure() -> None:
    result = judged(Policy({"mlproject-null-default": "warning", "param-rewritten": "off"}))
    assert slugs(result.findings) == [
        ("launch-failed", "mlflow run"),
        ("mlproject-null-default", "alpha"),
    ]
    assert [one.severity for one in result.findings] == ["error", "warning"]


def test_used_allowances_are_those_of_the_reason_and_of_the_failure() -> None:
    allowances = (
        allow("param-rewritten"),
        allow("launch-failed", "fluent"),
        allow("mlproject-null-default"),
        allow("launch-failed"),
    )
    assert judged(Policy({}, allowances[:3])).used_allowances == (0, 2)
    result = judged(Policy({}, allowances))
    assert result.findings == ()
    assert result.used_allowances == (0, 2, 3)


def test_a_failed_launch_is_silent_only_when_that_is_off_too() -> None:
    policy = Policy(
        {"mlproject-null-default": "off", "param-rewritten": "off", "launch-failed": "off"},
    )
    assert judged(policy).findings == ()


def test_a_launch_failure_made_a_warning_is_reported_once() -> None:
    failed = launch("fluent", run(params={"a": "1"}), exit_code=1, directory=HOME)
    result = judge("launches", compare(failed), Policy({"launch-failed": "warning"}))
    assert slugs(result.findings) == [("launch-failed", "fluent")]
    assert not result.failed(strict=False)
    assert result.failed(strict=True)


def test_the_other_checks_are_skipped_whatever_the_policy_says() -> None:
    comparison = compare(launch("fluent", exit_code=1))
    result = judge("metrics", comparison, Policy({"launch-failed": "off"}))
    assert (result.skipped, result.findings) == ("the fluent launch failed (see launches)", ())


# What fails


def sorted_into(*findings: Finding) -> CheckResult:
    return Policy().apply("params", findings)


@pytest.mark.parametrize(
    ("findings", "failed", "failed_strictly"),
    [([], False, False), (FOUND[3:], False, True), (FOUND[2:], True, True), (FOUND[:1], True, True)],
)
def test_errors_fail_and_warnings_when_strict(
    findings: list[Finding], failed: bool, failed_strictly: bool
) -> None:
    result = sorted_into(*findings)
    assert (result.failed(strict=False), result.failed(strict=True)) == (failed, failed_strictly)
    for strict, expected in ((False, failed), (True, failed_strictly)):
        cases = (
            CaseReport("a", (CheckResult("models", skipped="no model was logged"),)),
            CaseReport("b", (result,)),
        )
        assert Report(HOME, cases, strict=strict).failed is expected


def test_a_secret_that_is_logged_is_compared_and_shown_masked() -> None:
    secret, other = "Tr0ub4dor-and-3", "correct-horse"
    comparison = compare_runs(
        run(params={"db_password": secret, "api_key": "abc", "max_tokens": "512", "copy": f"<{secret}>"}),
        run("r2", params={"db_password": other, "api_key": "xyz", "max_tokens": "256", "copy": "<>"}),
    )
    result = judge("params", comparison, Policy())
    shown = {one.subject: (one.rule, one.fluent, one.mlflow_run) for one in result.findings}
    assert shown == {
        "api_key": ("param-differs", "***", "***"),
        "copy": ("param-differs", "<***>", "<>"),
        "db_password": ("param-differs", "***", "***"),
        "max_tokens": ("param-differs", "512", "256"),
    }
    assert judge("params", compare_runs(*[comparison.pairs[0].both[0]] * 2), Policy()).findings == ()  # type: ignore[index]


def test_a_short_secret_is_masked_in_all_that_is_said_of_it() -> None:
    found = finding(
        "param-differs", "db_pass", fluent="abc", mlflow_run="xyz", fix="log 'abc', not abcd", why="xyz!"
    )
    (shown,) = Policy().apply("params", [found]).findings
    assert (shown.fluent, shown.mlflow_run, shown.fix, shown.why) == (
        "***",
        "***",
        "log '***', not abcd",
        "***!",
    )
