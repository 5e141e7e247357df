"""What the checks look at: the launches of one case, their runs side by side."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from pytest_mlflow_check.cases import Case, Parameter
from pytest_mlflow_check.records import Launch, Mode, RunRecord
from pytest_mlflow_check.settings import ProjectSettings


@dataclass(frozen=True)
class RunPair:
    """The same run in both launches; one side is None where only one launch was asked for.

    Attributes:
        label: tells it from the case's other runs; empty where it is the only one.
        fluent, mlflow_run: the two sides.
    """

    label: str
    fluent: RunRecord | None
    mlflow_run: RunRecord | None

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


@dataclass(frozen=True)
class Comparison:
    """Everything a check may know.

    Attributes:
        launches: by mode; empty where nothing was launched, or where two runs from elsewhere are compared.
        pairs: the runs of both launches, matched.
        settings: what is ignored, tolerated, compared by content.
        case: None where two runs from elsewhere are compared.
        unset: parameters with the default null that got no value, which stop `mlflow run`.
        docker_missing: whether `mlflow run` is asked for, needs Docker, and can't reach it.
    """

    launches: Mapping[Mode, Launch]
    pairs: tuple[RunPair, ...]
    settings: ProjectSettings = field(default_factory=ProjectSettings)
    case: Case | None = None
    unset: tuple[Parameter, ...] = ()
    docker_missing: bool = False

    def declared(self, name: str) -> Parameter | None:
        """The entry point's parameter of that name, if it declares one."""
        return self.case.entry_point.parameters.get(name) if self.case else None

    def given_by_mlflow(self, name: str) -> bool:
        """Whether `mlflow run` logs a param of that name by itself: one declared, or given with `-P`."""
        return self.case is not None and (self.declared(name) is not None or name in self.case.params)

    def place(self, line: int | None) -> str | None:
        """A line of the MLproject file, as `MLproject:6`."""
        return self.case.project.place(line) if self.case else None


def compare_launches(
    launches: Mapping[Mode, Launch],
    *,
    settings: ProjectSettings,
    case: Case | None = None,
    unset: tuple[Parameter, ...] = (),
    docker_missing: bool = False,
) -> Comparison:
    """The launches of a case with their runs matched: by order of start among the runs of one parent.

    Runs whose number of siblings differs are left unmatched: which one is missing can't be told.
    """
    fluent, mlflow_run = launches.get("fluent"), launches.get("mlflow-run")
    pairs = tuple(_match(fluent.runs if fluent else None, mlflow_run.runs if mlflow_run else None))
    if len(pairs) == 1:
        pairs = (RunPair("", pairs[0].fluent, pairs[0].mlflow_run),)
    return Comparison(launches, pairs, settings, case, unset, docker_missing)


def spoken(mode: Mode) -> str:
    """The mode as it stands in a sentence."""
    return mode.replace("-", " ")


def kept(names: Iterable[str], patterns: Sequence[str]) -> list[str]:
    """The names that match none of the patterns, sorted."""
    return sorted(name for name in set(names) if not matches_any(name, patterns))


def matches_any(name: str, patterns: Iterable[str]) -> bool:
    """Whether a name matches one of the patterns (`fnmatch`, case counts)."""
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _match(fluent: Sequence[RunRecord] | None, mlflow_run: Sequence[RunRecord] | None) -> Iterator[RunPair]:
    left, right = _by_parent(fluent), _by_parent(mlflow_run)

    def below(left_parent: str | None, right_parent: str | None, prefix: str) -> Iterator[RunPair]:
        ours, theirs = left.get(left_parent, ()), right.get(right_parent, ())
        if fluent is not None and mlflow_run is not None and len(ours) != len(theirs):
            return
        for position in range(max(len(ours), len(theirs))):
            one = ours[position] if ours else None
            other = theirs[position] if theirs else None
            label = f"{prefix}{position + 1}"
            yield RunPair(f"run {label}", one, other)
            yield from below(one.run_id if one else "-", other.run_id if other else "-", f"{label}/")

    return below(None, None, "")


def _by_parent(runs: Sequence[RunRecord] | None) -> dict[str | None, list[RunRecord]]:
    known = {run.run_id for run in runs or ()}
    grouped: dict[str | None, list[RunRecord]] = {}
    for run in runs or ():
        # A parent in another store, or a deleted one, makes the run a top-level run here.
        grouped.setdefault(run.parent_id if run.parent_id in known else None, []).append(run)
    return grouped
