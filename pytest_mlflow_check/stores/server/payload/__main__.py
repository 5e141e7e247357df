# Runs in a process of its own: Python 3.10 or later (that of pytest), standard library only.
"""Stands between pytest and a server: runs it for as long as somebody wants it.

Whoever does has a named pipe open for writing, of which standard input is the other end. However a process
ends, the system closes what it has open, and when the last has gone, the server is killed with all its
processes.
"""

import os
import signal
import subprocess
import sys
import threading


def main(users: str, command: list[str]) -> int:
    """Runs a command; gives its exit code.

    Args:
        users: the name of the pipe.
        command: what to run.
    """
    server = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
    threading.Thread(target=_end_unwanted, args=(users, server.pid), daemon=True).start()
    try:
        return server.wait()
    finally:
        _kill(server.pid)


def _end_unwanted(users: str, group: int) -> None:
    _until_closed()
    # Nobody can come any more. Who came between the end of the last one and this is waited for too.
    os.unlink(users)
    _until_closed()
    _kill(group)


def _until_closed() -> None:
    while os.read(0, 1):
        pass


def _kill(group: int) -> None:
    try:
        os.killpg(group, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
