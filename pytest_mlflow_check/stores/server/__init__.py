"""The session's `mlflow server`: one for all its processes, an empty store for each launch.

A server can't tell one launch from another. So launches have it one at a time: before each, its database
becomes an empty one, in place, and its artifacts go to the launch's own directory; afterwards what is in the
database is copied there too. The server keeps nothing in memory that would be another launch's (measured with
MLflow 3.17.2 and 2.22.5).
"""

from __future__ import annotations

import json
import os
import re
import socket
import sqlite3
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from pytest_mlflow_check.core.errors import UserError
from pytest_mlflow_check.core.store import Store, refuse_unfit
from pytest_mlflow_check.runtime.process.locks import exclusive_lock
from pytest_mlflow_check.runtime.sandbox.environment import HERE, mlflow_command, server_environment
from pytest_mlflow_check.stores.handle import StoreHandle
from pytest_mlflow_check.stores.relocate import relocate_fetched

_PAYLOAD = Path(__file__).with_name("payload")
"""What runs the server; see there."""

_PATIENCE = 120.0
"""Seconds that the server may take until it is ready, on a machine that is busy with other things."""

_LOCKED = 20.0
"""Seconds that its database may be busy; MLflow's own connections wait as long."""

_ANSWER = 10.0
"""Seconds that an answer may take."""

_LOOK = 0.1
"""Seconds between two looks whether it is ready."""

_MARK = "pytest-mlflow-check"
"""A tag of the Default experiment while nobody uses the server: whoever is told of it knows that this is the
one, and that the launch before has been put away. `/health` says neither."""


_PORTS = 3
"""How many ports are tried."""


class _PortTaken(UserError):
    """Between the look for a free port and the server's start, somebody else took it."""

    def __init__(self) -> None:
        super().__init__(
            f"{_PORTS} ports that were free were taken before `mlflow server` had one: start again"
        )


@dataclass(frozen=True)
class _Running:
    """A server.

    Attributes:
        directory: holds all that is its own, under a name that no other has.
        port: where it listens.
    """

    directory: Path
    port: int

    @property
    def users(self) -> Path:
        """The named pipe that those who use it have open."""
        return self.directory / "users"

    @property
    def database(self) -> Path:
        return self.directory / "mlflow.db"

    @property
    def artifacts(self) -> Path:
        """A link to where artifacts go now."""
        return self.directory / "artifacts"

    @property
    def output(self) -> Path:
        return self.directory / "output.txt"

    def printed(self) -> str:
        """All that it printed."""
        return self.output.read_text(encoding="utf-8", errors="replace")

    def is_idle(self) -> bool:
        """Whether it is this one that answers, and has nothing of a launch."""
        asked = HTTPConnection(HERE, self.port, timeout=_ANSWER)
        with closing(asked), suppress(OSError, HTTPException):
            asked.request("GET", "/api/2.0/mlflow/experiments/get?experiment_id=0")
            return self.directory.name.encode() in asked.getresponse().read()
        return False

    def empty(self) -> None:
        """Takes away all that was logged."""
        _copy(self.directory / "empty.db", self.database)

    def put_away(self) -> None:
        """Says that nobody uses it any more."""
        self.lead_artifacts(self.directory / "nowhere")
        _copy(self.directory / "idle.db", self.database)

    def lead_artifacts(self, directory: Path) -> None:
        """Has artifacts go to a directory from now on."""
        directory.mkdir(parents=True, exist_ok=True)
        link = self.directory / "link"
        link.symlink_to(directory)
        link.replace(self.artifacts)


