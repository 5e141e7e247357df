"""What the checks look at: the launches of one case, their runs side by side."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from pytest_mlflow_check.checks.run_matching import RunPair, pair_runs
from pytest_mlflow_check.config.settings import ProjectConfig
from pytest_mlflow_check.core.known_variation import Span, without_words_of_one_launch
from pytest_mlflow_check.core.models import Case, Parameter
from pytest_mlflow_check.core.records import Launch, MissingSeed, Mode, given_tags
from pytest_mlflow_check.core.static_facts import StaticFacts
from pytest_mlflow_check.core.surroundings import Surroundings


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
        missing: the runs that only one of both launches logged.
        confirming: a second fluent launch, where one was made to tell what varies by itself.
        known_to_vary: rule, subject and run of what an earlier session found to vary by itself.
        missing_seeds: random numbers without a seed; looked for where `confirming` was made.
        surroundings: what lies around the project; nothing where no launch failed.
        facts: what the files that the entry point names tell.
    """

    launches: Mapping[Mode, Launch]
    pairs: tuple[RunPair, ...]
    settings: ProjectConfig = field(default_factory=ProjectConfig)
    case: Case | None = None
    unset: tuple[Parameter, ...] = ()
    docker_missing: bool = False
    missing: tuple[RunPair, ...] = ()
    confirming: Launch | None = None
    known_to_vary: frozenset[tuple[str, str, str]] = frozenset()
    missing_seeds: tuple[MissingSeed, ...] = ()
    surroundings: Surroundings = field(default_factory=Surroundings)
    facts: StaticFacts = field(default_factory=StaticFacts)

    def named_values(self) -> Iterator[tuple[str, str]]:
        """Every value that has a name: what was given as parameters, logged as params and set as tags."""
        if self.case:
            yield from self.case.params.items()
            defaults = self.case.entry_point.parameters.values()
            yield from ((one.name, one.default) for one in defaults if one.default is not None)
        sides = [run for pair in (*self.pairs, *self.missing) for _, run in pair.sides]
        for run in sides:
            yield from run.params.items()
            yield from given_tags(run.tags).items()

    def comparable(self, mode: Mode, text: str) -> str:
        """A text of one launch without what is another one in each by its nature."""
        launch = self.launches.get(mode)
        # Two runs from elsewhere have no launch, but addresses and ids as well.
        return without_words_of_one_launch(text, Span()) if launch is None else launch.comparable(text)

    def declared(self, name: str) -> Parameter | None:
        """The entry point's parameter of that name, if it declares one."""
        return self.case.entry_point.parameters.get(name) if self.case else None

    def given_by_mlflow(self, name: str) -> bool:
        """Whether `mlflow run` logs a param of that name by itself: one declared, or given with `-P`."""
        return self.case is not None and (self.declared(name) is not None or name in self.case.params)

    def source_line(self, line: int | None) -> str | None:
        """A line of the MLproject file, as `MLproject:6`."""
        return self.case.project.source_line(line) if self.case else None


def compare_launches(
    launches: Mapping[Mode, Launch],
    *,
    settings: ProjectConfig,
    case: Case | None = None,
    unset: tuple[Parameter, ...] = (),
    docker_missing: bool = False,
    surroundings: Surroundings | None = None,
    facts: StaticFacts | None = None,
) -> Comparison:
    """The launches of a case with their runs matched."""
    pairs, missing = pair_runs(launches.get("fluent"), launches.get("mlflow-run"))
    return Comparison(
        launches,
        pairs,
        settings,
        case,
        unset,
        docker_missing,
        missing,
        surroundings=surroundings or Surroundings(),
        facts=facts or StaticFacts(),
    )


def spoken(mode: Mode) -> str:
    """The mode as it stands in a sentence."""
    return mode.replace("-", " ")


def not_matching(names: Iterable[str], patterns: Sequence[str]) -> list[str]:
    """The names that match none of the patterns, sorted."""
    return sorted(name for name in set(names) if not matches_any(name, patterns))


def matches_any(name: str, patterns: Iterable[str]) -> bool:
    """Whether a name matches one of the patterns (`fnmatch`, case counts)."""
    return any(fnmatchcase(name, pattern) for pattern in patterns)
