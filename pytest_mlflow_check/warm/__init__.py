"""The warm process: MLflow loaded once a session, and a fork of it wherever MLflow is needed.

`import mlflow` takes one to two seconds, and the command `mlflow run` twice that (MLflow 3.17.2); a fork
takes milliseconds. What lies in `path/` runs there, with the interpreter that runs pytest.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from pathlib import Path

from pytest_mlflow_check.processes import Call

PATH = Path(__file__).with_name("path")
"""Where the modules lie that a fork imports."""

_PATIENCE = 120.0
"""Seconds that loading MLflow may take, on a machine that is busy with other things."""

_LOOK = 0.2
"""Seconds between two looks whether there still is anything to wait for."""

_AT_START = (
    # HOME leads Python to the user's own packages.
    *("HOME", "LANG*", "LC_*", "LD_*", "PYTHON*", "TZ"),
    *("ARROW_*", "GIT_PYTHON_*", "NPY_*", "*_NUM_THREADS", "OPENBLAS_*", "OTEL_*"),
    *("MLFLOW_*LOGGING*", "PROTOCOL_BUFFERS_*", "PYDANTIC_*"),
)
"""Variables that are only looked at when Python, a library or MLflow is loaded: in a fork it is too late."""

_PLUGINS = ("*.dist-info", "*.egg-info")
"""What MLflow finds its plugins by, as it is loaded."""


class Fork:
    """A fork of the warm process, as far as `subprocess.Popen` has the same."""

    def __init__(self, connection: socket.socket, pid: int, warm: Warm) -> None:
        """Takes the connection on which the exit code will come."""
        self._connection, self.pid, self._warm = connection, pid, warm
        self._exit_code: int | None = None

    def wait(self, timeout: float | None = None) -> int:
        """The exit code; below 0 for a signal.

        Raises:
            subprocess.TimeoutExpired: after so many seconds.
            WarmProcessGone: where the warm process has ended, and with it what it knew.
        """
        if self._exit_code is None:
            try:
                said = _line(self._connection, timeout)
            except TimeoutError as error:
                raise subprocess.TimeoutExpired(["fork"], timeout or 0.0) from error
            self._connection.close()
            if said is None:
                self._warm.failure = "it ended while a fork of it was at work"
                raise WarmProcessGone(self._warm.failure)
            self._exit_code = said
        return self._exit_code


class WarmProcessGone(Exception):
    """The warm process ended while a fork of it was at work."""


class Warm:
    """A way to the warm process; every process of the session may have one.

    Attributes:
        address: the path of its socket.
        env: the variables that it was started with.
        failure: why it can't be used any more.
    """

    def __init__(self, address: str, env: Mapping[str, str], failure: str | None = None) -> None:
        """Takes what the one who started it knows."""
        self.address, self.env, self.failure = address, dict(env), failure

    def begin(self) -> None:
        """Has it there, if it isn't yet. Only the one who starts it has something to do for that."""

    def start(
        self,
        call: Call,
        *,
        cwd: Path,
        env: Mapping[str, str],
        stdout: Path,
        stderr: Path | None,
        check: Callable[[], None],
    ) -> Fork | None:
        """Has a fork carry out a call, in a session of its own and with empty standard input.

        Returns:
            None where that isn't possible: the warm process failed, or the variables need a new process.

        Raises:
            Exception: what `check` raises while it waits.
        """
        if not self._fits(env):
            return None
        self.begin()
        if self.failure is not None:
            return None
        request = {
            "path": str(call.path),
            "module": call.module,
            "function": call.function,
            "arguments": call.arguments,
            "argv": call.argv,
            "cwd": str(cwd),
            "env": dict(env),
            "stdout": str(stdout),
            "stderr": None if stderr is None else str(stderr),
        }
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        why, pid = "it ended", None
        try:
            connection.connect(self.address)
            connection.sendall(json.dumps(request).encode() + b"\n")
            pid = _line(connection, _PATIENCE, check)
        except TimeoutError:
            why = f"it wasn't ready within {_PATIENCE:g} seconds"
        except OSError as error:
            why = str(error)
        finally:
            if pid is None:
                connection.close()
        if pid is None:
            self.failure = why
            return None
        return Fork(connection, pid, self)

    def _fits(self, env: Mapping[str, str]) -> bool:
        differing = {
            name for name in {*env, *self.env} if env.get(name) != self.env.get(name) and name != "PYTHONPATH"
        }
        if any(fnmatchcase(name, pattern) for name in differing for pattern in _AT_START):
            return False
        known = self.env.get("PYTHONPATH", "").split(os.pathsep)
        added = [Path(entry) for entry in env.get("PYTHONPATH", "").split(os.pathsep) if entry not in known]
        return not any(any(entry.glob(pattern)) for entry in added for pattern in _PLUGINS)