class Server:
    """The way to the session's server. Every process of the session may have one; the first that needs the
    server starts it."""

    def __init__(self, directory: Path, template: Callable[[], Path]) -> None:
        """Takes what is needed to start it; nothing is started yet.

        Args:
            directory: a directory that all who share the server know.
            template: gives an empty, migrated database.
        """
        self._directory, self._template = directory, template
        self._known: tuple[_Running, int] | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @contextmanager
    def open_store(self, root: Path, *, check: Callable[[], None]) -> Iterator[StoreHandle]:
        """An empty store at the server, which nobody else uses meanwhile.

        Args:
            root: where what is logged is brought, a directory that isn't there yet.
            check: raises where there is nothing to wait for any more.

        Raises:
            UserError: where the server doesn't start, or its database can't be had.
        """
        self._directory.mkdir(parents=True, exist_ok=True)
        with exclusive_lock(self._directory / "lock", check=check):
            running = self._running(check)
            store = Store("sqlite", root, f"http://{HERE}:{running.port}")
            try:
                running.empty()
                running.lead_artifacts(store.artifact_root)
                yield StoreHandle(store, store.address, lambda: _fetch(running, store))
            finally:
                # Who can't have its database starts another server.
                with suppress(UserError):
                    running.put_away()

    def stop(self) -> None:
        """Ends the server, where nobody else uses it."""
        self._leave()
        if self._process is not None:
            with suppress(subprocess.TimeoutExpired):
                # Where others use it, it goes on; they end it.
                self._process.wait(1.0)

    def _running(self, check: Callable[[], None]) -> _Running:
        file = self._directory / "server.json"
        with suppress(FileNotFoundError):
            said = json.loads(file.read_text(encoding="utf-8"))
            running = _Running(Path(said["directory"]), said["port"])
            if self._use(running) and running.is_idle():
                return running
        running = self._started(check)
        unfinished = file.with_suffix(".tmp")
        unfinished.write_text(
            json.dumps({"directory": str(running.directory), "port": running.port}), encoding="utf-8"
        )
        unfinished.replace(file)
        return running

    def _use(self, running: _Running) -> bool:
        """Keeps a server from ending; False where it has ended."""
        if self._known is not None and self._known[0] == running:
            return True
        self._leave()
        try:
            self._known = running, os.open(running.users, os.O_WRONLY | os.O_NONBLOCK)
        except OSError:
            return False
        return True

    def _leave(self) -> None:
        if self._known is not None:
            os.close(self._known[1])
            self._known = None

    def _started(self, check: Callable[[], None]) -> _Running:
        for _ in range(_PORTS - 1):
            # A port that was free a moment ago may be somebody else's now.
            with suppress(_PortTaken):
                return self._started_once(check)
        return self._started_once(check)

    def _started_once(self, check: Callable[[], None]) -> _Running:
        running = _prepared(self._directory, self._template())
        os.mkfifo(running.users)
        reading = os.open(running.users, os.O_RDONLY | os.O_NONBLOCK)
        try:
            self._use(running)
            os.set_blocking(reading, True)
            self._process = _start(running, reading)
        finally:
            os.close(reading)
        end = time.monotonic() + _PATIENCE
        try:
            while not running.is_idle():
                check()
                if self._process.poll() is not None:
                    # As uvicorn and gunicorn say it.
                    if re.search("(address already|Connection) in use", running.printed()):
                        raise _PortTaken
                    raise _failed(running, "ended before it was ready")
                if time.monotonic() > end:
                    raise _failed(running, f"wasn't ready after {_PATIENCE:g} seconds")
                time.sleep(_LOOK)
        except BaseException:
            self._leave()
            raise
        return running


def _prepared(directory: Path, template: Path) -> _Running:
    directory = Path(tempfile.mkdtemp(prefix="server-", dir=directory))
    running = _Running(directory, _free_port())
    refuse_unfit(Store("sqlite", directory))
    for name, tags in (("empty", []), ("idle", [(_MARK, directory.name)])):
        database = directory / f"{name}.db"
        _copy(template, database)
        with closing(sqlite3.connect(database)) as connection, connection:
            connection.execute("UPDATE experiments SET artifact_location = 'mlflow-artifacts:/0'")
            connection.executemany(
                "INSERT INTO experiment_tags (key, value, experiment_id) VALUES (?, ?, 0)", tags
            )
    running.put_away()
    return running


def _free_port() -> int:
    with socket.socket() as free:
        free.bind((HERE, 0))
        port: int = free.getsockname()[1]
        return port


def _start(running: _Running, users: int) -> subprocess.Popen[bytes]:
    with running.output.open("wb") as output:
        return subprocess.Popen(
            [
                *(sys.executable, "-I", "-S", str(_PAYLOAD), str(running.users)),
                *(*mlflow_command(), "server", "--host", HERE, "--port", str(running.port), "--workers", "1"),
                *("--backend-store-uri", Store("sqlite", running.directory).uri),
                *("--serve-artifacts", "--artifacts-destination", str(running.artifacts)),
            ],
            cwd=running.directory / "nowhere",
            env=server_environment(),
            stdin=users,
            stdout=output,
            stderr=subprocess.STDOUT,
            # Ctrl-C is for pytest.
            start_new_session=True,
        )


def _failed(running: _Running, why: str) -> UserError:
    printed = running.printed().splitlines()[-10:]
    return UserError(
        f"the `mlflow server` for --mlflow-store=server {why}: use --mlflow-store=sqlite, or fix the "
        "installation. The end of what it printed:\n" + textwrap.indent("\n".join(printed), "    ")
    )


def _fetch(running: _Running, store: Store) -> None:
    _copy(running.database, store.database)
    relocate_fetched(store)


def _copy(source: Path, target: Path) -> None:
    """Has a database hold what another one does, in place: who has it open sees the new content."""
    end = time.monotonic() + _LOCKED

    def progress(*_: int) -> None:
        if time.monotonic() > end:
            raise UserError(f"{target}: the database of the `mlflow server` stays locked; start again")

    with closing(sqlite3.connect(source)) as one, closing(sqlite3.connect(target)) as other:
        one.backup(other, progress=progress)
