"""Findings as a terminal shows them: title, the two sides, the place, the reason, the change."""

from __future__ import annotations

import textwrap
import unicodedata
from collections.abc import Iterable, Sequence

from pytest_mlflow_check.core.findings import Finding
from pytest_mlflow_check.core.text import listed, printable
from pytest_mlflow_check.rules import RULES

WIDTH = 80
_INDENT = "    "
_NOTHING = "—"
_LONGEST_CELL = 40
_LONGEST_CAUSE = 160
_LONGEST_LINE = 2000
_MOST_TEXTS = 5
_MOST_NAMES = 3


def render(findings: Iterable[Finding]) -> str:
    """All findings, those of one rule under one title, in the order in which the rules first occur."""
    return printable("\n\n".join(_render_group(group[0].rule, group) for group in _groups(findings)))


def _groups(findings: Iterable[Finding]) -> list[list[Finding]]:
    grouped: dict[tuple[str, str], list[Finding]] = {}
    for finding in findings:
        grouped.setdefault((finding.rule, finding.cause), []).append(finding)
    return list(grouped.values())


def render_title(slug: str, findings: Sequence[Finding]) -> str:
    """The first line for findings of one rule: `params: 3 missing in the fluent launch`."""
    return title_of(slug, [finding.subject for finding in findings], findings[0].cause if findings else "")


def title_of(slug: str, subjects: Sequence[str], cause: str = "") -> str:
    """The same, where only the subjects and their common cause are known."""
    names = _distinct(subjects)
    title = RULES[slug].title.format(n=len(subjects), subjects=listed(names, _MOST_NAMES, _cell))
    return (
        f"{title}: {cause[:_LONGEST_CAUSE]}{'…' if len(cause) > _LONGEST_CAUSE else ''}" if cause else title
    )


def title_line(findings: Sequence[Finding]) -> str:
    """All that was found, in one line: the first title, and how many more there are."""
    titles = _distinct(
        ("" if group[0].severity == "error" else "warning: ") + render_title(group[0].rule, group)
        for group in _groups(findings)
    )
    more = f" (and {len(titles) - 1} more)" if len(titles) > 1 else ""
    return printable(" ".join(f"{titles[0]}{more}".split())) if titles else ""


def values_of(finding: Finding) -> str:
    """What each launch has to show, in a few words: once, where it is the same; empty for nothing."""
    sides = {"fluent": finding.fluent, "mlflow run": finding.mlflow_run}
    shown = {mode: _cell(value) for mode, value in sides.items() if value not in (None, "not launched")}
    if "not launched" in sides.values() or (len(shown) == 2 and len(set(shown.values())) == 1):
        return next(iter(shown.values()), "")
    return ", ".join(f"{mode}: {value}" for mode, value in shown.items())


def _render_group(slug: str, findings: Sequence[Finding]) -> str:
    title = render_title(slug, findings)
    warning = "" if findings[0].severity == "error" else "warning: "
    name = f"[{slug}]"
    head = warning + title
    lines = [head + name.rjust(max(WIDTH - width(head), len(name) + 2)), ""]
    lines += [_INDENT + row for row in _table(findings)]
    whys = _distinct(finding.why for finding in findings)
    for why in whys[:_MOST_TEXTS]:
        lines += ["", *_wrap(why)]
    if len(whys) > _MOST_TEXTS:
        lines += ["", f"{_INDENT}and so for {len(whys) - _MOST_TEXTS} more"]
    for detail in _distinct(finding.detail for finding in findings if finding.detail):
        lines += ["", textwrap.indent(_shortened(printable(detail)).rstrip(), _INDENT), ""]
    fixes = _distinct(finding.fix for finding in findings)
    for fix in fixes[:_MOST_TEXTS]:
        lines += _wrapped_fix(fix)
    if len(fixes) > _MOST_TEXTS:
        lines.append(f"{_INDENT}     and so for {len(fixes) - _MOST_TEXTS} more")
    parts = list(dict.fromkeys(part for finding in findings for part in finding.code))
    for part in parts[:_MOST_TEXTS]:
        lines += [
            "",
            *_wrap(f"{part.title}:"),
            "",
            textwrap.indent(printable(part.text).rstrip(), _INDENT * 2),
        ]
    if len(parts) > _MOST_TEXTS:
        lines += ["", f"{_INDENT}and so for {len(parts) - _MOST_TEXTS} more"]
    if parts:
        lines.append("")
    lines.append(f"{_INDENT}more: pytest --mlflow-explain={slug}")
    return "\n".join(lines)