class WarmProcess(Warm):
    """The warm process, of the one who starts and ends it."""

    def __init__(self, env: Mapping[str, str], preparation: Call) -> None:
        """Says what to start; nothing is started yet.

        Args:
            env: its variables.
            preparation: a generator, without arguments, that does beforehand, piece by piece, what forks
                would each do by themselves.
        """
        self._directory = Path(tempfile.mkdtemp(prefix="mlflow-check-"))
        super().__init__(str(self._directory / "socket"), env)
        self._preparation = preparation
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()

    def begin(self) -> None:
        """Starts it, once. It takes requests at once, and sees to them when MLflow is loaded.

        Where it can't be started, or its socket can't have the name of a temporary file, `failure` says so.
        """
        with self._lock:
            if self._process is None and self.failure is None:
                try:
                    self._process = self._started()
                except OSError as error:
                    self.failure = str(error)

    def _started(self) -> subprocess.Popen[bytes]:
        output, preparation = self._directory / "output.txt", self._preparation
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as door, output.open("wb") as out:
            door.bind(self.address)
            door.listen(128)
            return subprocess.Popen(
                [
                    *(sys.executable, str(PATH), str(door.fileno())),
                    *(str(preparation.path), preparation.module, preparation.function),
                ],
                cwd=self._directory,
                env=self.env,
                # It ends when this end of the pipe is closed, however this process ends.
                stdin=subprocess.PIPE,
                stdout=out,
                stderr=subprocess.STDOUT,
                pass_fds=[door.fileno()],
                start_new_session=True,
            )

    def stop(self) -> None:
        """Ends it. Forks that are still at work are ended by those who run them."""
        with self._lock:
            if self._process is None:
                self.failure = self.failure or "it was ended before it was needed"
        if self._process is not None:
            # It might be busy with what nobody needs any more.
            self._process.kill()
            self._process.communicate()
        shutil.rmtree(self._directory, ignore_errors=True)


def why_not() -> str | None:
    """Why no process can be kept warm on this platform; None where it can."""
    if not hasattr(os, "fork"):
        return "this platform has no fork"
    # Its system libraries may crash in a fork (Python docs, multiprocessing, "Contexts and start methods").
    return "forking isn't safe on macOS" if sys.platform == "darwin" else None


def _line(
    connection: socket.socket, timeout: float | None, check: Callable[[], None] = lambda: None
) -> int | None:
    """The next number; None where the connection ends before.

    Args:
        connection: where it comes from.
        timeout: seconds.
        check: raises where there is nothing to wait for any more.

    Raises:
        TimeoutError: after so many seconds.
    """
    text = b""
    end = math.inf if timeout is None else time.monotonic() + timeout
    while not text.endswith(b"\n"):
        check()
        left = end - time.monotonic()
        # A socket's own timeout can't be of any length, and would keep `check` waiting.
        connection.settimeout(min(max(left, 0.001), _LOOK))
        try:
            # A byte at a time: what comes behind the line is for the next to read.
            more = connection.recv(1)
        except TimeoutError:
            if left > 0:
                continue
            raise
        except ConnectionError:
            return None
        if not more:
            return None
        text += more
    return int(text)
