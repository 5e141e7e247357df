"""Reads which Python processes of a launch were guarded, and what they can't vouch for."""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from pytest_mlflow_check.core.files import open_regular
from pytest_mlflow_check.core.records import PythonProcess

PROCESSES = "processes.txt"
"""The file in which they are noted, as in the payload's `process_log`."""

_LONGEST_LINE = 1 << 16

_MOST_FILES = 2_000
_LARGEST_FILE = 1 << 20

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
    with suppress(OSError), open_regular(directory / PROCESSES) as lines:
        while line := lines.readline(_LONGEST_LINE):
            number, what, rest = [*line.decode("utf-8", "replace").split(maxsplit=2), "", "", ""][:3]
            if not number.isdigit():
                continue
            if what == "loaded":
                loaded.add(int(number))
                continue
            if what == "unobserved":
                unobserved.add(int(number))
            with suppress(ValueError, SyntaxError, MemoryError, RecursionError):
                commands[int(number)] = tuple(map(str, ast.literal_eval(rest)))
    return tuple(
        PythonProcess(command, loaded_mlflow=number in loaded, observed=number not in unobserved)
        for number, command in commands.items()
        # As `engine.launch` starts it.
        if not ("--storage-dir" in command and "run" in command)
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
    texts = [command, *filter(None, map(_text, filter(os.path.isfile, started)))] if processes else []
    return tuple(
        os.path.relpath(file, project)
        for file in _python_files(project)
        if str(file) not in started
        and _USES_MLFLOW.search(_text(file))
        and (not processes or any(file.name in text for text in texts))
    )


def _python_files(project: Path) -> Iterator[Path]:
    count = 0
    for directory, directories, names in os.walk(project):
        # An environment, or what tools keep.
        directories[:] = sorted(
            name
            for name in directories
            if not name.startswith(".") and not Path(directory, name, "pyvenv.cfg").exists()
        )
        for name in sorted(names):
            if name.endswith(".py"):
                count += 1
                if count > _MOST_FILES:
                    return
                yield Path(directory, name)


def _text(file: str | Path) -> str:
    try:
        with open_regular(Path(file)) as content:
            return content.read(_LARGEST_FILE).decode("utf-8", "replace")
    except OSError:
        return ""
