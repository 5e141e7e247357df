"""A project in a session that checks it: its settings and cases, and what was launched and found so far."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_mlflow_check.config.settings import ResolvedConfig
from pytest_mlflow_check.contract import FILE_NAME
from pytest_mlflow_check.core.findings import CHECKS, CheckResult
from pytest_mlflow_check.core.models import Case
from pytest_mlflow_check.engine.planning import cases_of, policy_of, static_cases_of
from pytest_mlflow_check.mlproject.loader import read_project, unset_null_defaults
from pytest_mlflow_check.plugin.options import asks_to_update, project_settings, static_only
from pytest_mlflow_check.plugin.resources import Resources
from pytest_mlflow_check.rules.policy import Policy

# Collecting launches and judges nothing: what does is imported where the first item runs.
if TYPE_CHECKING:
    from pytest_mlflow_check.checks.runner import CaseJudge
    from pytest_mlflow_check.contract.load import Source
    from pytest_mlflow_check.core.records import Launch


@dataclass
class CheckedProject:
    """A project that is to be checked: its settings, its cases, and the launches made so far.

    Attributes:
        settings: what holds for it.
        path: the file its nodes hang on: the MLproject, or the script of a bare directory.
        cases: in the order of the settings.
        policy: severities and allowances.
        resources: what makes the launches.
        contract: what its launches are held to, where there is one.
        updating: whether that is written anew at the end of the session.
        static: whether nothing is launched, and only what the files tell is checked.
        selected: the checks that this session makes of each case, by its id.
        interrupted: the check of a case that another plugin ended before it was done, and what it said.
    """

    settings: ResolvedConfig
    path: Path
    cases: list[Case]
    policy: Policy
    resources: Resources
    contract: Source | None = None
    updating: bool = False
    static: bool = False
    selected: dict[str, list[str]] = field(default_factory=dict)
    interrupted: dict[str, tuple[str, str]] = field(default_factory=dict)
    _judges: dict[str, CaseJudge] = field(default_factory=dict)

    def judge(self, case: Case, check: str) -> CheckResult:
        """Make a check, and first the launches if they haven't been made.

        Of a probe that finds something, the case it comes from is checked too, to tell what the value broke.

        Raises:
            UserError: where a launch can't be made.
        """
        from pytest_mlflow_check.checks.runner import beside_its_case

        result = self._judge(case, check)
        if case.probe_of is None or not result.findings:
            return result
        origin = next(one for one in self.cases if one.id == case.probe_of)
        return beside_its_case(result, case, self._judge(origin, check), origin)

    def checks(self, case: Case) -> tuple[str, ...]:
        """What a case is checked for; a contract holds the user's own, files tell of `launches` only."""
        if self.static:
            return CHECKS[:1]
        held = self.contract is not None and case.probe_of is None
        return CHECKS if held else tuple(check for check in CHECKS if check != "contract")

    def select(self, case: Case, check: str) -> None:
        """Note a check that this session makes."""
        checks = self.selected.setdefault(case.id, [])
        # Each worker of pytest-xdist collects all of them.
        if check not in checks:
            checks.append(check)

    def reports_launches(self, case: Case, check: str) -> bool:
        """Whether a check says what is wrong with the launches: `launches`, or else the case's first."""
        checks = self.selected.get(case.id) or [check]
        return check == ("launches" if "launches" in checks else checks[0])

    def cached(self, case: Case) -> float | None:
        """When the launches of a case were made, if all of them are from earlier sessions."""
        times = [launch.cached for launch in self.launches(case)]
        made = [time for time in times if time is not None]
        return min(made) if made and len(made) == len(times) else None

    def launches(self, case: Case) -> list[Launch]:
        """The launches of a case that checks have looked at in this process."""
        judge = self._judges.get(case.id)
        return list(judge.comparison.launches.values()) if judge else []

    def notes(self, case: Case) -> list[str]:
        """What the user should know of the copies in which a case was launched."""
        return list(dict.fromkeys(note for launch in self.launches(case) for note in launch.notes))

    def _judge(self, case: Case, check: str) -> CheckResult:
        if check == "contract" and (reason := self._contract_skip_reason(case)):
            return CheckResult(check, skipped=reason)
        judge = self._confirmed(case, check).judge
        if check != "contract" or self.contract is None:
            return judge(check)
        from pytest_mlflow_check.contract.compare import judge_contract

        return judge(check, partial(judge_contract, self.contract))

    def _confirmed(self, case: Case, check: str) -> CaseJudge:
        """Return what judges a case, with a second fluent launch where a check needs one."""
        judge = self.case_judge(case)
        if not self.static and check != "contract":
            from pytest_mlflow_check.engine.confirmation import with_confirmation

            launcher, values = self.resources.launcher, self.settings.values
            judge = self._judges[case.id] = with_confirmation(judge, [check], launcher, case, values)
        return judge

    def case_judge(self, case: Case) -> CaseJudge:
        """Return what judges a case, with its launches, which are made if they haven't been.

        Raises:
            UserError: where a launch can't be made.
        """
        from pytest_mlflow_check.checks.runner import CaseJudge, compare_launches
        from pytest_mlflow_check.mlproject.static_reader import read_static_facts

        if case.id not in self._judges:
            values = self.settings.values
            comparison = (
                compare_launches(
                    {},
                    settings=values,
                    case=case,
                    unset=unset_null_defaults(case),
                    facts=read_static_facts(case),
                )
                if self.static
                else self.resources.launcher.compare(case, values)
            )
            self._judges[case.id] = CaseJudge(comparison, self.policy)
        return self._judges[case.id]

    def _contract_skip_reason(self, case: Case) -> str | None:
        """Why a case isn't held to its contract in this session."""
        if self.updating:
            return "the contract is written anew at the end of the session (--mlflow-update)"
        if self.settings.params:
            return "the contract holds the values of the settings, and -P gives others"
        if self.settings.entry_point and self.contract and case.id not in self.contract.contract.cases:
            return "the contract holds the cases of the settings, and --mlflow-entry-point asks for another"
        return None


