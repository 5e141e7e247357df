"""Applies the fix of every rule to a project that deserves it, as text, and checks the project again.

    python tests/fixes/run.py [-k TEXT] [--area DIR] [--show]

Each row of `rows.py` is a project with one mistake. A session checks it, and its report says what to write,
and where. That is written, to the letter, and another session has to find the rule gone and nothing else that
fails, but for the rules that the row names as the next true thing. The exit code is 1 where a row isn't so.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from fixes.apply import NotApplicable, Printed, Project
from fixes.rows import NOT_AS_TEXT, ROWS, Row
from fixes.session import VARIABLE
from mutants.forked import fork_server_for_scripts
from pytest_mlflow_check.rules import RULES
from pytest_mlflow_check.runtime.forkserver.client import ForkServer
from pytest_mlflow_check.runtime.sandbox.environment import fork_server_environment

_TOGETHER = 8
"""Projects that one session checks."""

_TIMEOUT = 900.0

_USAGE_ERROR = re.compile(
    r"^ERROR: (?P<file>\S+):(?P<line>\d+): (?P<fix>.*?)\n +more: pytest --mlflow-explain=(?P<rule>[\w-]+)",
    re.DOTALL | re.MULTILINE,
)


@dataclass
class Outcome:
    """What came of a row.

    Attributes:
        row: the row.
        printed: the findings of its rule.
        fault: why it isn't as wanted; empty where it is.
        then: the rules that fail the project once the fix is applied.
    """

    row: Row
    printed: list[Printed] = field(default_factory=list)
    fault: str = ""
    then: tuple[str, ...] = ()
    applied: bool = False

    @property
    def green(self) -> bool:
        """Whether nothing fails any more."""
        return self.applied and not self.fault and not self.then


Findings = list[dict[str, Any]]


def check(
    projects: Mapping[str, Path], area: Path, options: Sequence[str], fork_server: ForkServer
) -> dict[str, Findings]:
    """Starts a session, and returns what is found of each project."""
    report = area / "report.json"
    report.unlink(missing_ok=True)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    ended = subprocess.run(
        [
            *(sys.executable, str(Path(__file__).with_name("session.py"))),
            *("-p", "no:cacheprovider", f"--basetemp={area / 'base'}", f"--mlflow-report={report}"),
            *(f"--mlflow-project={directory}" for directory in projects.values()),
            *options,
        ],
        cwd=area,
        # Whether or not there is a Docker: here isn't one.
        env={
            **environment,
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "DOCKER_HOST": "unix:///nowhere/docker.sock",
            VARIABLE: json.dumps({"address": fork_server.address, "env": dict(fork_server.env)}),
        },
        capture_output=True,
        text=True,
        timeout=_TIMEOUT,
        check=False,
    )
    found: dict[str, Findings] = {}
    if report.exists():
        for project in json.loads(report.read_text(encoding="utf-8"))["projects"]:
            id = next(id for id in projects if id in Path(project["name"]).parts)
            found[id] = [
                one for case in project["cases"] for each in case["checks"] for one in each["findings"]
            ]
    if ended.returncode == pytest.ExitCode.USAGE_ERROR and len(projects) == 1:
        return {id: [_usage_error(ended.stderr)] for id in projects}
    if ended.returncode not in (0, 1) or found.keys() != projects.keys():
        raise RuntimeError(f"exit code {ended.returncode}\n{ended.stdout}\n{ended.stderr}")
    return found


def _usage_error(stderr: str) -> dict[str, Any]:
    """What a session ends with that can't read a project, as a finding of a report has it."""
    said = _USAGE_ERROR.search(stderr)
    if said is None:
        raise RuntimeError(stderr)
    fix = ""
    for line in said["fix"].splitlines():
        # A line that ends in code.
        fix += line.strip() + ("  " if line.strip().count("  ") % 2 else " ")
    place = {"file": Path(said["file"]).name, "line": int(said["line"])}
    return {"rule": said["rule"], "severity": "error", "subject": "", "fix": fix, "code": [], **place}


def printed(finding: Mapping[str, Any]) -> Printed:
    """A finding of the report, as far as it is needed to apply its fix."""
    line = finding["file"] and finding["line"] and f"{finding['file']}:{finding['line']}"
    parts = tuple((part["title"], part["text"]) for part in finding["code"])
    return Printed(finding["rule"], finding["subject"], finding["fix"], line, parts)


