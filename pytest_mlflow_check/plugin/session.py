"""What happens in a session that was asked to check projects; registered only then."""

from __future__ import annotations

import os
from collections.abc import Collection, Generator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_mlflow_check.core.errors import UserError
from pytest_mlflow_check.core.models import Case
from pytest_mlflow_check.core.text import printable
from pytest_mlflow_check.plugin.collection import CheckItem, ProjectFile
from pytest_mlflow_check.plugin.contract_update import ContractUpdate, refuse_update
from pytest_mlflow_check.plugin.item_report import put_properties
from pytest_mlflow_check.plugin.options import (
    asks_to_update,
    launch_jobs,
    makes_launches,
    may_select_checks,
    named_on_command_line,
    project_directories,
    report_files,
    static_only,
)
from pytest_mlflow_check.plugin.other_plugins import refuse_unfit
from pytest_mlflow_check.plugin.progress_display import ProgressDisplay, progress_display
from pytest_mlflow_check.plugin.project import CheckedProject, by_nodeid, checked_project
from pytest_mlflow_check.plugin.resources import Resources
from pytest_mlflow_check.plugin.terminal_summary import Summary, check_summary, header
from pytest_mlflow_check.plugin.xdist import is_worker, share_fork_server

if TYPE_CHECKING:
    from pytest_mlflow_check.plugin.report_writer import ReportWriter


