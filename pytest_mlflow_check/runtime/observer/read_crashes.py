"""Reads what the Python processes of a launch ended with."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from pytest_mlflow_check.core.files import open_regular
from pytest_mlflow_check.core.records import ProcessCrash, RaisedException

CRASHES = "crashes.jsonl"
"""The file in which they are noted, as in the payload's `crash_log`."""

_LONGEST_LINE = 1 << 23
"""Bytes; the observer shortens long texts (`crash_log._short`)."""


def read_crashes(directory: Path) -> tuple[ProcessCrash, ...]:
    """What each process ended with that ended with an exception, in that order.

    Lines that are cut off or say anything else are passed over.

    Args:
        directory: that of the launch.
    """
    return tuple(_crashes(directory / CRASHES))


def _crashes(file: Path) -> Iterator[ProcessCrash]:
    with suppress(OSError), open_regular(file) as lines:
        while line := lines.readline(_LONGEST_LINE):
            with suppress(ValueError, KeyError, TypeError, RecursionError):
                yield _crash(json.loads(line))


def _crash(said: Mapping[str, Any]) -> ProcessCrash:
    return ProcessCrash(
        process=int(said["process"]),
        parent=int(said["parent"]),
        exit_code=int(said["exit_code"]),
        command=tuple(map(str, said["command"])),
        chain=tuple(
            RaisedException(
                kind=str(link["kind"]),
                message=str(link["message"]),
                frames=tuple((str(file), int(line)) for file, line in link["frames"]),
                is_cause=bool(link["is_cause"]),
            )
            for link in said["chain"]
        ),
        traceback=str(said["traceback"]),
    )
