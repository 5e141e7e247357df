"""Apply what a finding prints as its fix, as text: its code, at the place that it names.

Code stands between double blanks in a fix, and in the parts to be pasted. What a person adds is where it
goes, and, for each `…` in it, an expression of names that the project has.
"""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import indent
from typing import Literal

How = Literal[
    "instead", "over", "before", "after", "around", "argument", "inside", "remove", "append", "settings",
    "option", "file", "run",
]  # fmt: skip

_PLACE = re.compile(r"(?<![\w/.-])(?P<file>[\w./-]+):(?P<line>[1-9]\d*)(?![\w/])")
_NAME = re.compile(r"[A-Za-z_]\w*")
_SAVED = re.compile(r"save this as (?P<name>\S+) ")
SETTINGS = "mlflow-check.toml"


class NotApplicable(Exception):
    """The text of a fix doesn't say what the row wants to do with it."""


@dataclass(frozen=True)
class Printed:
    """What a finding prints.

    Attributes:
        rule, subject, fix: as printed.
        source_line: `train.py:7`, where it has one.
        parts: title and text of the code to be pasted.
    """

    rule: str
    subject: str
    fix: str
    source_line: str | None = None
    parts: tuple[tuple[str, str], ...] = ()

    @property
    def code(self) -> list[str]:
        """All code that it prints, in its order."""
        return [*self.fix.split("  ")[1::2], *(text for _, text in self.parts)]

    @property
    def places(self) -> list[str]:
        """The lines that it names, those in the words of the fix first."""
        words = " ".join([*self.fix.split("  ")[::2], *(title for title, _ in self.parts)])
        named = [found.group() for found in _PLACE.finditer(words)]
        return [*named, *([self.source_line] if self.source_line else [])]


@dataclass(frozen=True)
class Put:
    """Where a person puts a piece of code that a fix prints.

    Attributes:
        how: `instead` of the line, `over` what follows it, in its place, `before` or `after` it, `around` it
            and what belongs to it, as the last `argument` of the call in it, `inside` it in place of the text
            `old`; `remove` the line; `append` the text to it; in the `settings`, as an `option` of the
            command line, in a `file` of its own, or `run` it as a command.
        code: which piece.
        at: which of the places that the fix names, or `file: text` for the only line with that text.
        old: what `inside` replaces.
        until: the last line that `around` takes in, as `at` says it; else what is indented below the line.
        fill: an expression for each `…`, of names that the project has.
    """

    how: How
    code: int = 0
    at: int | str = 0
    old: str = ""
    until: int | str | None = None
    fill: tuple[str, ...] = ()


