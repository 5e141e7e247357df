# Runs in a process of its own: Python 3.10 or later (that of pytest), standard library only.
"""Starts what was asked for, watches it, and ends it with all that it started.

What goes over the connection, each a JSON object on a line: the request; back come `begun`, or `failed`, and
at the end how it ended. When the one who asked closes its side, or is gone, everything is killed.
"""

from __future__ import annotations

import errno
import json
import os
import select
import signal
import socket
import subprocess
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from .capped_output import Output
from .process_tree import become_subreaper, dump_stacks, signal_all

_DUMPING = 2.0
"""Seconds that writing down the stacks may take."""

_KILLING = 10.0
"""Seconds after which processes that can't be killed are left: another user's, or stuck in the kernel."""

_TICK = 0.05
"""Seconds between two looks at what nobody tells of."""

_LONGEST = 1.0
"""Seconds after which it is looked after the children in any case."""

_MISSES = 20
"""Looks, a tick each, after which processes that can't be found aren't waited for."""

_PATIENCE = 10.0
"""Seconds that a request may take to arrive; it is written in one go."""

Request = Mapping[str, Any]
"""What is to be started, and how.

`command`, a list, or whatever else the starter knows; `cwd`; `env`, all variables; `stdout` and `stderr`,
files, the latter None for where standard output goes; `timeout`, and `grace` between SIGTERM and SIGKILL, in
seconds; `stacks`, None or the directory and the signal for `process_tree.dump_stacks`.
"""

Start = Callable[[Request, int, int], "int | None"]
"""What starts it, with descriptors for its outputs; see `supervise`."""


def supervise_command(connection: socket.socket) -> None:
    """Takes the request for a command, and supervises that."""
    request = received(connection)
    if request is not None:
        supervise_reporting_faults(request, connection, _start_command)


def supervise_reporting_faults(request: Request, connection: socket.socket, start: Start) -> bool:
    """`supervise`, with a fault of its own told to who asked."""
    try:
        return supervise(request, connection, start)
    except Exception:
        _say(connection, fault=traceback.format_exc())
        return True


def received(connection: socket.socket) -> dict[str, Any] | None:
    """The request that comes over a connection; None where none comes."""
    connection.settimeout(_PATIENCE)
    try:
        with connection.makefile("rb") as lines:
            request: dict[str, Any] = json.loads(lines.readline())
    except (OSError, ValueError):
        return None
    return request


def supervise(request: Request, connection: socket.socket, start: Start) -> bool:
    """Starts what was asked for, and returns when it has ended, and has been told of.

    Args:
        request: what was asked for.
        connection: where it was.
        start: starts it with a session of its own, empty standard input, and these descriptors for its
            outputs; gives its number. None in a fork that is what was started: it has nothing else of this
            process open then.

    Returns:
        Whether this is still the supervisor.

    """
    is_subreaper = become_subreaper()
    # Before the start: that it is over may be heard as soon as it is there.
    with _Children() as children:
        try:
            out = Output(request["stdout"])
            err = out if request["stderr"] is None else Output(request["stderr"])
            leader = start(request, out.writing, err.writing)
        except OSError as error:
            _say(connection, failed=[error.errno or errno.EIO, error.strerror, error.filename])
            return True
        outputs = {one.reading: one for one in (out, err)}
        for one in outputs.values():
            os.close(one.writing)
        if leader is None:
            connection.close()
            for one in outputs.values():
                one.close()
            return False
        _say(connection, begun=leader)
        _Supervisor(request, connection, leader, children, outputs, is_subreaper=is_subreaper).supervise()
    return True


class _Children:
    """Tells of children that have ended."""

    def __enter__(self) -> _Children:
        self.woken, self._waker = os.pipe()
        os.set_blocking(self._waker, False)
        # Python writes to the pipe only for signals that it handles.
        signal.signal(signal.SIGCHLD, lambda *_: None)
        # Whoever started pytest may have it blocked, and that is handed down.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
        signal.set_wakeup_fd(self._waker, warn_on_full_buffer=False)
        return self

    def __exit__(self, *_: object) -> None:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.close(self.woken)
        os.close(self._waker)


