"""The report as Markdown, for a comment on a pull request or `$GITHUB_STEP_SUMMARY`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from pytest_mlflow_check.reporting.grouping import Group, grouped, source_line_of
from pytest_mlflow_check.reporting.model import Case, Check, Document, Excerpt, Project
from pytest_mlflow_check.reporting.redaction import cut

MOST = 60_000
"""Characters: GitHub takes 65,536 for a comment, and a comment holds more than this report."""

_LONGEST = 200
"""Characters of a value."""

_LONGEST_BLOCK = 4000
_MOST_FINDINGS = 50
_MOST_UNWRITTEN = 5
_MOST_ROWS = 200
"""Cases in the table: most of what there may be room for."""

_SIGNS = {
    "passed": "✅ passed",
    "failed": "❌ failed",
    "skipped": "⏭️ skipped",
    "error": "⚠️ error",
    "not-run": "⏹️ not made",
    "incomplete": "⏹️ incomplete",
}


def render_markdown(report: Document) -> str:
    """The report, no longer than GitHub takes it: what doesn't fit is counted at the end."""
    head = f"## {_SIGNS[report.verdict].split(' ')[0]} mlflow-check: {_text(report.headline)}\n"
    versions = ", ".join(f"{_text(name)} {_text(version)}" for name, version in report.versions.items())
    foot = f"\n<sub>{versions}</sub>\n"
    parts = [head, *_unwritten(report), _table(report), *_sections(report)]
    room = MOST - len(foot) - 100
    kept: list[str] = []
    for part in parts:
        if sum(map(len, kept)) + len(part) > room:
            break
        kept.append(part)
    if len(kept) < len(parts):
        more = len(parts) - len(kept)
        kept.append(f"\n…and {more} more: there is room for no more here; the HTML report has all of it.\n")
    return "".join([*kept, foot])


def _unwritten(report: Document) -> Iterator[str]:
    if report.unwritten:
        yield "\n**Not written into the contract:**\n"
    for why in report.unwritten[:_MOST_UNWRITTEN]:
        yield f"\n{_block(why)}\n"
    if (more := len(report.unwritten) - _MOST_UNWRITTEN) > 0:
        yield f"\n…and {more} more.\n"


def _table(report: Document) -> str:
    rows = [["case", *report.checks], ["---"] * (len(report.checks) + 1)]
    cases = [(project, case) for project in report.projects for case in project.cases if case.checks]
    for project, case in cases[:_MOST_ROWS]:
        checks = {check.name: check for check in case.checks}
        rows.append([_title(project, case), *(_cell(checks.get(name)) for name in report.checks)])
    more = f"\n…and {len(cases) - _MOST_ROWS} more cases.\n" if len(cases) > _MOST_ROWS else ""
    return "\n" + "".join(f"| {' | '.join(row)} |\n" for row in rows) + more


def _title(project: Project, case: Case) -> str:
    return _code(f"{project.name}::{case.id}")


def _cell(check: Check | None) -> str:
    if check is None:
        return "—"
    warnings = sum(one.severity == "warning" for one in check.findings)
    return _SIGNS[check.outcome] + (f" ({warnings} ⚠️)" if warnings else "")


def _sections(report: Document) -> Iterator[str]:
    """A part for each kind of finding of a case: what there is no room for is left out whole."""
    for project in report.projects:
        for case in project.cases:
            for check in case.checks:
                if check.outcome == "error":
                    summary = f"{_title(project, case)}: {_text(check.name)} could not be made"
                    yield _details(summary, [_block(check.reason)], opened=True)
                for group in grouped(check.findings):
                    yield _findings(project, case, group)
        for allowance in project.allowances:
            if allowance.used is False:
                yield (
                    f"\n⚠️ {_code(project.name)}: nothing needed the allowance of {_code(allowance.rule)} for "
                    f"{_code(allowance.match)}: remove it\n"
                )


def _findings(project: Project, case: Case, group: Group) -> str:
    sign = "❌" if group.severity == "error" else "⚠️"
    summary = f"{sign} {_title(project, case)}: {_text(group.title)} {_code(group.rule)}"
    lines = ["| | fluent | mlflow run | place |\n| --- | --- | --- | --- |\n"]
    for one in group.findings[:_MOST_FINDINGS]:
        place = source_line_of(one)
        subject = f"{one.run}: {one.subject}" if one.run else one.subject
        sides = (_value(one.fluent), _value(one.mlflow_run), _code(place) if place else "")
        lines.append(f"| {_code(subject)} | {' | '.join(sides)} |\n")
    more = len(group.findings) - _MOST_FINDINGS
    body = ["".join(lines), *([f"…and {more} more."] if more > 0 else [])]
    body += [_prose(why) for why in group.whys]
    body += [f"**Fix:** {_prose(fix)}" for fix in group.fixes]
    for part in group.code:
        body += [_prose(part.title), _block(part.text, _language(part.text))]
    body += [_block(_excerpt(source)) for source in group.sources]
    body += [_block(detail) for detail in group.details]
    return _details(summary, body, opened=group.severity == "error")


def _details(summary: str, body: Sequence[str], *, opened: bool) -> str:
    inside = "\n\n".join(part.strip("\n") for part in body)
    return f"\n<details{' open' if opened else ''}><summary>{summary}</summary>\n\n{inside}\n\n</details>\n"


def _excerpt(source: Excerpt) -> str:
    width = len(str(source.lines[-1].number))
    lines = (
        f"{'>' if line.number == source.line else ' '} {line.number:{width}} {line.text}"
        for line in source.lines
    )
    return "\n".join([f"{source.file}:{source.line}", *lines])


def _value(value: str | None) -> str:
    return "—" if value is None else _code(value) if value else "(empty)"


def _code(text: str) -> str:
    """Text as code within a line or a table. Nobody is mentioned from within code."""
    return f"<code>{_escaped(cut(text, _LONGEST))}</code>"


def _prose(text: str) -> str:
    """A sentence of ours, in which code stands between backticks."""
    parts = re.split(r"`([^`\n]+)`", text)
    return "".join(_code(part) if position % 2 else _text(part) for position, part in enumerate(parts))


def _text(text: str) -> str:
    # GitHub looks for mentions and references in what Markdown has become: escaping doesn't help there.
    return re.sub(r"(@|&#35;)", "\\1&#8203;", _escaped(text))


def _escaped(text: str) -> str:
    """Text in which nothing is Markdown or HTML any more, in one line."""
    text = re.sub(r"\s+", " ", text)
    text = re.sub(r"[!-,:-?\[-`{-~]|^-|(?<=www)\.", lambda found: f"&#{ord(found[0])};", text)
    return re.sub(r"^(\d+)\.(?= |$)", r"\1&#46;", text)


def _language(code: str) -> str:
    """What a contract says and what it would say is a difference; all else to paste is Python."""
    if code.startswith("[["):
        return "toml"
    return "diff" if all(line.startswith(("- ", "+ ")) for line in code.splitlines()) else "python"


def _block(text: str, language: str = "") -> str:
    """Text as a block of code, behind a fence that is longer than any in it."""
    text = cut(text, _LONGEST_BLOCK)
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text}\n{fence}"