@dataclass
class Project:
    """A project that is being changed, with the options that its next session gets."""

    directory: Path
    options: list[str] = field(default_factory=list)

    def apply(self, findings: Sequence[Printed], puts: Sequence[Put]) -> None:
        """Applies the fixes of findings of one rule, each different one once; the last line first."""
        edits: dict[tuple[str, int, Put, str], None] = {}
        for finding in findings:
            for put in puts:
                code = self._filled(finding, put)
                if put.how in ("settings", "option", "file", "run"):
                    edits.setdefault(("", 0, put, self._saved(finding, put, code)))
                else:
                    file, line = self._place(finding, put.at)
                    edits.setdefault((file, line, put, code))
        # At one line those first that the row has first.
        order = sorted(edits, key=lambda edit: (edit[0], edit[1], -puts.index(edit[2])), reverse=True)
        for file, line, put, code in order:
            if file:
                last = self._last(file, line, put, findings[0])
                self._change(file, line, last, put, code)
            elif put.how == "option":
                self.options += shlex.split(code)
            elif put.how == "run":
                subprocess.run(["sh", "-c", code], cwd=self.directory, check=True)
            elif put.how == "settings":
                self._set(code)
            else:
                name, _, text = code.partition("\n")
                (self.directory / name).write_text(text, encoding="utf-8")

    def _filled(self, finding: Printed, put: Put) -> str:
        try:
            code = finding.code[put.code]
        except IndexError:
            if put.how == "remove" and re.search(r"\bremove\b", finding.fix):
                return ""
            raise NotApplicable(f"no code {put.code} in {finding.fix!r}") from None
        if put.how == "remove":
            return code
        if code.count("…") != len(put.fill):
            raise NotApplicable(f"{code.count('…')} blanks to fill in {code!r}")
        known = self._names()
        for expression in put.fill:
            if strange := set(_NAME.findall(expression)) - known:
                raise NotApplicable(f"the project has no {', '.join(sorted(strange))}")
            code = code.replace("…", expression, 1)
        return code

    def _names(self) -> set[str]:
        files = [file for file in self.directory.rglob("*") if file.is_file()]
        return {
            name
            for file in files
            for name in _NAME.findall(file.read_text(encoding="utf-8", errors="replace"))
        }

    def _saved(self, finding: Printed, put: Put, code: str) -> str:
        if put.how != "file":
            return code
        named = _SAVED.search(" ".join(title for title, text in finding.parts if text == code))
        if named is None:
            raise NotApplicable(f"no name for the file in {finding.fix!r}")
        return f"{named['name']}\n{code}"

    def _place(self, finding: Printed, at: int | str) -> tuple[str, int]:
        if isinstance(at, int):
            if at >= len(finding.places):
                raise NotApplicable(f"no place {at} in {finding.fix!r}")
            file, _, line = finding.places[at].rpartition(":")
            return file, int(line)
        file, _, text = at.partition(": ")
        lines = (self.directory / file).read_text(encoding="utf-8").splitlines()
        numbers = [number for number, line in enumerate(lines, 1) if text in line]
        if len(numbers) != 1:
            raise NotApplicable(f"{len(numbers)} lines of {file} with {text!r}")
        return file, numbers[0]

    def _last(self, file: str, line: int, put: Put, finding: Printed) -> int:
        """The last line of its statement, or, for `around`, of what is indented below it."""
        if put.until is not None:
            return self._place(finding, put.until)[1]
        lines = (self.directory / file).read_text(encoding="utf-8").splitlines()
        last = line
        while _open("\n".join(lines[line - 1 : last])) and last < len(lines):
            last += 1
        if put.how == "around":
            width = _width(lines[line - 1])
            below = range(last + 1, len(lines) + 1)
            for number in below:
                if lines[number - 1].strip() and _width(lines[number - 1]) <= width:
                    break
                last = number if lines[number - 1].strip() else last
        return last

    def _change(self, file: str, line: int, last: int, put: Put, code: str) -> None:
        path = self.directory / file
        lines = path.read_text(encoding="utf-8").splitlines()
        old = lines[line - 1]
        margin = old[: _width(old)]
        new = indent(code, margin).splitlines()
        below = lines[line - 1 : last]
        if put.how == "instead":
            lines[line - 1 : last] = new
        elif put.how == "before":
            lines[line - 1 : line - 1] = new
        elif put.how == "after":
            # After a line that opens a block is in it.
            opens = _without_comment(lines[last - 1]).endswith(":")
            lines[last:last] = indent(code, lines[last][: _width(lines[last])]).splitlines() if opens else new
        elif put.how == "over":
            lines[line - 1 : last] = [*new, *(f"    {each}" if each else each for each in below[1:])]
        elif put.how == "around":
            lines[line - 1 : last] = [*new, *(f"    {each}" if each else each for each in below)]
        elif put.how == "append":
            lines[line - 1] = _appended(old, code)
        elif put.how == "inside":
            if put.old not in old:
                raise NotApplicable(f"{put.old!r} isn't in {old!r}")
            lines[line - 1] = old.replace(put.old, code, 1)
        elif put.how == "argument":
            lines[line - 1 : last] = _with_argument("\n".join(below), code).splitlines()
        else:
            del lines[line - 1 : last]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")

    def _set(self, code: str) -> None:
        """Keys go above the first table, where they belong to none."""
        file = self.directory / SETTINGS
        before = file.read_text(encoding="utf-8") if file.exists() else ""
        key = code.partition("=")[0].strip()
        if code.startswith("[["):
            text = f"{before}\n{code}\n"
        elif re.search(rf"^{re.escape(key)} *=", before, re.MULTILINE):
            # A key that is there already is written anew.
            text = re.sub(rf"^{re.escape(key)} *=.*$", lambda _: code, before, count=1, flags=re.MULTILINE)
        else:
            text = f"{code}\n{before}"
        file.write_text(text, encoding="utf-8")


def _open(text: str) -> int:
    """How many brackets are open at the end of a text."""
    code = "".join(char for _, char in _code(text))
    return sum(map(code.count, "([{")) - sum(map(code.count, ")]}"))


def _without_comment(line: str) -> str:
    return line.partition("  #")[0].rstrip()


def _width(line: str) -> int:
    return len(line) - len(line.lstrip())


def _appended(line: str, code: str) -> str:
    """A line of code or of an MLproject with something more at its end, inside its quotes."""
    text, hash_, comment = line.partition("  #")
    quote = text[-1] if text.endswith(('"', "'")) else ""
    return f"{text[: len(text) - len(quote)]} {code}{quote}{hash_}{comment}"


def _with_argument(text: str, argument: str) -> str:
    """A statement whose last call gets one more argument."""
    code = list(_code(text))
    end = max(position for position, char in code if char == ")")
    before = text[:end].rstrip()
    comma = "" if before.endswith("(") else " " if before.endswith(",") else ", "
    return f"{before}{comma}{argument}{text[len(before) :]}"


def _code(text: str) -> Iterator[tuple[int, str]]:
    """The characters outside comments."""
    comment = False
    for position, char in enumerate(text):
        comment = (comment or text[position - 2 : position + 1] == "  #") and char != "\n"
        if not comment:
            yield position, char
