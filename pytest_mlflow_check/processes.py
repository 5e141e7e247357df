"""Starting a process with its own process group, its output in files, and a certain end."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol

_GRACE = 3.0
"""Seconds between asking a process group to end and killing it."""


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


class Process(Protocol):
    """What is known of a process that was started; `subprocess.Popen` knows it."""

    @property
    def pid(self) -> int:
        """Its number, and that of its process group."""

    def wait(self, timeout: float | None = None) -> int:
        """The exit code; raises `subprocess.TimeoutExpired`."""


class Starter(Protocol):
    """What starts a process for a call."""

    def start(
        self,
        call: Call,
        *,
        cwd: Path,
        env: Mapping[str, str],
        stdout: Path,
        stderr: Path | None,
        check: Callable[[], None],
    ) -> Process | None:
        """The process, with a session of its own and empty standard input; None where it can't be had.

        Where `check` raises, there is nothing to wait for any more.
        """


class Processes:
    """The processes that are running now; all of them can be ended from another thread."""

    def __init__(self, starter: Starter | None = None) -> None:
        """Takes what starts processes for calls; without it, or where it can't, commands are started."""
        self._starter = starter
        self._running: set[Process] = set()
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
    ) -> Ended:
        """Runs a command to its end, or to the timeout in seconds, with empty standard input.

        Without a file of its own, standard error goes where standard output does. A call that does the same
        as the command is made instead, where there is a starter for it.

        Whatever else is left of its process group is killed then. A child with a session of its own isn't
        in that group, and goes on.

        Raises:
            Stopped: where `stop` was called before, or meanwhile.
        """
        self.check()
        process = None
        if call is not None and self._starter is not None:
            # Not under the lock: it may have to wait until MLflow is loaded.
            process = self._starter.start(
                call, cwd=cwd, env=env, stdout=stdout, stderr=stderr, check=self.check
            )
        with self._lock:
            if self._stopped:
                if process is not None:
                    _signal(process, signal.SIGKILL)
                raise Stopped
            process = process or _start(command, cwd=cwd, env=env, stdout=stdout, stderr=stderr)
            self._running.add(process)
        started = time.monotonic()
        try:
            exit_code: int | None = process.wait(timeout)
        except subprocess.TimeoutExpired:
            exit_code = None
            _end(process)
        finally:
            _signal(process, signal.SIGKILL)
            with self._lock:
                self._running.discard(process)
        self.check()
        return Ended(exit_code, time.monotonic() - started)

    def check(self) -> None:
        """For who waits before it starts something.

        Raises:
            Stopped: where `stop` was called.
        """
        if self._stopped:
            raise Stopped

    def stop(self) -> None:
        """Kills everything that runs, and starts nothing any more."""
        with self._lock:
            self._stopped = True
            for process in self._running:
                _signal(process, signal.SIGKILL)


def _start(
    command: Sequence[str], *, cwd: Path, env: Mapping[str, str], stdout: Path, stderr: Path | None
) -> Process:
    with stdout.open("wb") as out, _opened(stderr) as err:
        return subprocess.Popen(
            command,
            cwd=cwd,
            env=dict(env),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            start_new_session=True,
        )


def _opened(stderr: Path | None) -> contextlib.AbstractContextManager[BinaryIO | int]:
    return contextlib.nullcontext(subprocess.STDOUT) if stderr is None else stderr.open("wb")


def _end(process: Process) -> None:
    _signal(process, signal.SIGTERM)
    try:
        process.wait(_GRACE)
    except subprocess.TimeoutExpired:
        _signal(process, signal.SIGKILL)
        process.wait()


def _signal(process: Process, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)
