"""Reports of cases that were put together by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from builders import case as make_case

from pytest_mlflow_check.cases import Case
from pytest_mlflow_check.checks import judge
from pytest_mlflow_check.checks.comparison import compare_launches
from pytest_mlflow_check.findings import CHECKS
from pytest_mlflow_check.plan import policy_of
from pytest_mlflow_check.records import Launch, Mode
from pytest_mlflow_check.report.building import Checked, CheckedCase, CheckedProject, build
from pytest_mlflow_check.report.document import Document
from pytest_mlflow_check.secrets import Secrets
from pytest_mlflow_check.settings import Settings, validate_settings

VERSIONS = {"pytest-mlflow-check": "0.1.0", "mlflow": "3.17.2", "pytest": "9.0.0", "python": "3.11.7"}


def checked(*launches: Launch, case: Case | None = None, settings: Settings) -> CheckedCase:
    """A case without a contract whose checks were all made of these launches."""
    case, policy = case or make_case(), policy_of(settings)
    by_mode: dict[Mode, Launch] = {one.mode: one for one in launches}
    comparison = compare_launches(by_mode, settings=settings.values, case=case)
    checks = {}
    for check in (check for check in CHECKS if check != "contract"):
        result = judge(check, comparison, policy)
        failed = result.failed(strict=settings.values.strict)
        outcome = "skipped" if result.skipped else "failed" if failed else "passed"
        checks[check] = Checked(outcome, result, result.skipped or "", 0.5)  # type: ignore[arg-type]
    return CheckedCase(case, by_mode, checks)


def settings_of(project: Path = Path("/copy/project"), **values: Any) -> Settings:
    """Settings, by the keys of the file."""
    return Settings(project, validate_settings(values, "test"), None, {}, None, {})


def report_of(
    *launches: Launch,
    case: Case | None = None,
    project: Path = Path("/copy/project"),
    secrets: Secrets | None = None,
    versions: Mapping[str, str] = VERSIONS,
    unwritten: Sequence[str] = (),
    **values: Any,
) -> Document:
    """The report of one case; the settings are given by the keys of the file."""
    settings = settings_of(project, **values)
    made = checked(*launches, case=case, settings=settings)
    return build(
        [CheckedProject("proj", settings, secrets or Secrets(), [made])],
        versions=versions,
        created="2026-01-02T03:04:05+00:00",
        seconds=12.5,
        unwritten=unwritten,
    )
