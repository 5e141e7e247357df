"""Launches made once for everybody who wants them: checks, fixtures, workers of one session."""

from __future__ import annotations

import hashlib
import json
import re
import tempfile
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from functools import cached_property, partial
from pathlib import Path

from filelock import Timeout

from pytest_mlflow_check.checks.runner import Comparison, compare_launches
from pytest_mlflow_check.config.settings import ProjectSettings
from pytest_mlflow_check.core.errors import UserError
from pytest_mlflow_check.core.models import Case
from pytest_mlflow_check.core.os_errors import faults_told, removed
from pytest_mlflow_check.core.records import Launch, Mode
from pytest_mlflow_check.engine.cache.fingerprint import asked_for
from pytest_mlflow_check.engine.cache.launch_cache import Remembered
from pytest_mlflow_check.engine.launch import Conditions, make_launch, read_launch
from pytest_mlflow_check.mlproject.loader import unset_null_defaults
from pytest_mlflow_check.runtime.forkserver.client import Warm
from pytest_mlflow_check.runtime.process.locks import alone, processors, slot
from pytest_mlflow_check.runtime.process.runner import Processes, Stopped
from pytest_mlflow_check.runtime.sandbox.docker import docker_reachable
from pytest_mlflow_check.runtime.sandbox.interpreter import Interpreter, make_interpreter
from pytest_mlflow_check.runtime.sandbox.symlink_patterns import Links
from pytest_mlflow_check.runtime.sandbox.workspace import mark_area
from pytest_mlflow_check.runtime.supervisor.client import KeeperGone
from pytest_mlflow_check.stores.factory import Stores


