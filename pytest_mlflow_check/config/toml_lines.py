"""A TOML file as a table, with a line in every message about it.

`tomllib` doesn't say where a key stands, so `line_of` looks for it in the text.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from pytest_mlflow_check.core.errors import UserError, shown_path
from pytest_mlflow_check.core.files import read_user_text

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_LARGEST = 1024 * 1024
"""Bytes, which take 0.3 s."""

_LONGEST = 500
"""Dots in a dotted key: with 100,000 of them tomllib takes a minute, or all the memory there is."""


def read_toml(file: Path) -> tuple[dict[str, Any], str]:
    """The table in a file, and the text of it.

    Raises:
        UserError: the file can't be read, or isn't TOML.
    """
    text = read_user_text(file, largest=_LARGEST)

    def fail(place: object, problem: str) -> NoReturn:
        raise UserError(f"{shown_path(file)}:{place}: not valid TOML: {problem}") from None

    for run in re.finditer(r"[^,=\[\]{}#()\n]+", text):
        if run[0].count(".") > _LONGEST:
            fail(_line(text, run.start()), f"a key of more than {_LONGEST} parts")
    try:
        return tomllib.loads(text), text
    except tomllib.TOMLDecodeError as error:
        problem, _, where = str(error).rpartition(" (at ")
        place = ":".join(re.findall(r"\d+", where)) or _line(text.rstrip(), len(text))
        fail(place, problem)
    except RecursionError:
        line, _ = max(enumerate(text.split("\n"), 1), key=lambda one: len(re.findall(r"[\[{]", one[1])))
        fail(line, "arrays or tables too deep in each other")
    except ValueError:
        found = re.search(r"\d[\d_]{4000}", text)
        fail(_line(text, found.start() if found else 0), "a number of too many digits; put text in quotes")


def line_of(text: str, keys: Sequence[str | int], *, table: str = "") -> int | None:
    """The line on which a key stands, else that of the table it is missing from; None where that isn't clear.

    Args:
        text: the whole file.
        keys: the way to it below the table, such as `("case", 1, "params", "index")`.
        table: the table with all of it, such as `tool.mlflow-check`; empty for the file itself.
    """
    lines = text.split("\n")
    headers = _headers(lines)
    span = [n for n, header in enumerate(headers) if f"{header}.".startswith(f"{table}." if table else "")]
    if len(keys) > 1 and isinstance(keys[1], int):
        name = f"{table}.{keys[0]}" if table else str(keys[0])
        # The headers of an array's tables, if it has them: [[case]], [[tool.mlflow-check.case]].
        starts = [n for n in span if headers[n] == name and re.match(r"\s*\[\[", lines[n])]
        if keys[1] < len(starts):
            first, end = [*starts, len(lines)][keys[1] : keys[1] + 2]
            span = [n for n in span if first <= n < end]
    for key in reversed([key for key in keys if isinstance(key, str)]):
        pattern = re.compile(rf"(?:^|[\s{{,.\[]){_spelt(key)}\s*[=.\]]")
        places = [n for n in span if key in lines[n] and pattern.search(lines[n])]
        if places:
            return places[0] + 1 if len(places) == 1 else None
    return None


def _headers(lines: Sequence[str]) -> list[str]:
    """For each line the name of the table that it belongs to, without spaces and quotes."""
    headers, current = [], ""
    for line in lines:
        if found := re.match(r"\s*\[\[?([^\[\]]+)\]", line):
            current = re.sub(r"[\s\"']", "", found[1])
        headers.append(current)
    return headers


def _spelt(key: str) -> str:
    """A pattern for a key, which may stand in quotes."""
    return rf"(?:[\"']{re.escape(key)}[\"']|{re.escape(key)})"


def _line(text: str, position: int) -> int:
    return text.count("\n", 0, position) + 1
