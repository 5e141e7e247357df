"""Lines for the settings file, to be pasted as they are: what holds already stands in them too."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence

from pytest_mlflow_check.config.settings import Ignore
from pytest_mlflow_check.core.findings import CodePart

_FILE = "mlflow-check.toml"


def ignore_line(ignored: Ignore, kind: str, names: Iterable[str]) -> str:
    """The line that has more names never compared.

    Two lines can't both give one key. So it has all names of the kind; where something is ignored already,
    it has all of that too, and is written in its place.

    Args:
        ignored: what the settings ignore.
        kind: a key of `Ignore`, such as `metrics`.
        names: the names to add.
    """
    lists: dict[str, Sequence[str]] = {key: patterns for key, patterns in ignored if patterns}
    added = [*dict.fromkeys([*lists.get(kind, ()), *names])]
    if not lists:
        return f"ignore.{kind} = {_list(added)}"
    return f"ignore = {_table({**lists, kind: added})}"


def list_line(key: str, values: Sequence[str]) -> str:
    """The line that gives a list."""
    return f"{key} = {_list(values)}"


def allowance(rule: str, subject: str, reason: str) -> CodePart:
    """The table that accepts a finding, which can stand beside others of its kind."""
    lines = ["[[allow]]", *(f"{key} = {_text(value)}" for key, value in _keys(rule, subject, reason))]
    return CodePart(f"at the end of {_FILE}", "\n".join(lines))


def _keys(rule: str, subject: str, reason: str) -> tuple[tuple[str, str], ...]:
    return ("rule", rule), ("match", subject), ("reason", reason)


def _table(lists: Mapping[str, Sequence[str]]) -> str:
    return f"{{ {', '.join(f'{key} = {_list(values)}' for key, values in lists.items())} }}"


def _list(values: Iterable[str]) -> str:
    return f"[{', '.join(map(_text, values))}]"


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)
