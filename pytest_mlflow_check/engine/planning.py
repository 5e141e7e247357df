"""What a project's settings come to before anything is launched: its cases, and how findings are taken.

Collecting needs this and no more, so nothing here imports what launches, reads or judges.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import replace

from pytest_mlflow_check.config.settings import CaseSettings, ResolvedConfig
from pytest_mlflow_check.core.errors import UserError, shown_path
from pytest_mlflow_check.core.findings import Allowance, CheckResult
from pytest_mlflow_check.core.masking import Secrets
from pytest_mlflow_check.core.models import Case, EntryPoint, Project
from pytest_mlflow_check.mlproject.loader import (
    check_fluent,
    complete_params,
    find_entry_point,
    read_project,
    render_command,
    resolve_entry_point,
    unset_null_defaults,
)
from pytest_mlflow_check.mlproject.probes import identity, probes_of
from pytest_mlflow_check.mlproject.shell import check_shell
from pytest_mlflow_check.mlproject.unfinished import refuse_unfinished
from pytest_mlflow_check.rules import check_slugs
from pytest_mlflow_check.rules.policy import Policy

_LONGEST_ID = 100
"""Characters that a case without an id of its own has of the name of its entry point."""


def cases_of(settings: ResolvedConfig, project: Project | None = None, *, probes: bool = True) -> list[Case]:
    """The cases of a project, each of them ready to launch, and behind it its probes where asked for.

    Args:
        settings: from `load_settings`.
        project: from `read_project`, where it was read before.
        probes: False for none, whatever the settings say.

    Raises:
        UserError: where the project can't be read, a case names an entry point or a parameter that
            doesn't fit, two cases have one id, or something is still to be filled in.
    """
    project = project or read_project(settings.project)
    chosen = _chosen(settings)
    refuse_unfinished(settings, project, chosen)
    cases = [_case(settings, project, one) for one in chosen]
    cases[0] = replace(cases[0], reports_project=True)
    _refuse_equal_ids(settings, cases)
    return _with_probes(cases) if probes and settings.values.probes else cases


def static_cases_of(settings: ResolvedConfig, project: Project) -> list[Case]:
    """What a session that launches nothing looks at: the cases of the settings, and each other entry point.

    None of them needs values, nor a command that can be filled in. An MLproject without entry points has one
    case, for the file itself.

    Args:
        settings: from `load_settings`.
        project: from `read_project`.

    Raises:
        UserError: where the settings name an entry point that isn't there, or two of their cases have one id.
    """
    default, declared = settings.values.entry_point, project.entry_points
    chosen = _chosen(settings)
    if settings.entry_point is None and project.mlproject is not None:
        if not settings.values.case and default == "main" and "main" not in declared:
            chosen = []
        named = {case.entry_point or default for case in chosen}
        chosen += [CaseSettings(entry_point=name) for name in declared if name not in named]
    cases = [_unlaunched_case(settings, project, one) for one in chosen]
    if not cases:
        assert project.mlproject is not None
        name = project.mlproject.name
        cases = [Case(name, project, EntryPoint(name, ""))]
    _refuse_equal_ids(settings, cases[: len(settings.values.case)])
    found: dict[str, Case] = {}
    for case in cases:
        id = case.id
        while id in found:
            id += " again"
        found[id] = replace(case, id=id, reports_project=not found)
    return list(found.values())


def _unlaunched_case(settings: ResolvedConfig, project: Project, chosen: CaseSettings) -> Case:
    name = chosen.entry_point or settings.values.entry_point
    return Case(
        id=chosen.id or _id_of(name),
        project=project,
        entry_point=find_entry_point(project, name),
        params={**settings.values.params, **chosen.params, **settings.params},
        fluent=chosen.fluent,
        env=chosen.env,
    )


def _refuse_equal_ids(settings: ResolvedConfig, cases: Sequence[Case]) -> None:
    seen: set[str] = set()
    for case in cases:
        if case.id in seen:
            raise UserError(
                f'{_file(settings)}: two cases have the id "{case.id}": give each an id of its own'
            )
        seen.add(case.id)


def _with_probes(cases: Sequence[Case]) -> list[Case]:
    """The cases with their probes; those that would launch what another case does are left out."""
    found: list[Case] = []
    ids, launched = {case.id for case in cases}, [identity(case) for case in cases]
    for case in cases:
        found.append(case)
        for probe in probes_of(case):
            if identity(probe) in launched:
                continue
            try:
                _refuse_unfit(probe)
            except UserError:
                # A default of the MLproject that doesn't fit, and that the case doesn't use.
                continue
            while probe.id in ids:
                probe = replace(probe, id=f"{probe.id} again")
            ids.add(probe.id)
            launched.append(identity(probe))
            found.append(probe)
    return found


def policy_of(settings: ResolvedConfig) -> Policy:
    """The severities and allowances of a project.

    Raises:
        UserError: where they name a rule that doesn't exist.
    """
    values = settings.values
    check_slugs(values.rules, where=f"{_file(settings)}, [rules]")
    check_slugs((allow.rule for allow in values.allow), where=f"{_file(settings)}, [[allow]]")
    allowances = tuple(Allowance(allow.rule, allow.match, allow.reason) for allow in values.allow)
    of_cases = {name: value for case in values.case for name, value in case.env.items()}
    return Policy(values.rules, allowances, Secrets.among({**os.environ, **of_cases, "store": values.store}))


def unused_allowances(policy: Policy, results: Sequence[CheckResult]) -> tuple[Allowance, ...]:
    """The allowances no finding needed; none while a check was skipped, since it might have."""
    if any(result.skipped and "see launches" in result.skipped for result in results):
        return ()
    used = {position for result in results for position in result.used_allowances}
    return tuple(one for position, one in enumerate(policy.allowances) if position not in used)


def _chosen(settings: ResolvedConfig) -> list[CaseSettings]:
    """The cases of the settings; with an entry point on the command line those that run it, or a new one."""
    values = settings.values
    cases = list(values.case) or [CaseSettings()]
    if settings.entry_point is None:
        return cases
    named = [case for case in cases if (case.entry_point or values.entry_point) == settings.entry_point]
    return named or [CaseSettings(entry_point=settings.entry_point)]


def _case(settings: ResolvedConfig, project: Project, chosen: CaseSettings) -> Case:
    case = _unlaunched_case(settings, project, chosen)
    resolve_entry_point(project, case.entry_point.name)
    _refuse_unfit(case)
    return case


def _refuse_unfit(case: Case) -> None:
    """What can't be filled in is a user's mistake, to be told before anything is launched."""
    directory = case.project.directory
    complete_params(case)
    check_fluent(case)
    if not unset_null_defaults(case):
        render_command(case, directory)
        if case.fluent is not None:
            render_command(case, directory, template=case.fluent)
        check_shell(case, directory)


def _id_of(entry_point: str) -> str:
    """The name as it may stand in a node id and in one cell of a table."""
    plain = re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]|::|[\[\]]", "_", entry_point)
    return plain if len(plain) <= _LONGEST_ID else f"{plain[:_LONGEST_ID]}…"


def _file(settings: ResolvedConfig) -> str:
    return shown_path(settings.file) if settings.file else "settings"
