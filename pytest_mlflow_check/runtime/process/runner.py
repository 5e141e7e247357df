"""Starting a process with its output in files, and a certain end for it and all that it starts."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from pytest_mlflow_check.runtime.supervisor.client import ProcessHandle, Request, start_supervised

_GRACE = 3.0
"""Seconds between asking all processes of a launch to end and killing them."""


@dataclass(frozen=True)
class Ended:
    """How a process ended: its exit code, None after a timeout, and the seconds it took."""

    exit_code: int | None
    duration: float


class Stopped(Exception):
    """Whatever was started was ended from another thread: how it ended says nothing."""


@dataclass(frozen=True)
class Call:
    """A function to call in a fork, in place of a command.

    Attributes:
        path: the directory to import its module from; it is put first on `sys.path`.
        module: the module's name.
        function: the function's name. The process ends as one whose script is this call.
        arguments: what JSON can hold.
        argv: what `sys.argv` says meanwhile.
    """

    path: Path
    module: str
    function: str
    arguments: Sequence[Any]
    argv: Sequence[str]


class Starter(Protocol):
    """What starts a process for a call."""

    def start(self, call: Call, request: Request, *, check: Callable[[], None]) -> ProcessHandle | None:
        """The process, with a session of its own and empty standard input; None where it can't be had.

        Where `check` raises, there is nothing to wait for any more.
        """


def own_variables() -> dict[str, str]:
    """The environment variables of this process, also while another thread sets and deletes some.

    pytest deletes PYTEST_CURRENT_TEST after each phase of a test; `os.environ.items()` then raises in another
    thread (`collections.abc.ItemsView`, Python 3.11). And a process that is started there without
    variables may fail: the kernel reads this one's, which are just being written (execve(2), EFAULT).
    """
    values = {name: os.environ.get(name) for name in list(os.environ)}
    return {name: value for name, value in values.items() if value is not None}


class Processes:
    """The processes that are running now; all of them can be ended from another thread."""

    def __init__(self, starter: Starter | None = None) -> None:
        """Takes what starts processes for calls; without it, or where it can't, commands are started.

        `variables` are those of this process as of now: what is launched in the background has no part in
        what a test sets meanwhile.
        """
        self.variables = own_variables()
        self._starter = starter
        self._running: set[ProcessHandle] = set()
        self._lock = threading.Lock()
        self._stopped = False

    def run(
        self,
        command: Sequence[str],
        *,
        cwd: Path,
        env: Mapping[str, str],
        stdout: Path,
        stderr: Path | None,
        timeout: float,
        call: Call | None = None,
        stacks: tuple[Path, int] | None = None,
    ) -> Ended:
        """Runs a command to its end, or to the timeout, with empty standard input.

        When it has ended, all that it started and that still runs is killed, also what has left its process
        group or session (on Linux; elsewhere what is in its process group). At the timeout all are asked to
        end first, by SIGTERM.

        Args:
            command: what to start.
            cwd: where.
            env: all its variables.
            stdout, stderr: files for its output. Of more than two megabytes, the first and the last are kept.
                Without a file of its own, standard error goes where standard output does.
            timeout: seconds.
            call: one that does the same as the command, and is made instead where there is a starter for it.
            stacks: a directory and a signal: at the timeout, processes for which there is a file in that
                directory, named by their number, get the signal, and write into it where they stand.

        Raises:
            Stopped: where `stop` was called before, or meanwhile.
            OSError: where the command can't be started.
            SupervisorDied: where how it ended got lost.
        """
        self.check()
        request: Request = {
            "command": list(command),
            "cwd": str(cwd),
            "env": dict(env),
            "stdout": str(stdout),
            "stderr": None if stderr is None else str(stderr),
            "timeout": timeout,
            "grace": _GRACE,
            "stacks": None if stacks is None else [str(stacks[0]), stacks[1]],
        }
        handle = None
        if call is not None and self._starter is not None:
            handle = self._starter.start(call, request, check=self.check)
        handle = handle or start_supervised(request, self.variables)
        with self._lock:
            self._running.add(handle)
            if self._stopped:
                handle.kill()
        try:
            return Ended(*handle.wait_ended())
        finally:
            handle.close()
            with self._lock:
                self._running.discard(handle)
            # How one ended that was killed says nothing.
            self.check()

    def check(self) -> None:
        """For who waits before it starts something.

        Raises:
            Stopped: where `stop` was called.
        """
        if self._stopped:
            raise Stopped

    def stop(self) -> None:
        """Kills everything that runs, and starts nothing any more; `run` returns when all is dead."""
        with self._lock:
            self._stopped = True
            for handle in self._running:
                handle.kill()
