"""The header and the summary table."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

import pytest

from pytest_mlflow_check.config.settings import ResolvedConfig, shown_setting
from pytest_mlflow_check.core.findings import CHECKS, Allowance, CheckResult, Finding
from pytest_mlflow_check.core.text import listed, printable
from pytest_mlflow_check.core.versions import versions
from pytest_mlflow_check.engine.planning import unused_allowances
from pytest_mlflow_check.plugin.item_report import MadeLaunch, annotations_of, made_launches
from pytest_mlflow_check.plugin.table import laid_out
from pytest_mlflow_check.reporting.github import Annotation, annotated
from pytest_mlflow_check.reporting.text import render_title, values_of, wrapped

if TYPE_CHECKING:
    from pytest_mlflow_check.plugin.collection import CheckItem
    from pytest_mlflow_check.plugin.project import CheckedProject

_SHOWN = ("store", "launch", "timeout", "strict")

_NARROWEST = 80
"""Columns that are used on narrower terminals too, which then break the lines."""

_MOST_SUBJECTS = 10
"""Names that a warning has in the summary."""

_MOST_STORES = 3
"""Failed cases of which the summary says how to look at what they logged."""


class CheckSummary(TypedDict):
    """One check's part of the summary, in plain data."""

    path: str
    name: str
    case: str
    check: str
    verdict: str
    warnings: list[str]
    skipped: str | None
    used_allowances: list[int] | None
    kept: str | None
    notes: list[str]
    passed: bool
    cached: float | None
    launches: list[MadeLaunch]
    annotations: list[Annotation]


def header(
    settings: Sequence[ResolvedConfig], fork_server_error: str | None, *, static: bool = False
) -> list[str]:
    """A line for the versions, and one a project with the settings in force and where they came from.

    One more where MLflow can't be kept loaded, which makes all of it slow.
    """
    lines = [f"mlflow-check: {versions()['pytest-mlflow-check']}, mlflow {versions()['mlflow']}"]
    if static:
        # No setting of launches counts then.
        return [*lines, "mlflow-check: static: nothing is launched"]
    for one in settings:
        by_origin: dict[str, list[str]] = {}
        made = () if one.values.env_manager == "local" else ("env_manager",)
        kept = ("cache",) if one.values.cache else ()
        for key in (*_SHOWN, *made, *kept):
            by_origin.setdefault(one.origin(key), []).append(
                f"{key} {shown_setting(key, getattr(one.values, key))}"
            )
        values = "; ".join(f"{', '.join(shown)} ({origin})" for origin, shown in by_origin.items())
        lines.append(printable(f"mlflow-check: {os.path.relpath(one.project)}: {values}"))
    return [*lines, _without_fork_server(fork_server_error)] if fork_server_error else lines


def check_summary(item: CheckItem, report: pytest.TestReport) -> CheckSummary:
    """What the summary says of an item that ran."""
    result = item.result or CheckResult(item.check)
    cached = item.project.cached(item.case)
    warnings: dict[str, list[Finding]] = {}
    for finding in result.findings:
        if finding.severity == "warning":
            warnings.setdefault(finding.rule, []).append(finding)
    return {
        "path": str(item.project.path),
        "name": printable(os.path.relpath(item.project.settings.project, item.config.rootpath)),
        "case": item.case.id,
        "check": item.check,
        "verdict": _word(report, cached),
        "warnings": [
            printable(
                # What holds for one of them holds for all, but for names.
                f"{render_title(rule, found)}: {_told(found)} [{rule}]: {found[0].why} "
                f"fix: {' '.join(found[0].fix.split())}"
            )
            for rule, found in warnings.items()
        ],
        "skipped": result.skipped,
        "used_allowances": list(result.used_allowances) if item.result else None,
        "kept": _launch_files_of(item, cached) if report.failed and not item.project.static else None,
        "notes": [printable(note) for note in item.project.notes(item.case)],
        "passed": _passed(item, report),
        "cached": cached,
        "launches": made_launches(item.project.launches(item.case)),
        "annotations": annotations_of(item, report.longreprtext if report.failed else None),
    }


