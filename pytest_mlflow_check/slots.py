"""How many launches there may be at a time, over all processes of a session."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

_PAUSE = 0.02
"""Seconds between two looks for a free slot: nothing beside the seconds that a launch takes."""


def processors() -> int:
    """How many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def slot(directory: Path, count: int) -> Iterator[None]:
    """Waits until one of so many slots is free, and holds it.

    A slot is a lock of the operating system, which falls with its holder.

    Args:
        directory: where the locks lie, the same for all who share the slots.
        count: how many there are.
    """
    directory.mkdir(parents=True, exist_ok=True)
    locks = [FileLock(directory / f"{number}.lock") for number in range(count)]
    while True:
        for lock in locks:
            try:
                lock.acquire(blocking=False)
            except Timeout:
                continue
            try:
                yield
            finally:
                lock.release()
            return
        time.sleep(_PAUSE)
