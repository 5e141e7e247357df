"""Launches the mutants and prints the matrix: what was expected, found, missed, false, in a wrong place.

    python tests/mutants/matrix.py [-j 2] [--observer on|off] [--store file|sqlite] [-k TEXT] [--base NAME]
                                   [--area DIR] [--json FILE]

With --area, launches that are there already are judged again, not made again: for work on the rules. After a
change to what launches record, or to the mutants' own settings, name a new directory.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.metadata
import json
import os
import resource
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from pathlib import Path

# Started as a script, Python looks for modules beside it; the package is one higher.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from mutants import MUTANTS
from mutants.mutant import Mutant
from pytest_mlflow_check.engine import check_project
from pytest_mlflow_check.environment import warm_environment
from pytest_mlflow_check.errors import UserError
from pytest_mlflow_check.findings import Report
from pytest_mlflow_check.rules import RULES
from pytest_mlflow_check.session import preparation
from pytest_mlflow_check.settings import load_settings
from pytest_mlflow_check.warm import Warm, WarmProcess

MAJOR = int(importlib.metadata.version("mlflow").partition(".")[0])


@dataclass(frozen=True)
class Conditions:
    """How the mutants are launched.

    Attributes:
        observer: whether the calls are observed.
        store: `file` or `sqlite`.
        area: where projects and launches are kept.
        warm: what keeps MLflow loaded, if anything does.
    """

    observer: bool
    store: str
    area: Path
    warm: Warm | None


@dataclass(frozen=True)
class Found:
    """A finding, or what else came of a mutant: a usage error, an unused allowance, an exception.

    Attributes:
        check, rule, subject, place: as of `Finding`; of one that is expected, the subject is a pattern.
        why: the reason; of one that is expected, a text in it.
    """

    check: str
    rule: str
    subject: str
    place: str | None = None
    why: str = ""

    def __str__(self) -> str:
        return f"{self.rule} of {self.subject}" + (f" in {self.place}" if self.place else "")

    def matches(self, found: Found) -> bool:
        """Whether another one is what is expected here, wherever its place is."""
        same = (self.check, self.rule) == (found.check, found.rule) and self.why in found.why
        return same and (self.subject == found.subject or fnmatchcase(found.subject, self.subject))

    def at_place_of(self, found: Found) -> bool:
        """Whether another one is in the place that is expected here, if any."""
        return self.place in (None, found.place)


@dataclass(frozen=True)
class Outcome:
    """What came of one mutant.

    Attributes:
        id, base: of the mutant.
        found: everything.
        expected, missed: by rule and subject.
        false: what was found and not expected.
        misplaced: what was found as expected, but for the place, with the right place.
        seconds: from start to end.
    """

    id: str
    base: str
    found: tuple[Found, ...]
    expected: tuple[Found, ...]
    missed: tuple[Found, ...]
    false: tuple[Found, ...]
    misplaced: tuple[tuple[Found, str], ...]
    seconds: float

    @property
    def right(self) -> bool:
        """Whether exactly what was expected was found."""
        return not (self.missed or self.false or self.misplaced)


def try_mutant(mutant: Mutant, conditions: Conditions) -> Outcome:
    """Writes a mutant, launches and judges it, and compares."""
    started = time.monotonic()
    texts = json.dumps(mutant.texts(), sort_keys=True)
    # Another text is another project: what was launched before isn't taken for it.
    home = conditions.area / mutant.id / hashlib.sha256(texts.encode()).hexdigest()[:8]
    project = home / "project"
    if not project.exists():
        mutant.write(project)
    found = _findings(mutant, project, home / "launches", conditions)
    wanted = _wanted(mutant, project, conditions.observer)
    missed, false, misplaced = compare(wanted, found)
    return Outcome(
        mutant.id,
        mutant.base,
        tuple(found),
        tuple(wanted),
        tuple(missed),
        tuple(false),
        tuple(misplaced),
        time.monotonic() - started,
    )


def compare(
    wanted: Sequence[Found], found: Sequence[Found]
) -> tuple[list[Found], list[Found], list[tuple[Found, str]]]:
    """What is missed, false and in a wrong place; each finding counts once."""
    left = list(found)
    unplaced: list[Found] = []
    # First those in the right place, so that of several alike none is taken for another.
    for expected in wanted:
        if best := next((one for one in left if expected.matches(one) and expected.at_place_of(one)), None):
            left.remove(best)
        else:
            unplaced.append(expected)
    missed: list[Found] = []
    misplaced: list[tuple[Found, str]] = []
    for expected in unplaced:
        if best := next((one for one in left if expected.matches(one)), None):
            left.remove(best)
            misplaced.append((best, str(expected.place)))
        else:
            missed.append(expected)
    return missed, left, misplaced


def _wanted(mutant: Mutant, project: Path, observer: bool) -> list[Found]:
    """What has to be found, with the place, where one is asked for."""
    if mutant.error is not None:
        return [Found("usage", mutant.error, "")]
    if observer:
        return [
            Found(one.check, one.rule, one.subject, one.place(project), one.says) for one in mutant.expected
        ]
    return [
        Found(one.check, one.rule, one.subject if one.unseen is None else one.unseen, None, one.says)
        for one in mutant.expected
        if one.rule not in RULES or not RULES[one.rule].needs_observer
    ]


def _findings(mutant: Mutant, project: Path, area: Path, conditions: Conditions) -> list[Found]:
    try:
        settings = load_settings(
            project,
            command_line={
                "launch": mutant.launch,
                "observer": conditions.observer,
                "store": conditions.store,
                "timeout": 120,
            },
        )
        return _said(check_project(settings, area=area, warm=conditions.warm))
    except UserError as error:
        return [Found("usage", error.rule or str(error), "")]
    except Exception:
        # A fault of ours: one mutant's, not the end of the matrix.
        return [Found("internal", traceback.format_exc(), "")]


def _said(report: Report) -> list[Found]:
    found = [
        Found(result.check, finding.rule, finding.subject, finding.place, finding.why)
        for case in report.cases
        for result in case.results
        for finding in result.findings
    ]
    return found + [Found("allowances", f"unused: {one.rule}", one.match) for one in report.unused_allowances]


def chosen(text: str, base: str | None, observer: bool) -> list[Mutant]:
    """The mutants asked for, as far as they can be launched here."""
    return [
        mutant
        for mutant in MUTANTS
        if text in mutant.id
        and base in (None, mutant.base)
        and MAJOR in mutant.majors
        and (observer or not mutant.guarded)
    ]


def table(outcomes: Sequence[Outcome]) -> str:
    """One line a mutant, with what is wrong below it; then the totals by rule and overall."""
    width = max(len(outcome.id) for outcome in outcomes)
    head = f"{'mutant':{width}}  expected  found  missed  false  place  seconds"
    lines = [head, "-" * len(head)]
    for outcome in outcomes:
        counts = (outcome.expected, outcome.found, outcome.missed, outcome.false, outcome.misplaced)
        expected, found, missed, false, misplaced = map(len, counts)
        lines.append(
            f"{outcome.id:{width}}  {expected:8}  {found:5}  {missed or '':6}  {false or '':5}  "
            f"{misplaced or '':5}  {outcome.seconds:7.1f}"
        )
        lines += [f"    missed: {one}" for one in outcome.missed]
        lines += [f"    false:  {one}" for one in outcome.false]
        lines += [f"    place:  {one}, not {place}" for one, place in outcome.misplaced]
    return "\n".join([*lines, "", *_totals(outcomes)])


def _totals(outcomes: Sequence[Outcome]) -> list[str]:
    names = ("expected", "missed", "false", "misplaced")
    counts = {
        name: Counter(_found(one).rule for outcome in outcomes for one in getattr(outcome, name))
        for name in names
    }
    order = [*RULES, *sorted({rule for counter in counts.values() for rule in counter} - RULES.keys())]
    width = max(map(len, RULES))
    lines = [f"{'rule':{width}}  expected  missed  false  place"]
    for rule in order:
        numbers = [counts[name][rule] for name in names]
        if any(numbers):
            first, *others = numbers
            missed, false, misplaced = (number or "" for number in others)
            lines.append(f"{rule.splitlines()[-1]:{width}}  {first:8}  {missed:6}  {false:5}  {misplaced:5}")
    return lines


def _found(one: Found | tuple[Found, str]) -> Found:
    return one if isinstance(one, Found) else one[0]


def main() -> int:
    """Runs the matrix; 1 where anything is missed, false or in a wrong place."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("-j", type=int, default=2, metavar="N", help="mutants at a time (default: 2)")
    parser.add_argument("-k", default="", metavar="TEXT", help="only mutants with this in their id")
    parser.add_argument("--base", choices=sorted({mutant.base for mutant in MUTANTS}))
    parser.add_argument("--observer", choices=("on", "off"), default="on")
    parser.add_argument("--store", choices=("file", "sqlite"), default="file")
    parser.add_argument("--cold", action="store_true", help="load MLflow anew for each run and proof")
    parser.add_argument("--area", type=Path, metavar="DIR", help="keep launches here, and use those there")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the outcomes to a file too")
    args = parser.parse_args()
    # Whether or not there is a Docker: here isn't one.
    os.environ["DOCKER_HOST"] = "unix:///nowhere/docker.sock"
    mutants = chosen(args.k, args.base, args.observer == "on")
    if not mutants:
        parser.error("no such mutant")
    with tempfile.TemporaryDirectory(prefix="mutants-") as temporary:
        area = (args.area or Path(temporary)).absolute()
        warm = WarmProcess(warm_environment([area]), preparation())
        conditions = Conditions(args.observer == "on", args.store, area, None if args.cold else warm)
        started = time.monotonic()
        with ExitStack() as stack:
            stack.callback(warm.stop)
            pool = stack.enter_context(ThreadPoolExecutor(args.j))
            running = {pool.submit(try_mutant, mutant, conditions): mutant.id for mutant in mutants}
            for number, future in enumerate(as_completed(running), 1):
                mark = "" if future.result().right else "  <- not as expected"
                print(f"{number}/{len(mutants)} {running[future]}{mark}", file=sys.stderr, flush=True)
        outcomes = [future.result() for future in running]
        wall = time.monotonic() - started
    print(table(outcomes))
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    mistakes = sum(not mutant.correct for mutant in mutants)
    wrong = sum(not outcome.right for outcome in outcomes)
    print(
        f"\n{mistakes} mutants and {len(mutants) - mistakes} correct projects under MLflow "
        f"{importlib.metadata.version('mlflow')}, observer {args.observer}, {args.store} store: "
        f"{wrong} not as expected\n{wall:.0f} s, {usage.ru_utime + usage.ru_stime:.0f} s of processor time"
    )
    if args.json:
        args.json.write_text(
            json.dumps([asdict(outcome) for outcome in outcomes], indent=1), encoding="utf-8"
        )
    return int(wrong > 0)


if __name__ == "__main__":
    raise SystemExit(main())
