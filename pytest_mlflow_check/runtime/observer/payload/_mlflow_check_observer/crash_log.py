# Runs inside the user's processes: Python 3.9 or later, standard library only.
"""Writes down the exception that a process ended with, whatever the program prints of it.

Python keeps what nobody caught in `sys.last_value`, also where rich, typer or others replaced the hook that
prints it. Of what was caught and followed by `sys.exit(1)`, as in click and Hydra, `sys.exit` sees that it is
being handled. `observer.read_crashes` reads it.
"""

from __future__ import annotations

import atexit
import os
import sys
from _thread import get_ident

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

NAME = "crashes.jsonl"
"""The file, beside the settings. A line is what one process ended with."""

_KEPT = 100_000
"""Characters kept of each end of a traceback, and of a message."""

_FRAMES = 100
"""Frames kept of an exception: the innermost."""

_LINKS = 20
"""Exceptions kept of a chain."""


def switch_on(directory: str) -> None:
    """Notes, when this process ends, the exception that it ends with.

    Args:
        directory: that of the launch.
    """
    original, main = sys.exit, get_ident()
    # Words, and not the exception: it would keep alive all that its frames hold.
    handled = ""

    def exit(status: Any = None, /) -> Any:
        nonlocal handled
        # In another thread it ends that thread alone.
        if get_ident() == main:
            error = sys.exc_info()[1]
            failed = isinstance(error, Exception) and status not in (None, 0)
            handled = _said(error, status) if failed else ""
        original(status)

    exit.__doc__ = original.__doc__
    sys.exit = exit

    def note() -> None:
        error = getattr(sys, "last_value", None)
        said = _said(error, 1) if isinstance(error, Exception) else handled
        if said:
            _append(directory, said)

    atexit.register(note)


def _said(error: Any, status: Any) -> str:
    """The line about an exception; empty where it can't be put into words."""
    try:
        import json
        import traceback

        text = "".join(traceback.format_exception(type(error), error, error.__traceback__))
        said = {
            "process": os.getpid(),
            "parent": os.getppid(),
            "exit_code": status if isinstance(status, int) else 1,
            "command": list(getattr(sys, "argv", [])),
            "chain": [_described(link) for link in _chain(error)],
            "traceback": _short(text),
        }
        return json.dumps(said) + "\n"
    except Exception:
        return ""


def _append(directory: str, line: str) -> None:
    try:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        descriptor = os.open(os.path.join(directory, NAME), flags, 0o600)
        try:
            os.write(descriptor, line.encode())
        finally:
            os.close(descriptor)
    except OSError:
        pass


def _chain(error: BaseException) -> list[tuple[BaseException, bool]]:
    """An exception and those it followed from, the first one first; whether the next was raised `from` it."""
    links = [(error, False)]
    while len(links) < _LINKS:
        latest = links[-1][0]
        earlier = latest.__cause__ or (None if latest.__suppress_context__ else latest.__context__)
        if earlier is None or any(earlier is link for link, _ in links):
            break
        links.append((earlier, latest.__cause__ is not None))
    return links[::-1]


def _described(link: tuple[BaseException, bool]) -> dict[str, Any]:
    error, is_cause = link
    frames, step = [], error.__traceback__
    while step is not None:
        frames.append([step.tb_frame.f_code.co_filename, step.tb_lineno])
        step = step.tb_next
    kind = type(error)
    plain = kind.__module__ in ("builtins", "__main__")
    return {
        "kind": kind.__qualname__ if plain else f"{kind.__module__}.{kind.__qualname__}",
        "message": _short(_text(error)),
        "frames": frames[-_FRAMES:],
        "is_cause": is_cause,
    }


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:
        return ""


def _short(text: str) -> str:
    return text if len(text) <= 2 * _KEPT else f"{text[:_KEPT]}\n…\n{text[-_KEPT:]}"
