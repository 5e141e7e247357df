# Runs inside the user's processes: Python 3.9 or later, standard library only.
"""Has Python write down where its threads stand: when it crashes, and when it is asked before it is ended."""

from __future__ import annotations

import os

VARIABLE = "PYTEST_MLFLOW_CHECK_STACKS"
"""`SIGNAL:DIRECTORY`; without it nothing is written."""

_HIGH = 410


def switch_on() -> None:
    """Opens the file for this process, and for each that it forks.

    It is asked by a signal, since no code of Python's may ever run again: it may wait in C, or for the lock
    of the interpreter.
    """
    number, _, directory = os.environ.get(VARIABLE, "").partition(":")
    if not directory:
        return
    _register(int(number), directory)
    os.register_at_fork(after_in_child=lambda: _register(int(number), directory))


def _register(number: int, directory: str) -> None:
    try:
        import faulthandler
        from fcntl import F_DUPFD_CLOEXEC, fcntl

        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        low = os.open(os.path.join(directory, str(os.getpid())), flags, 0o600)
        # Kept open for good, since a process that crashes can't open anything. By a high number: that of a
        # closed one soon stands for a file of the program's own (see `Recorder._open`).
        try:
            file = fcntl(low, F_DUPFD_CLOEXEC, _HIGH)
        finally:
            os.close(low)
        faulthandler.register(number, file, all_threads=True)
        if not faulthandler.is_enabled():
            faulthandler.enable(file, all_threads=True)
    except (ImportError, OSError, ValueError):
        pass
