"""Text that comes from a project, made safe to show: here, and nowhere else.

It may hold whatever takes over a terminal or a CI log, by accident (colours, progress bars) or not.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence

_SEQUENCE = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"  # CSI: colours, cursor
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c\n]*(?:\x07|\x1b\\|\x9c)?"  # OSC: title, clipboard
    r"|\x1b[ -/]*[0-~]"
)
"""Control sequences as ECMA-48 defines them."""

_COMMAND = re.compile(r"^([^\S\n]*):(?=:[a-zA-Z])|##(?=\[|vso\[|teamcity\[)", re.MULTILINE)
"""What GitHub Actions (`ActionCommand.TryParseV2`, which skips blanks before it), Azure Pipelines and
TeamCity take as a command when it stands in a log."""


_KEPT = "\n\t\N{ZERO WIDTH NON-JOINER}\N{ZERO WIDTH JOINER}"


def printable(text: str) -> str:
    """The text without what could take the terminal or a CI log over; line ends and tabs stay.

    That is all that Unicode doesn't call printable: control characters, those that change the direction of
    writing or take no room, other line ends, halves of surrogate pairs. Blanks of any width become plain
    ones, and what joins letters stays, since words and signs are written with it.
    """
    if not text.isascii() or not text.isprintable():
        text = "".join(map(_shown, text))
    return _COMMAND.sub(lambda found: f"{found[1]}: " if found[1] is not None else "# #", text)


def _shown(char: str) -> str:
    if char.isprintable() or char in _KEPT:
        return char
    return " " if unicodedata.category(char) == "Zs" else "\N{REPLACEMENT CHARACTER}"


def final(text: str) -> str:
    """A program's output as a terminal shows it in the end: no colours, progress bars in their last state."""
    lines = _SEQUENCE.sub("", text).replace("\r\n", "\n").split("\n")
    return "\n".join(_last_state(line) for line in lines)


def _last_state(line: str) -> str:
    states = [state for state in line.split("\r") if state.strip()]
    return states[-1] if states else ""


def counted(count: int, one: str, several: str | None = None) -> str:
    """`1 run`, or `3 runs`.

    Args:
        count: how many there are.
        one: what one of them is called.
        several: what more than one are called; with an `s` by default.
    """
    return f"{count} {one if count == 1 else several or f'{one}s'}"


def enumerated(names: Sequence[str]) -> str:
    """`a`, `a and b`, or `a, b and c`."""
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last


def listed(names: Sequence[str], most: int, shown: Callable[[str], str] = str) -> str:
    """Names in a sentence: the first so many, each as it is shown, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(map(shown, names[:most])) + more
