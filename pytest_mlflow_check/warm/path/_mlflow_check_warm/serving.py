"""The loop of the warm process: a connection for each request, a fork for each connection.

What goes over a connection: the request, a JSON object on one line; back comes the number of the fork, and,
when that has ended, its exit code as `subprocess` counts it, each on a line of its own. Where this end closes
the connection before its time, the request was not served; where the other end does, the fork is killed.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

_PATIENCE = 10.0
"""Seconds that a request may take to arrive; it is written in one go."""


def serve(listener: int, *, idle: Iterator[None]) -> dict[str, Any] | None:
    """Waits for requests and for forks to end.

    Args:
        listener: file descriptor of a Unix socket that listens. Connections wait there while `idle` works.
        idle: does a piece of work each time nothing else is to be done; the first piece before all else.

    Returns:
        In a fork, the request it is to carry out. In the process itself None: standard input has ended, so
        that whoever started it is gone; what was still running then has been killed.
    """
    next(idle)
    working = True
    running: dict[int, socket.socket] = {}
    woken, waker = os.pipe()
    os.set_blocking(waker, False)
    signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
    # Python writes to the pipe only for signals that it handles.
    signal.signal(signal.SIGCHLD, lambda *_: None)
    with socket.socket(fileno=listener) as door:
        own: list[Any] = [0, door, woken]
        while True:
            ready, _, _ = select.select([*own, *running.values()], [], [], 0 if working else None)
            if woken in ready:
                os.read(woken, 4096)
                _report(running)
            if 0 in ready:
                _kill(running)
                _clear(Path(door.getsockname()).parent)
                return None
            # Nobody says a second thing on a connection: whoever asked is gone.
            _kill(child for child, connection in running.items() if connection in ready)
            if door in ready:
                request = _accept(door, running)
                if request is not None:
                    _forget(woken, waker, running)
                    return request
            elif working:
                working = next(idle, _END) is not _END


_END = object()


def _accept(door: socket.socket, running: dict[int, socket.socket]) -> dict[str, Any] | None:
    connection, _ = door.accept()
    try:
        connection.settimeout(_PATIENCE)
        with connection.makefile("rb") as lines:
            request: dict[str, Any] = json.loads(lines.readline())
        sys.stdout.flush()
        sys.stderr.flush()
        child = os.fork()
    except (OSError, ValueError):
        connection.close()
        return None
    if child == 0:
        # Told by the fork itself, and not before it has a process group that can be ended.
        os.setsid()
        with connection:
            connection.sendall(b"%d\n" % os.getpid())
        return request
    running[child] = connection
    return None


def _report(running: dict[int, socket.socket]) -> None:
    """Tells of the forks that have ended."""
    while running:
        child, status = os.waitpid(-1, os.WNOHANG)
        if child == 0:
            return
        with running.pop(child) as connection, suppress(OSError):
            connection.sendall(b"%d\n" % os.waitstatus_to_exitcode(status))


def _kill(forks: Iterable[int]) -> None:
    for child in forks:
        with suppress(OSError):
            os.killpg(child, signal.SIGKILL)


def _clear(directory: Path) -> None:
    """Removes what was made for this process: whoever did that may be gone."""
    with suppress(OSError):
        for file in directory.iterdir():
            file.unlink()
        directory.rmdir()


def _forget(woken: int, waker: int, running: dict[int, socket.socket]) -> None:
    """Takes from a fork what belongs to the process it comes from."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.close(woken)
    os.close(waker)
    for connection in running.values():
        connection.close()
