"""What a launch is doing just now, told by what it leaves on the disk; whichever process makes it.

Nothing is asked of the launch itself: the observer writes each call down as it happens, and what is new in
that file is read.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pytest_mlflow_check.core.records import Mode
from pytest_mlflow_check.core.text import printable
from pytest_mlflow_check.engine.launch import OBSERVATIONS, STDOUT, VALIDATION

Phase = Literal["waiting", "copying", "running", "validating models", "over"]

_POINT = b'"what":"log_metric"'
"""In a text that is logged, quotes have a backslash before them."""

_MOST_READ = 1 << 22
"""Bytes that are read at a time; the rest is for the next look."""

_LONGEST_LINE = 1 << 16
"""Bytes, as in `observer.read_calls`."""

_MOST_SHOWN = 1000
"""Characters of a call; no line of a terminal has more."""


@dataclass
class LaunchProgress:
    """Follows a launch.

    Attributes:
        name: the case, as users know it.
        mode: the mode.
        launch_dir: the directory in which it is made, or will be.
        phase: what it was doing at the last look.
        since: when it was first seen at work.
        points: metric points that it had logged then.
        last: the last call it had made, in a few words.
        masked: gives a text without secrets.
    """

    name: str
    mode: Mode
    launch_dir: Path
    phase: Phase = "waiting"
    since: float = 0.0
    points: int = 0
    last: str = ""
    masked: Callable[[str], str] = field(default=str, repr=False)
    _read: int = field(default=0, repr=False)
    _attempt_dir: Path | None = field(default=None, repr=False)

    def poll(self, now: float) -> None:
        """Brings all of it up to date.

        Args:
            now: seconds, by any clock.
        """
        if self.phase == "over":
            return
        phase = self._phase()
        if self.phase == "waiting":
            self.since = now
        self.phase = phase
        if self._attempt_dir is not None and phase == "running":
            self._read_on(self._attempt_dir / OBSERVATIONS)

    def _phase(self) -> Phase:
        if (self.launch_dir / "result.json").exists():
            return "over"
        attempt_dirs = sorted(self.launch_dir.glob("attempt-*"))
        if not attempt_dirs:
            self._attempt_dir = None
            return "waiting"
        if attempt_dirs[-1] != self._attempt_dir:
            # An attempt that was given up is made anew, elsewhere.
            self._attempt_dir, self._read, self.points, self.last = attempt_dirs[-1], 0, 0, ""
        if (self._attempt_dir / VALIDATION).exists():
            return "validating models"
        return "running" if (self._attempt_dir / STDOUT).exists() else "copying"

    def _read_on(self, file: Path) -> None:
        with suppress(OSError):
            content = _from(file, self._read)
            # What stands behind the last line end isn't whole yet.
            whole, end, rest = content.rpartition(b"\n")
            if not end:
                # Nor will it be, where it is that long.
                self._read += len(rest) if len(rest) > _LONGEST_LINE else 0
                return
            self._read += len(whole) + 1
            self.points += whole.count(_POINT)
            self.last = printable(self.masked(_in_words(whole.rpartition(b"\n")[2]))) or self.last


def _from(file: Path, start: int) -> bytes:
    """What stands in a file from some byte on; nothing where the launch put something else in its place."""
    # A named pipe would keep whoever opens it waiting.
    descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return b""
        return os.pread(descriptor, _MOST_READ, start)
    finally:
        os.close(descriptor)


def _short(number: str) -> str:
    try:
        return f"{float(number):.6g}"
    except (ValueError, TypeError, OverflowError):
        return number


def _in_words(line: bytes) -> str:
    """An observation, such as `log_metric loss = 0.25, step 3`."""
    try:
        said: Any = json.loads(line[:_LONGEST_LINE])
        what, key, value, step = (said.get(name) for name in ("what", "key", "value", "step"))
    except (ValueError, AttributeError, RecursionError):
        return ""
    if not isinstance(what, str) or not isinstance(step, int | None):
        return ""
    words = f"{what} {key}" if key else what
    if what in ("log_metric", "log_param", "set_tag") and value is not None:
        words += f" = {_short(value) if what == 'log_metric' else value}"
    words = words[:_MOST_SHOWN]
    shown = words if step is None else f"{words}, step {step}"
    return " ".join(shown.split())
