"""Launches made once for everybody who wants them: checks, fixtures, workers of one session."""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
import traceback
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from functools import cached_property, partial
from pathlib import Path
from typing import TypeVar

from filelock import Timeout

from pytest_mlflow_check.checks.runner import Comparison, compare_launches
from pytest_mlflow_check.config.settings import ProjectConfig
from pytest_mlflow_check.core.errors import LaunchFault, UserError
from pytest_mlflow_check.core.models import Case
from pytest_mlflow_check.core.os_errors import fault_of, os_errors_explained, removed
from pytest_mlflow_check.core.records import Launch, Mode
from pytest_mlflow_check.engine.cache.fingerprint import asked_for
from pytest_mlflow_check.engine.cache.launch_cache import LaunchCache
from pytest_mlflow_check.engine.launch import LaunchOptions, make_launch, read_launch
from pytest_mlflow_check.mlproject.loader import unset_null_defaults
from pytest_mlflow_check.mlproject.static_reader import read_static_facts
from pytest_mlflow_check.mlproject.surroundings import read_surroundings
from pytest_mlflow_check.runtime.forkserver.client import ForkServer
from pytest_mlflow_check.runtime.process.locks import exclusive_lock, processors, semaphore
from pytest_mlflow_check.runtime.process.runner import Processes, Stopped
from pytest_mlflow_check.runtime.sandbox.docker import docker_reachable
from pytest_mlflow_check.runtime.sandbox.interpreter import Interpreter, make_interpreter
from pytest_mlflow_check.runtime.sandbox.symlink_patterns import Links
from pytest_mlflow_check.runtime.sandbox.workspace import enclosing_root, mark_session_dir
from pytest_mlflow_check.runtime.supervisor.client import SupervisorDied
from pytest_mlflow_check.stores.factory import Stores

_T = TypeVar("_T")

_MAX_TEMPORARY = 55
"""Bytes of the path below which launches have their temporary files. The name of a socket has 108 at most
(unix(7)), of which multiprocessing and torch take up to 35 below TMPDIR."""


