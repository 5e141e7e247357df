"""Findings of one rule together, as people read them: what they have in common stands there once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from pytest_mlflow_check.reporting.model import Code, Excerpt, Finding
from pytest_mlflow_check.reporting.text import title_of

T = TypeVar("T")

_MOST_TEXTS = 5
_MOST_SOURCES = 3


@dataclass(frozen=True)
class Group:
    """The findings of one rule, severity and cause.

    Attributes:
        rule, severity: of all of them.
        title: the rule's title, for all of them.
        findings: in their order.
        whys, fixes, code, sources, details: the different ones among them, the first few.
    """

    rule: str
    severity: str
    title: str
    findings: tuple[Finding, ...]
    whys: tuple[str, ...]
    fixes: tuple[str, ...]
    code: tuple[Code, ...]
    sources: tuple[Excerpt, ...]
    details: tuple[str, ...]


def grouped(findings: Sequence[Finding]) -> list[Group]:
    """The findings by rule, in the order in which the rules first occur."""
    by_rule: dict[tuple[str, str, str], list[Finding]] = {}
    for one in findings:
        by_rule.setdefault((one.rule, one.severity, one.cause), []).append(one)
    return [_group(rule, severity, tuple(found)) for (rule, severity, _), found in by_rule.items()]


def _group(rule: str, severity: str, found: tuple[Finding, ...]) -> Group:
    return Group(
        rule,
        severity,
        title_of(rule, [one.subject for one in found], found[0].cause),
        found,
        whys=_distinct((one.why for one in found), _MOST_TEXTS),
        fixes=_distinct((one.fix for one in found), _MOST_TEXTS),
        code=_distinct((part for one in found for part in one.code), _MOST_TEXTS),
        sources=_distinct((one.source for one in found if one.source), _MOST_SOURCES),
        details=_distinct((one.detail for one in found if one.detail), _MOST_TEXTS),
    )


def source_line_of(finding: Finding) -> str | None:
    """File and line, as one text."""
    return finding.file and (f"{finding.file}:{finding.line}" if finding.line else finding.file)


def _distinct(parts: Iterable[T], most: int) -> tuple[T, ...]:
    return tuple(list(dict.fromkeys(parts))[:most])
