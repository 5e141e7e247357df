"""Which run of one launch is the same as which run of the other.

The runs of one parent are matched with each other: by the name the user gave, by equal params, by equal
tags, by shape, and by order. What is left over is on one side only.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from pytest_mlflow_check.core.records import Launch, Mode, RunRecord, given_tags

_INVENTED = re.compile(r"[a-z]+-[a-z]+-\d{1,4}|[a-z]+-[a-z]+-?(?<=^.{20})")
"""`bold-ant-123`, as `_generate_random_name` of `mlflow.utils.name_utils` makes them (3.17.2 and 2.22.5),
cut off after 20 characters if need be."""
_NAME_TAG = "mlflow.runName"


@dataclass(frozen=True)
class RunPair:
    """The same run in both launches; one side is None where only one launch has it, or was asked for.

    Attributes:
        label: tells it from the case's other runs: the names from the top-level run down to it, such as
            `sweep/trial-3`, with numbers for runs without a given name; empty where it is the only one.
        fluent, mlflow_run: the two sides.
        given: the name that the user gave each side's run; sides without one are left out.
    """

    label: str
    fluent: RunRecord | None
    mlflow_run: RunRecord | None
    given: Mapping[Mode, str] = field(default_factory=dict)

    @property
    def both(self) -> tuple[RunRecord, RunRecord] | None:
        """Both sides, or None where there is only one."""
        if self.fluent is None or self.mlflow_run is None:
            return None
        return self.fluent, self.mlflow_run

    @property
    def sides(self) -> Iterator[tuple[Mode, RunRecord]]:
        """The sides that are there."""
        if self.fluent is not None:
            yield "fluent", self.fluent
        if self.mlflow_run is not None:
            yield "mlflow-run", self.mlflow_run


def pair_runs(
    fluent: Launch | None, mlflow_run: Launch | None
) -> tuple[tuple[RunPair, ...], tuple[RunPair, ...]]:
    """The runs of two launches side by side, each parent before its children.

    Returns:
        The pairs, one-sided where only one launch was made; and, where both were, the runs that only one
        of them logged. What is nested in such a run isn't told again.
    """
    left, right = _Tree.of(fluent), _Tree.of(mlflow_run)
    pairs: list[RunPair] = []
    missing: list[RunPair] = []

    def below(one: str | None, other: str | None, prefix: str) -> None:
        ours, theirs = left.children.get(one, []), right.children.get(other, [])
        if fluent is None or mlflow_run is None:
            matched: list[_Match] = [(run, None) for run in ours] or [(None, run) for run in theirs]
        else:
            matched = _match(ours, theirs, left, right)
        for (first, second), part in zip(matched, _parts(matched, left, right), strict=True):
            label = f"{prefix}{part}" if prefix or not part.isdigit() else f"run {part}"
            pair = RunPair(label, first, second, _given(first, second, left, right))
            if pair.both or fluent is None or mlflow_run is None:
                pairs.append(pair)
                below(first.run_id if first else "", second.run_id if second else "", f"{pair.label}/")
            else:
                missing.append(pair)

    below(None, None, "")
    if len(pairs) == 1 and not missing:
        pairs = [replace(pairs[0], label="")]
    return tuple(pairs), tuple(missing)


def given_names(launch: Launch | None) -> dict[str, str]:
    """The names that the user gave the runs of a launch, by run id; those that MLflow invented left out.

    A name that looks invented counts as given where the observer saw it given, and so does one that the code
    asked for in vain.
    """
    if launch is None:
        return {}
    names = {run.run_id: run.name for run in launch.runs if run.name and not _INVENTED.fullmatch(run.name)}
    for call in launch.observations:
        # MLflow 2.22 leaves a joined run its name; what counts is what the code asked for.
        if call.run_id and call.value and (call.what in ("start_run", "create_run") or call.key == _NAME_TAG):
            names[call.run_id] = call.value
    return names


_Match = tuple[RunRecord | None, RunRecord | None]


@dataclass(frozen=True)
class _Tree:
    """The runs of a launch: by parent, and by run id the names that the user gave and what they are like."""

    children: Mapping[str | None, list[RunRecord]]
    names: Mapping[str, str]
    shapes: Mapping[str, frozenset[Hashable]]

    @classmethod
    def of(cls, launch: Launch | None) -> _Tree:
        runs = launch.runs if launch else ()
        known = {run.run_id for run in runs}
        children: dict[str | None, list[RunRecord]] = {}
        for run in runs:
            # A parent in another store, or a deleted one, makes the run a top-level run here.
            children.setdefault(run.parent_id if run.parent_id in known else None, []).append(run)
        names = given_names(launch)
        shapes = {run.run_id: frozenset(_shape(run, names.get(run.run_id), children)) for run in runs}
        return cls(children, names, shapes)

    def name(self, run: RunRecord) -> str | None:
        return self.names.get(run.run_id)

    def name_and_params(self, run: RunRecord) -> Hashable:
        name = self.name(run)
        return (name, _params(run)) if name and run.params else None

    def shape(self, run: RunRecord) -> Hashable:
        return self.shapes[run.run_id]


def _shape(
    run: RunRecord, name: str | None, children: Mapping[str | None, Sequence[RunRecord]]
) -> Iterator[Hashable]:
    """What a run is like, whatever its values: its name, the keys it logged, what is nested in it."""
    if name:
        yield "name", name
    for kind in ("params", "metrics", "models"):
        yield from ((kind, key) for key in getattr(run, kind))
    yield from (("artifacts", path.split("/")[0]) for path in run.artifacts)
    yield from (("tags", key) for key in given_tags(run.tags))
    nested = children.get(run.run_id, [])
    yield from (("child", number) for number in range(len(nested)))
    yield from (("grandchild", number) for number in range(sum(len(one.children) for one in nested)))


def _match(ours: Sequence[RunRecord], theirs: Sequence[RunRecord], left: _Tree, right: _Tree) -> list[_Match]:
    """Every run of two parents, or of the top level: matched, or with None in place of the other one."""
    matched: list[tuple[RunRecord, RunRecord]] = []

    def rest(runs: Sequence[RunRecord]) -> list[RunRecord]:
        done = {run.run_id for pair in matched for run in pair}
        return [run for run in runs if run.run_id not in done]

    # The surest first. A name alone may be that of all of them, and params alone those of all trials.
    for our_key, their_key in (
        (left.name_and_params, right.name_and_params),
        (left.name, right.name),
        (_params, _params),
        (_tags, _tags),
        (left.shape, right.shape),
    ):
        matched += _by_key(rest(ours), rest(theirs), our_key, their_key)
    matched += _in_order(
        rest(ours),
        rest(theirs),
        lambda one, other: _unlike(left.shapes[one.run_id], right.shapes[other.run_id]),
    )
    return _ordered(ours, theirs, matched)


def _params(run: RunRecord) -> Hashable:
    return frozenset(run.params.items())


def _tags(run: RunRecord) -> Hashable:
    return frozenset(given_tags(run.tags).items())


def _by_key(
    ours: Sequence[RunRecord],
    theirs: Sequence[RunRecord],
    our_key: Callable[[RunRecord], Hashable],
    their_key: Callable[[RunRecord], Hashable],
) -> Iterator[tuple[RunRecord, RunRecord]]:
    """Matches, in order, the runs that share a key which both sides have equally often."""
    left, right = _grouped(ours, our_key), _grouped(theirs, their_key)
    for key, runs in left.items():
        if len(runs) == len(right.get(key, ())):
            yield from zip(runs, right[key], strict=True)


def _grouped(
    runs: Iterable[RunRecord], key: Callable[[RunRecord], Hashable]
) -> dict[Hashable, list[RunRecord]]:
    """The runs by key, those without one left out."""
    groups: dict[Hashable, list[RunRecord]] = defaultdict(list)
    for run in runs:
        if value := key(run):
            groups[value].append(run)
    return groups


def _in_order(
    ours: Sequence[RunRecord], theirs: Sequence[RunRecord], unlike: Callable[[RunRecord, RunRecord], float]
) -> list[tuple[RunRecord, RunRecord]]:
    """Matches every run of the smaller side, in order, so that the matched ones are most alike."""
    if len(ours) > len(theirs):
        return [(one, other) for other, one in _in_order(theirs, ours, lambda a, b: unlike(b, a))]
    spare = len(theirs) - len(ours)
    if not spare:
        return list(zip(ours, theirs, strict=True))
    # costs[skipped]: the least unlikeness of the runs so far when so many of `theirs` were left out.
    costs, choices = [0.0] * (spare + 1), []
    for position, run in enumerate(ours):
        here = [costs[skipped] + unlike(run, theirs[position + skipped]) for skipped in range(spare + 1)]
        best = list(range(spare + 1))
        for skipped in range(1, spare + 1):
            if here[best[skipped - 1]] <= here[skipped]:
                best[skipped] = best[skipped - 1]
        costs = [here[skipped] for skipped in best]
        choices.append(best)
    pairs, skipped = [], spare
    for position in reversed(range(len(ours))):
        skipped = choices[position][skipped]
        pairs.append((ours[position], theirs[position + skipped]))
    return pairs[::-1]


def _unlike(one: frozenset[Hashable], other: frozenset[Hashable]) -> float:
    """0 for the same shape, 1 for two that have nothing in common."""
    either = len(one | other)
    return 1 - len(one & other) / either if either else 0.0


def _ordered(
    ours: Sequence[RunRecord], theirs: Sequence[RunRecord], matched: Iterable[tuple[RunRecord, RunRecord]]
) -> list[_Match]:
    """All runs in the order of the fluent launch, those that only `mlflow run` has at their own places."""
    partner = {one.run_id: other for one, other in matched}
    position = {other.run_id: number for number, run in enumerate(ours) if (other := partner.get(run.run_id))}
    ordered: list[tuple[float, int, _Match]] = [
        (float(number), 0, (run, partner.get(run.run_id))) for number, run in enumerate(ours)
    ]
    after = -1.0
    for number, run in enumerate(theirs):
        if run.run_id in position:
            after = position[run.run_id]
        else:
            ordered.append((after + 0.5, number, (None, run)))
    return [match for _, _, match in sorted(ordered, key=lambda each: each[:2])]


def _given(one: RunRecord | None, other: RunRecord | None, left: _Tree, right: _Tree) -> dict[Mode, str]:
    sides: tuple[tuple[Mode, RunRecord | None, _Tree], ...] = (
        ("fluent", one, left),
        ("mlflow-run", other, right),
    )
    return {mode: name for mode, run, tree in sides if run and (name := tree.name(run))}


def _parts(matched: Sequence[_Match], left: _Tree, right: _Tree) -> list[str]:
    """What each is called among its siblings: the name it was given, `name#2` for a second, or its number."""
    parts: list[str] = []
    counts: dict[str, int] = defaultdict(int)
    for number, (one, other) in enumerate(matched, start=1):
        names = {tree.names.get(run.run_id) for run, tree in ((one, left), (other, right)) if run is not None}
        name = names.pop() if len(names) == 1 else None
        if name:
            counts[name] += 1
            name = f"{name}#{counts[name]}" if counts[name] > 1 else name
        parts.append(name or str(number))
    return parts
