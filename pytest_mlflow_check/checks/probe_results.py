"""What a probe's result means beside that of the case it comes from."""

from __future__ import annotations

from dataclasses import replace

from pytest_mlflow_check.checks.comparison import Comparison
from pytest_mlflow_check.checks.failure_causes import explanations
from pytest_mlflow_check.checks.known_errors import known_message
from pytest_mlflow_check.core.findings import CheckResult, Finding
from pytest_mlflow_check.core.models import Case
from pytest_mlflow_check.core.records import Launch, Mode
from pytest_mlflow_check.mlproject.probes import changed_values


def refused(comparison: Comparison) -> str | None:
    """Why a probe can't be judged: its value isn't one that the program takes; None where it can.

    So it is where every launch fails, and none of anything that has to do with MLflow.
    """
    case = comparison.case
    if case is None or case.probe is None or not comparison.launches:
        return None
    if not all(_by_itself(comparison, mode, launch) for mode, launch in comparison.launches.items()):
        return None
    return f"the program doesn't run with {case.probe}: every launch fails, and not of MLflow"


def beside_its_case(result: CheckResult, probe: Case, of_case: CheckResult, case: Case) -> CheckResult:
    """The result of a probe's check without what its case's own check found, and with a note on that.

    Args:
        result: of the probe.
        probe: the probe.
        of_case: the result of the same check for the case that it comes from.
        case: that case.
    """
    known = {_key(finding) for finding in of_case.findings}
    fresh = tuple(finding for finding in result.findings if _key(finding) not in known)
    if not fresh:
        errors = any(finding.severity == "error" for finding in result.findings)
        skipped = f'it fails as the case "{case.id}" does' if errors else result.skipped
        return replace(result, findings=(), skipped=skipped)
    values = changed_values(case, probe)
    own = f'the case "{case.id}"{f", with {values}," if values else ""}'
    if of_case.skipped:
        fared = f"for {own} this check was skipped"
    elif of_case.findings:
        fared = f"{own} has other findings"
    else:
        fared = f"{own} passes"
    return replace(result, findings=fresh, note=f"probe: {probe.probe} breaks this; {fared}.")


def _by_itself(comparison: Comparison, mode: Mode, launch: Launch) -> bool:
    if launch.exit_code in (0, None):
        return False
    return not explanations(comparison, mode, launch) and known_message(launch) is None


def _key(finding: Finding) -> tuple[str, str, str]:
    return finding.rule, finding.subject, finding.run
