"""Reads which Python processes of a launch were guarded, and what they can't vouch for."""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from pytest_mlflow_check.core.files import open_regular
from pytest_mlflow_check.core.records import PythonProcess
from pytest_mlflow_check.core.sources import python_files, source_text

PROCESSES = "processes.txt"
"""The file in which they are noted, as in the payload's `process_log`."""

_LONGEST_LINE = 1 << 16

_USES_MLFLOW = re.compile(r"^\s*(?:import|from)\s+mlflow\b", re.MULTILINE)


def read_processes(directory: Path) -> tuple[PythonProcess, ...]:
    """The guarded processes of a launch, in the order in which they started.

    Lines that say anything else are passed over. The process of `mlflow run` itself is left out.

    Args:
        directory: that of the launch.
    """
    commands: dict[int, tuple[str, ...]] = {}
    loaded: set[int] = set()
    unobserved: set[int] = set()
    logging: dict[int, _Logging] = {}
    with suppress(OSError), open_regular(directory / PROCESSES) as lines:
        while line := lines.readline(_LONGEST_LINE):
            number, what, rest = [*line.decode("utf-8", "replace").split(maxsplit=2), "", "", ""][:3]
            if not number.isdigit():
                continue
            if what == "loaded":
                loaded.add(int(number))
                continue
            if what == "logs":
                logging[int(number)] = _logging(rest)
                continue
            if what == "unobserved":
                unobserved.add(int(number))
            with suppress(ValueError, SyntaxError, MemoryError, RecursionError):
                commands[int(number)] = tuple(map(str, ast.literal_eval(rest)))
    for process, (parent, _, _) in logging.items():
        # One that was forked has no command line of its own. Its parent, where that logs, did so before.
        if process not in commands:
            commands[process] = commands.get(parent, ())
            loaded.add(process)
    return tuple(
        PythonProcess(
            command, number in loaded, number not in unobserved, number, *logging.get(number, _NO_LOGGING)
        )
        for number, command in commands.items()
        # As `engine.launch` starts it.
        if not ("--storage-dir" in command and "run" in command)
    )


_Logging = tuple[int, "int | None", str]
_NO_LOGGING: _Logging = (0, None, "")


def _logging(text: str) -> _Logging:
    """The parent, the rank and the library of a worker, as `process_log.note_logging` writes them."""
    parent, rank, worker_of = [*text.split(), "", "", ""][:3]
    return (
        int(parent) if parent.isdecimal() else 0,
        int(rank) if rank.isdecimal() else None,
        worker_of if worker_of != "-" else "",
    )


def unobserved_code(project: Path, command: str, processes: Sequence[PythonProcess]) -> tuple[str, ...]:
    """The files that use MLflow and were started in no process that was observed, as far as can be told.

    Where Python was observed, these are the files that the command or an observed script names; else all.

    Args:
        project: the directory in which the launch started.
        command: the command of the entry point.
        processes: the observed ones.

    Returns:
        Paths relative to the project.
    """
    started = {os.path.normpath(project / argument) for process in processes for argument in process.command}
    texts = [command, *filter(None, map(source_text, map(Path, started)))] if processes else []
    return tuple(
        os.path.relpath(file, project)
        for file in python_files(project)
        if str(file) not in started
        and _USES_MLFLOW.search(source_text(file))
        and (not processes or any(file.name in text for text in texts))
    )
