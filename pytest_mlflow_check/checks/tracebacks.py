"""What Python's tracebacks in a launch's standard error tell. The text is output and may be anything."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_TRACEBACK = "Traceback (most recent call last)"
_FRAME = re.compile(
    r'^ *File "(?P<file>(?!<)[^"\n]+)", line (?P<line>\d+)[^\n]*(?:\n(?! *File ") +(?P<code>\S[^\n]*))?',
    re.MULTILINE,
)
"""The lines of a traceback that name a file, and not `<string>` or the like, and the code there."""

_OURS = re.compile(
    r'^ *File "[^"\n]*_mlflow_check_observer[^"\n]*", line [^\n]*\n(?: {4}[^\n]*\n)*', re.MULTILINE
)
"""Frames of the observer, which stands between the user's code and MLflow."""

_CONTINUED = ("During handling of the above exception", "The above exception was the direct cause")
"""What stands above a traceback that continues another."""
_AFTERWARDS = ("Exception ignored", "Exception in thread", "Error in atexit")
"""What stands above a traceback that didn't end the program."""


@dataclass(frozen=True)
class Frame:
    """One level of a traceback.

    Attributes:
        file: as Python names it.
        line: 1-based.
        code: the first line of the statement; empty where Python had no source.
    """

    file: str
    line: int
    code: str


@dataclass(frozen=True)
class Death:
    """The exception that a program seems to have crashed with.

    Attributes:
        text: its traceback and message, and those of the exceptions it followed from; the whole text where
            there is no traceback in it.
        without_code: what is left of the text without the code in it, which holds messages too.
        message: `kind: message` of the exception itself, and all output below it.
        frames: of the exception itself, outermost first.
    """

    text: str
    without_code: str
    message: str
    frames: tuple[Frame, ...]


def last_exception(text: str) -> int:
    """Where the last exception starts that may have ended the program, the ones it follows from included."""
    start = 0
    for found in re.finditer(rf"^{re.escape(_TRACEBACK)}", text, re.MULTILINE):
        above = text[: found.start()].rstrip().rpartition("\n")[2]
        if not above.startswith((*_CONTINUED, *_AFTERWARDS)):
            start = found.start()
    return start


def death(text: str) -> Death:
    """What a program's standard error says it crashed with."""
    text = without_observer(text)
    text = text[last_exception(text) :]
    if afterwards := re.search(rf"^(?:{'|'.join(_AFTERWARDS)})", text, re.MULTILINE):
        text = text[: afterwards.start()]
    _, header, last = text.rpartition(_TRACEBACK)
    if not header:
        return Death(text, without_code(text), text, tuple(_frames(text)))
    below = last.partition("\n")[2]
    # Frames, code and markers are indented; the message isn't.
    message = re.search(r"^(?=\S)", below, re.MULTILINE)
    return Death(text, without_code(text), below[message.start() :] if message else "", tuple(_frames(last)))


def exceptions(text: str) -> Iterator[str]:
    """`kind: message` of the last exception in a text, then of those that it followed from."""
    for part in reversed(text.split(_TRACEBACK)[1:]):
        below = part.partition("\n")[2]
        # Frames, code and markers are indented, or stand in a box that rich draws; the message doesn't.
        below = below[box.end() :] if (box := re.search(r"\A(?:│[^\n]*\n)+╰[^\n]*\n", below)) else below
        if message := re.search(r"^(?=\S)", below, re.MULTILINE):
            whole = below[message.start() :]
            ends = [whole.find(f"\n\n{words}") for words in _CONTINUED]
            yield whole[: min((end for end in ends if end >= 0), default=len(whole))]


def without_observer(text: str) -> str:
    """A text without the frames that our own observer has in its tracebacks."""
    return _OURS.sub("", text)


def without_code(text: str) -> str:
    """A text without its indented lines, which in a traceback are code."""
    return "\n".join(line for line in text.splitlines() if not line[:1].isspace())


def last_project_line(text: str, directory: Path) -> str | None:
    """The innermost line of the project's own code in the last traceback of a text."""
    source_line = None
    for frame in _frames(text[max(text.rfind(_TRACEBACK), 0) :]):
        file = directory / frame.file
        if file.is_relative_to(directory):
            source_line = f"{file.relative_to(directory)}:{frame.line}"
    return source_line


def _frames(text: str) -> Iterator[Frame]:
    for found in _FRAME.finditer(text):
        yield Frame(found["file"], int(found["line"]), found["code"] or "")
