"""Launches made once for everybody who wants them: checks, fixtures, workers of one session."""

from __future__ import annotations

import hashlib
import json
import re
import tempfile
from collections.abc import Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from functools import cached_property
from pathlib import Path

from filelock import FileLock

from pytest_mlflow_check.cases import Case
from pytest_mlflow_check.checks import Comparison, compare_launches
from pytest_mlflow_check.docker import docker_reachable
from pytest_mlflow_check.environment import launch_environment
from pytest_mlflow_check.errors import UserError
from pytest_mlflow_check.interpreter import make_interpreter
from pytest_mlflow_check.launch import Conditions, make_launch, read_launch
from pytest_mlflow_check.processes import Processes
from pytest_mlflow_check.project import unset_null_defaults
from pytest_mlflow_check.records import Launch, Mode
from pytest_mlflow_check.settings import ProjectSettings
from pytest_mlflow_check.store import Store, sqlite_template
from pytest_mlflow_check.workspace import mark_area


class Launcher:
    """Makes launches, each once for everybody who shares the area.

    Several processes may use one area: a lock of the operating system, which falls with its holder,
    makes the first launch while the others wait, and what it left is read from disk by all.
    """

    def __init__(self, area: Path, *, cache: Path) -> None:
        """Takes the directory for launches, and the one for what lasts (the SQLite template,
        the environments that MLflow makes)."""
        # Tracebacks name real paths; a link in between would hide that they lie in the workspace.
        self._area = area.resolve()
        self._cache = cache
        self._read: dict[Path, dict[Mode, Launch]] = {}

    @property
    def area(self) -> Path:
        """The directory that keeps copies, stores and outputs of all launches."""
        return self._area

    def compare(self, case: Case, values: ProjectSettings) -> Comparison:
        """Both launches of a case, ready for the checks; none where the project can't be started.

        Raises:
            UserError: where a launch can't be made.
        """
        unset = unset_null_defaults(case)
        docker_missing = values.launch != "fluent" and self._lacks_docker(case)
        launches = {} if unset or docker_missing else self.launches(case, values)
        return compare_launches(
            launches, settings=values, case=case, unset=unset, docker_missing=docker_missing
        )

    def _lacks_docker(self, case: Case) -> bool:
        return case.project.docker_image is not None and not self._docker_reachable

    @cached_property
    def _docker_reachable(self) -> bool:
        return docker_reachable()

    def launches(self, case: Case, values: ProjectSettings) -> dict[Mode, Launch]:
        """The launches of a case in the modes that the settings ask for, made once and shared."""
        modes: tuple[Mode, ...] = ("fluent", "mlflow-run") if values.launch == "both" else (values.launch,)
        home = self._area / _directory_name(case, values)
        if home not in self._read:
            mark_area(self._area)
            home.mkdir(exist_ok=True)
            with FileLock(home / "lock"):
                areas = self._once(home, case, modes, values)
            self._read[home] = {mode: read_launch(area) for mode, area in areas.items()}
        return self._read[home]

    def launch(self, case: Case, mode: Mode, values: ProjectSettings) -> Launch:
        """A launch of its own, shared with nobody."""
        mark_area(self._area)
        home = Path(tempfile.mkdtemp(prefix=f"{_slug(case.id)}-", dir=self._area))
        return read_launch(self._start(home, case, (mode,), values)[mode])

    def _once(
        self, home: Path, case: Case, modes: Sequence[Mode], values: ProjectSettings
    ) -> dict[Mode, Path]:
        result = home / "result.json"
        if not result.exists():
            # An attempt whose process died may still have children that write: never use its place again.
            attempt = Path(tempfile.mkdtemp(prefix="attempt-", dir=home))
            answer: dict[str, object] = {}
            try:
                made = self._start(attempt, case, modes, values)
                answer["areas"] = {mode: str(area) for mode, area in made.items()}
            except UserError as error:
                # Remembered, so that the other checks don't try it all over again.
                answer["error"] = str(error)
            unfinished = home / "result.json.tmp"
            unfinished.write_text(json.dumps(answer), encoding="utf-8")
            unfinished.replace(result)
        said = json.loads(result.read_text(encoding="utf-8"))
        if "error" in said:
            raise UserError(said["error"])
        return {mode: Path(said["areas"][mode]) for mode in modes}

    def _start(
        self, home: Path, case: Case, modes: Sequence[Mode], values: ProjectSettings
    ) -> dict[Mode, Path]:
        """Makes the launches side by side; when one can't be made, or on Ctrl-C, all are ended."""
        conditions = Conditions(
            values.store,
            self._template(values),
            values.timeout,
            values.pass_env,
            values.observer,
            values.tracking_uri == "block",
            make_interpreter(
                case.project,
                values.env_manager,
                cache=self._cache,
                session=self._area,
                pass_env=values.pass_env,
            ),
        )
        areas = {mode: home / mode for mode in modes}
        processes = Processes()
        with ThreadPoolExecutor(len(areas)) as pool:
            try:
                started = [
                    pool.submit(make_launch, case, mode, conditions, area=area, processes=processes)
                    for mode, area in areas.items()
                ]
                for launch in wait(started, return_when=FIRST_EXCEPTION).done:
                    launch.result()
            except BaseException:
                processes.stop()
                raise
        return areas

    def _template(self, values: ProjectSettings) -> Path | None:
        if values.store != "sqlite":
            return None
        nowhere = Store("sqlite", self._cache)
        return sqlite_template(self._cache, launch_environment(nowhere, root=self._cache, copy=self._cache))


def _directory_name(case: Case, values: ProjectSettings) -> str:
    """The same for all that would launch the same, and for nothing else."""
    project = case.project
    identity = json.dumps(
        [
            str(project.directory),
            case.entry_point.name,
            case.entry_point.command,
            dict(case.params),
            case.fluent,
            dict(case.env),
            values.launch,
            values.store,
            values.timeout,
            values.pass_env,
            values.observer,
            values.tracking_uri,
            values.env_manager,
        ]
    )
    digest = hashlib.sha256(identity.encode()).hexdigest()[:12]
    return f"{_slug(project.directory.name)}-{_slug(case.id)}-{digest}"


def _slug(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "_", text)[:40] or "_"
