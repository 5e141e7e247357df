# Runs inside the user's processes: Python 3.9 or later, standard library only.
"""Writes down which Python processes of a launch are guarded, and which of them loaded MLflow.

A process that isn't in this file went unobserved: `observer.read_processes` reads it.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

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


def note_logging(directory: str) -> None:
    """Notes that this process makes calls that are observed, and what it is to the others of the launch."""
    _append(directory, f"logs {os.getppid()} {_rank()} {_worker_of()}")


_RANKS = ("RANK", "OMPI_COMM_WORLD_RANK", "PMI_RANK", "PMIX_RANK", "SLURM_PROCID", "LOCAL_RANK")
"""Variables that tell each process of a distributed training its number: those of torchrun, Accelerate and
DeepSpeed, of Open MPI, MPICH and PMIx, of Slurm, and of Lightning, which starts its processes by itself."""

_WITH_WORKERS = ("torch.utils.data", "paddle.io")
"""Libraries whose public `get_worker_info()` gives something in a process that loads data for another."""


def _rank() -> str:
    """The number of this process in a distributed training; `-` where it is in none."""
    try:
        distributed: Any = sys.modules.get("torch.distributed")
        if distributed is not None and distributed.is_available() and distributed.is_initialized():
            return str(int(distributed.get_rank()))
    except Exception:
        pass
    given = (os.environ.get(name, "") for name in _RANKS)
    return next((rank for rank in given if rank.isdecimal()), "-")


def _worker_of() -> str:
    """The library that started this process for a part of another's work; `-` where none did."""
    for name in _WITH_WORKERS:
        try:
            if sys.modules[name].get_worker_info() is not None:
                return name
        except Exception:
            continue
    try:
        parent: Any = sys.modules["multiprocessing.process"].parent_process()
        return "-" if parent is None else "multiprocessing"
    except Exception:
        return "-"


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
