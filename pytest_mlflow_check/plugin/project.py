"""A project in a session that checks it: what holds for it, and what was launched so far."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_mlflow_check.config.settings import ResolvedConfig
from pytest_mlflow_check.contract import FILE_NAME
from pytest_mlflow_check.core.findings import CHECKS, CheckResult
from pytest_mlflow_check.core.models import Case
from pytest_mlflow_check.mlproject.loader import unset_null_defaults
from pytest_mlflow_check.rules.policy import Policy

# Collecting launches and judges nothing: what does is imported where the first item runs.
if TYPE_CHECKING:
    from pytest_mlflow_check.checks.runner import Comparison
    from pytest_mlflow_check.contract.load import Source
    from pytest_mlflow_check.core.records import Launch
    from pytest_mlflow_check.engine.launcher import Launcher


@dataclass
class CheckedProject:
    """A project that is to be checked: its settings, its cases, and the launches made so far.

    Attributes:
        settings: what holds for it.
        path: the file its nodes hang on: the MLproject, or the script of a bare directory.
        cases: in the order of the settings.
        policy: severities and allowances.
        launcher: gives what makes the launches, once a session.
        contract: what its launches are held to, where there is one.
        updating: whether that is written anew at the end of the session.
        static: whether nothing is launched, and only what the files tell is checked.
    """

    settings: ResolvedConfig
    path: Path
    cases: list[Case]
    policy: Policy
    launcher: Callable[[], Launcher]
    contract: Source | None = None
    updating: bool = False
    static: bool = False
    _compared: dict[str, Comparison] = field(default_factory=dict)

    def judge(self, case: Case, check: str) -> CheckResult:
        """Makes a check, and first the launches if they haven't been made.

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

    def cached(self, case: Case) -> float | None:
        """When the launches of a case were made, if all of them are remembered from earlier sessions."""
        times = [launch.cached for launch in self.launches(case)]
        made = [time for time in times if time is not None]
        return min(made) if made and len(made) == len(times) else None

    def launches(self, case: Case) -> list[Launch]:
        """The launches of a case that checks have looked at in this process."""
        compared = self._compared.get(case.id)
        return list(compared.launches.values()) if compared else []

    def notes(self, case: Case) -> list[str]:
        """What the user should know of the copies in which a case was launched."""
        return list(dict.fromkeys(note for launch in self.launches(case) for note in launch.notes))

    def _judge(self, case: Case, check: str) -> CheckResult:
        from pytest_mlflow_check.checks.runner import compare_launches, judge

        if check == "contract" and (reason := self._contract_skip_reason(case)):
            return CheckResult(check, skipped=reason)
        if case.id not in self._compared:
            values = self.settings.values
            self._compared[case.id] = (
                compare_launches({}, settings=values, case=case, unset=unset_null_defaults(case))
                if self.static
                else self.launcher().compare(case, values)
            )
        if check != "contract" or self.contract is None:
            return judge(check, self._compared[case.id], self.policy)
        from pytest_mlflow_check.contract.compare import judge_contract

        return judge(check, self._compared[case.id], self.policy, partial(judge_contract, self.contract))

    def _contract_skip_reason(self, case: Case) -> str | None:
        """Why a case isn't held to its contract in this session."""
        if self.updating:
            return "the contract is written anew at the end of the session (--mlflow-update)"
        if self.settings.params:
            return "the contract holds the values of the settings, and -P gives others"
        if self.settings.entry_point and self.contract and case.id not in self.contract.contract.cases:
            return "the contract holds the cases of the settings, and --mlflow-entry-point asks for another"
        return None


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
