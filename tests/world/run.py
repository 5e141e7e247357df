"""Checks the projects of `expected.tsv` as a user does, and holds what is said against what is wanted.

    python tests/world/run.py [-j N] [-k PATTERN]

Each project is copied, and checked by a session in a process of its own. A row stands for its kind. What
needs a library that isn't installed is left out, and named. The exit code is 1 where a row isn't as wanted.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from csv import DictReader
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
PROJECTS = HERE / "projects"

_TIMEOUT = 900.0
"""Seconds for one session."""

_MODULES = {"scikit-learn": "sklearn", "hydra-core": "hydra", "optuna-integration": "optuna_integration"}
"""Names of modules that aren't those of their packages."""

_AUTHOR = ("-c", "user.name=a", "-c", "user.email=a@example.org")

_SLUG = re.compile(
    r"(?<![\w-])(?:artifact|call|dataset|experiment|logged|metric|model|param|prompt|registered|run|trace|tracking)"
    r"(?:-[a-z]+)+"
)
"""The slug of a rule, also of one that isn't there yet."""


@dataclass(frozen=True)
class Row:
    """What is wanted of a project.

    Attributes:
        project: its directory.
        needs: the packages it needs besides MLflow.
        wanted: in words, with the slugs of rules.
        says, avoids: what the output holds, and what it must not hold.
    """

    project: str
    needs: tuple[str, ...]
    wanted: str
    says: tuple[str, ...]
    avoids: tuple[str, ...]

    @property
    def missing(self) -> list[str]:
        """The packages that aren't installed."""
        return [name for name in self.needs if not importlib.util.find_spec(_MODULES.get(name, name))]

    @property
    def rules(self) -> set[str]:
        """The slugs that `wanted` names."""
        return set(_SLUG.findall(self.wanted))


@dataclass(frozen=True)
class Outcome:
    """What a session said of a project.

    Attributes:
        row: what was wanted.
        found: the rules that were named, those of errors first.
        faults: how it isn't as wanted; empty where it is.
        seconds: how long the session took.
    """

    row: Row
    found: tuple[str, ...]
    faults: tuple[str, ...]
    seconds: float


def rows() -> Iterator[Row]:
    """The rows of `expected.tsv`."""
    with (HERE / "expected.tsv").open(encoding="utf-8") as lines:
        for row in DictReader(lines, delimiter="\t"):
            yield Row(
                row["project"],
                tuple(row["needs"].replace("-", "").split() if row["needs"] == "-" else row["needs"].split()),
                row["wanted"],
                _phrases(row["must say"]),
                _phrases(row["must not say"]),
            )


def check(row: Row, area: Path) -> Outcome:
    """Starts a session for a project, and judges what it said."""
    place = area / row.project
    shutil.copytree(PROJECTS / row.project, place)
    # As people have it: what lies around a project is found by the repository that holds it.
    for command in (["init", "-q"], ["add", "-A"], [*_AUTHOR, "commit", "-q", "-m", "all"]):
        subprocess.run(["git", *command], cwd=place, check=True)
    projects = sorted(path.parent for path in place.rglob("MLproject"))
    report = area / f"{row.project}.json"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    ended = subprocess.run(
        [
            *(
                sys.executable,
                "-m",
                "pytest",
                f"--mlflow-report={report}",
                f"--basetemp={area / 'base'}-{row.project}",
            ),
            *(f"--mlflow-project={project}" for project in projects),
        ],
        cwd=place,
        env={**environment, "MLFLOW_DISABLE_TELEMETRY": "true", "COLUMNS": "400"},
        capture_output=True,
        text=True,
        timeout=_TIMEOUT,
        check=False,
    )
    said = json.loads(report.read_text(encoding="utf-8")) if report.exists() else {}
    severities: dict[str, str] = {}
    for finding in _findings(said):
        severities.setdefault(finding["rule"], finding["severity"])
    output = " ".join((ended.stdout + ended.stderr).split())
    errors = sorted(rule for rule, severity in severities.items() if severity == "error")
    warnings = sorted(set(severities) - set(errors))
    return Outcome(
        row,
        (*errors, *(f"({rule})" for rule in warnings)),
        tuple(_faults(row, errors, {*severities}, output, ended.returncode)),
        float(said.get("duration", 0.0)),
    )


def _faults(row: Row, errors: Sequence[str], found: set[str], output: str, code: int) -> Iterator[str]:
    if code not in (0, 1):
        yield f"exit code {code}: {output[-300:]}"
    # `clean but` is followed by what may be found.
    wanted = set() if row.wanted.startswith("clean but") else row.rules
    yield from (f"{rule} wasn't found" for rule in sorted(wanted - found))
    if row.wanted.startswith(("clean", "warning")):
        yield from (f"{rule} was found" for rule in errors)
    yield from (f"doesn't say {phrase!r}" for phrase in row.says if not _holds(output, phrase, row))
    yield from (f"says {phrase!r}" for phrase in row.avoids if phrase in output)


def _holds(output: str, phrase: str, row: Row) -> bool:
    """Whether a phrase stands in the output, or what of it looks like code; of `CODE line`, where that is."""
    if re.fullmatch(r"\S+ line", phrase):
        return any(place in output for place in _places(row, phrase.removesuffix(" line")))
    if phrase.startswith("headings name "):
        names = phrase.removeprefix("headings name ").split(" and ")
        return all(re.search(rf"\b{name}::main\b", output) for name in names)
    code = [word for word in phrase.split() if re.search(r"[().=_\d/]", word)]
    return phrase in output or (bool(code) and all(word.strip(",:") in output for word in code))


def _places(row: Row, code: str) -> Iterator[str]:
    """The lines of a project that hold some code, or are in a file of that name, such as `train.py:12`."""
    for file in (PROJECTS / row.project).rglob("*.py"):
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
            if code in line or code == file.name:
                yield f"{file.name}:{number}"


def _findings(said: object) -> Iterator[dict[str, str]]:
    if isinstance(said, dict):
        if "rule" in said and "severity" in said:
            yield said
        for value in said.values():
            yield from _findings(value)
    elif isinstance(said, list):
        for value in said:
            yield from _findings(value)


def _phrases(text: str | None) -> tuple[str, ...]:
    return tuple(phrase.strip() for phrase in (text or "").split(";") if phrase.strip())


def main() -> None:
    """Checks the rows that were asked for, and prints a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("-j", type=int, default=2, metavar="N", help="sessions at a time")
    parser.add_argument("-k", default="", metavar="PATTERN", help="projects whose names or needs match")
    options = parser.parse_args()
    chosen = [row for row in rows() if re.search(options.k, " ".join([row.project, *row.needs]))]
    left_out = {row.project: row.missing for row in chosen if row.missing}
    with tempfile.TemporaryDirectory() as scratch, ThreadPoolExecutor(options.j) as pool:
        area = Path(scratch).resolve()
        outcomes = []
        for outcome in pool.map(lambda row: check(row, area), [row for row in chosen if not row.missing]):
            outcomes.append(outcome)
            verdict = "as wanted" if not outcome.faults else "NOT as wanted"
            print(f"{outcome.row.project:36} {verdict:14} {', '.join(outcome.found)}", flush=True)
            for fault in outcome.faults:
                print(f"    {fault}")
    for project, packages in left_out.items():
        print(f"{project:36} left out       needs {', '.join(packages)}")
    wrong = sum(bool(outcome.faults) for outcome in outcomes)
    print(f"{len(outcomes)} projects, {wrong} not as wanted, {len(left_out)} left out")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
