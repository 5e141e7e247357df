# Runs in a process of its own: Python 3.10 or later (that of pytest), standard library and MLflow.
"""The loop of the fork server: a connection for each request, a fork for each connection.

The fork supervises what it was asked for (see `_mlflow_check_supervisor.supervise`), and forks again for it.
"""

from __future__ import annotations

import os
import select
import socket
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from _mlflow_check_supervisor.supervise import received, supervise_reporting_faults  # type: ignore[import-not-found]


def serve(listener: int, *, idle: Iterator[None]) -> Mapping[str, Any] | None:
    """Waits for requests.

    Args:
        listener: file descriptor of a Unix socket that listens. Connections wait there while `idle` works.
        idle: does a piece of work each time nothing else is to be done; the first piece before all else.

    Returns:
        In a fork, the request it is to carry out. None in a process that has nothing to do any more: here
        because standard input has ended, so that whoever started it is gone; in the fork that kept what was
        asked for because that has ended.
    """
    next(idle)
    working = True
    with socket.socket(fileno=listener) as door:
        while True:
            ready, _, _ = select.select([0, door.fileno()], [], [], 0 if working else None)
            if 0 in ready:
                _clear(Path(door.getsockname()).parent)
                return None
            if door.fileno() in ready:
                _reap()
                connection, _ = door.accept()
                if _forked():
                    door.close()
                    return _supervise(connection)
                connection.close()
            elif working:
                working = next(idle, _END) is not _END


_END = object()


def _forked() -> bool:
    sys.stdout.flush()
    sys.stderr.flush()
    # Where there is no room for another process, the connection is closed: the command is started instead.
    with suppress(OSError):
        return os.fork() == 0
    return False


def _supervise(connection: socket.socket) -> Mapping[str, Any] | None:
    # Out of reach of Ctrl-C, and of what ends the process it comes from.
    os.setsid()
    request: Mapping[str, Any] | None = received(connection)
    if request is None or supervise_reporting_faults(request, connection, _start):
        return None
    return request


def _start(_: Mapping[str, Any], out: int, err: int) -> int | None:
    child = os.fork()
    if child:
        return child
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nothing, 0), (out, 1), (err, 2)):
        os.dup2(source, target)
    os.close(nothing)
    return None


def _reap() -> None:
    """Lets go of forks that have ended."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _clear(directory: Path) -> None:
    """Removes what was made for this process: whoever did that may be gone."""
    with suppress(OSError):
        for file in directory.iterdir():
            file.unlink()
        directory.rmdir()
