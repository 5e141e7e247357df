"""Reads where the threads of a launch stood, as Python's `faulthandler` wrote it down."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from pytest_mlflow_check.core.records import Frame, Stack

_MOST = 256 * 1024
"""Bytes that are looked at of each process: `faulthandler` gives up after 100 threads of 100 frames."""

_FATAL = re.compile(r"^Fatal Python error: (?P<reason>[^\n]*)", re.MULTILINE)
_THREAD = re.compile(r"^(?:Current thread|Thread|Stack) .*\(most recent call first\):$", re.MULTILINE)
_FRAME = re.compile(r'^  File "(?P<file>[^"\n]*)", line (?P<line>\d+) in (?P<function>[^\n]*)$', re.MULTILINE)

_ESCAPED = re.compile(r"\\x([0-9a-f]{2})|\\u([0-9a-f]{4})|\\U([0-9a-f]{8})")
"""What isn't ASCII in names, as `faulthandler` writes it."""


def read_stacks(directory: Path, project: Path) -> tuple[Stack, ...]:
    """Where the threads of each process stood, by process; none of those that wrote nothing.

    Args:
        directory: has a file for each process, named by its number; it needn't be there.
        project: the directory in which the launch ran.
    """
    if not directory.is_dir():
        return ()
    files = sorted((int(file.name), file) for file in directory.iterdir() if file.name.isdecimal())
    return tuple(stack for process, file in files for stack in _stacks(process, file, project))


def _stacks(process: int, file: Path, project: Path) -> Iterator[Stack]:
    with file.open("rb") as content:
        text = content.read(_MOST).decode("utf-8", errors="replace")
    fatal = _FATAL.search(text)
    reason = fatal["reason"] if fatal else ""
    heads = list(_THREAD.finditer(text))
    ends = [*(head.start() for head in heads[1:]), len(text)]
    # No end belongs to a file without any thread.
    for head, end in zip(heads, ends, strict=False):
        part = text[head.end() : end]
        frames = tuple(_frame(found, project) for found in _FRAME.finditer(part))
        if frames:
            yield Stack(process, reason, frames)


def _frame(found: re.Match[str], project: Path) -> Frame:
    name = _ESCAPED.sub(lambda one: chr(int(one[1] or one[2] or one[3], 16)), found["file"])
    file = project / name
    # `<frozen runpy>` and `<string>` are no files.
    own = not name.startswith("<") and file.is_relative_to(project)
    shown = str(file.relative_to(project)) if own else file.name
    return Frame(shown, int(found["line"]), found["function"], own)
