"""Values that no report may show: tokens, keys and passwords.

Those of the environment reach the launches, since training may need them to read its data, and a launch may
print, log or raise them. They are looked for in memory only, and never written down.
"""

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from urllib.parse import quote, unquote

from pytest_mlflow_check.core.credential_patterns import credentials_in, without_credentials
from pytest_mlflow_check.core.secret_names import is_secret

MASK = "***"
_SHORTEST = 8
"""Characters. Shorter ones occur by chance, and say little."""

_SHORTEST_WORD = 5
"""Characters of a shorter one that is looked for as a word of its own."""

_CUT = "…"
"""What stands in a text that was too long for what was cut out of it."""

_BLOCK = 1 << 20


@dataclass(frozen=True)
class Secrets:
    """The secret values of an environment.

    Attributes:
        values: in each way in which they may be written, the longest first.
        words: those too short to be looked for inside other words.
    """

    values: tuple[str, ...] = field(default=(), repr=False)
    words: tuple[str, ...] = field(default=(), repr=False)

    @classmethod
    def among(cls, environment: Mapping[str, str]) -> Secrets:
        """Those of the variables whose names or values say so, and the passwords in URLs of all others."""
        return cls().including(environment.items())

    def including(self, named: Iterable[tuple[str, str]]) -> Secrets:
        """These, and those among values with a name: of variables, params and tags."""
        secrets = {secret for name, value in named for secret in _secrets(name, value)}
        if not secrets:
            return self
        forms = {form for secret in secrets for form in _forms(secret)} | set(self.values)
        known = Secrets(tuple(sorted(forms, key=_longest_first)), self.words)
        return known.with_words(filter(_is_word, secrets))

    def with_words(self, words: Iterable[str]) -> Secrets:
        """These, and texts that are secret where they stand as words of their own."""
        found = {*self.words, *words}
        return (
            self
            if len(found) == len(self.words)
            else replace(self, words=tuple(sorted(found, key=_longest_first)))
        )

    def masked(self, text: str) -> str:
        """The text with stars in place of each secret, and of what looks like a credential."""
        for value in self.values:
            text = text.replace(value, MASK)
        if _CUT in text:
            text = self._without_halves(text)
        if self._word is not None:
            text = self._word.sub(MASK, text)
        return without_credentials(text, MASK)

    def _without_halves(self, text: str) -> str:
        """The text without the ends of secrets that were cut in the middle before they came here."""
        parts = text.split(_CUT)
        for value in self.values:
            for position, part in enumerate(parts):
                if position + 1 < len(parts):
                    parts[position] = part = _without_end(part, value)
                if position:
                    parts[position] = _without_end(part[::-1], value[::-1])[::-1]
        return _CUT.join(parts)

    def found_in(self, files: Iterable[Path]) -> bool:
        """Whether one of the files holds a secret.

        Raises:
            OSError: where one can't be read.
        """
        if not self.values and not self.words:
            return False
        wanted = [os.fsencode(value) for value in (*self.values, *self.words)]
        return any(_holds(file, wanted) for file in files)

    @cached_property
    def _word(self) -> re.Pattern[str] | None:
        # A path or a URL may begin or end with one; a name that goes on with `_` is another one.
        return re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, self.words))})(?!\w)") if self.words else None


def _without_end(text: str, secret: str) -> str:
    """The text with a mask for the start of a secret that it ends with."""
    for length in range(min(len(secret), len(text)), _SHORTEST - 1, -1):
        if text.endswith(secret[:length]):
            return text[: len(text) - length] + MASK
    return text


def _longest_first(text: str) -> tuple[int, str]:
    return -len(text), text


def _secrets(name: str, value: str) -> Iterator[str]:
    """The secrets in a value; of a value quoted as `mlflow run` does it, what stands between the quotes."""
    if is_secret(name, value):
        yield value
        yield value.strip("'\"")
    for found in credentials_in(value):
        yield found
        yield unquote(found)


def _is_word(secret: str) -> bool:
    """Whether a short secret is none that people write for other reasons: `hunter2`, not `postgres`."""
    mixed = any(char.isdigit() for char in secret) and any(char.isalpha() for char in secret)
    return _SHORTEST_WORD <= len(secret) < _SHORTEST and mixed


def _forms(value: str) -> Iterator[str]:
    """The value and its lines, as Python, JSON and URLs write them, and in capitals, hex and base64."""
    parts = [value, *(line.strip() for line in value.splitlines() if not line.startswith("-----"))]
    for part in parts:
        if len(part) < _SHORTEST:
            continue
        plain = (part, repr(part)[1:-1], json.dumps(part)[1:-1], quote(part, safe="", errors="replace"))
        encoded = part.encode("utf-8", "surrogatepass")
        yield from plain
        yield from (encoded.hex(), encoded.hex().upper())
        if not part.isalpha():
            # A password that is a word would be masked wherever people write that word.
            yield from (part.upper(), part.lower())
        yield from _in_base64(encoded)


def _in_base64(secret: bytes) -> Iterator[str]:
    """The text that stands for a secret in base64, alone and wherever it begins in what was encoded.

    Three bytes make four characters: those at both ends that depend on a neighbour are left out.
    """
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        yield encode(secret).decode().rstrip("=")
        for before in range(3):
            text = encode(bytes(before) + secret).decode()
            first = -(-before * 8 // 6)
            last = (before + len(secret)) * 8 // 6
            if last - first >= _SHORTEST:
                yield text[first:last]


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
