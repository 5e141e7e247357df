"""What became of an item, as plain data that crosses process borders: for summary, CI and JUnit reports."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

from pytest_mlflow_check.config.settings import shown_store
from pytest_mlflow_check.core.findings import split_source_line
from pytest_mlflow_check.core.text import printable
from pytest_mlflow_check.core.versions import versions
from pytest_mlflow_check.reporting.github import Annotation
from pytest_mlflow_check.reporting.text import render_title, values_of

if TYPE_CHECKING:
    from pytest_mlflow_check.core.findings import Finding, Severity
    from pytest_mlflow_check.core.records import Launch
    from pytest_mlflow_check.plugin.collection import CheckItem

_MOST = 20
"""Findings of one check that are told one by one, and texts of one finding's kind: nobody reads more."""


class MadeLaunch(TypedDict):
    """A launch: its mode, how long it took and how it ended, and what it left."""

    mode: str
    seconds: float
    exit_code: int | None
    runs: int
    points: int
    store_uri: str


def made_launches(launches: Sequence[Launch]) -> list[MadeLaunch]:
    """The launches of an item's case."""
    return [
        {
            "mode": launch.mode,
            "seconds": launch.duration,
            "exit_code": launch.exit_code,
            "runs": len(launch.runs),
            "points": launch.points,
            "store_uri": launch.store_uri,
        }
        for launch in launches
    ]


def properties(item: CheckItem, launches: Sequence[MadeLaunch]) -> list[tuple[str, str]]:
    """Names and values for the item in a JUnit report; there, and wherever else `user_properties` go."""
    values = item.project.settings.values
    rules = dict.fromkeys(finding.rule for finding in item.result.findings) if item.result else ()
    known = {
        "rules": ", ".join(rules),
        **{f"{launch['mode']}.seconds": f"{launch['seconds']:.3f}" for launch in launches},
        "store": shown_store(values.store),
        "cached": str(item.project.cached(item.case) is not None).lower(),
        "version": versions()["pytest-mlflow-check"],
        "mlflow": versions()["mlflow"],
        "python": versions()["python"],
    }
    return [(f"mlflow_check.{name}", printable(value)) for name, value in known.items()]


def put_properties(item: CheckItem, launches: Sequence[MadeLaunch]) -> None:
    """Gives an item its properties; one that is run again (pytest-rerunfailures) has those of before."""
    new = properties(item, launches)
    names = {name for name, _ in new}
    item.user_properties[:] = [*(one for one in item.user_properties if one[0] not in names), *new]


def annotations_of(item: CheckItem, fault: str | None) -> list[Annotation]:
    """What an item has to say, each at its line, or else at that of the entry point.

    Args:
        item: it ran.
        fault: the whole text of why the check couldn't be made.
    """
    file, line, _ = item.reportinfo()
    # pytest counts from 0.
    own = str(file), None if line is None else line + 1
    if item.result is None or not item.result.findings:
        return [] if fault is None else [_annotation("error", item.nodeid, fault, own)]
    groups: dict[tuple[str, str | None, str], list[Finding]] = {}
    for finding in item.result.findings:
        groups.setdefault((finding.rule, finding.source_line, finding.cause), []).append(finding)
    strict, project = item.project.settings.values.strict, item.project.settings.project
    return [
        _annotation(
            "error" if strict else found[0].severity,
            render_title(rule, found),
            _text(rule, found),
            _located(place, project) or own,
        )
        for (rule, place, _), found in list(groups.items())[:_MOST]
    ]


def _annotation(severity: Severity, title: str, text: str, place: tuple[str, int | None]) -> Annotation:
    file, line = place
    return {
        "severity": severity,
        "title": printable(title),
        "text": printable(text),
        "file": file,
        "line": line,
    }


def _text(rule: str, findings: Sequence[Finding]) -> str:
    whys = list(dict.fromkeys(finding.why for finding in findings))[:_MOST]
    values = [f"{finding.subject}: {told}" for finding in findings if (told := values_of(finding))]
    fixes = list(dict.fromkeys(f"fix: {finding.fix}" for finding in findings))[:_MOST]
    return "\n".join([*whys, *dict.fromkeys(values[:_MOST]), *fixes, f"more: pytest --mlflow-explain={rule}"])


def _located(place: str | None, project: Path) -> tuple[str, int] | None:
    """The file and line of a place, which is relative to the project; a launch may have made it up."""
    found = split_source_line(printable(place or ""))
    return (os.path.abspath(project / found[0]), found[1]) if found else None
