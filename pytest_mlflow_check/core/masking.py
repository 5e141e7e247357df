"""Values that no report may show: tokens, keys and passwords among the environment variables.

They reach the launches, since training may need them to read its data, and a launch may print, log or raise
them. They are looked for in memory only, and never written down.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, unquote

_MASK = "***"
_SHORTEST = 8
"""Characters. Shorter ones occur by chance, and say little."""

_NAME = re.compile(
    r"TOKEN(?!IZ)|SECRET|PASSWORD|PASSWD|PASSPHRASE|CREDENTIAL|API_?KEY|CONNECTION_STRING"
    r"|(?<!PRIMARY)(?<!SORT)(?<!PARTITION)(?<!FOREIGN)(?<!PUBLIC)_KEY$|_PAT$|_DSN$|_SAS$",
    re.IGNORECASE,
)
_USERINFO = re.compile(r"://[^/?#\s:@]*:([^/?#\s]+)@")
_BLOCK = 1 << 20


@dataclass(frozen=True)
class Secrets:
    """The secret values of an environment.

    Attributes:
        values: in each way in which they may be written, the longest first.
    """

    values: tuple[str, ...] = field(default=(), repr=False)

    @classmethod
    def among(cls, environment: Mapping[str, str]) -> Secrets:
        """Those of the variables whose names say so, and the passwords in URLs of all others."""
        found = {form for value in _values(environment) for form in _forms(value)}
        return cls(tuple(sorted(found, key=lambda form: (-len(form), form))))

    def masked(self, text: str) -> str:
        """The text with stars in place of each secret."""
        for value in self.values:
            text = text.replace(value, _MASK)
        return text

    def found_in(self, files: Iterable[Path]) -> bool:
        """Whether one of the files holds a secret.

        Raises:
            OSError: where one can't be read.
        """
        if not self.values:
            return False
        wanted = [os.fsencode(value) for value in self.values]
        return any(_holds(file, wanted) for file in files)


def _values(environment: Mapping[str, str]) -> Iterator[str]:
    for name, value in environment.items():
        # The name of a file with a secret in it is none.
        if _NAME.search(name) and not (value.startswith("/") and os.path.lexists(value)):
            yield value
        for found in _USERINFO.finditer(value):
            yield found[1]
            yield unquote(found[1])


def _forms(value: str) -> Iterator[str]:
    """The value and its lines, as they are, and as Python, JSON and URLs write them."""
    parts = [value, *(line.strip() for line in value.splitlines() if not line.startswith("-----"))]
    for part in parts:
        for form in (part, repr(part)[1:-1], json.dumps(part)[1:-1], quote(part, safe="", errors="replace")):
            if len(form) >= _SHORTEST:
                yield form


def _holds(file: Path, wanted: list[bytes]) -> bool:
    overlap = max(map(len, wanted)) - 1
    rest = b""
    with file.open("rb") as content:
        while block := content.read(_BLOCK):
            block = rest + block
            if any(value in block for value in wanted):
                return True
            rest = block[-overlap:] if overlap else b""
    return False