def checked_project(config: pytest.Config, directory: Path, resources: Resources) -> CheckedProject:
    """Read a project and its settings.

    Args:
        config: where options and ini are looked up.
        directory: the project's, an absolute path.
        resources: what will make its launches.

    Raises:
        UserError: where the project or a setting is wrong.
    """
    static = static_only(config)
    project = read_project(directory, to_launch=not static)
    settings = project_settings(config, directory)
    cases = static_cases_of(settings, project) if static else cases_of(settings, project)
    return CheckedProject(
        settings,
        project.mlproject or directory / cases[0].entry_point.name,
        cases,
        policy_of(settings),
        resources,
        contract_of_project(settings, cases),
        updating=asks_to_update(config),
        static=static,
    )


def by_nodeid(projects: Iterable[CheckedProject], root: Path) -> dict[str, tuple[CheckedProject, Case, str]]:
    """What an item of pytest's is about, by its node id: also one that another process collected.

    Args:
        projects: all that are checked.
        root: pytest's rootdir, to which node ids are relative.
    """
    return {
        f"{Path(os.path.relpath(project.path, root)).as_posix()}::{case.id}::{check}": (project, case, check)
        for project in projects
        for case in project.cases
        for check in project.checks(case)
    }


def contract_of_project(settings: ResolvedConfig, cases: Iterable[Case]) -> Source | None:
    """The contract of a project; with an entry point on the command line it may hold other cases too.

    Raises:
        UserError: where its file isn't one.
    """
    if not os.path.lexists(settings.project / FILE_NAME):
        return None
    # It takes a while to import, and most projects have none.
    from pytest_mlflow_check.contract.load import read_contract

    known = None if settings.entry_point else [case.id for case in cases if case.probe_of is None]
    return read_contract(settings.project, known)
