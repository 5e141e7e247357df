"""Starts the supervisor of a launch, a process between pytest and the launch that ends it for sure.

However this process ends, even by SIGKILL, its end of the connection closes, and the supervisor kills the
launch with all that it started, wherever that has gone. The supervisor runs what lies in `payload/`.
"""

from __future__ import annotations

import json
import math
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from pytest_mlflow_check.core.os_errors import CommandError

PATH = Path(__file__).with_name("payload")
"""Where the modules lie that a supervisor imports."""

_LOOK = 0.2
"""Seconds between two looks whether there still is anything to wait for."""

Request = Mapping[str, Any]
"""As in `_mlflow_check_supervisor.supervise`."""


class SupervisorDied(Exception):
    """The supervisor ended before the launch did, and took along how that ended."""


class ProcessHandle:
    """A supervised process, as seen from here."""

    def __init__(self, connection: socket.socket, process: subprocess.Popen[bytes] | None = None) -> None:
        """Takes the connection to its supervisor, and that itself where it is a child process."""
        self._connection, self._process = connection, process
        self._leader: int | None = None
        self._killed = False

    def ask(self, request: Request) -> None:
        """Asks for something to be started and supervised.

        Raises:
            OSError: where nobody is there.
        """
        self._connection.sendall(json.dumps(dict(request)).encode() + b"\n")

    def wait_started(self, *, patience: float | None, check: Callable[[], None]) -> bool:
        """Waits until it has been started; gives whether it was, or its supervisor never answered.

        Args:
            patience: seconds after which it isn't waited for any more.
            check: raises where there is nothing to wait for any more.

        Raises:
            CommandError: it can't be started, such as a command that isn't there.
            TimeoutError: patience was at its end.
            RuntimeError: for a fault of the supervisor's.
        """
        message = self._receive(patience, check)
        if message is not None and "failed" in message:
            number, message, file = message["failed"]
            raise CommandError(number, message, file)
        if message is not None:
            self._leader = message["begun"]
        return message is not None

    def wait_ended(self) -> tuple[int | None, float]:
        """Waits for its end; gives the exit code, None where its time was over, and the seconds it took.

        Raises:
            SupervisorDied: where nobody can say.
            RuntimeError: for a fault of the supervisor's.
        """
        message = self._receive(None, lambda: None)
        if message is None:
            if self._leader is not None and not self._killed:
                # Nobody else does it now.
                with suppress(OSError):
                    os.killpg(self._leader, signal.SIGKILL)
            raise SupervisorDied
        return message["exit_code"], message["duration"]

    def kill(self) -> None:
        """Has it killed; from another thread, this also ends the waiting, when all is dead."""
        self._killed = True
        # It may have ended just now.
        with suppress(OSError):
            self._connection.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Lets go of it; what still runs is killed."""
        self._connection.close()
        if self._process is not None:
            self._process.wait()

    def _receive(self, timeout: float | None, check: Callable[[], None]) -> dict[str, Any] | None:
        """The next thing it says; None where it ended before."""
        text = b""
        end = math.inf if timeout is None else time.monotonic() + timeout
        while not text.endswith(b"\n"):
            check()
            left = end - time.monotonic()
            # A socket's own timeout can't be of any length, and would keep `check` waiting.
            self._connection.settimeout(min(max(left, 0.001), _LOOK))
            try:
                # A byte at a time: what comes behind the line is for the next to read.
                more = self._connection.recv(1)
            except TimeoutError:
                if left > 0:
                    continue
                raise
            except ConnectionError:
                return None
            if not more:
                return None
            text += more
        message: dict[str, Any] = json.loads(text)
        if "fault" in message:
            raise RuntimeError(f"the supervisor of a launch failed:\n{message['fault']}")
        return message


def start_supervised(request: Request, variables: Mapping[str, str]) -> ProcessHandle:
    """Starts a supervisor, and has it start a command.

    Args:
        request: what to start, and how.
        variables: the supervisor's own.

    Raises:
        OSError: where it can't be started.
        SupervisorDied: where the supervisor itself ended at once.
    """
    own, its = socket.socketpair()
    try:
        with its:
            process = subprocess.Popen(
                [sys.executable, "-I", "-S", str(PATH)],
                # Else the kernel reads this process's own: EFAULT, where another thread sets one meanwhile.
                env=variables,
                stdin=its.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                # Ctrl-C is for pytest, which ends this one by itself.
                start_new_session=True,
            )
    except BaseException:
        own.close()
        raise
    handle = ProcessHandle(own, process)
    try:
        handle.ask(request)
        if not handle.wait_started(patience=None, check=lambda: None):
            raise SupervisorDied
    except ConnectionError as error:
        handle.close()
        raise SupervisorDied from error
    except BaseException:
        handle.close()
        raise
    return handle
