"""The nodes: a project's file, its cases, and an item for each check."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_mlflow_check.core.errors import FAULT, LaunchFault, UserError
from pytest_mlflow_check.core.text import printable
from pytest_mlflow_check.plugin.options import project_directories
from pytest_mlflow_check.plugin.other_plugins import interrupter

if TYPE_CHECKING:
    from pytest_mlflow_check.core.findings import CheckResult
    from pytest_mlflow_check.core.models import Case
    from pytest_mlflow_check.plugin.project import CheckedProject


class CheckFailed(Exception):
    """A check found something wrong with the user's project; not a fault of ours.

    Attributes:
        title: what was found, in one line.
    """

    def __init__(self, title: str, text: str) -> None:
        """Takes the line and the whole text."""
        super().__init__(text)
        self.title = title


class CheckInterrupted(Exception):
    """Another plugin ended a check before it was done; neither a fault of the project nor one of ours."""


class ProjectFile(pytest.File):
    """An MLproject file, or the script of a bare directory."""

    project: CheckedProject

    @classmethod
    def of_project(cls, parent: pytest.Collector, path: Path, project: CheckedProject) -> ProjectFile:
        """The node for a project that is to be checked."""
        root = parent.config.rootpath
        # A project found through a link keeps its name. Outside the rootdir pytest has none for it.
        usual = path == project.path and path.is_relative_to(root)
        nodeid = None if usual else os.path.relpath(project.path, root)
        node: ProjectFile = cls.from_parent(parent, path=path, nodeid=nodeid)
        node.project = project
        return node

    def collect(self) -> Iterator[CaseNode]:
        """A node for each case."""
        for case in self.project.cases:
            yield CaseNode.of_case(self, case)


class CaseNode(pytest.Collector):
    """One case."""

    case: Case

    @classmethod
    def of_case(cls, parent: ProjectFile, case: Case) -> CaseNode:
        """The node for a case of the project."""
        node: CaseNode = cls.from_parent(parent, name=case.id)
        node.case = case
        return node

    def collect(self) -> Iterator[CheckItem]:
        """An item for each check; of a static session only for the first, which reads files too."""
        assert isinstance(self.parent, ProjectFile)
        for check in self.parent.project.checks(self.case):
            yield CheckItem.of_check(self, self.parent.project, self.case, check)


class CheckItem(pytest.Item):
    """One check of one case.

    Attributes:
        project: the project, which knows launches and policy.
        case: the case.
        check: one of `CHECKS`.
        result: what the check found out, once it ran.
    """

    project: CheckedProject
    case: Case
    check: str
    result: CheckResult | None

    @classmethod
    def of_check(cls, parent: CaseNode, project: CheckedProject, case: Case, check: str) -> CheckItem:
        """The item for a check of a case."""
        item: CheckItem = cls.from_parent(parent, name=check)
        item.project, item.case, item.check, item.result = project, case, check, None
        item.add_marker("mlflow_check")
        return item

    @property
    def key(self) -> tuple[Path, str, str]:
        """What makes the item the same one, however it was collected."""
        return self.project.settings.project, self.case.id, self.check

    def runtest(self) -> None:
        """Makes the check.

        Raises:
            CheckFailed: with the findings as text.
            UserError: where no launch could be made.
            LaunchFault: where it ended by a fault of ours.
            CheckInterrupted: where another plugin ended it.
        """
        from pytest_mlflow_check.core.findings import CheckResult
        from pytest_mlflow_check.reporting.text import render, title_line

        strict = self.project.settings.values.strict
        started = time.monotonic()
        try:
            self.result = self._interruption() or self.project.judge(self.case, self.check)
            if self.result.skipped and self.project.reports_launches(self.case, self.check):
                launches = self.project.judge(self.case, "launches")
                if launches.failed(strict=strict):
                    self.result = launches
        except (UserError, LaunchFault):
            if self.project.reports_launches(self.case, self.check):
                raise
            self.result = CheckResult(self.check, skipped="no launch could be made (see launches)")
        except CheckInterrupted:
            raise
        except (Exception, pytest.fail.Exception) as error:
            self._refuse_interruption(error, time.monotonic() - started)
            raise
        if self.result.skipped:
            pytest.skip(printable(self.result.skipped))
        if self.result.failed(strict=strict):
            note = f"{self.result.note}\n\n" if self.result.note else ""
            raise CheckFailed(title_line(self.result.findings), note + render(self.result.findings))

    def _interruption(self) -> CheckResult | None:
        """The result of a check whose launches another one waited for in vain; None for all others."""
        from pytest_mlflow_check.core.findings import CheckResult

        if self.case.id not in self.project.interrupted:
            return None
        check, said = self.project.interrupted[self.case.id]
        # pytest-rerunfailures makes the same one again, and pytest-timeout doesn't end it a second time.
        if check == self.check:
            raise CheckInterrupted(said)
        return CheckResult(self.check, skipped=f"{said.partition(':')[0]} (see {check})")

    def _refuse_interruption(self, error: BaseException, seconds: float) -> None:
        """Raises what is to be said where another plugin raised an exception in this check."""
        if (plugin := interrupter(error, self.config)) is None:
            return
        timeout = self.project.settings.values.timeout
        said = (
            f"{plugin} ended a check after {seconds:.0f} s, before the launches were done: {error}\n"
            f"  a launch may take {timeout:g} s (--mlflow-timeout): give checks more time than that, or "
            "launches less"
        )
        self.project.interrupted[self.case.id] = self.check, said
        raise CheckInterrupted(said) from error

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """The findings, or a user's mistake, as they are; for a fault of ours, that and the traceback."""
        secrets = self.project.policy.secrets
        if isinstance(excinfo.value, CheckFailed):
            return self._shown(
                excinfo, secrets.masked(str(excinfo.value)), secrets.masked(excinfo.value.title)
            )
        if isinstance(excinfo.value, CheckInterrupted | UserError):
            return self._shown(excinfo, secrets.masked(str(excinfo.value)))
        if isinstance(excinfo.value, LaunchFault):
            return self._shown(excinfo, f"{FAULT}\n\n{printable(secrets.masked(str(excinfo.value)))}")
        # Ours, without the way pytest came here.
        excinfo.traceback = excinfo.traceback.cut(path=__file__)
        traceback = printable(secrets.masked(str(super().repr_failure(excinfo, style))))
        return self._shown(excinfo, f"{FAULT}\n\n{traceback}")

    def _shown(self, excinfo: pytest.ExceptionInfo[BaseException], text: str, title: str = "") -> Any:
        """A text as pytest shows it, and the line that stands in its short summary and in JUnit reports.

        Of a mere text pytest puts all of it there, in CI and in JUnit. What `getrepr` makes comes whole from
        a worker of pytest-xdist (`_report_to_json` in _pytest/reports.py, pytest 9.2).
        """
        shown = excinfo.getrepr(style="native")
        place, entries = shown.reprcrash, shown.reprtraceback.reprentries
        if place is None or len(entries) != 1:
            return text
        entries[0].lines = [f"{text}\n"]
        path, line, _ = self.reportinfo()
        place.path, place.lineno = str(path), (line or 0) + 1
        place.message = title or text.partition("\n")[0]
        return shown

    def reportinfo(self) -> tuple[Path, int | None, str]:
        """The entry point's place, and case and check as title, with the project where there are several."""
        line = self.case.entry_point.line
        title = f"{self.case.id}::{self.check}"
        if len(project_directories(self.config)) > 1:
            title = f"{os.path.relpath(self.project.settings.project, self.config.rootpath)}::{title}"
        return self.path, None if line is None else line - 1, title
