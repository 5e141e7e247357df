"""The fork server: MLflow loaded once a session, and a fork of it wherever MLflow is needed.

`import mlflow` takes one to two seconds, and the command `mlflow run` twice that (MLflow 3.17.2); a fork
takes milliseconds. What lies in `payload/` runs there, with the interpreter that runs pytest.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from pathlib import Path

from pytest_mlflow_check.runtime.process.runner import Call
from pytest_mlflow_check.runtime.supervisor.client import PATH as SUPERVISOR
from pytest_mlflow_check.runtime.supervisor.client import ProcessHandle, Request

PATH = Path(__file__).with_name("payload")
"""Where the modules lie that a fork imports."""

_PATIENCE = 120.0
"""Seconds that loading MLflow may take, on a machine that is busy with other things."""

_AT_START = (
    # HOME leads Python to the user's own packages.
    *("HOME", "LANG*", "LC_*", "LD_*", "PYTHON*", "TZ"),
    *("ARROW_*", "GIT_PYTHON_*", "NPY_*", "*_NUM_THREADS", "OPENBLAS_*", "OTEL_*"),
    *("MLFLOW_*LOGGING*", "PROTOCOL_BUFFERS_*", "PYDANTIC_*"),
)
"""Variables that are only looked at when Python, a library or MLflow is loaded: in a fork it is too late."""

_PLUGINS = ("*.dist-info", "*.egg-info")
"""What MLflow finds its plugins by, as it is loaded."""


class ForkServer:
    """A way to the fork server; every process of the session may have one.

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

    def start(self, call: Call, request: Request, *, check: Callable[[], None]) -> ProcessHandle | None:
        """Has a fork carry out a call, in a session of its own and with empty standard input.

        Args:
            call: what to carry out.
            request: how, as a supervisor takes it.
            check: raises where there is nothing to wait for any more.

        Returns:
            None where that isn't possible: the fork server failed, or the variables need a new process.

        Raises:
            Exception: what `check` raises while it waits.
        """
        if not self._matches_environment(request["env"]):
            return None
        self.begin()
        if self.failure is not None:
            return None
        asked_for = {
            **request,
            "path": str(call.path),
            "module": call.module,
            "function": call.function,
            "arguments": call.arguments,
            "argv": call.argv,
        }
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        handle, why = ProcessHandle(connection), "it ended"
        try:
            connection.connect(self.address)
            handle.ask(asked_for)
            if handle.wait_started(patience=_PATIENCE, check=check):
                return handle
        except TimeoutError:
            why = f"it wasn't ready within {_PATIENCE:g} seconds"
        except OSError as error:
            why = str(error)
        except BaseException:
            handle.close()
            raise
        handle.close()
        self.failure = why
        return None

    def _matches_environment(self, env: Mapping[str, str]) -> bool:
        differing = {
            name for name in {*env, *self.env} if env.get(name) != self.env.get(name) and name != "PYTHONPATH"
        }
        if any(fnmatchcase(name, pattern) for name in differing for pattern in _AT_START):
            return False
        known = self.env.get("PYTHONPATH", "").split(os.pathsep)
        added = [Path(entry) for entry in env.get("PYTHONPATH", "").split(os.pathsep) if entry not in known]
        return not any(any(entry.glob(pattern)) for entry in added for pattern in _PLUGINS)


class ForkServerProcess(ForkServer):
    """The fork server, of the one who starts and ends it."""

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
                    *(sys.executable, str(PATH), str(door.fileno()), str(SUPERVISOR)),
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
        """Ends it. Forks that are still at work are kept by themselves, for those who asked for them."""
        with self._lock:
            if self._process is None:
                self.failure = self.failure or "it was ended before it was needed"
        if self._process is not None:
            # It might be busy with what nobody needs any more.
            self._process.kill()
            self._process.communicate()
        shutil.rmtree(self._directory, ignore_errors=True)


def unsupported_reason() -> str | None:
    """Why no fork server can run on this platform; None where it can."""
    if not hasattr(os, "fork"):
        return "this platform has no fork"
    # Its system libraries may crash in a fork (Python docs, multiprocessing, "Contexts and start methods").
    return "forking isn't safe on macOS" if sys.platform == "darwin" else None
