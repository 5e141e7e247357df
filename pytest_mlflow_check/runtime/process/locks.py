"""Who may launch what, and how many at a time, over all processes of a session.

Each lock is one of the operating system, which falls with its holder.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

_PAUSE = 0.02
"""Seconds between two looks for a free lock: nothing beside the seconds that a launch takes."""


def processors() -> int:
    """How many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def semaphore(directory: Path, count: int, *, check: Callable[[], None]) -> Iterator[None]:
    """Wait for one of `count` permits, and hold it.

    Args:
        directory: where the locks lie, the same for all who share the permits.
        count: how many there are.
        check: raises where there is nothing to wait for any more.
    """
    directory.mkdir(parents=True, exist_ok=True)
    with _first_of([FileLock(directory / f"{number}.lock") for number in range(count)], check):
        yield


@contextmanager
def exclusive_lock(file: Path, *, check: Callable[[], None], blocking: bool = True) -> Iterator[None]:
    """Waits until nobody else holds the lock in a file, and holds it.

    Args:
        file: where the lock lies.
        check: raises where there is nothing to wait for any more.
        blocking: whether to wait at all.

    Raises:
        Timeout: where somebody holds it, and there is to be no waiting.
    """
    lock = FileLock(file)
    if not blocking:
        with lock.acquire(blocking=False):
            yield
        return
    with _first_of([lock], check):
        yield


@contextmanager
def _first_of(locks: list[FileLock], check: Callable[[], None]) -> Iterator[None]:
    # Not left to `FileLock`: a thread that it blocks can't be ended.
    while True:
        check()
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