class _Supervisor:
    """What goes on between start and end."""

    def __init__(
        self,
        request: Request,
        connection: socket.socket,
        leader: int,
        children: _Children,
        outputs: Mapping[int, Output],
        *,
        is_subreaper: bool,
    ) -> None:
        self._request, self._connection, self._leader = request, connection, leader
        self._children, self._outputs = children, outputs
        self._started = time.monotonic()
        self._exit_code: int | None = None
        self._duration = 0.0
        self._childless = False
        self._is_subreaper = is_subreaper
        self._cancelled = False
        self._poll = select.poll()
        for descriptor in (connection.fileno(), children.woken, *outputs):
            self._poll.register(descriptor, select.POLLIN)

    def supervise(self) -> None:
        try:
            late = not self._until(lambda: self._exit_code is not None, self._request["timeout"])
            if late and not self._cancelled:
                self._duration = time.monotonic() - self._started
                self._dump()
                signal_all(self._leader, signal.SIGTERM)
                self._until(lambda: self._childless, self._request["grace"])
        finally:
            self._kill()
        for output in self._outputs.values():
            output.finish()
        if not self._cancelled:
            _say(
                self._connection,
                exit_code=None if late else self._exit_code,
                duration=self._duration,
            )

    def _kill(self) -> None:
        if not self._is_subreaper:
            # That there are no children says nothing then of the rest of the group.
            signal_all(self._leader, signal.SIGKILL)
        end, misses = time.monotonic() + _KILLING, 0
        while not self._childless and misses < _MISSES and time.monotonic() < end:
            misses += not signal_all(self._leader, signal.SIGKILL)
            self._until(lambda: self._childless, _TICK, even_if_cancelled=True)

    def _dump(self) -> None:
        stacks = self._request["stacks"]
        files = dump_stacks(*stacks) if stacks else []
        sizes: list[int] = []

        def written() -> bool:
            nonlocal sizes
            before, sizes = sizes, [_size(file) for file in files]
            return bool(sizes) and all(sizes) and sizes == before

        if files:
            end = time.monotonic() + _DUMPING
            while not written() and not self._cancelled and time.monotonic() < end:
                self._until(lambda: self._childless, _TICK)

    def _until(
        self, condition: Callable[[], bool], seconds: float, *, even_if_cancelled: bool = False
    ) -> bool:
        """Takes what comes until something is so, or so many seconds are over, or nobody wants it any more.

        Args:
            condition: what is to be so.
            seconds: how long.
            even_if_cancelled: whether to go on although nobody wants it.

        Returns:
            Whether it is so.
        """
        end = time.monotonic() + seconds
        while not condition():
            left = end - time.monotonic()
            if left <= 0 or (self._cancelled and not even_if_cancelled):
                return False
            seen = self._poll.poll(min(left, _LONGEST) * 1000)
            for descriptor, _ in seen:
                self._see(descriptor)
            if not seen:
                self._reap()
        return True

    def _see(self, descriptor: int) -> None:
        if descriptor == self._children.woken:
            os.read(descriptor, 4096)
            self._reap()
        elif descriptor in self._outputs:
            if not self._outputs[descriptor].take():
                self._poll.unregister(descriptor)
        else:
            # Nobody says a second thing on a connection: whoever asked doesn't want it any more.
            self._cancelled = True
            self._poll.unregister(descriptor)

    def _reap(self) -> None:
        try:
            while True:
                child, status = os.waitpid(-1, os.WNOHANG)
                if child == 0:
                    return
                if child == self._leader:
                    self._exit_code = os.waitstatus_to_exitcode(status)
                    # After the timeout it was ended, and that took what it took.
                    self._duration = self._duration or time.monotonic() - self._started
        except ChildProcessError:
            self._childless = True


def _start_command(request: Request, out: int, err: int) -> int:
    process = subprocess.Popen(
        request["command"],
        cwd=request["cwd"],
        env=request["env"],
        stdin=subprocess.DEVNULL,
        stdout=out,
        stderr=err,
        start_new_session=True,
    )
    # As if it had ended: `subprocess` would take the exit code away when it forgets the process.
    process.returncode = 0
    return process.pid


def _size(file: str) -> int:
    try:
        return os.stat(file).st_size
    except OSError:
        return 0


def _say(connection: socket.socket, **said: Any) -> None:
    # Who asked may be gone.
    with suppress(OSError):
        connection.sendall(json.dumps(said).encode() + b"\n")
