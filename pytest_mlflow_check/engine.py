"""From settings to a report, without pytest.

`check_project` does all of it in one call. The pytest side uses the same pieces one by one: `cases_of`,
`Launcher.compare` from `launcher`, `judge` from `checks`.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from pytest_mlflow_check.cases import Case, Project
from pytest_mlflow_check.checks import Policy, judge
from pytest_mlflow_check.errors import UserError, shown_path
from pytest_mlflow_check.findings import CHECKS, Allowance, CaseReport, CheckResult, Report
from pytest_mlflow_check.launcher import Launcher
from pytest_mlflow_check.project import (
    check_fluent,
    complete_params,
    read_project,
    render_command,
    resolve_entry_point,
    unset_null_defaults,
)
from pytest_mlflow_check.rules import check_slugs
from pytest_mlflow_check.settings import CaseSettings, Settings


def check_project(settings: Settings, *, area: Path | None = None) -> Report:
    """Launches every case of a project and makes every check.

    Args:
        settings: from `load_settings`.
        area: where copies, stores and outputs are kept; a new temporary directory by default.

    Raises:
        UserError: where project, settings or parameters are wrong.
    """
    area = area or Path(tempfile.mkdtemp(prefix="mlflow-check-"))
    launcher = Launcher(area, cache=area / "cache")
    policy = policy_of(settings)
    cases = []
    for case in cases_of(settings):
        comparison = launcher.compare(case, settings.values)
        results = tuple(judge(check, comparison, policy) for check in CHECKS)
        cases.append(CaseReport(case.id, results))
    results = tuple(result for case_report in cases for result in case_report.results)
    unused = unused_allowances(policy, results)
    return Report(settings.project, tuple(cases), unused, settings.values.strict)


def cases_of(settings: Settings, project: Project | None = None) -> list[Case]:
    """The cases of a project, each of them ready to launch.

    Raises:
        UserError: where the project can't be read, a case names an entry point or a parameter that
            doesn't fit, or two cases have one id.
    """
    project = project or read_project(settings.project)
    cases = [_case(settings, project, chosen) for chosen in _chosen(settings)]
    seen: set[str] = set()
    for case in cases:
        if case.id in seen:
            raise UserError(
                f'{_file(settings)}: two cases have the id "{case.id}": give each an id of its own'
            )
        seen.add(case.id)
    return cases


def policy_of(settings: Settings) -> Policy:
    """The severities and allowances of a project.

    Raises:
        UserError: where they name a rule that doesn't exist.
    """
    values = settings.values
    check_slugs(values.rules, where=f"{_file(settings)}, [rules]")
    check_slugs((allow.rule for allow in values.allow), where=f"{_file(settings)}, [[allow]]")
    allowances = tuple(Allowance(allow.rule, allow.match, allow.reason) for allow in values.allow)
    return Policy(values.rules, allowances)


def unused_allowances(policy: Policy, results: Sequence[CheckResult]) -> tuple[Allowance, ...]:
    """The allowances no finding needed; none while a check was skipped, since it might have."""
    if any(result.skipped and "see launches" in result.skipped for result in results):
        return ()
    used = {position for result in results for position in result.used_allowances}
    return tuple(one for position, one in enumerate(policy.allowances) if position not in used)


def _chosen(settings: Settings) -> list[CaseSettings]:
    """The cases of the settings; with an entry point on the command line those that run it, or a new one."""
    values = settings.values
    cases = list(values.case) or [CaseSettings()]
    if settings.entry_point is None:
        return cases
    named = [case for case in cases if (case.entry_point or values.entry_point) == settings.entry_point]
    return named or [CaseSettings(entry_point=settings.entry_point)]


def _case(settings: Settings, project: Project, chosen: CaseSettings) -> Case:
    values = settings.values
    name = chosen.entry_point or values.entry_point
    case = Case(
        id=chosen.id or name,
        project=project,
        entry_point=resolve_entry_point(project, name),
        params={**values.params, **chosen.params, **settings.params},
        fluent=chosen.fluent,
        env=chosen.env,
    )
    # What can't be filled in is a user's mistake, to be told before anything is launched.
    complete_params(case)
    check_fluent(case)
    if not unset_null_defaults(case):
        render_command(case, project.directory)
        if case.fluent is not None:
            render_command(case, project.directory, template=case.fluent)
    return case


def _file(settings: Settings) -> str:
    return shown_path(settings.file) if settings.file else "settings"
