"""The contract of a case, out of its launches: what was the same each time is held, and nothing else."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import combinations
from pathlib import PurePosixPath

from pytest_mlflow_check.checks.run_matching import given_names, pair_runs
from pytest_mlflow_check.contract.normalize import Normalizer, as_pattern
from pytest_mlflow_check.contract.schema import (
    KINDS,
    SCOPES,
    CaseContract,
    Expected,
    ModelShape,
    RunShape,
    Scope,
    Steps,
    common,
    matches,
    names_of,
)
from pytest_mlflow_check.core.records import Launch, Mode, RunRecord

_Entries = dict[str, dict[str, Expected]]
_NUMBERED = re.compile(r"[A-Za-z]*\d[A-Za-z0-9]*")
_UNNAMED = re.compile(r"run \d+")


def contract_of(samples: Mapping[Mode, Sequence[Launch]], normalizer: Normalizer) -> CaseContract:
    """What a case logs.

    Args:
        samples: the launches of the case by mode, two of each: what differs between them varies by itself.
        normalizer: what is left out of it.
    """
    (mode, *others) = samples
    flat = [launch for launches in samples.values() for launch in launches]
    return CaseContract(
        launch=None if others else mode, runs=_shapes(_aligned(flat), flat, samples, normalizer)
    )


def is_unnamed(key: str) -> bool:
    """Whether a run's name in a contract is a number for a run that the code gives no name."""
    return _UNNAMED.fullmatch(key) is not None


@dataclass
class _Node:
    """The same run in several launches, by their numbers, and what is nested in it."""

    runs: dict[int, RunRecord]
    children: list[_Node] = field(default_factory=list)


def _aligned(launches: Sequence[Launch]) -> list[_Node]:
    """The runs of all launches, each with those that are the same one, as a tree."""
    partners: dict[tuple[int, str], list[tuple[int, str]]] = defaultdict(list)
    for (one, left), (other, right) in combinations(enumerate(launches), 2):
        for pair in pair_runs(left, right)[0]:
            if pair.both:
                partners[other, pair.both[1].run_id].append((one, pair.both[0].run_id))
    top: list[_Node] = []
    found: dict[tuple[int, str], _Node] = {}
    for number, launch in enumerate(launches):
        # A run may have begun before the one that it is put into.
        for run in sorted(launch.runs, key=partial(_depth, {run.run_id: run for run in launch.runs})):
            known = [found[key] for key in partners[number, run.run_id] if key in found]
            node = next((one for one in known if number not in one.runs), None)
            if node is None:
                node = _Node({})
                parent = found.get((number, run.parent_id)) if run.parent_id else None
                (top if parent is None else parent.children).append(node)
            node.runs[number] = run
            found[number, run.run_id] = node
    return top


def _depth(runs: Mapping[str, RunRecord], run: RunRecord) -> int:
    above: list[str] = []
    while (parent := run.parent_id) is not None and parent in runs and parent not in above:
        above.append(parent)
        run = runs[parent]
    return len(above)


def _shapes(
    nodes: Sequence[_Node],
    launches: Sequence[Launch],
    samples: Mapping[Mode, Sequence[Launch]],
    normalizer: Normalizer,
) -> dict[str, RunShape]:
    numbers = _numbers(samples)
    shapes: dict[str, RunShape] = {}
    for position, node in enumerate(nodes, 1):
        name = _name(node, launches, normalizer) or f"run {position}"
        key, again = name, 1
        while key in shapes:
            again += 1
            key = f"{name}#{again}"
        logged = {
            mode: [
                normalizer.stable(launches[number], node.runs[number]) for number in of if number in node.runs
            ]
            for mode, of in numbers.items()
        }
        whole = [mode for mode, of in numbers.items() if len(logged[mode]) == len(of)]
        none = [mode for mode in numbers if not logged[mode]]
        everywhere = len(whole) == len(numbers)
        certain = everywhere or (len(whole) == 1 and len(none) == 1)
        shapes[key] = RunShape.of_scopes(
            _scopes({mode: found for mode, found in logged.items() if found}),
            only=None if everywhere else whole[0] if certain else "sometimes",
            runs=_shapes(node.children, launches, samples, normalizer),
        )
    return shapes