def _table(findings: Sequence[Finding]) -> list[str]:
    rule = RULES[findings[0].rule]
    noun = rule.noun or {"launches": "launch"}.get(rule.check, rule.check.removesuffix("s"))
    header = [noun, "fluent", "mlflow run", "run", "place"]
    rows = [
        [
            _cell(finding.subject),
            *_sides(finding.fluent, finding.mlflow_run),
            _cell(finding.run) if finding.run else "",
            _readable(finding.source_line) if finding.source_line else "",
        ]
        for finding in findings
    ]
    columns = [
        [title, *column]
        for title, column in zip(header, zip(*rows, strict=True), strict=True)
        if title not in ("run", "place") or any(column)
    ]
    widths = [max(map(width, column)) for column in columns]
    return ["    ".join(map(padded, row, widths)).rstrip() for row in zip(*columns, strict=True)]


def _sides(fluent: str | None, mlflow_run: str | None) -> tuple[str, str]:
    """The two sides as cells; where they differ, in what the cells show too."""
    one, other = _readable(fluent), _readable(mlflow_run)
    if one == other and fluent != mlflow_run:
        one, other = (_NOTHING if value is None else repr(value) for value in (fluent, mlflow_run))
    if one != other and _cut(one) == _cut(other):
        alike = [a == b for a, b in zip(one, other, strict=False)]
        start = [*alike, False].index(False) - _LONGEST_CELL // 4
        one, other = f"…{one[start:]}", f"…{other[start:]}"
    return _cut(one), _cut(other)


def _cell(value: str) -> str:
    return _cut(_readable(value))


def _readable(value: str | None) -> str:
    if value is None:
        return _NOTHING
    if not value:
        return "(empty)"
    return value if value == value.strip() and value.isprintable() else repr(value)


def _cut(text: str) -> str:
    if len(text) <= _LONGEST_CELL:
        return text
    half = (_LONGEST_CELL - 1) // 2
    return f"{text[:half]}…{text[-half:]}"


def padded(text: str, columns: int) -> str:
    """The text with blanks behind it, so that it takes that many columns of a terminal."""
    return text + " " * (columns - width(text))


def width(text: str) -> int:
    """How many columns of a terminal a text takes."""
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1
        for char in text
    )


def shortened(text: str, columns: int) -> str:
    """The text in no more than so many columns of a terminal: both ends of one that takes more."""
    if width(text) <= columns:
        return text
    half = (columns - 1) // 2
    start, end = _fitting(text, columns - 1 - half), len(text) - _fitting(reversed(text), half)
    # Without its letter, a combining character would go to the dots.
    while unicodedata.combining(text[end : end + 1] or " "):
        end += 1
    return f"{text[:start]}…{text[end:]}"


def _fitting(chars: Iterable[str], columns: int) -> int:
    """How many of the characters, one after the other, take no more than so many columns."""
    taken = fitting = 0
    for char in chars:
        taken += width(char)
        if taken > columns:
            break
        fitting += 1
    return fitting


def wrapped(text: str, columns: int, indent: str = "  ") -> list[str]:
    """The text in lines of no more than so many columns, but for words that are longer, such as a path.

    What stands between double blanks is code, which stays in one piece.
    """
    words: list[tuple[str, str]] = []
    for number, part in enumerate(text.split("  ")):
        first, *others = [part] if number % 2 else part.split(" ")
        words += [("  ", first), *((" ", word) for word in others)]
    (_, line), *words = words
    lines = [line]
    for gap, word in words:
        joined = f"{lines[-1]}{gap}{word}"
        if width(joined) <= columns:
            lines[-1] = joined
        else:
            lines.append(f"{indent}{word}")
    return lines


def _shortened(text: str) -> str:
    """The text with both ends of each long line; what is secret in it must be masked before."""
    half = _LONGEST_LINE // 2
    return "\n".join(
        line if len(line) <= _LONGEST_LINE else f"{line[:half]}…{line[-half:]}" for line in text.split("\n")
    )


def _distinct(texts: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(texts))


def _wrapped_fix(fix: str) -> list[str]:
    """A fix, whose code can be copied as it stands."""
    first = "fix: "
    lines = wrapped(" ".join(printable(fix).strip().splitlines()), WIDTH - len(_INDENT + first), indent="")
    return [f"{_INDENT}{' ' * len(first) if number else first}{line}" for number, line in enumerate(lines)]


def _wrap(text: str) -> list[str]:
    return textwrap.wrap(
        printable(text),
        WIDTH,
        initial_indent=_INDENT,
        subsequent_indent=_INDENT,
        break_long_words=False,
        break_on_hyphens=False,
    )
