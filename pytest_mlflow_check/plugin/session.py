"""What happens in a session that was asked to check projects; registered only then."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_mlflow_check.core.errors import UserError
from pytest_mlflow_check.core.models import Case
from pytest_mlflow_check.core.text import printable
from pytest_mlflow_check.engine.planning import cases_of, policy_of
from pytest_mlflow_check.mlproject.loader import read_project
from pytest_mlflow_check.plugin import item_report, progress_display, terminal_summary
from pytest_mlflow_check.plugin.collection import CheckItem, ProjectFile
from pytest_mlflow_check.plugin.contract_update import Update, refuse_update
from pytest_mlflow_check.plugin.options import (
    asks_to_update,
    launch_jobs,
    makes_launches,
    named_on_command_line,
    project_directories,
    project_settings,
    report_files,
    static_only,
)
from pytest_mlflow_check.plugin.project import CheckedProject, by_nodeid, contract_of_project
from pytest_mlflow_check.plugin.resources import fork_server_error, launcher_of, start_fork_server
from pytest_mlflow_check.plugin.xdist import is_worker, share_fork_server

# Collecting launches nothing: what does is imported where the first item runs.
if TYPE_CHECKING:
    from pytest_mlflow_check.engine.launcher import Launcher


class CheckSession:
    """The hooks of such a session."""

    def __init__(self, config: pytest.Config) -> None:
        """Reads every project and its settings, and what else the command line says.

        Raises:
            UserError: where one of them is wrong.
        """
        self._config = config
        launch_jobs(config)
        self.reports = report_files(config)
        self.projects = [self._checked_project(directory) for directory in project_directories(config)]
        self._nodes: dict[Path, Path] = {}
        self._opened: set[Path] = set()
        self._fork_server_error: str | None = None
        refuse_update(config, [one.settings for one in self.projects])
        self.summary = terminal_summary.Summary(
            {
                one.path: one.policy
                for one in self.projects
                if not (one.settings.narrowed or one.updating or one.static)
            },
            {
                (project.path, case.id): project.checks(case)
                for project in self.projects
                for case in project.cases
            },
        )

    @property
    def _launcher(self) -> Launcher:
        # pytest-xdist reads the same attribute; there is no public way to it outside a fixture.
        factory: pytest.TempPathFactory = self._config._tmp_path_factory  # type: ignore[attr-defined]
        return launcher_of(self._config, factory)

    def _checked_project(self, directory: Path) -> CheckedProject:
        project = read_project(directory)
        settings = project_settings(self._config, directory)
        static = static_only(self._config)
        # What the files tell of a case, they tell of its probes too.
        cases = cases_of(settings, project, probes=not static)
        path = project.mlproject or directory / cases[0].entry_point.name
        return CheckedProject(
            settings,
            path,
            cases,
            policy_of(settings),
            lambda: self._launcher,
            contract_of_project(settings, cases),
            updating=asks_to_update(self._config),
            static=static,
        )

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
            progress_display.register(self._config)

    @pytest.hookimpl
    def pytest_report_header(self) -> list[str]:
        """Versions, and where each setting came from."""
        self._fork_server_error = fork_server_error(self._config)
        settings = [project.settings for project in self.projects]
        return terminal_summary.header(settings, self._fork_server_error, static=static_only(self._config))

    @pytest.hookimpl(wrapper=True)
    def pytest_ignore_collect(self, collection_path: Path) -> Generator[None, bool | None, bool | None]:
        """Finds a project, and nothing else, in a directory that pytest passes over (`build`, `--ignore`).

        Named alone it would be found; beside an argument such as `.`, pytest forgets that it was named.
        """
        ignored = yield
        inside = collection_path.parent in self._opened
        if not any(collection_path in (one.path, *one.path.parents) for one in self.projects):
            return inside or ignored
        if inside or ignored:
            self._opened.add(collection_path)
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
                return [ProjectFile.from_checked_project(parent, file_path, project)]
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
        # A worker of pytest-xdist ends before others are done: the controller, which stays, begins them.
        if makes_launches(self._config) and not is_worker(self._config):
            self._begin((item.project, item.case) for item in session.items if isinstance(item, CheckItem))

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Lets a worker of pytest-xdist use this process's fork server."""
        if makes_launches(self._config):
            fork_server = start_fork_server(self._config)
            # Nobody tells this process when a worker wants it.
            fork_server.begin()
            share_fork_server(node, fork_server)

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: Sequence[str]) -> None:
        """The same where the workers of pytest-xdist collected; a case not found is launched by a worker."""
        if makes_launches(self._config):
            known = by_nodeid(self.projects, self._config.rootpath)
            self._begin(known[nodeid][:2] for nodeid in ids if nodeid in known)

    def _begin(self, selected: Iterable[tuple[CheckedProject, Case]]) -> None:
        chosen = list(selected)
        wanted = [(case, project.settings.values) for project, case in chosen]
        if wanted:
            try:
                self._launcher.begin(wanted)
                if asks_to_update(self._config):
                    self._launcher.begin_again(one for one in wanted if one[0].probe_of is None)
            except UserError as error:
                raise pytest.UsageError(str(error)) from error
            for project, case in chosen:
                name = os.path.relpath(case.project.directory, self._config.rootpath)
                launch_dirs = partial(self._launcher.launch_dirs, case, project.settings.values)
                masked = project.policy.secrets.masked
                progress_display.follow(self._config, printable(f"{name}::{case.id}"), launch_dirs, masked)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Puts what the summary needs on the report, as plain data that crosses process borders."""
        report = yield
        if isinstance(item, CheckItem) and report.when == "call":
            told = terminal_summary.check_summary(item, report)
            report.mlflow_check = told  # type: ignore[attr-defined]
            item_report.put_properties(item, told["launches"])
            if report.skipped and item.result is not None and item.result.skipped:
                _, line, _ = item.reportinfo()
                where = os.path.relpath(item.path, item.config.rootpath)
                report.longrepr = (where, (line or 0) + 1, f"Skipped: {item.result.skipped}")
        return report

    @pytest.hookimpl
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Collects the lines of the summary, in the controller also those of the workers."""
        line = getattr(report, "mlflow_check", None)
        if line is not None:
            self.summary.add(line)

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
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Keeps the launches that passed, before pytest may remove its temporary directories.

        Makes an allowance that nothing needed fail a strict session.
        """
        if makes_launches(self._config) and not is_worker(self._config):
            self._remember()
        if self._strict and not is_worker(self._config) and self.summary.unused_allowances():
            session.exitstatus = session.exitstatus or pytest.ExitCode.TESTS_FAILED

    @pytest.hookimpl
    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """The table: a row per case, a column per check."""
        failed = None if self._fork_server_error else fork_server_error(self._config)
        self.summary.write(terminalreporter, strict=self._strict, fork_server_error=failed)

    def _remember(self) -> None:
        for project in self.projects:
            for case in project.cases if project.settings.values.cache else ():
                passed = self.summary.passed(project.path, case.id)
                if passed is not None:
                    self._launcher.remember(case, project.settings.values, passed=passed)

    @property
    def _strict(self) -> bool:
        return any(project.settings.values.strict for project in self.projects)


def register(config: pytest.Config) -> None:
    """Makes this session check the projects it was given.

    Raises:
        pytest.UsageError: where a project or its settings are wrong.
    """
    if not config.pluginmanager.hasplugin("tmpdir"):
        raise pytest.UsageError("--mlflow-project needs pytest's own plugin tmpdir: leave out  -p no:tmpdir")
    try:
        session_hooks = CheckSession(config)
    except UserError as error:
        raise pytest.UsageError(str(error)) from error
    session_hooks.add_arguments()
    config.pluginmanager.register(session_hooks, "mlflow-check-session")
    # What is registered later is asked first: contracts are written before reports tell of that, and both are
    # before launches that passed are moved elsewhere.
    update = Update(session_hooks.projects)
    if session_hooks.reports and makes_launches(config):
        from pytest_mlflow_check.plugin.report_hooks import Reporting

        reporting = Reporting(
            config,
            session_hooks.projects,
            session_hooks.reports,
            session_hooks.summary.unused_of,
            update.unwritten,
        )
        config.pluginmanager.register(reporting, "mlflow-check-report")
    if asks_to_update(config):
        config.pluginmanager.register(update, "mlflow-check-update")


def _same_file(one: Path, other: Path) -> bool:
    """Whether both are one entry of one directory; a file linked into two directories is in two projects."""
    if one.name != other.name:
        return False
    return one == other or (one.parent.exists() and one.parent.samefile(other.parent))
