"""Findings as annotations of GitHub Actions: shown in a pull request at the user's file and line.

What is written follows GitHub's "Workflow commands for GitHub Actions", and `escapeData` and
`escapeProperty` in actions/toolkit, packages/core/src/command.ts.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypedDict

from pytest_mlflow_check.core.findings import Severity
from pytest_mlflow_check.core.text import listed, printable

MOST = 10
"""Annotations of each kind that GitHub shows of a step."""

_LONGEST = 4000
"""Characters of a text; GitHub cuts those beyond 64 kB."""

_MOST_CASES = 5


class Annotation(TypedDict):
    """What is to be said at a line of the user's: findings of one rule, or why a check couldn't be made.

    `file` is an absolute path, `line` is None where only the file is known.
    """

    severity: Severity
    title: str
    text: str
    file: str
    line: int | None


@dataclass
class _SharedAnnotation:
    """An annotation, and the cases that it is about."""

    annotation: Annotation
    cases: list[str] = field(default_factory=list)


def annotated(annotations: Iterable[tuple[str, Annotation]], environment: Mapping[str, str]) -> Iterator[str]:
    """A line for each annotation, errors first; none where the session isn't one of GitHub Actions.

    What several cases say alike is said once. Behind more than `MOST` of a kind, a line says how many are
    left out.

    Args:
        annotations: the name of a case, and what is said of it; the most important first.
        environment: variables, as GitHub sets them.
    """
    if environment.get("GITHUB_ACTIONS") != "true":
        return
    told: dict[tuple[object, ...], _SharedAnnotation] = {}
    for case, annotation in annotations:
        shared = told.setdefault(tuple(annotation.values()), _SharedAnnotation(annotation))
        if case not in shared.cases:
            shared.cases.append(case)
    workspace = environment.get("GITHUB_WORKSPACE", "")
    for severity in ("error", "warning"):
        found = [one for one in told.values() if one.annotation["severity"] == severity]
        yield from (_command(one, workspace) for one in found[:MOST])
        if len(found) > MOST:
            yield f"mlflow-check: {len(found) - MOST} more {severity}s: GitHub shows {MOST} of a step"


def _command(shared: _SharedAnnotation, workspace: str) -> str:
    annotation = shared.annotation
    properties = _location(annotation, workspace)
    # Of a title it takes one line.
    properties["title"] = " ".join(annotation["title"].split())
    given = ",".join(f"{name}={_escaped(value, ',', ':')}" for name, value in properties.items())
    text = f"{_cut(annotation['text'])}\n{_named(shared.cases)}"
    return f"::{annotation['severity']} {given}::{_escaped(text)}"


def _location(annotation: Annotation, workspace: str) -> dict[str, str]:
    """File and line, relative to the repository; nothing for a file that lies elsewhere."""
    file, root = os.path.realpath(annotation["file"]), os.path.realpath(workspace)
    if not workspace or not file.startswith(os.path.join(root, "")):
        return {}
    line = {} if annotation["line"] is None else {"line": str(annotation["line"])}
    return {"file": printable(os.path.relpath(file, root)), **line}


def _named(cases: Sequence[str]) -> str:
    return f"case{'s' if len(cases) > 1 else ''}: {listed(cases, _MOST_CASES)}"


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def _escaped(text: str, *more: str) -> str:
    for char in ("%", "\r", "\n", *more):
        text = text.replace(char, f"%{ord(char):02X}")
    return text
