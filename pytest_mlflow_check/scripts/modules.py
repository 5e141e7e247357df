"""The Python files of a project: each parsed once, what they import, and where a name comes from."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache

from pytest_mlflow_check.scripts.static_eval import Code

_LOGGING = re.compile(
    rb"\b(start_run|autolog|log_(metric|param|artifact|model|dict|figure|text|table|image|input)s?|set_tags?"
    rb"|MLFlowLogger|MLflowCallback)\b|report_to"
)
_FOLLOWED = 200
"""Modules that are followed from a script."""

_RE_EXPORTED = 5
"""How often a name may be handed on from module to module."""


class Files:
    """The Python files of a project, each parsed when somebody asks for it."""

    def __init__(self, sources: Mapping[str, bytes]) -> None:
        self.sources = sources
        self.broken: dict[str, str] = {}
        self._codes: dict[str, Code | None] = {}
        self._logs: dict[str, bool] = {}
        self._imported: dict[str, list[str]] = {}
        self._defined: dict[tuple[str, str], tuple[str, tuple[str, ...]] | None] = {}

    def code(self, path: str) -> Code | None:
        """The code of a file; None where it isn't Python."""
        if path not in self._codes:
            self._codes[path] = None
            try:
                self._codes[path] = Code.of(self.sources[path], path)
            except SyntaxError as error:
                self.broken[path] = f"{path}:{error.lineno or 1}: {error.msg or error}"
        return self._codes[path]

    def logs(self, path: str) -> bool:
        """Whether a file by itself logs to MLflow, as far as its text tells."""
        if path not in self._logs:
            source = self.sources[path]
            self._logs[path] = b"mlflow" in source.lower() and _LOGGING.search(source) is not None
        return self._logs[path]

    def defines(self, path: str, name: str, depth: int = 0) -> tuple[str, tuple[str, ...]] | None:
        """The file of the project that defines what a name means, and its name there; None outside of it.

        Args:
            path: the file that uses the name.
            name: as the text has it, such as `options.get_parser`.
            depth: how often the name was handed on already.
        """
        if (path, name) not in self._defined:
            self._defined[path, name] = self._definition(path, name, depth)
        return self._defined[path, name]

    def _definition(self, path: str, name: str, depth: int) -> tuple[str, tuple[str, ...]] | None:
        code = self.code(path)
        head, *rest = name.split(".")
        if code is None or not head or depth > _RE_EXPORTED:
            return None
        if head not in code.origins:
            return path, (head, *rest)
        level, module, attribute = code.origins[head]
        parts = [one for one in (*module.split("."), *([attribute] if attribute else []), *rest) if one]
        for end in range(len(parts), -1, -1):
            places = places_of(path, level, ".".join(parts[:end]))
            file = next((one for one in places if one in self.sources), None)
            if file is not None and end < len(parts):
                return self.defines(file, ".".join(parts[end:]), depth + 1)
        return None

    def imported(self, path: str, code: Code) -> Sequence[str]:
        """The files of the project that a file imports."""
        if path not in self._imported:
            places = (one for level, module in code.modules for one in places_of(path, level, module))
            self._imported[path] = [one for one in places if one in self.sources]
        return self._imported[path]

    def below(self, path: str) -> Iterator[tuple[str, Code]]:
        """A file and all that it imports of the project, whatever is imported by that included."""
        waiting, seen = [path], {path}
        while waiting and len(seen) < _FOLLOWED:
            here = waiting.pop(0)
            if (code := self.code(here)) is None:
                continue
            yield here, code
            for other in self.imported(here, code):
                if other not in seen:
                    seen.add(other)
                    waiting.append(other)


@lru_cache(maxsize=100_000)
def places_of(path: str, level: int, module: str) -> Sequence[str]:
    """Where a module may lie that the script at a path imports."""
    folder = posixpath.dirname(path)
    parents = [folder]
    while parents[-1]:
        parents.append(posixpath.dirname(parents[-1]))
    bases = parents[level - 1 : level] or [folder] if level else [*dict.fromkeys([*parents, "src"])]
    name = module.replace(".", "/")
    starts = [f"{base}/" if base else "" for base in bases]
    if not name:
        return [f"{start}__init__.py" for start in starts if level]
    return [f"{start}{name}{end}" for start in starts for end in (".py", "/__init__.py")]