class Summary:
    """Collects lines from this process and from workers, and writes the table."""

    def __init__(self, projects: Sequence[CheckedProject]) -> None:
        """Takes all that are checked."""
        # Where only some of a project's cases are looked at, others may need an allowance.
        self._policies = {
            str(project.path): project.policy
            for project in projects
            if not (project.settings.narrowed or project.updating or project.static)
        }
        self._checks = {
            (str(project.path), case.id): project.checks(case)
            for project in projects
            for case in project.cases
        }
        self._order = list(self._checks)
        self._lines: dict[tuple[str, str, str], CheckSummary] = {}

    def add(self, line: CheckSummary) -> None:
        """Takes one check's line; a later one for the same check replaces it."""
        self._lines[line["path"], line["case"], line["check"]] = line

    def unused_allowances(self) -> list[tuple[str, Allowance]]:
        """Allowances no finding needed, with the project's name; only where every check was made."""
        names = {line["path"]: line["name"] for line in self._lines.values()}
        return [(names[path], one) for path in self._policies for one in self.unused_of(Path(path)) or ()]

    def unused_of(self, path: Path) -> tuple[Allowance, ...] | None:
        """The same of the project whose nodes hang on a path; None where that can't be told."""
        policy = self._policies.get(str(path))
        lines = [line for line in self._lines.values() if line["path"] == str(path)]
        results = [
            CheckResult(line["check"], skipped=line["skipped"], used_allowances=tuple(used))
            for line in lines
            if (used := line["used_allowances"]) is not None
        ]
        expected = sum(len(made) for (one, _), made in self._checks.items() if one == str(path))
        if policy is None or len(results) != expected:
            return None
        return unused_allowances(policy, results)

    def write(
        self, reporter: pytest.TerminalReporter, *, strict: bool, fork_server_error: str | None = None
    ) -> None:
        """Writes the table, and below it warnings and allowances that nothing needed.

        The latter are no item's, so when strict they say that they fail the session. The last line tells
        where MLflow couldn't be kept loaded after all.
        """
        if not self._lines:
            return
        reporter.write_sep("=", "mlflow-check")
        columns = max(_NARROWEST, reporter.config.get_terminal_writer().fullwidth)
        cases = self._cases()
        checks = [check for check in CHECKS if any(check in self._checks[case] for case in cases)]
        rows = [["case", *checks]]
        for (path, case), name in cases.items():
            verdicts = [self._verdict(path, case, check) for check in checks]
            rows.append([printable(f"{name}::{case}"), *verdicts])
        for cells in laid_out(rows, columns):
            for cell in cells:
                reporter.write(cell, **_MARKUP.get(cell.split(" ")[0], {}))
            reporter.write("\n")
        for text, markup in self._notes(strict=strict):
            for line in wrapped(text, columns):
                # What CI takes for a command may begin a line only now.
                reporter.write_line(printable(line), **markup)
        for line in self._stores():
            reporter.write_line(line)
        if fork_server_error:
            for line in wrapped(_without_fork_server(fork_server_error), columns):
                reporter.write_line(line)
        for annotation in annotated(self._by_importance(), os.environ):
            reporter.write_line(annotation)

    def _by_importance(self) -> Iterator[tuple[str, Annotation]]:
        """What there is to say of each case: of the launches of all first, since others hang on them."""
        for line in sorted(self._in_order(), key=lambda line: CHECKS.index(line["check"])):
            # What is expected to fail, or switched off, is nobody's concern.
            if line["verdict"] != "skipped":
                yield from (
                    (f"{line['name']}::{line['case']}", annotation) for annotation in line["annotations"]
                )

    def _notes(self, *, strict: bool) -> Iterator[tuple[str, dict[str, bool]]]:
        """What is to be said below the table, a paragraph each."""
        for (name, case), since in self._cached().items():
            moment = datetime.fromtimestamp(since).isoformat(" ", "seconds")
            yield f"cached: {name}::{case}: launched {moment}", {}
        for line in self._in_order():
            for warning in line["warnings"] if line["verdict"] != "FAILED" else ():
                yield f"warning: {line['name']}::{line['case']}: {warning}", {"yellow": True}
        notes = ((line["name"], note) for line in self._in_order() for note in line["notes"])
        for name, note in dict.fromkeys(notes):
            kind, _, text = note.partition(": ")
            yield f"{kind}: {name}: {text}", {"yellow": kind == "warning"}
        for name, allowance in self.unused_allowances():
            text = printable(f'[[allow]] rule = "{allowance.rule}", match = "{allowance.match}"')
            kind = "error (strict)" if strict else "warning"
            yield (
                f"{kind}: {name}: {text}: nothing needed it; remove it",
                {"yellow": not strict, "red": strict},
            )
        for session_dir in dict.fromkeys(line["kept"] for line in self._in_order() if line["kept"]):
            yield f"copies, stores and outputs of the launches: {session_dir}", {}

    def _stores(self) -> Iterator[str]:
        """How to look at what failed cases logged, as commands to paste, which no line end may break."""
        failed = {
            f"{line['name']}::{line['case']}": logged
            for line in self._in_order()
            if line["verdict"] == "FAILED"
            and (logged := [launch for launch in line["launches"] if launch["runs"]])
        }
        for case, launches in list(failed.items())[:_MOST_STORES]:
            modes = " and ".join(launch["mode"].replace("-", " ") for launch in launches)
            yield printable(f"to look at what {case} logged ({modes}):")
            yield from (f"  {_browsing(launch['store_uri'])}" for launch in launches)
        if len(failed) > _MOST_STORES:
            yield f"  … and so for {len(failed) - _MOST_STORES} more"

    def passed(self, path: Path, case: str) -> bool | None:
        """Whether every check of a case passed; None where some weren't made, and the others passed."""
        lines = [self._lines.get((str(path), case, check)) for check in self._checks[str(path), case]]
        if not all(line["passed"] for line in lines if line):
            return False
        return True if all(lines) else None

    def _cached(self) -> dict[tuple[str, str], float]:
        return {
            (line["name"], line["case"]): line["cached"]
            for line in self._in_order()
            if line["cached"] is not None
        }

    def _in_order(self) -> list[CheckSummary]:
        keys = [(*case, check) for case, checks in self._checks.items() for check in checks]
        return [self._lines[key] for key in keys if key in self._lines]

    def _cases(self) -> dict[tuple[str, str], str]:
        """The name of the project for each case that has a line, in the order of the settings."""
        names = {(path, case): line["name"] for (path, case, _), line in self._lines.items()}
        # Workers report in any order.
        return {case: names[case] for case in self._order if case in names}

    def _verdict(self, path: str, case: str, check: str) -> str:
        line = self._lines.get((path, case, check))
        if line is None:
            return "-"
        warned = len(line["warnings"]) if line["verdict"] in ("passed", "cached") else 0
        return f"{line['verdict']} ({warned}w)" if warned else line["verdict"]


