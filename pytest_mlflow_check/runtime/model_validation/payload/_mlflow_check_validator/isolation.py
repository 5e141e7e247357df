# Runs in a process of its own: Python 3.9 or later (that of the launch), standard library and MLflow.
"""What another machine doesn't have: the project's directory, and the network of this one."""

from __future__ import annotations

import errno
import os
import socket
import sys
from collections.abc import Iterable
from typing import Any

_OWN = frozenset({"", "localhost", "::1", "0.0.0.0", "::"})


class NoNetworkError(OSError):
    """Raised in place of every attempt to reach another machine."""


def withhold(directories: Iterable[str]) -> None:
    """Takes everything below the directories off `sys.path`, except for what the interpreter brings."""
    own = [os.path.realpath(prefix) for prefix in (sys.prefix, sys.base_prefix)]
    withheld = [os.path.realpath(directory) for directory in directories]

    def is_withheld(entry: str) -> bool:
        path = os.path.realpath(entry)
        # An environment often lies in the project: `.venv`.
        return _below(path, withheld) and not _below(path, own)

    sys.path[:] = [entry for entry in sys.path if not is_withheld(entry)]


def cut_network() -> None:
    """Lets this process, and those it forks, reach no other machine; what isn't Python isn't held back.

    An audit hook sees every connection that Python makes, whatever library makes it, and can't be undone.
    """
    here = socket.gethostname()

    def hook(event: str, args: tuple[Any, ...]) -> None:
        if event in ("socket.connect", "socket.sendto"):
            # A path, for sockets of the file system, reaches nobody else.
            host = args[1][0] if isinstance(args[1], tuple) and args[1] else None
        elif event == "socket.getaddrinfo":
            host = args[0]
        else:
            return
        if isinstance(host, bytes):
            host = host.decode(errors="replace")
        if isinstance(host, str) and host not in _OWN | {here} and not host.startswith("127."):
            raise NoNetworkError(
                errno.ENETUNREACH, f"there is no network in this process, and {host} is asked for"
            )

    sys.addaudithook(hook)


def _below(path: str, directories: Iterable[str]) -> bool:
    return any(path == each or path.startswith(os.path.join(each, "")) for each in directories)