class Launcher:
    """Makes launches, each once for everybody who shares the area.

    Several processes may use one area: a lock of the operating system, which falls with its holder,
    makes the first launch while the others wait, and what it left is read from disk by all.
    """

    def __init__(self, area: Path, *, cache: Path, warm: Warm | None = None, jobs: int | None = None) -> None:
        """Prepares for launches; nothing is started yet.

        Args:
            area: the directory for launches.
            cache: the one for what lasts (an empty database, the environments that MLflow makes, the
                launches that are remembered).
            warm: leads to the process that forks for `mlflow run` and for proofs; without it each is a
                process that loads MLflow anew.
            jobs: how many launches there may be at a time; as many as processors by default.
        """
        # Tracebacks name real paths; a link in between would hide that they lie in the workspace.
        self._area = area.resolve()
        self._cache = cache
        self._warm = warm
        self._jobs = jobs or processors()
        self._remembered = Remembered(cache / "launches")
        self._stores = Stores(self._area, cache)
        self._read: dict[Path, Launch] = {}
        self._refused: dict[Path, str] = {}
        self._half: list[Path] = []
        self._begun: dict[Path, Future[Launch | None]] = {}
        self._second: dict[Path, Future[Launch]] = {}
        self._processes = Processes(warm)
        self._queue = ThreadPoolExecutor(self._jobs, thread_name_prefix="mlflow-check")

    @property
    def area(self) -> Path:
        """The directory that keeps copies, stores and outputs of all launches."""
        return self._area

    @property
    def remembered(self) -> Path:
        """The directory that keeps stores and outputs of launches of earlier sessions."""
        return self._remembered.directory

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
        return docker_reachable(self._processes.variables)

    def begin(self, wanted: Iterable[tuple[Case, ProjectSettings]]) -> None:
        """Makes the launches of cases in the background, in this order; `launches` waits for its own."""
        for case, values in wanted:
            for mode, home in self._startable(case, values).items():
                if home not in self._begun:
                    self._begun[home] = self._queue.submit(self._unless_made, home, case, mode, values)

    def homes(self, case: Case, values: ProjectSettings) -> dict[Mode, Path]:
        """Where the launches of a case are made, by whichever process; none of one that isn't launched.

        `underway` follows them there.
        """
        lacking = values.launch != "fluent" and self._lacks_docker(case)
        return {} if lacking else self._startable(case, values)

    def stop(self) -> None:
        """Ends what was begun, and what is still at work for it."""
        self._processes.stop()
        self._queue.shutdown(cancel_futures=True)
        self._stores.stop()
        # Where no file could be opened any more, none could be removed.
        for area in self._half:
            removed(area)

    def launches(self, case: Case, values: ProjectSettings) -> dict[Mode, Launch]:
        """The launches of a case in the modes that the settings ask for, made once and shared.

        Raises:
            UserError: where a launch can't be made.
        """
        homes = self._homes(case, values)
        # In memory, since what the machine refused may be to write it down.
        for home in homes.values():
            if home in self._begun:
                wait([self._begun[home]])
            if home in self._refused:
                raise UserError(self._refused[home])
        try:
            with faults_told(self._area):
                return self._launches(homes, case, values)
        except UserError as error:
            self._refused |= dict.fromkeys(homes.values(), str(error))
            raise

    def _launches(
        self, homes: Mapping[Mode, Path], case: Case, values: ProjectSettings
    ) -> dict[Mode, Launch]:
        for home in homes.values():
            launch = self._begun[home].result() if home in self._begun else None
            if launch is not None:
                self._read[home] = launch
        missing = {mode: home for mode, home in homes.items() if home not in self._read}
        made = self._side_by_side(
            {mode: partial(self._once, home, case, mode, values) for mode, home in missing.items()}
        )
        self._read |= {homes[mode]: read_launch(area) for mode, area in made.items()}
        return {mode: self._read[home] for mode, home in homes.items()}

    def launch(self, case: Case, mode: Mode, values: ProjectSettings) -> Launch:
        """A launch of its own, shared with nobody.

        Raises:
            UserError: where it can't be made.
        """
        with faults_told(self._area):
            mark_area(self._area)
            home = Path(tempfile.mkdtemp(prefix=f"{_slug(case.id)}-", dir=self._area))
            made = self._side_by_side({mode: partial(self._make, home, case, mode, values)})
            return read_launch(made[mode])

    def begin_again(self, wanted: Iterable[tuple[Case, ProjectSettings]]) -> None:
        """Makes the launches of cases a second time, behind all that was begun; `again` waits for them."""
        for case, values in wanted:
            for mode, home in self._startable(case, values).items():
                if home not in self._second:
                    self._second[home] = self._queue.submit(self._make_again, home, case, mode, values)

    def again(self, case: Case, values: ProjectSettings) -> dict[Mode, Launch]:
        """The launches of a case made a second time, whatever is remembered: what differs varies by itself.

        Raises:
            UserError: where a launch can't be made.
        """
        self.begin_again([(case, values)])
        return {mode: self._second[home].result() for mode, home in self._homes(case, values).items()}

    def _make_again(self, home: Path, case: Case, mode: Mode, values: ProjectSettings) -> Launch:
        with faults_told(self._area):
            mark_area(self._area)
            home.mkdir(parents=True, exist_ok=True)
            return read_launch(self._make(home, case, mode, values, self._processes))

    def remember(self, case: Case, values: ProjectSettings, *, passed: bool) -> None:
        """Keeps the launches of a case for later sessions; those kept that didn't pass now are made anew."""
        for mode, area in self._areas(case, values).items():
            if passed:
                self._remembered.keep(case, mode, area, store=values.store)
            else:
                self._remembered.forget(area)

    def made(self, case: Case, values: ProjectSettings) -> dict[Mode, Launch]:
        """The launches of a case that this session has, whichever of its processes made them; makes none."""
        homes, launches = self._homes(case, values), {}
        for mode, area in self._areas(case, values).items():
            home = homes[mode]
            if home not in self._read:
                self._read[home] = read_launch(area)
            launches[mode] = self._read[home]
        return launches

    def _areas(self, case: Case, values: ProjectSettings) -> dict[Mode, Path]:
        areas: dict[Mode, Path] = {}
        for mode, home in self._homes(case, values).items():
            result = home / "result.json"
            said = json.loads(result.read_text(encoding="utf-8")) if result.is_file() else {}
            if "area" in said:
                areas[mode] = Path(said["area"])
        return areas

    def _side_by_side(self, makers: Mapping[Mode, Callable[[Processes], Path]]) -> dict[Mode, Path]:
        """What each maker made; when one can't, or on Ctrl-C, all are ended."""
        processes = Processes(self._warm)
        if not makers:
            return {}
        with ThreadPoolExecutor(len(makers)) as pool:
            try:
                started = {mode: pool.submit(make, processes) for mode, make in makers.items()}
                for one in wait(started.values(), return_when=FIRST_EXCEPTION).done:
                    one.result()
                return {mode: one.result() for mode, one in started.items()}
            except BaseException:
                processes.stop()
                raise

    def _homes(self, case: Case, values: ProjectSettings) -> dict[Mode, Path]:
        """Where the launches are made in the modes that the settings ask for."""
        place = self._area / _directory_name(case, values)
        return {mode: place / mode for mode in _modes(values)}

    def _startable(self, case: Case, values: ProjectSettings) -> dict[Mode, Path]:
        """The same, and none of a case of which it is known that it can't be started."""
        return {} if unset_null_defaults(case) else self._homes(case, values)

    def _unless_made(self, home: Path, case: Case, mode: Mode, values: ProjectSettings) -> Launch | None:
        """Makes a launch, unless another process is just about it; whoever needs it finds out what came."""
        if values.launch != "fluent" and self._lacks_docker(case):
            return None
        with suppress(Timeout, Stopped):
            try:
                with faults_told(self._area):
                    return read_launch(self._once(home, case, mode, values, self._processes, blocking=False))
            except UserError as error:
                self._refused[home] = str(error)
        return None

    def _once(
        self,
        home: Path,
        case: Case,
        mode: Mode,
        values: ProjectSettings,
        processes: Processes,
        *,
        blocking: bool = True,
    ) -> Path:
        mark_area(self._area)
        home.mkdir(parents=True, exist_ok=True)
        with alone(home / "lock", check=processes.check, blocking=blocking):
            result = home / "result.json"
            if not result.exists():
                answer: dict[str, object] = {}
                try:
                    answer["area"] = str(self._recalled_or_made(home, case, mode, values, processes))
                except UserError as error:
                    # Remembered, so that the other checks don't try it all over again.
                    answer["error"] = str(error)
                unfinished = home / "result.json.tmp"
                unfinished.write_text(json.dumps(answer), encoding="utf-8")
                unfinished.replace(result)
        said = json.loads(result.read_text(encoding="utf-8"))
        if "error" in said:
            raise UserError(said["error"])
        return Path(said["area"])

    def _recalled_or_made(
        self, home: Path, case: Case, mode: Mode, values: ProjectSettings, processes: Processes
    ) -> Path:
        make = partial(self._make, home, case, mode, values, processes)
        if not values.cache:
            return make()
        return self._remembered.recalled_or_made(
            case, mode, values, self._interpreter(case, values, processes), make, processes.variables
        )

    def _make(
        self, home: Path, case: Case, mode: Mode, values: ProjectSettings, processes: Processes
    ) -> Path:
        """Makes a launch in a new directory below `home`, and gives that."""
        conditions = Conditions(
            partial(self._stores.opened, values.store, check=processes.check),
            values.timeout,
            values.pass_env,
            values.observer,
            values.tracking_uri == "block",
            self._interpreter(case, values, processes),
            values.cache,
            Links(values.workspace.link),
        )
        with slot(self._area / "slots", self._jobs, check=processes.check):
            processes.check()
            # An attempt that was given up may still have children that write: never use its place again.
            area = Path(tempfile.mkdtemp(prefix="attempt-", dir=home))
            try:
                make_launch(case, mode, conditions, area=area, processes=processes)
            except (OSError, UserError, Stopped, KeeperGone) as error:
                # Half a launch is of no use to anybody, and room may be what is missing.
                self._half.append(area)
                removed(area)
                if not isinstance(error, KeeperGone):
                    raise
                raise UserError(
                    f"the process that looked after the launch {mode} of {case.id} was killed, and with it "
                    "what is known of how it ended: look for who kills processes here, such as the system "
                    "where memory runs short, and start again"
                ) from error
            return area

    def _interpreter(self, case: Case, values: ProjectSettings, processes: Processes) -> Interpreter:
        return make_interpreter(
            case.project,
            values.env_manager,
            cache=self._cache,
            session=self._area,
            pass_env=values.pass_env,
            processes=processes,
            links=Links(values.workspace.link),
        )


def _modes(values: ProjectSettings) -> tuple[Mode, ...]:
    return ("fluent", "mlflow-run") if values.launch == "both" else (values.launch,)


def _directory_name(case: Case, values: ProjectSettings) -> str:
    """The same for all that would launch the same, and for nothing else."""
    digest = hashlib.sha256(json.dumps(asked_for(case, values)).encode()).hexdigest()[:12]
    return f"{_slug(case.project.directory.name)}-{_slug(case.id)}-{digest}"


def _slug(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "_", text)[:40] or "_"
