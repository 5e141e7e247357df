"""`--mlflow-report`: what the session found, put together and written once, when it ends."""

from __future__ import annotations

import json
import os
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pytest

from pytest_mlflow_check.core.errors import FAULT, shown_path
from pytest_mlflow_check.core.findings import CheckResult, CodePart, Finding
from pytest_mlflow_check.core.text import printable
from pytest_mlflow_check.core.versions import versions

if TYPE_CHECKING:
    from pytest_mlflow_check.core.findings import Allowance
    from pytest_mlflow_check.core.models import Case
    from pytest_mlflow_check.plugin.collection import CheckItem
    from pytest_mlflow_check.plugin.project import CheckedProject
    from pytest_mlflow_check.reporting.builder import CaseResults, CheckOutcome, ProjectResults
    from pytest_mlflow_check.reporting.model import Document

_Key = tuple[str, str, str]
"""Path of the project, id of the case, name of the check."""

_COMPLETE = (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.NO_TESTS_COLLECTED)
"""How a session ends that didn't end early."""


class ReportWriter:
    """Collects what a session finds, and writes the reports it was asked for.

    A worker of pytest-xdist only puts on each test report what the controller needs, which does the rest.
    """

    def __init__(
        self,
        config: pytest.Config,
        projects: Sequence[CheckedProject],
        files: Sequence[Path],
        checks: Mapping[str, tuple[CheckedProject, Case, str]],
    ) -> None:
        """Takes what is to be reported.

        Args:
            config: the session's.
            projects: what is checked.
            files: where the reports go.
            checks: of all projects, by node id.
        """
        self._config = config
        self._projects = projects
        self._files = files
        self._started = time.time()
        self._keys: dict[str, _Key] = {
            nodeid: (str(project.path), case.id, check) for nodeid, (project, case, check) in checks.items()
        }
        self._selected: dict[_Key, None] = {}
        self._summaries: dict[_Key, _CheckSummary] = {}
        self._written: list[Path] = []
        self._faults: list[str] = []

    def select(self, project: CheckedProject, case: Case, check: str) -> None:
        """Take note of a check that was asked for."""
        self._selected.setdefault((str(project.path), case.id, check))

    def attach(self, item: CheckItem, report: pytest.TestReport) -> None:
        """Put what a check found on its report, as text that crosses process borders."""
        said = {
            "key": [str(item.project.path), item.case.id, item.check],
            "result": None if item.result is None else asdict(item.result),
        }
        # As ASCII: what a project logs may hold halves of surrogate pairs, which don't cross as they are.
        report.mlflow_result = json.dumps(said)  # type: ignore[attr-defined]

    def add(self, report: pytest.TestReport) -> None:
        """Take in what became of each check; of one that never came to its call, why."""
        said = json.loads(getattr(report, "mlflow_result", "{}"))
        key = tuple(said["key"]) if said else self._keys.get(report.nodeid)
        if key is not None and (said or report.failed):
            self._selected.setdefault(key)
            self._summaries[key] = _CheckSummary(
                said.get("result"), report.outcome, _text(report), report.duration
            )

    def write(
        self,
        session: pytest.Session,
        unused: Callable[[Path], Sequence[Allowance] | None],
        unwritten: Sequence[str],
    ) -> None:
        """Write the reports, before what they are made of is moved or removed.

        Args:
            session: its exit status says whether it ended early; a fault in here changes it.
            unused: tells of a project, by its path, the allowances that nothing needed, as far as known.
            unwritten: what of a contract isn't written that was asked for; without secrets.
        """
        texts: dict[str, str] = {}
        try:
            report = self._report(session.exitstatus in _COMPLETE, unused, unwritten)
            from pytest_mlflow_check.reporting.formats import render

            for file in self._files:
                if file.suffix.lower() not in texts:
                    texts[file.suffix.lower()] = render(report, file)
        except Exception:
            # What the checks found is worth more than the report of it.
            told = printable(self._masked(traceback.format_exc()))
            self._faults.append(f"{FAULT}: there is no report\n\n{told}")
            session.exitstatus = pytest.ExitCode.INTERNAL_ERROR
            return
        for file in self._files:
            self._write_file(texts[file.suffix.lower()], file, session)

    @pytest.hookimpl(trylast=True)
    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Say, behind all that others print, where the reports are, or why they aren't."""
        for file in self._written:
            terminalreporter.write_line(f"report: {shown_path(file)}")
        for fault in self._faults:
            terminalreporter.write_line(fault, red=True)

    def _write_file(self, text: str, file: Path, session: pytest.Session) -> None:
        from pytest_mlflow_check.reporting.formats import write

        try:
            write(text, file)
        except OSError as error:
            why = error.strerror or type(error).__name__
            self._faults.append(
                f"error: the report {shown_path(file)} can't be written: {why}: name another place  "
                f"--mlflow-report=FILE{file.suffix}"
            )
            session.exitstatus = session.exitstatus or pytest.ExitCode.TESTS_FAILED
        else:
            self._written.append(file)

    def _report(
        self, complete: bool, unused: Callable[[Path], Sequence[Allowance] | None], unwritten: Sequence[str]
    ) -> Document:
        from pytest_mlflow_check.reporting.builder import build

        now = time.time()
        return build(
            [self._project(project, unused(project.path)) for project in self._projects],
            versions=versions(),
            created=datetime.fromtimestamp(now, timezone.utc).isoformat(timespec="seconds"),
            seconds=now - self._started,
            complete=complete,
            unwritten=unwritten,
        )

    def _project(self, project: CheckedProject, unused: Sequence[Allowance] | None) -> ProjectResults:
        from pytest_mlflow_check.reporting.builder import ProjectResults

        return ProjectResults(
            name=os.path.relpath(project.settings.project, self._config.invocation_params.dir),
            settings=project.settings,
            secrets=project.policy.secrets,
            cases=[made for case in project.cases if (made := self._case(project, case)).checks],
            unused=unused,
        )

    def _case(self, project: CheckedProject, case: Case) -> CaseResults:
        from pytest_mlflow_check.reporting.builder import NOT_RUN, CaseResults

        path, strict = str(project.path), project.settings.values.strict
        checks = {
            check: said.checked(strict=strict)
            if (said := self._summaries.get((path, case.id, check)))
            else NOT_RUN
            for check in dict.fromkeys(key[2] for key in self._selected if key[:2] == (path, case.id))
        }
        if not checks:
            return CaseResults(case)
        try:
            launches = project.resources.launcher.made(case, project.settings.values)
        except Exception as error:
            # The checks stumbled over the same, and what they said of it is to be reported.
            return CaseResults(case, {}, checks, str(error) or type(error).__name__)
        return CaseResults(case, launches, checks)

    def _masked(self, text: str) -> str:
        for project in self._projects:
            text = project.policy.secrets.masked(text)
        return text


