"""Which files of a workspace are links to the user's own: what `workspace.link` names."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True)
class Links:
    """Patterns of files, by their path below the directory that is copied.

    `*` and `?` stand for what has no slash in it, `**` for anything. A pattern that fits a directory takes
    all that lies below it. Python's files are never taken: Python would look for what they import beside the
    originals.

    Attributes:
        patterns: as written in the settings.
    """

    patterns: tuple[str, ...] = ()

    def take(self, path: str) -> bool:
        """Whether a file is to be a link."""
        return bool(self.patterns) and any(one.match(path) for one in self._compiled) and not _is_code(path)

    def idle(self, paths: Iterable[str]) -> list[str]:
        """The patterns that take none of these files."""
        waiting = dict(zip(self.patterns, self._compiled, strict=True))
        for path in paths:
            if not waiting:
                break
            if not _is_code(path):
                waiting = {pattern: one for pattern, one in waiting.items() if not one.match(path)}
        return list(waiting)

    @cached_property
    def _compiled(self) -> list[re.Pattern[str]]:
        return [re.compile(_expression(pattern), re.DOTALL) for pattern in self.patterns]


NO_LINKS = Links()
"""Everything is copied."""


def _is_code(path: str) -> bool:
    return path.endswith((".py", ".pyi", ".pyc"))


def _expression(pattern: str) -> str:
    pieces = re.split(r"(\*\*/|\*\*|\*|\?)", pattern.removeprefix("./").rstrip("/"))
    known = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    return "".join(known.get(piece, re.escape(piece)) for piece in pieces) + "(?:/.*)?\\Z"