def _word(report: pytest.TestReport, cached: float | None) -> str:
    if report.failed or report.skipped:
        return "FAILED" if report.failed else "skipped"
    return "passed" if cached is None else "cached"


def _launch_files_of(item: CheckItem, cached: float | None) -> str:
    launcher = item.project.resources.launcher
    return str(launcher.session_dir if cached is None else launcher.cache_dir)


def _passed(item: CheckItem, report: pytest.TestReport) -> bool:
    """Whether a check found nothing; where there was nothing to check it did, but for the launches."""
    if item.result is None or report.failed or (item.check == "launches" and item.result.skipped):
        return False
    # An expected failure is none.
    return not item.result.failed(strict=item.project.settings.values.strict)


def _told(findings: Sequence[Finding]) -> str:
    """The subjects, each with what the launches have to show and where."""
    subjects: dict[str, str] = {}
    for finding in findings:
        told = "; ".join(filter(None, (values_of(finding), finding.source_line)))
        subjects.setdefault(finding.subject, f"{finding.subject} ({told})" if told else finding.subject)
    return listed(list(subjects.values()), _MOST_SUBJECTS)


def _browsing(store_uri: str) -> str:
    """The command that shows a store; MLflow 3.13 and later refuse one in files without the variable."""
    allowed = "MLFLOW_ALLOW_FILE_STORE=true " if store_uri.startswith("file:") else ""
    return f"{allowed}mlflow ui --backend-store-uri {shlex.quote(store_uri)}"


def _without_fork_server(why: str) -> str:
    return f"mlflow-check: MLflow is loaded anew for each `mlflow run` and each model validation: {why}"


_MARKUP = {
    "FAILED": {"red": True, "bold": True},
    "passed": {"green": True},
    "cached": {"green": True},
    "skipped": {"yellow": True},
}
