"""Launches the mutants and prints the matrix: what was expected, found, missed, false, in a wrong place.

    python tests/mutants/matrix.py [-j N] [--observer on|off] [--store file|sqlite] [-k TEXT] [--base NAME]
                                   [--area DIR] [--json FILE] [--cold]

With --area, launches that are there already are judged again, not made again: for work on the rules. After a
change to what launches record, or to the mutants' own settings, name a new directory.

One process with one fork server does it all. The scripts of the mutants are forks of it too, and are held to
contracts of correct projects whose scripts weren't. With --cold none is, which takes ten times as long.
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
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from pathlib import Path

# Started as a script, Python looks for modules beside it; the package is one higher.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from mutants import MUTANTS
from mutants.forked import fork_server_for_scripts, forked_scripts
from mutants.mutant import Mutant
from pytest_mlflow_check.checks.comparison import matches_any
from pytest_mlflow_check.config.settings import ResolvedConfig, load_settings
from pytest_mlflow_check.contract.build import contract_of
from pytest_mlflow_check.contract.normalize import Normalizer
from pytest_mlflow_check.contract.save import updated
from pytest_mlflow_check.contract.schema import KINDS
from pytest_mlflow_check.core.errors import UserError
from pytest_mlflow_check.core.findings import Report
from pytest_mlflow_check.core.records import Launch
from pytest_mlflow_check.engine.api import check_project
from pytest_mlflow_check.engine.launcher import Launcher
from pytest_mlflow_check.engine.planning import cases_of
from pytest_mlflow_check.rules import RULES
from pytest_mlflow_check.runtime.forkserver.client import ForkServer
from pytest_mlflow_check.runtime.process.locks import processors
from pytest_mlflow_check.runtime.sandbox.environment import fork_server_environment

LOSSES = ("contract-missing", "contract-renamed")

MAJOR = int(importlib.metadata.version("mlflow").partition(".")[0])


@dataclass(frozen=True)
class MatrixOptions:
    """How the mutants are launched.

    Attributes:
        observer: whether the calls are observed.
        store: `file` or `sqlite`.
        area: where projects and launches are kept.
        fork_server: what keeps MLflow loaded, if anything does.
    """

    observer: bool
    store: str
    area: Path
    fork_server: ForkServer | None


@dataclass(frozen=True)
class Found:
    """A finding, or what else came of a mutant: a usage error, an unused allowance, an exception.

    Attributes:
        check, rule, subject, source_line: as of `Finding`; of one that is expected, the subject is a pattern.
        why: the reason; of one that is expected, a text in it.
    """

    check: str
    rule: str
    subject: str
    source_line: str | None = None
    why: str = ""

    def __str__(self) -> str:
        return f"{self.rule} of {self.subject}" + (f" in {self.source_line}" if self.source_line else "")

    def matches(self, found: Found) -> bool:
        """Whether another one is what is expected here, wherever its place is."""
        same = (self.check, self.rule) == (found.check, found.rule) and self.why in found.why
        return same and (self.subject == found.subject or fnmatchcase(found.subject, self.subject))

    def at_line_of(self, found: Found) -> bool:
        """Whether another one is in the place that is expected here, if any."""
        return self.source_line in (None, found.source_line)


@dataclass(frozen=True)
class Outcome:
    """What came of one mutant.

    Attributes:
        id, base: of the mutant.
        found: everything.
        expected, missed: by rule and subject.
        false: what was found and not expected.
        misplaced: what was found as expected, but for the place, with the right place.
        held: what the contract of the base says of it.
        unjudged: why nothing is held to the contract, else empty.
        unnamed: what it lost of what its base logs, and the contract doesn't say so.
        untrue: what the contract says is lost, and isn't.
        seconds: from start to end.
    """

    id: str
    base: str
    found: tuple[Found, ...]
    expected: tuple[Found, ...]
    missed: tuple[Found, ...]
    false: tuple[Found, ...]
    misplaced: tuple[tuple[Found, str], ...]
    held: tuple[Found, ...]
    unjudged: str
    unnamed: tuple[str, ...]
    untrue: tuple[str, ...]
    seconds: float

    @property
    def right(self) -> bool:
        """Whether exactly what was expected was found."""
        return not (self.missed or self.false or self.misplaced or self.unnamed or self.untrue)


@dataclass(frozen=True)
class Base:
    """A correct project: its contract, and by case and mode how many runs log what each time."""

    contract: str
    logged: Mapping[tuple[str, str], Counter[str]]


def base_of(name: str, options: MatrixOptions) -> Base:
    """Launches a correct project twice in each mode, and makes its contract."""
    home = options.area / f"base-{name}"
    project = home / "project"
    if not project.exists():
        Mutant(name, name).write(project)
    settings = _settings(project, "both", options)
    launcher = Launcher(home / "launches", cache=home / "launches" / "cache", fork_server=options.fork_server)
    contracts, logged = {}, {}
    try:
        for case in cases_of(settings, probes=False):
            first, again = (make(case, settings.values) for make in (launcher.launches, launcher.again))
            samples = {mode: [first[mode], again[mode]] for mode in first}
            contracts[case.id] = contract_of(samples, Normalizer(settings.values.ignore))
            for mode, launches in samples.items():
                logged[case.id, mode] = counted(launches[0]) & counted(launches[1])
    finally:
        launcher.stop()
    return Base(updated(None, contracts), logged)


def counted(launch: Launch) -> Counter[str]:
    """How many runs of a launch log what; nothing that makes or judges a contract has a hand in it."""
    return Counter(
        f"{noun} {name}"
        for run in launch.runs
        for noun, names in (
            ("param", run.params),
            ("metric", run.metrics),
            ("tag", [key for key in run.tags if not key.startswith("mlflow.")]),
            ("artifact", run.artifacts),
            ("model", run.models),
        )
        for name in names
    ) + Counter(f"registered model {one.name}" for one in launch.record.registered_models)


def _against_contract(
    found: Sequence[Found], base: Base, project: Path, area: Path, launch: str, options: MatrixOptions
) -> tuple[list[str], list[str]]:
    """What was lost and isn't named, and what is named and wasn't lost."""
    settings = _settings(project, launch, options)
    launcher = Launcher(area, cache=area / "cache")
    lost: set[str] = set()
    for case in cases_of(settings, probes=False):
        for mode, made in launcher.made(case, settings.values).items():
            lost |= (base.logged[case.id, mode] - counted(made)).keys()
    launcher.stop()
    named = {one.subject for one in found if one.rule in LOSSES}
    runs = any(one.startswith("run ") for one in named)
    ignored = settings.values.ignore
    nouns = {KINDS[kind]: getattr(ignored, kind, ()) for kind in KINDS}
    wanted = {
        one
        for one in lost
        if not any(
            one.startswith(f"{noun} ") and matches_any(one.removeprefix(f"{noun} "), patterns)
            for noun, patterns in nouns.items()
        )
    }
    # With a run goes all that it logs, and is one finding.
    unnamed = [] if runs else sorted(wanted - named)
    datasets = {one for one in named if one.startswith(("run ", "dataset ", "tag mlflow."))}
    return unnamed, sorted(named - lost - datasets)


def try_mutant(mutant: Mutant, options: MatrixOptions, base: Base) -> Outcome:
    """Writes a mutant, launches and judges it, also by the contract of its base, and compares."""
    started = time.monotonic()
    texts = json.dumps(mutant.texts(), sort_keys=True)
    # Another text is another project: what was launched before isn't taken for it.
    home = options.area / mutant.id / hashlib.sha256(texts.encode()).hexdigest()[:8]
    project = home / "project"
    if not project.exists():
        mutant.write(project)
    (project / "mlflow-contract.yaml").write_text(base.contract, encoding="utf-8")
    everything, unjudged = _findings(mutant, project, home / "launches", options)
    held = [one for one in everything if one.check == "contract"]
    found = [one for one in everything if one.check != "contract"]
    unnamed, untrue = (
        ([], [])
        if unjudged
        else _against_contract(held, base, project, home / "launches", mutant.launch, options)
    )
    if not (mutant.edits or mutant.files):
        # Of the project from which the contract was made, nothing at all may be said.
        untrue = [str(one) for one in held]
    wanted = _wanted(mutant, project, options.observer)
    missed, false, misplaced = compare(wanted, found)
    return Outcome(
        mutant.id,
        mutant.base,
        tuple(found),
        tuple(wanted),
        tuple(missed),
        tuple(false),
        tuple(misplaced),
        tuple(held),
        unjudged,
        tuple(unnamed),
        tuple(untrue),
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
        if best := next((one for one in left if expected.matches(one) and expected.at_line_of(one)), None):
            left.remove(best)
        else:
            unplaced.append(expected)
    missed: list[Found] = []
    misplaced: list[tuple[Found, str]] = []
    for expected in unplaced:
        if best := next((one for one in left if expected.matches(one)), None):
            left.remove(best)
            misplaced.append((best, str(expected.source_line)))
        else:
            missed.append(expected)
    return missed, left, misplaced


def _wanted(mutant: Mutant, project: Path, observer: bool) -> list[Found]:
    """What has to be found, with the place, where one is asked for."""
    if mutant.error is not None:
        return [Found("usage", mutant.error, "")]
    if observer:
        return [
            Found(one.check, one.rule, one.subject, one.source_line(project), one.says)
            for one in mutant.expected
        ]
    return [
        Found(one.check, one.rule, one.subject if one.unseen is None else one.unseen, None, one.says)
        for one in mutant.expected
        if one.rule not in RULES or not RULES[one.rule].needs_observer
    ]


def _settings(project: Path, launch: str, options: MatrixOptions) -> ResolvedConfig:
    return load_settings(
        project,
        command_line={
            "launch": launch,
            "observer": options.observer,
            "store": options.store,
            "timeout": 120,
        },
    )


def _findings(mutant: Mutant, project: Path, area: Path, options: MatrixOptions) -> tuple[list[Found], str]:
    """All that is found, and why nothing was held to the contract, else an empty text."""
    try:
        settings = _settings(project, mutant.launch, options)
        report = check_project(settings, session_dir=area, fork_server=options.fork_server)
    except UserError as error:
        return [Found("usage", error.rule or str(error), "")], "nothing was launched"
    except Exception:
        # A fault of ours: one mutant's, not the end of the matrix.
        return [Found("internal", traceback.format_exc(), "")], "a fault of ours"
    skipped = [
        one.skipped
        for case in report.cases
        for one in case.results
        if one.check == "contract" and one.skipped
    ]
    return _said(report), "; ".join(skipped)


def _said(report: Report) -> list[Found]:
    found = [
        Found(result.check, finding.rule, finding.subject, finding.source_line, finding.why)
        for case in report.cases
        for result in case.results
        for finding in result.findings
    ]
    return found + [Found("allowances", f"unused: {one.rule}", one.match) for one in report.unused_allowances]


def chosen(text: str, base: str | None) -> list[Mutant]:
    """The mutants asked for, as far as they can be launched here."""
    return [
        mutant
        for mutant in MUTANTS
        if text in mutant.id and base in (None, mutant.base) and MAJOR in mutant.majors
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
        lines += [f"    place:  {one}, not {source_line}" for one, source_line in outcome.misplaced]
        lines += [f"    contract: {one.rule} of {one.subject}" for one in outcome.held]
        lines += [f"    contract: not judged: {outcome.unjudged}"] if outcome.unjudged else []
        lines += [f"    lost, and not named: {one}" for one in outcome.unnamed]
        lines += [f"    named, and not lost: {one}" for one in outcome.untrue]
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


def _of_contracts(outcomes: Sequence[Outcome]) -> str:
    judged = [one for one in outcomes if not one.unjudged]
    losing = [one for one in judged if any(each.rule in LOSSES for each in one.held)]
    said = [one for one in judged if one.held]
    unnamed = sum(len(one.unnamed) for one in outcomes)
    return (
        f"against the contracts of their bases: {len(judged)} judged; {len(said)} log something else, "
        f"{len(losing)} of them lost or renamed something; {unnamed} losses not named"
    )


def _found(one: Found | tuple[Found, str]) -> Found:
    return one if isinstance(one, Found) else one[0]


def main() -> int:
    """Runs the matrix; 1 where anything is missed, false or in a wrong place."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        *("-j", "--jobs"),
        type=int,
        default=processors(),
        metavar="N",
        help="mutants at a time (default: as many as processors)",
    )
    parser.add_argument("-k", default="", metavar="TEXT", help="only mutants with this in their id")
    parser.add_argument("--base", choices=sorted({mutant.base for mutant in MUTANTS}))
    parser.add_argument("--observer", choices=("on", "off"), default="on")
    parser.add_argument("--store", choices=("file", "sqlite"), default="file")
    parser.add_argument("--cold", action="store_true", help="start Python, and load MLflow, anew each time")
    parser.add_argument("--area", type=Path, metavar="DIR", help="keep launches here, and use those there")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the outcomes to a file too")
    args = parser.parse_args()
    # Whether or not there is a Docker: here isn't one.
    os.environ["DOCKER_HOST"] = "unix:///nowhere/docker.sock"
    mutants = chosen(args.k, args.base)
    if not mutants:
        parser.error("no such mutant")
    with tempfile.TemporaryDirectory(prefix="mutants-") as temporary:
        area = (args.area or Path(temporary)).absolute()
        fork_server = fork_server_for_scripts(fork_server_environment([area]))
        options = MatrixOptions(args.observer == "on", args.store, area, None if args.cold else fork_server)
        started = time.monotonic()
        with ExitStack() as stack:
            stack.callback(fork_server.stop)
            pool = stack.enter_context(ThreadPoolExecutor(args.jobs))
            names = sorted({mutant.base for mutant in mutants})
            bases = dict(zip(names, pool.map(lambda name: base_of(name, options), names), strict=True))
            if not args.cold:
                # Not for the contracts above: whatever a fork does differently breaks them.
                stack.enter_context(forked_scripts(fork_server, Path(temporary, "bin")))
            running = {
                pool.submit(try_mutant, mutant, options, bases[mutant.base]): mutant.id for mutant in mutants
            }
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
        f"{wrong} not as expected\n{_of_contracts(outcomes)}\n"
        f"{wall:.0f} s, {usage.ru_utime + usage.ru_stime:.0f} s of processor time"
    )
    if args.json:
        args.json.write_text(
            json.dumps([asdict(outcome) for outcome in outcomes], indent=1), encoding="utf-8"
        )
    return int(wrong > 0)


if __name__ == "__main__":
    raise SystemExit(main())
