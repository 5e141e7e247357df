# Runs in a process of its own: Python 3.10 or later (that of pytest), standard library only.
"""All processes that a launch started, wherever they have gone."""

from __future__ import annotations

import os
import sys
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress

_PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h


def become_subreaper() -> bool:
    """Has orphans among this process's descendants become its children; gives whether they will.

    Linux can do that. Elsewhere, and where Python lacks ctypes, a process that leaves the launch's process
    group gets lost.
    """
    if sys.platform == "linux":
        with suppress(ImportError, OSError, AttributeError):
            import ctypes

            return bool(ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0)
    return False


def signal_all(leader: int, number: int) -> bool:
    """Sends a signal to all descendants of this process, group by group; gives whether it knows of any.

    Args:
        leader: the process that was started, with a group of its own.
        number: the signal's.
    """
    own = os.getpgrp()
    members = descendants()
    # A group at once: a process that forks without end is always one step ahead of its own number.
    for group in (set(members.values()) or {leader}) - {own}:
        # To these two, `killpg` does something else than to a group: to this process's own, and to everybody.
        if group > 1:
            _send(os.killpg, group, number)
    for process in (one for one, group in members.items() if group == own):
        _send(os.kill, process, number)
    return bool(members)


def descendants() -> dict[int, int]:
    """The descendants of this process, with the process group of each; none where there is no `/proc`."""
    groups: dict[int, int] = {}
    children: defaultdict[int, list[int]] = defaultdict(list)
    with suppress(OSError):
        # One of another namespace of processes has other numbers.
        known = os.readlink("/proc/self") == str(os.getpid())
        for entry in os.listdir("/proc") if known else ():
            if entry.isdecimal():
                # One that is gone by now.
                with suppress(OSError, ValueError), open(f"/proc/{entry}/stat", "rb") as stat:
                    # proc(5): the name in brackets may hold anything; then state, parent and group.
                    state, parent, group = stat.read().rpartition(b")")[2].split()[:3]
                    if state == b"Z" and len(os.listdir(f"/proc/{entry}/task")) == 1:
                        # It is dead, and only waits for its parent to take notice.
                        continue
                    groups[int(entry)] = int(group)
                    children[int(parent)].append(int(entry))
    found: dict[int, int] = {}
    left = children[os.getpid()]
    while left:
        process = left.pop()
        found[process] = groups[process]
        left += children[process]
    return found


def dump_stacks(directory: str, number: int) -> list[str]:
    """Has the Python processes among the descendants write down where each of their threads stands.

    One that is stopped doesn't, before it goes on.

    Args:
        directory: holds a file for each process that does so, named by its number.
        number: of the signal at which it does.

    Returns:
        The files of those that were asked.
    """
    asked = []
    with suppress(OSError):
        ready = set(os.listdir(directory))
        for process in descendants():
            if str(process) in ready and _catches(process, number):
                asked.append(os.path.join(directory, str(process)))
                _send(os.kill, process, number)
    return asked


def _catches(process: int, number: int) -> bool:
    """Whether a process has a handler for a signal: the program that Python made way for may have none."""
    with suppress(OSError), open(f"/proc/{process}/status", encoding="ascii", errors="replace") as status:
        for line in status:
            if line.startswith("SigCgt:"):
                return bool(int(line.split()[1], 16) >> (number - 1) & 1)
    return False


def _send(kill: Callable[[int, int], None], target: int, number: int) -> None:
    # One that is gone, or belongs to another user, as behind `sudo`.
    with suppress(ProcessLookupError, PermissionError):
        kill(target, number)
