"""Starting a process with its own process group, its output in files, and a certain end."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

_GRACE = 3.0
"""Seconds between asking a process group to end and killing it."""


@dataclass(frozen=True)
class Ended:
    """How a process ended: its exit code, None after a timeout, and the seconds it took."""

    exit_code: int | None
    duration: float


class Processes:
    """The processes that are running now; all of them can be ended from another thread."""

    def __init__(self) -> None:
        self._running: set[subprocess.Popen[bytes]] = set()
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
    ) -> Ended:
        """Runs a command to its end, or to the timeout in seconds, with empty standard input.

        Without a file of its own, standard error goes where standard output does.

        Whatever else is left of its process group is killed then. A child with a session of its own isn't
        in that group, and goes on.
        """
        started = time.monotonic()
        with stdout.open("wb") as out, _opened(stderr) as err, self._lock:
            if self._stopped:
                return Ended(None, 0.0)
            process = subprocess.Popen(
                command,
                cwd=cwd,
                env=dict(env),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )
            self._running.add(process)
        try:
            exit_code: int | None = process.wait(timeout)
        except subprocess.TimeoutExpired:
            exit_code = None
            _end(process)
        finally:
            _signal(process, signal.SIGKILL)
            with self._lock:
                self._running.discard(process)
        return Ended(exit_code, time.monotonic() - started)

    def stop(self) -> None:
        """Kills everything that runs, and starts nothing any more."""
        with self._lock:
            self._stopped = True
            for process in self._running:
                _signal(process, signal.SIGKILL)


def _opened(stderr: Path | None) -> contextlib.AbstractContextManager[BinaryIO | int]:
    return contextlib.nullcontext(subprocess.STDOUT) if stderr is None else stderr.open("wb")


def _end(process: subprocess.Popen[bytes]) -> None:
    _signal(process, signal.SIGTERM)
    try:
        process.wait(_GRACE)
    except subprocess.TimeoutExpired:
        _signal(process, signal.SIGKILL)
        process.wait()


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)