def _numbers(samples: Mapping[Mode, Sequence[Launch]]) -> dict[Mode, list[int]]:
    numbers: dict[Mode, list[int]] = {}
    start = 0
    for mode, launches in samples.items():
        numbers[mode] = list(range(start, start + len(launches)))
        start += len(launches)
    return numbers


def _name(node: _Node, launches: Sequence[Launch], normalizer: Normalizer) -> str | None:
    """The name that the code gives the run, where it gives the same one each time."""
    names = {given_names(launches[number]).get(run.run_id) for number, run in node.runs.items()}
    name = names.pop() if len(names) == 1 else None
    if name is None or is_unnamed(name) or normalizer.is_elsewhere_another("", name):
        return None
    commits = [word for number in node.runs for word in launches[number].commit_words(name)]
    held = normalizer.name(name, commits)
    return None if "*" in held else held


def _scopes(logged: Mapping[Mode, Sequence[_Entries]]) -> dict[Scope, _Entries]:
    """What all launches log, what those of one mode do, and what is logged now and then."""
    found: dict[Scope, _Entries] = {scope: {kind: {} for kind in KINDS} for scope in SCOPES}
    for kind in KINDS:
        always = {mode: dict(_always([one[kind] for one in of])) for mode, of in logged.items()}
        names = list(dict.fromkeys(name for expected in always.values() for name in expected))
        for name in names:
            by_mode = {mode: expected[name] for mode, expected in always.items() if name in expected}
            values = list(by_mode.values())
            agreed = common(values)
            # Two values that differ are each mode's own; one that varies by itself is nobody's.
            if len(by_mode) == len(logged) and all(
                matches(agreed, one) and matches(one, agreed) for one in values
            ):
                found[""][kind][name] = agreed
            elif len(by_mode) == len(logged) and None in values:
                found[""][kind][name] = None
            else:
                for mode, value in by_mode.items():
                    found[mode][kind][name] = value
        for mode, of in logged.items():
            every = {name for one in of for name in one[kind]}
            known = {match for name in always[mode] for match in names_of(name, every)}
            found["sometimes"][kind] |= dict.fromkeys(every - known, _open(kind))
        for scope in SCOPES:
            found[scope][kind] = dict(sorted(found[scope][kind].items()))
    return found


def _open(kind: str) -> Expected:
    """No more than that there is one, now and then."""
    return Steps() if kind == "metrics" else ModelShape() if kind == "models" else None


def _always(samples: Sequence[Mapping[str, Expected]]) -> Iterator[tuple[str, Expected]]:
    """What each launch of a mode logged; where names vary, the pattern that they have in common."""
    everywhere = [name for name in samples[0] if all(name in one for one in samples)]
    yield from ((name, common(one[name] for one in samples)) for name in everywhere)
    left = [{name for name in one if name not in everywhere} for one in samples]
    done: set[str] = set()
    for pattern in [*_skeletons(left), *_frames(left)]:
        matched = [names_of(pattern, names) for names in left]
        if all(any(name not in done for name in names) for names in matched):
            found = zip(samples, matched, strict=True)
            yield pattern, common(sample[name] for sample, names in found for name in names)
            done.update(name for names in matched for name in names)


def _skeletons(left: Sequence[Iterable[str]]) -> Iterator[str]:
    """The names with `*` for each word with a digit in it: `plots/epoch-*.png`."""
    patterns = dict.fromkeys(_NUMBERED.sub("*", as_pattern(name)) for names in left for name in sorted(names))
    yield from (pattern for pattern in patterns if "*" in pattern and pattern.strip("*"))


def _frames(left: Sequence[Iterable[str]]) -> Iterator[str]:
    """What the names in one directory with one suffix begin and end with: `plots/*.png`."""
    groups: dict[tuple[str, str], list[str]] = defaultdict(list)
    for names in left:
        for name in sorted(names):
            directory, _, last = name.rpartition("/")
            groups[directory, PurePosixPath(last).suffix].append(name)
    for (_, suffix), names in groups.items():
        # What the first and the last one begin with, all between them do.
        first, last = min(names), max(names)
        alike = [one == other for one, other in zip(first, last, strict=False)]
        start = first[: [*alike, False].index(False)].rstrip("0123456789")
        pattern = as_pattern(f"{start}*{suffix}")
        if pattern.strip("*"):
            yield pattern
