"""The user's source around a place."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from pytest_mlflow_check.core.errors import UserError
from pytest_mlflow_check.core.files import read_user_text
from pytest_mlflow_check.core.findings import split_source_line
from pytest_mlflow_check.reporting.model import Excerpt, Line

_AROUND = 4
_LARGEST = 1 << 20
_LONGEST = 300
"""Characters of a line: the rest is cut off."""


class Sources:
    """Reads excerpts from the files of a project, each file once."""

    def __init__(self, project: Path) -> None:
        """Takes the project's directory."""
        self._project = project.resolve()
        self._lines = cache(self._read)

    def excerpt(self, place: str | None) -> Excerpt | None:
        """The lines around a place such as `train.py:12`; None where there are none to show.

        A place is what the launched code said of itself: of it nothing is read outside the project.
        """
        found = split_source_line(place)
        lines = self._lines(found[0]) if found else ()
        if not found or found[1] > len(lines):
            return None
        file, line = found
        start = max(line - 1 - _AROUND, 0)
        kept = enumerate(lines[start : line + _AROUND], start + 1)
        return Excerpt(file, line, tuple(Line(number, text[:_LONGEST]) for number, text in kept))

    def _read(self, name: str) -> tuple[str, ...]:
        try:
            file = (self._project / name).resolve()
            if not file.is_relative_to(self._project):
                return ()
            return tuple(read_user_text(file, largest=_LARGEST).splitlines())
        except (UserError, OSError, ValueError, RuntimeError):
            return ()