class CheckSession:
    """The hooks of such a session, each a few calls down: what they call knows nothing of the session.

    Attributes:
        projects: all that are checked.
    """

    def __init__(self, config: pytest.Config) -> None:
        """Reads every project and its settings, and what else the command line says.

        Raises:
            UserError: where one of them is wrong.
        """
        launch_jobs(config)
        reports = report_files(config)
        self._config = config
        self._resources = Resources(config)
        self.projects = [
            checked_project(config, directory, self._resources) for directory in project_directories(config)
        ]
        refuse_update(config, [project.settings for project in self.projects])
        self._summary = Summary(self.projects)
        self._update = ContractUpdate(self.projects) if asks_to_update(config) else None
        self._by_nodeid = by_nodeid(self.projects, config.rootpath)
        self._reports = self._report_writer(reports)
        self._progress: ProgressDisplay | None = None
        self._nodes: dict[Path, Path] = {}
        self._ignored_but_searched: set[Path] = set()
        self._error_at_start: str | None = None

    def _report_writer(self, files: Sequence[Path]) -> ReportWriter | None:
        if not files or not makes_launches(self._config):
            return None
        # Most sessions want no report.
        from pytest_mlflow_check.plugin.report_writer import ReportWriter

        writer = ReportWriter(self._config, self.projects, files, self._by_nodeid)
        self._config.pluginmanager.register(writer, "mlflow-check-report")
        return writer

    def add_arguments(self) -> None:
        """Lets pytest collect the projects.

        A project named on the command line counts as an argument: the `testpaths` are searched only if
        nothing is named at all. One that an ini file names comes with the tests, and is left out where
        the arguments name something else, but for a static session, which has no use for other tests. Where
        an argument names some of a project's checks, these are all that is wanted of it.
        """
        config = self._config
        given = config.args_source == config.ArgsSource.ARGS
        named = named_on_command_line(config) or static_only(config)
        if given and not named:
            return
        kept = [] if named and not given else config.args
        # With `.` and a file below it as arguments, pytest 8 loses all other tests.
        new = [one.path for one in self.projects if not any(self._leads_to(arg, one.path) for arg in kept)]
        config.args = [*kept, *map(str, new)]
        if named:
            config.args_source = config.ArgsSource.ARGS

    def _leads_to(self, argument: str, path: Path) -> bool:
        file, _, node = argument.partition("::")
        place = Path(os.path.abspath(self._config.invocation_params.dir / file))
        return _same_file(place, path) if node else place in (path, *path.parents)

    @pytest.hookimpl
    def pytest_sessionstart(self) -> None:
        """Gets ready to show what launches are doing."""
        if makes_launches(self._config):
            self._progress = progress_display(self._config)

    @pytest.hookimpl
    def pytest_report_header(self) -> list[str]:
        """Versions, and where each setting came from."""
        self._error_at_start = self._resources.fork_server_error
        settings = [project.settings for project in self.projects]
        return header(settings, self._error_at_start, static=static_only(self._config))

    @pytest.hookimpl(wrapper=True)
    def pytest_ignore_collect(self, collection_path: Path) -> Generator[None, bool | None, bool | None]:
        """Finds a project, and nothing else, in a directory that pytest passes over (`build`, `--ignore`).

        Named alone it would be found; beside an argument such as `.`, pytest forgets that it was named.
        """
        ignored = yield
        inside = collection_path.parent in self._ignored_but_searched
        if not any(collection_path in (one.path, *one.path.parents) for one in self.projects):
            return inside or ignored
        if inside or ignored:
            self._ignored_but_searched.add(collection_path)
        return False if ignored else ignored

    @pytest.hookimpl(wrapper=True)
    def pytest_collect_file(
        self, file_path: Path, parent: pytest.Collector
    ) -> Generator[None, list[pytest.Collector], list[pytest.Collector]]:
        """The node of a project that is to be checked, whatever else its file could be.

        The script of a bare directory is launched; imported as a test module or for its doctests, it
        would train in this very process.
        """
        found = yield
        for project in self.projects:
            if _same_file(file_path, project.path):
                # The first of several paths to it, through a link, is the project's place in this session.
                if self._nodes.setdefault(project.path, file_path) != file_path:
                    return []
                return [ProjectFile.of_project(parent, file_path, project)]
        return found

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Leaves each check once, however many arguments and directories led to it."""
        seen: set[object] = set()
        kept = []
        for item in items:
            key: object = item.key if isinstance(item, CheckItem) else item
            if key not in seen:
                seen.add(key)
                kept.append(item)
        items[:] = kept

    @pytest.hookimpl(trylast=True)
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Begins all launches that the selected checks need; the tests before them needn't wait."""
        items = [item for item in session.items if isinstance(item, CheckItem)]
        # A worker of pytest-xdist ends before others are done: the controller, which stays, begins them.
        self._select([(item.project, item.case, item.check) for item in items], begin=not self._is_worker)

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Lets a worker of pytest-xdist use this process's fork server."""
        if makes_launches(self._config) and may_select_checks(
            self._config, project_directories(self._config)
        ):
            fork_server = self._resources.fork_server
            # Nobody tells this process when a worker wants it.
            fork_server.begin()
            share_fork_server(node, fork_server)

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: Sequence[str]) -> None:
        """The same where the workers of pytest-xdist collected; a case not found is launched by a worker."""
        self._select([self._by_nodeid[nodeid] for nodeid in ids if nodeid in self._by_nodeid], begin=True)

    def _select(self, checks: Sequence[tuple[CheckedProject, Case, str]], *, begin: bool) -> None:
        for project, case, check in checks:
            project.select(case, check)
            if self._reports is not None:
                self._reports.select(project, case, check)
        if begin and checks and makes_launches(self._config):
            self._begin({(id(project), case.id): (project, case) for project, case, _ in checks}.values())

    def _begin(self, chosen: Collection[tuple[CheckedProject, Case]]) -> None:
        wanted = [(case, project.settings.values) for project, case in chosen]
        try:
            refuse_unfit(self._config)
            launcher = self._resources.launcher
            launcher.begin(wanted)
            if self._update is not None:
                launcher.begin_again(each for each in wanted if each[0].probe_of is None)
        except UserError as error:
            raise pytest.UsageError(str(error)) from error
        if self._progress is None:
            return
        for project, case in chosen:
            name = os.path.relpath(case.project.directory, self._config.rootpath)
            launch_dirs = partial(launcher.launch_dirs, case, project.settings.values)
            self._progress.follow(printable(f"{name}::{case.id}"), launch_dirs, project.policy.secrets.masked)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Puts what the summary needs on the report, as plain data that crosses process borders."""
        report = yield
        if isinstance(item, CheckItem) and report.when == "call":
            line = check_summary(item, report)
            report.mlflow_check = line  # type: ignore[attr-defined]
            put_properties(item, line["launches"])
            if self._reports is not None:
                self._reports.attach(item, report)
            if report.skipped and item.result is not None and item.result.skipped:
                _, lineno, _ = item.reportinfo()
                where = os.path.relpath(item.path, item.config.rootpath)
                report.longrepr = (where, (lineno or 0) + 1, f"Skipped: {item.result.skipped}")
        return report

    @pytest.hookimpl
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Collects what was found, in the controller also by the workers."""
        if self._reports is not None:
            self._reports.add(report)
        line = getattr(report, "mlflow_check", None)
        if line is not None:
            self._summary.add(line)
            if self._update is not None:
                self._update.add(line)

    @pytest.hookimpl
    def pytest_report_teststatus(
        self, report: pytest.CollectReport | pytest.TestReport
    ) -> tuple[str, str, tuple[str, dict[str, bool]]] | None:
        """Says with `-v` which checks passed without a launch."""
        line = getattr(report, "mlflow_check", None)
        if line is None or line["verdict"] != "cached" or hasattr(report, "wasxfail"):
            return None
        return "passed", ".", ("PASSED (cached)", {"green": True})

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """Writes what is to be written, before pytest may remove its temporary directories.

        Contracts first, since the reports say what of them isn't written; both before the launch cache moves
        launches. An allowance that nothing needed fails a strict session.
        """
        if self._is_worker:
            return
        if self._update is not None:
            self._update.write(session, exitstatus)
        if self._reports is not None:
            unwritten = self._update.unwritten() if self._update else []
            self._reports.write(session, self._summary.unused_of, unwritten)
        if makes_launches(self._config):
            self._update_launch_cache()
        if self._strict and self._summary.unused_allowances():
            session.exitstatus = session.exitstatus or pytest.ExitCode.TESTS_FAILED

    @pytest.hookimpl
    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """What was written of contracts, and the table with a row per case."""
        if self._update is not None:
            self._update.print(terminalreporter)
        error = None if self._error_at_start else self._resources.fork_server_error
        self._summary.write(terminalreporter, strict=self._strict, fork_server_error=error)

    def _update_launch_cache(self) -> None:
        for project in self.projects:
            for case in project.cases if project.settings.values.cache else ():
                passed = self._summary.passed(project.path, case.id)
                if passed is not None:
                    self._resources.launcher.update_cache(case, project.settings.values, passed=passed)

    @property
    def _strict(self) -> bool:
        return any(project.settings.values.strict for project in self.projects)

    @property
    def _is_worker(self) -> bool:
        return is_worker(self._config)


def register(config: pytest.Config) -> None:
    """Makes this session check the projects it was given.

    Raises:
        pytest.UsageError: where a project or its settings are wrong.
    """
    if not config.pluginmanager.hasplugin("tmpdir"):
        raise pytest.UsageError("--mlflow-project needs pytest's own plugin tmpdir: leave out  -p no:tmpdir")
    try:
        session = CheckSession(config)
    except UserError as error:
        raise pytest.UsageError(str(error)) from error
    session.add_arguments()
    config.pluginmanager.register(session, "mlflow-check-session")


def _same_file(one: Path, other: Path) -> bool:
    """Whether both are one entry of one directory; a file linked into two directories is in two projects."""
    if one.name != other.name:
        return False
    return one == other or (one.parent.exists() and one.parent.samefile(other.parent))
