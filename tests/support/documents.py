"""What the documents show, done as a reader would: files written, changes made, commands typed, output seen.

A fenced block says by its first line what it is:

- ```` ```python title="train.py" ````: the whole of a file;
- ```` ```diff title="train.py" ````: a change of it, with enough around it to be found once;
- ```` ```console ````: commands after `$ `, each followed by what it prints. A line `…` stands for any lines,
  and `…` in a line for any text. A command without output has to end well.

All others are only read.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from support import ROOT

_FENCE = re.compile(r'^( *)(`{3,})(\w+)(?: title="([^"]+)")?[^\n]*\n(.*?)^\1\2$', re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Attributes:
        source_line: file and line, for messages.
        language: the first word after the fence.
        title: the file that it shows; empty for none.
        text: what is in it.
    """

    source_line: str
    language: str
    title: str
    text: str


@dataclass(frozen=True)
class Command:
    """A command typed, and the lines it prints."""

    line: str
    output: tuple[str, ...]


def blocks(document: Path) -> Iterator[Block]:
    """The fenced blocks of a document, in their order."""
    text = document.read_text(encoding="utf-8")
    for found in _FENCE.finditer(text):
        indent, _, language, title, inner = found.groups()
        source_line = f"{document.relative_to(ROOT)}:{text.count(chr(10), 0, found.start()) + 1}"
        yield Block(source_line, language, title or "", re.sub(f"^{indent}", "", inner, flags=re.MULTILINE))


def commands(text: str) -> Iterator[Command]:
    """The commands of a console block."""
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        line, *output = part.rstrip("\n").split("\n")
        yield Command(line, tuple(output))


def changed(text: str, change: str) -> str:
    """A text after a change, which has to fit in one place.

    Raises:
        ValueError: where it fits nowhere, or more than once.
    """
    lines = change.splitlines(keepends=True)
    old = "".join(line[1:] or "\n" for line in lines if not line.startswith("+"))
    new = "".join(line[1:] or "\n" for line in lines if not line.startswith("-"))
    if text.count(old) != 1:
        raise ValueError(f"it fits {text.count(old)} times, not once")
    return text.replace(old, new)


def fits(expected: Sequence[str], printed: str) -> bool:
    """Whether an output is as it is shown."""
    lines = [line.rstrip() for line in printed.splitlines()]
    parts: list[list[str]] = [[]]
    for line in expected:
        if line.strip() == "…":
            parts.append([])
        else:
            parts[-1].append(line.rstrip())
    first, *others = parts
    if not others:
        return len(first) == len(lines) and _begins(lines, first)
    *middle, last = others
    if not _begins(lines, first):
        return False
    position = len(first)
    for part in middle:
        # The first place where a part fits leaves most to those after it.
        places = range(position, len(lines) - len(part) + 1)
        at = next((source_line for source_line in places if _begins(lines[source_line:], part)), None)
        if at is None:
            return False
        position = at + len(part)
    return len(lines) - len(last) >= position and _begins(lines[len(lines) - len(last) :], last)


def _begins(lines: Sequence[str], part: Sequence[str]) -> bool:
    return len(lines) >= len(part) and all(
        re.fullmatch(".*".join(map(re.escape, shown.split("…"))), line)
        for shown, line in zip(part, lines, strict=False)
    )


def walk(documents: Sequence[Path], directory: Path, home: Path) -> Iterator[str]:
    """Does what the documents say, in a directory; gives what isn't as they say."""
    for block in (block for document in documents for block in blocks(document)):
        if block.language == "console":
            for command in commands(block.text):
                code, printed = _run(command.line, directory, home)
                if not (fits(command.output, printed) if command.output else code == 0):
                    shown = "\n".join(["shown:", *command.output, f"printed (exit code {code}):", printed])
                    yield f"{block.source_line}: $ {command.line}\n{shown}"
        elif block.title:
            file = directory / block.title
            file.parent.mkdir(parents=True, exist_ok=True)
            if block.language != "diff":
                file.write_text(block.text, encoding="utf-8")
                continue
            try:
                file.write_text(changed(file.read_text(encoding="utf-8"), block.text), encoding="utf-8")
            except (OSError, ValueError) as error:
                yield f"{block.source_line}: the change of {block.title}: {error}"


def _run(line: str, directory: Path, home: Path) -> tuple[int, str]:
    """A command as a user types it who has nothing set and a terminal of 80 columns."""
    kept = {name: os.environ[name] for name in ("TMPDIR",) if name in os.environ} | {"LC_ALL": "C.UTF-8"}
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    own = {"PATH": path, "HOME": str(home), "COLUMNS": "80", "MLFLOW_DISABLE_TELEMETRY": "true"}
    done = subprocess.run(
        ["bash", "-c", line],
        cwd=directory,
        env=kept | own,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        check=False,
    )
    return done.returncode, done.stdout