class Launcher:
    """Makes launches, each once for everybody who shares the session's directory.

    Several processes may use one: a lock of the operating system, which falls with its holder,
    makes the first launch while the others wait, and what it left is read from disk by all.
    """

    def __init__(
        self,
        session_dir: Path,
        *,
        cache: Path,
        fork_server: ForkServer | None = None,
        jobs: int | None = None,
    ) -> None:
        """Prepares for launches; nothing is started yet.

        Args:
            session_dir: the directory for launches.
            cache: the one for what lasts (an empty database, the environments that MLflow makes, the
                launches of earlier sessions).
            fork_server: leads to the process that forks for `mlflow run` and for model validation; without it
                each is a process that loads MLflow anew.
            jobs: how many launches there may be at a time; as many as processors by default.
        """
        # Tracebacks name real paths; a link in between would hide that they lie in the workspace.
        self._session_dir = session_dir.resolve()
        self._cache = cache
        self._fork_server = fork_server
        self._jobs = jobs or processors()
        self._launch_cache = LaunchCache(cache / "launches")
        self._stores = Stores(self._session_dir, cache)
        self._shared: dict[Path, Launch] = {}
        self._failed: dict[Path, UserError | LaunchFault] = {}
        self._half: list[Path] = []
        self._begun: dict[Path, Future[None]] = {}
        self._second: dict[Path, Future[Launch]] = {}
        self._processes = Processes(fork_server)
        self._queue = ThreadPoolExecutor(self._jobs, thread_name_prefix="mlflow-check")

    @property
    def session_dir(self) -> Path:
        """The directory that keeps copies, stores and outputs of all launches."""
        return self._session_dir

    @property
    def cache_dir(self) -> Path:
        """The directory that keeps stores and outputs of launches of earlier sessions."""
        return self._launch_cache.directory

    def compare(self, case: Case, values: ProjectConfig) -> Comparison:
        """Both launches of a case, ready for the checks; none where the project can't be started.

        Raises:
            UserError: where a launch can't be made.
            LaunchFault: where it ended by a fault of ours.
        """
        unset = unset_null_defaults(case)
        docker_missing = values.launch != "fluent" and self._lacks_docker(case)
        launches = {} if unset or docker_missing else self.launches(case, values)
        # They cost a walk through the repository, and tell only why something wasn't found.
        failed = any(launch.exit_code for launch in launches.values())
        return compare_launches(
            launches,
            settings=values,
            case=case,
            unset=unset,
            docker_missing=docker_missing,
            surroundings=read_surroundings(case.project, enclosing_root(case.project.directory))
            if failed
            else None,
            facts=read_static_facts(case),
        )

    def _lacks_docker(self, case: Case) -> bool:
        return case.project.docker_image is not None and not self._docker_reachable

    @cached_property
    def _docker_reachable(self) -> bool:
        return docker_reachable(self._processes.variables)

    def begin(self, wanted: Iterable[tuple[Case, ProjectConfig]]) -> None:
        """Makes the launches of cases in the background, in this order; `launches` waits for its own.

        Raises:
            UserError: where no thread can be started for it.
        """
        with os_errors_explained(self._session_dir):
            for case, values in wanted:
                for mode, launch_dir in self._startable(case, values).items():
                    if launch_dir not in self._begun:
                        self._begun[launch_dir] = self._queue.submit(
                            self._unless_made, launch_dir, case, mode, values
                        )

    def launch_dirs(self, case: Case, values: ProjectConfig) -> dict[Mode, Path]:
        """Where the launches of a case are made, by whichever process; none of one that isn't launched.

        `LaunchProgress` follows them there.
        """
        lacking = values.launch != "fluent" and self._lacks_docker(case)
        return {} if lacking else self._startable(case, values)

    def stop(self) -> None:
        """Ends what was begun, and what is still at work for it."""
        self._processes.stop()
        self._queue.shutdown(cancel_futures=True)
        self._stores.stop()
        # Where no file could be opened any more, none could be removed.
        for attempt_dir in self._half:
            removed(attempt_dir)

    def launches(self, case: Case, values: ProjectConfig) -> dict[Mode, Launch]:
        """The launches of a case in the modes that the settings ask for, made once and shared.

        Raises:
            UserError: where a launch can't be made.
            LaunchFault: where it ended by a fault of ours.
        """
        launch_dirs = self._launch_dirs(case, values)
        # In memory, since what the machine refused may be to write it down.
        for launch_dir in launch_dirs.values():
            if launch_dir in self._begun:
                wait([self._begun[launch_dir]])
            if launch_dir in self._failed:
                raise self._failed[launch_dir]
        try:
            with os_errors_explained(self._session_dir):
                return self._side_by_side(
                    {
                        mode: partial(self._once, launch_dir, case, mode, values)
                        for mode, launch_dir in launch_dirs.items()
                    }
                )
        except (UserError, LaunchFault) as error:
            self._failed |= dict.fromkeys(launch_dirs.values(), error)
            raise

    def confirm(self, case: Case, values: ProjectConfig) -> Launch:
        """A second fluent launch of a case, made once and shared: what differs there too varies by itself.

        Raises:
            UserError: where it can't be made.
            LaunchFault: where it ended by a fault of ours.
        """
        launch_dir = self._case_dir(case, values) / "confirming"
        # Whatever is cached: that would be the first one.
        anew = values.model_copy(update={"cache": False})
        with os_errors_explained(self._session_dir):
            made = self._side_by_side({"fluent": partial(self._once, launch_dir, case, "fluent", anew)})
        return made["fluent"]

    def varying_file(self, case: Case, values: ProjectConfig) -> Path:
        """The file in which it is remembered what of a case varies by itself."""
        return self._cache / "varying" / f"{_directory_name(case, values)}.json"

    def launch(self, case: Case, mode: Mode, values: ProjectConfig) -> Launch:
        """A launch of its own, shared with nobody.

        Raises:
            UserError: where it can't be made.
        """
        with os_errors_explained(self._session_dir):
            mark_session_dir(self._session_dir)
            launch_dir = Path(tempfile.mkdtemp(prefix=f"{_slug(case.id)}-", dir=self._session_dir))
            made = self._side_by_side({mode: partial(self._make, launch_dir, case, mode, values)})
            return made[mode][1]

    def begin_again(self, wanted: Iterable[tuple[Case, ProjectConfig]]) -> None:
        """Makes the launches of cases a second time, behind all that was begun; `again` waits for them."""
        for case, values in wanted:
            for mode, launch_dir in self._startable(case, values).items():
                if launch_dir not in self._second:
                    self._second[launch_dir] = self._queue.submit(
                        self._make_again, launch_dir, case, mode, values
                    )

    def again(self, case: Case, values: ProjectConfig) -> dict[Mode, Launch]:
        """The launches of a case made a second time, whatever is cached: what differs varies by itself.

        Raises:
            UserError: where a launch can't be made.
        """
        self.begin_again([(case, values)])
        return {
            mode: self._second[launch_dir].result()
            for mode, launch_dir in self._launch_dirs(case, values).items()
        }

    def _make_again(self, launch_dir: Path, case: Case, mode: Mode, values: ProjectConfig) -> Launch:
        with os_errors_explained(self._session_dir):
            mark_session_dir(self._session_dir)
            launch_dir.mkdir(parents=True, exist_ok=True)
            return self._make(launch_dir, case, mode, values, self._processes)[1]

    def update_cache(self, case: Case, values: ProjectConfig, *, passed: bool) -> None:
        """Keeps the launches of a case for later sessions; those kept that didn't pass now are made anew."""
        for mode, attempt_dir in self._attempt_dirs(case, values).items():
            if passed:
                # Read only where it is put there: it may be there already, or be gone.
                read = partial(self._launch_in, attempt_dir)
                self._launch_cache.put(case, mode, attempt_dir, read, store=values.store)
            else:
                self._launch_cache.invalidate(attempt_dir)

    def made(self, case: Case, values: ProjectConfig) -> dict[Mode, Launch]:
        """The launches of a case that this session has, whichever of its processes made them; makes none."""
        return {
            mode: self._launch_in(attempt_dir)
            for mode, attempt_dir in self._attempt_dirs(case, values).items()
        }

    def _launch_in(self, attempt_dir: Path) -> Launch:
        """Return a launch that all of this process share; its store is read once."""
        if attempt_dir not in self._shared:
            self._shared[attempt_dir] = read_launch(attempt_dir)
        return self._shared[attempt_dir]

    def _attempt_dirs(self, case: Case, values: ProjectConfig) -> dict[Mode, Path]:
        attempt_dirs: dict[Mode, Path] = {}
        for mode, launch_dir in self._launch_dirs(case, values).items():
            result = launch_dir / "result.json"
            said = json.loads(result.read_text(encoding="utf-8")) if result.is_file() else {}
            if "attempt_dir" in said:
                attempt_dirs[mode] = Path(said["attempt_dir"])
        return attempt_dirs

    def _side_by_side(self, makers: Mapping[Mode, Callable[[Processes], _T]]) -> dict[Mode, _T]:
        """What each maker made; when one can't, or on Ctrl-C, all are ended."""
        processes = Processes(self._fork_server)
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

    def _launch_dirs(self, case: Case, values: ProjectConfig) -> dict[Mode, Path]:
        """Where the launches are made in the modes that the settings ask for."""
        of_case = self._case_dir(case, values)
        return {mode: of_case / mode for mode in _modes(values)}

    def _case_dir(self, case: Case, values: ProjectConfig) -> Path:
        return self._session_dir / _directory_name(case, values)

    def _startable(self, case: Case, values: ProjectConfig) -> dict[Mode, Path]:
        """Like `_launch_dirs`, but empty for a case that can't start."""
        return {} if unset_null_defaults(case) else self._launch_dirs(case, values)

    def _unless_made(self, launch_dir: Path, case: Case, mode: Mode, values: ProjectConfig) -> None:
        """Makes a launch, unless another process is just about it; whoever needs it finds out what came."""
        if values.launch != "fluent" and self._lacks_docker(case):
            return
        with suppress(Timeout, Stopped):
            try:
                with os_errors_explained(self._session_dir):
                    self._once(launch_dir, case, mode, values, self._processes, blocking=False)
            except (UserError, LaunchFault) as error:
                self._failed[launch_dir] = error

    def _once(
        self,
        launch_dir: Path,
        case: Case,
        mode: Mode,
        values: ProjectConfig,
        processes: Processes,
        *,
        blocking: bool = True,
    ) -> Launch:
        """A launch that is shared: made here, unless some process has made it; others wait meanwhile.

        What it ended by is written down, so that nobody tries it all over again.

        Raises:
            UserError: where it can't be made.
            LaunchFault: where it ended by a fault of ours.
        """
        mark_session_dir(self._session_dir)
        launch_dir.mkdir(parents=True, exist_ok=True)
        with exclusive_lock(launch_dir / "lock", check=processes.check, blocking=blocking):
            result = launch_dir / "result.json"
            if not result.exists():
                answer: dict[str, str] = {}
                try:
                    with os_errors_explained(self._session_dir):
                        attempt_dir = self._get_or_create(launch_dir, case, mode, values, processes)
                        answer["attempt_dir"] = str(attempt_dir)
                except Stopped:
                    raise
                except UserError as error:
                    answer["error"] = str(error)
                except Exception:
                    answer["fault"] = traceback.format_exc()
                # A command may have deleted it.
                launch_dir.mkdir(parents=True, exist_ok=True)
                unfinished = launch_dir / "result.json.tmp"
                unfinished.write_text(json.dumps(answer), encoding="utf-8")
                unfinished.replace(result)
        said = json.loads(result.read_text(encoding="utf-8"))
        if "error" in said:
            raise UserError(said["error"])
        if "fault" in said:
            raise LaunchFault(said["fault"])
        return self._launch_in(Path(said["attempt_dir"]))

    def _get_or_create(
        self, launch_dir: Path, case: Case, mode: Mode, values: ProjectConfig, processes: Processes
    ) -> Path:
        def make() -> Path:
            attempt_dir, launch = self._make(launch_dir, case, mode, values, processes)
            self._shared[attempt_dir] = launch
            return attempt_dir

        if not values.cache:
            return make()
        return self._launch_cache.get_or_create(
            case, mode, values, self._interpreter(case, values, processes), make, processes.variables
        )

    def _make(
        self, launch_dir: Path, case: Case, mode: Mode, values: ProjectConfig, processes: Processes
    ) -> tuple[Path, Launch]:
        """Makes a launch in a new directory below `launch_dir`; gives both."""
        options = LaunchOptions(
            partial(self._stores.open_store, values.store, check=processes.check),
            values.timeout,
            values.pass_env,
            values.observer,
            values.tracking_uri == "block",
            self._interpreter(case, values, processes),
            values.cache,
            Links(values.workspace.link),
            self._temporary(),
        )
        with semaphore(self._session_dir / "semaphore", self._jobs, check=processes.check):
            processes.check()
            # An attempt that was given up may still have children that write: never use its place again.
            attempt_dir = Path(tempfile.mkdtemp(prefix="attempt-", dir=launch_dir))
            try:
                return attempt_dir, make_launch(
                    case, mode, options, attempt_dir=attempt_dir, processes=processes
                )
            except (OSError, UserError, Stopped, SupervisorDied) as error:
                if isinstance(error, OSError) and fault_of(error, self._session_dir) is None:
                    # A fault of ours; what is there helps to find it.
                    raise
                # Half a launch is of no use to anybody, and room may be what is missing.
                self._half.append(attempt_dir)
                removed(attempt_dir)
                if options.temporary is not None:
                    removed(options.temporary)
                if not isinstance(error, SupervisorDied):
                    raise
                raise UserError(
                    f"the supervisor of the launch {mode} of {case.id} was killed, and with it "
                    "what is known of how it ended: look for who kills processes here, such as the system "
                    "where memory runs short, and start again"
                ) from error

    def _temporary(self) -> Path | None:
        """A new directory for a launch's temporary files; None where sockets in it couldn't have a name."""
        parent = self._session_dir / "tmp"
        if len(os.fsencode(parent)) > _MAX_TEMPORARY:
            return None
        parent.mkdir(exist_ok=True)
        return Path(tempfile.mkdtemp(prefix="", dir=parent))

    def _interpreter(self, case: Case, values: ProjectConfig, processes: Processes) -> Interpreter:
        return make_interpreter(
            case.project,
            values.env_manager,
            cache=self._cache,
            session=self._session_dir,
            pass_env=values.pass_env,
            processes=processes,
            links=Links(values.workspace.link),
        )


def _modes(values: ProjectConfig) -> tuple[Mode, ...]:
    return ("fluent", "mlflow-run") if values.launch == "both" else (values.launch,)


def _directory_name(case: Case, values: ProjectConfig) -> str:
    """The same for all that would launch the same, and for nothing else."""
    digest = hashlib.sha256(json.dumps(asked_for(case, values)).encode()).hexdigest()[:12]
    return f"{_slug(case.project.directory.name)}-{_slug(case.id)}-{digest}"


def _slug(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "_", text)[:40] or "_"
