# Runs inside the user's processes: Python 3.9 or later, standard library only.
"""Writes down which Python processes of a launch are guarded, and which of them loaded MLflow.

A process that isn't in this file went unobserved: `observer.read_processes` reads it.
"""

from __future__ import annotations

import os
import sys

NAME = "processes.txt"
"""The file, beside the settings. A line is a process id, what happened, and the command line."""


def note_start(directory: str) -> None:
    """Notes that this process is guarded from its start on."""
    # One that was forked with MLflow loaded has the options of the process it was forked from.
    forked = "mlflow" in sys.modules
    _append(directory, f"started {ascii([sys.executable, *sys.argv]) if forked else _command_line()}")


def note_mlflow(directory: str) -> None:
    """Notes that this process has loaded MLflow."""
    _append(directory, "loaded")


def note_unobserved(directory: str) -> None:
    """Notes that this process had begun to load MLflow before it was observed."""
    _append(directory, f"unobserved {_command_line()}")


def _command_line() -> str:
    # Of Python 3.10: with the options of Python itself, such as -S.
    return ascii(list(getattr(sys, "orig_argv", None) or [sys.executable, *getattr(sys, "argv", [])]))


def _append(directory: str, text: str) -> None:
    try:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        descriptor = os.open(os.path.join(directory, NAME), flags, 0o600)
        try:
            os.write(descriptor, f"{os.getpid()} {text}\n".encode())
        finally:
            os.close(descriptor)
    except OSError:
        pass