def try_rows(rows: Sequence[Row], area: Path, fork_server: ForkServer) -> list[Outcome]:
    """Checks the projects, applies the fixes, and checks them again."""
    outcomes = {row.id: Outcome(row) for row in rows}
    projects = {row.id: Project(area / row.id / row.id) for row in rows}
    for row in rows:
        row.project.write(projects[row.id].directory)
    readable = [row.id for row in rows if row.project.error is None]
    first: dict[str, Findings] = {}
    for ids in [readable, *([row.id] for row in rows if row.project.error)]:
        if ids:
            first |= check({id: projects[id].directory for id in ids}, area, (), fork_server)
    for id, outcome in outcomes.items():
        rule = outcome.row.rule
        outcome.printed = [printed(one) for one in first.get(id, ()) if one["rule"] == rule]
        if not outcome.printed:
            outcome.fault = f"not found; but {_rules(first.get(id, ()))}"
            continue
        try:
            projects[id].apply(outcome.printed, outcome.row.puts)
            outcome.applied = True
        except (NotApplicable, subprocess.CalledProcessError) as error:
            outcome.fault = str(error)
    by_options: dict[tuple[str, ...], list[str]] = {}
    for id, outcome in outcomes.items():
        if outcome.applied:
            by_options.setdefault(tuple(projects[id].options), []).append(id)
    for options, ids in by_options.items():
        again = check({id: projects[id].directory for id in ids}, area, options, fork_server)
        for id in ids:
            _judge(outcomes[id], again[id])
    return list(outcomes.values())


def _judge(outcome: Outcome, findings: Findings) -> None:
    row = outcome.row
    errors = {one["rule"] for one in findings if one["severity"] == "error"}
    outcome.then = tuple(rule for rule in RULES if rule in errors) + tuple(sorted(errors - RULES.keys()))
    if any(one["rule"] == row.rule for one in findings) and row.rule not in row.then:
        outcome.fault = f"found again: {_rules(findings)}"
    elif outcome.then != row.then:
        outcome.fault = f"then {', '.join(outcome.then) or 'nothing'}"


def _rules(findings: Iterable[Mapping[str, Any]]) -> str:
    return ", ".join(dict.fromkeys(one["rule"] for one in findings)) or "nothing"


def table(outcomes: Sequence[Outcome], *, show: bool) -> str:
    """A line a row; below it what is printed, where that is asked for, or where it isn't as wanted."""
    lines = []
    for outcome in outcomes:
        row = outcome.row
        verdict = (
            "NOT AS WANTED" if outcome.fault else "green" if outcome.green else f"then {', '.join(row.then)}"
        )
        lines.append(f"{row.id:44} {row.rule:30} {verdict}")
        if outcome.fault:
            lines.append(f"    {outcome.fault}")
        if show or outcome.fault:
            for one in dict.fromkeys(outcome.printed):
                lines.append(f"    {one.source_line or '':16} {one.subject}: {one.fix}")
                lines += [f"        {title}:\n{text}" for title, text in one.parts]
    return "\n".join(lines)


def counts(outcomes: Sequence[Outcome]) -> str:
    """How many rules, fixes applied, and next runs green."""
    applied = [outcome for outcome in outcomes if outcome.applied]
    rules = {outcome.row.rule for outcome in applied}
    green = sum(outcome.green for outcome in outcomes)
    other = sum(bool(outcome.then) and not outcome.fault for outcome in outcomes)
    wrong = sum(bool(outcome.fault) for outcome in outcomes)
    return (
        f"{len(RULES)} rules: {len(rules)} with a fix applied as text, {len(NOT_AS_TEXT)} whose fix isn't "
        f"text; {len(applied)} fixes applied; the next run green {green}, naming the next true thing "
        f"{other}; {wrong} not as wanted"
    )


def main() -> int:
    """Applies the fixes asked for, and prints what came of them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "-k", default="", metavar="TEXT", help="only rows with this expression in rule and id"
    )
    parser.add_argument("--area", type=Path, metavar="DIR", help="leave the projects, as they are then, here")
    parser.add_argument("--show", action="store_true", help="show what is printed")
    options = parser.parse_args()
    rows = [row for row in ROWS if re.search(options.k, f"{row.rule} {row.id}")]
    if not rows:
        parser.error("no such row")
    with tempfile.TemporaryDirectory(prefix="fixes-") as scratch:
        area = (options.area or Path(scratch)).resolve()
        area.mkdir(parents=True, exist_ok=True)
        fork_server = fork_server_for_scripts(fork_server_environment([area]))
        fork_server.begin()
        try:
            outcomes = []
            for start in range(0, len(rows), _TOGETHER):
                outcomes += try_rows(rows[start : start + _TOGETHER], area, fork_server)
                print(table(outcomes[start:], show=options.show), flush=True)
        finally:
            fork_server.stop()
    if not options.k:
        print("\nnot as text:")
        print("\n".join(f"{rule:30} {reason}" for rule, reason in NOT_AS_TEXT.items()))
    print(f"\n{counts(outcomes)}")
    return int(any(outcome.fault for outcome in outcomes))


if __name__ == "__main__":
    raise SystemExit(main())