@dataclass(frozen=True)
class _CheckSummary:
    """What a test report said of a check; `result` is plain data, and None where the check came to none."""

    result: dict[str, Any] | None
    outcome: Literal["passed", "failed", "skipped"]
    text: str
    seconds: float

    def checked(self, *, strict: bool) -> CheckOutcome:
        from pytest_mlflow_check.reporting.builder import CheckOutcome

        result = None if self.result is None else _result(self.result)
        if self.outcome == "failed" and not (result and result.failed(strict=strict)):
            return CheckOutcome("error", result, self.text, self.seconds)
        # The findings say more than their text does.
        return CheckOutcome(self.outcome, result, "" if self.outcome == "failed" else self.text, self.seconds)


def _result(fields: dict[str, Any]) -> CheckResult:
    found = tuple(
        Finding(**{**one, "code": tuple(CodePart(**part) for part in one["code"])})
        for one in fields["findings"]
    )
    return CheckResult(
        fields["check"], found, fields["skipped"], tuple(fields["used_allowances"]), fields["note"]
    )


def _text(report: pytest.TestReport) -> str:
    """Why a check was skipped, or could not be made."""
    if hasattr(report, "wasxfail"):
        return f"expected to fail: {report.wasxfail}" if report.wasxfail else "expected to fail"
    if report.skipped and isinstance(report.longrepr, tuple):
        return str(report.longrepr[2]).removeprefix("Skipped: ")
    return report.longreprtext if report.failed else ""
