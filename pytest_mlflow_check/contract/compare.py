"""What a launch logs, held against the contract of its case."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from pytest_mlflow_check.checks.comparison import Comparison, spoken
from pytest_mlflow_check.checks.run_matching import RunPair, given_names, pair_runs
from pytest_mlflow_check.checks.source_lines import source_line_of, source_line_of_artifact
from pytest_mlflow_check.contract.as_launch import ContractRun, as_launch, numbered
from pytest_mlflow_check.contract.load import Source
from pytest_mlflow_check.contract.normalize import Normalizer
from pytest_mlflow_check.contract.schema import (
    KINDS,
    SCOPES,
    CaseContract,
    Expected,
    ModelShape,
    Scope,
    Steps,
    matches,
    names_of,
)
from pytest_mlflow_check.contract.serialize import written
from pytest_mlflow_check.core.errors import shown_path
from pytest_mlflow_check.core.findings import CodePart, Finding
from pytest_mlflow_check.core.records import Mode, RunRecord
from pytest_mlflow_check.core.text import counted

_ALIKE, _MUCH_ALIKE = 0.6, 0.75
"""How much two names have to have in common (`difflib`) for one to be taken for the other, renamed: the more
where their values differ."""

_MOST_COMPARED = 10_000
"""Pairs of an old and a new name, which take about a second."""

_TELLING = 3
"""Characters of a value by which a renamed param is recognised: `1` and `no` are the values of many."""

_DIFFERS = {"metrics": "contract-steps-differ", "models": "contract-model-differs"}
_CALLS = {
    "params": ["log_param"],
    "metrics": ["log_metric"],
    "tags": ["set_tag"],
    "datasets": ["log_input"],
    "models": ["log_model"],
    "registered": ["register_model"],
}


def judge_contract(source: Source, comparison: Comparison) -> list[Finding]:
    """Findings for all that a case logs otherwise than its contract says.

    Args:
        source: the project's contract.
        comparison: the launches of the case.
    """
    case = comparison.case.id if comparison.case else ""
    contract = source.contract.cases.get(case)
    update = _update(comparison)
    if contract is None:
        return [
            Finding(
                rule="contract-outdated",
                subject=f"case {case}",
                why=f"{source.name} says nothing of this case.",
                fix=f"{update} -k {case!r}",
                source_line=f"{source.name}:1",
            )
        ]
    modes: list[Mode] = [mode for mode in comparison.launches if contract.launch in (None, mode)]
    told = [
        Finding(
            rule="contract-outdated",
            subject=f"launch {spoken(mode)}",
            why=f"The contract of the case was made from the launch {contract.launch} alone, so nothing is "
            f"held of the other one.",
            fix=f"write it from both:  {update}",
            source_line=source.source_line(("cases", case)),
        )
        for mode in comparison.launches
        if mode not in modes
    ]
    aligned = _aligned(contract, comparison, modes)
    for one in aligned.values():
        told += _Judging(one, source, comparison, case, update, len(aligned) > 1).findings()
    told += _new_runs(contract, comparison, modes, source, case, update)
    # What fails before what warns.
    return sorted(told, key=lambda one: list(_FIXES).index(one.rule))


@dataclass
class _Aligned:
    """A run of the contract, and the same in the launches that have it."""

    contract_run: ContractRun
    expected: list[Mode]
    runs: dict[Mode, RunRecord] = field(default_factory=dict)
    given: dict[Mode, str | None] = field(default_factory=dict)


def _aligned(contract: CaseContract, comparison: Comparison, modes: Sequence[Mode]) -> dict[str, _Aligned]:
    """By the id of `numbered`. What is nested in a run that is missing isn't told again."""
    runs_by_id = numbered(contract)
    found: dict[str, _Aligned] = {}
    for mode in modes:
        launch = comparison.launches[mode]
        names = given_names(launch)
        pairs, missing = pair_runs(as_launch(contract, mode), launch)
        for pair in (*pairs, *missing):
            if pair.fluent is None:
                continue
            one = found.setdefault(pair.fluent.run_id, _Aligned(runs_by_id[pair.fluent.run_id], []))
            one.expected.append(mode)
            if pair.mlflow_run is not None:
                one.runs[mode] = pair.mlflow_run
                one.given[mode] = names.get(pair.mlflow_run.run_id)
    return {number: found[number] for number in runs_by_id if number in found}


@dataclass(frozen=True)
class _Judging:
    """One run, held against what the contract says of it."""

    run: _Aligned
    source: Source
    comparison: Comparison
    case: str
    update: str
    several: bool

    def findings(self) -> list[Finding]:
        """All that is missing, renamed, different or new; one missing run is one finding."""
        shape, path = self.run.contract_run.shape, self.run.contract_run.path
        missing = [mode for mode in self.run.expected if mode not in self.run.runs]
        if missing and shape.only != "sometimes":
            expected = "all that it logs" if len(missing) == len(self.run.expected) else "what it logs there"
            return [
                self._finding(
                    "contract-missing",
                    f"run {'/'.join(path)}",
                    dict.fromkeys(self.run.runs, "logged"),
                    why=f"The contract has this run, which isn't logged any more, nor is {expected}.",
                    line=self.source.source_line(self._keys()),
                    run="",
                )
            ]
        found = list(self._renamed_run())
        for kind in KINDS:
            found += self._of_kind(kind)
        return found

    def _of_kind(self, kind: str) -> Iterator[Finding]:
        normalizer = Normalizer(self.comparison.settings.ignore)
        logged = {
            mode: normalizer.logged(self.comparison.launches[mode], run)[kind]
            for mode, run in self.run.runs.items()
        }
        new = {mode: dict(found) for mode, found in logged.items()}
        shape = self.run.contract_run.shape
        exact = {mode: {*shape.entries(kind), *shape.scope(mode).entries(kind)} for mode in logged}
        missing: list[tuple[Scope, str, Expected, list[Mode]]] = []
        differing: list[tuple[Scope, str, Expected, str, list[Mode]]] = []
        for scope in SCOPES:
            for name, expected in shape.scope(scope).entries(kind).items():
                modes: list[Mode] = [mode for mode in logged if scope in ("", "sometimes", mode)]
                matched = {mode: names_of(name, logged[mode], exact[mode]) for mode in modes}
                for mode, names in matched.items():
                    for each in names:
                        new[mode].pop(each, None)
                if scope == "sometimes":
                    continue
                lacking = [mode for mode in modes if not matched[mode]]
                if lacking:
                    missing.append((scope, name, expected, lacking))
                for each in dict.fromkeys(each for names in matched.values() for each in names):
                    wrong = [
                        mode
                        for mode in modes
                        if each in matched[mode] and not matches(expected, logged[mode][each])
                    ]
                    if wrong:
                        differing.append((scope, name, expected, each, wrong))
        renamed = _renames([(name, expected) for _, name, expected, _ in missing], new, kind)
        for scope, name, _, lacking in missing:
            keys = self._keys(scope, kind, name)
            if name in renamed:
                now = renamed[name]
                values = {mode: found.pop(now) for mode, found in new.items() if now in found}
                yield self._finding(
                    "contract-renamed",
                    f"{KINDS[kind]} {name}",
                    dict.fromkeys(values, now),
                    why=f"What the contract calls {name} is logged as {now}{self._where(kind, now)}. "
                    "Searches, charts and code that ask for the old name find nothing.",
                    line=self.source.source_line(keys),
                    diff=(keys, kind, now, next(iter(values.values()))),
                )
                continue
            there = {mode: logged[mode] for mode in logged if mode not in lacking}
            yield self._finding(
                "contract-missing",
                f"{KINDS[kind]} {name}",
                {mode: _text(name, found.get(name)) for mode, found in there.items()},
                why="The contract has it, and "
                + (
                    "it isn't logged any more."
                    if not there
                    else f"{_spoken(lacking)} doesn't log it any more."
                ),
                line=self.source.source_line(keys),
                diff=(keys, kind, None, None),
            )
        for scope, name, expected, each, wrong in differing:
            keys = self._keys(scope, kind, name)
            values = {mode: found[each] for mode, found in logged.items() if each in found}
            yield self._finding(
                _DIFFERS.get(kind, "contract-value-differs"),
                f"{KINDS[kind]} {each}",
                {mode: _text(each, value) for mode, value in values.items()},
                why=f"The contract has {_difference(each, expected, values[wrong[0]])}"
                f"{self._where(kind, each, '; it is logged')}.",
                line=self.source.source_line(keys),
                diff=(keys, kind, name, values[wrong[0]]),
            )
        for name in sorted({name for found in new.values() for name in found}):
            values = {mode: found[name] for mode, found in new.items() if name in found}
            yield self._finding(
                "contract-outdated",
                f"{KINDS[kind]} {name}",
                {mode: _text(name, value) for mode, value in values.items()},
                why="The contract doesn't have it: should it get lost, nobody would be told.",
                line=self.source.source_line(self._keys("", kind)),
                diff=(None, kind, name, next(iter(values.values()))),
            )

    def _renamed_run(self) -> Iterator[Finding]:
        name = self.run.contract_run.name
        other = {mode: given for mode, given in self.run.given.items() if given != name}
        if name is None or not other:
            return
        shown = {mode: given or "(no name)" for mode, given in other.items()}
        yield self._finding(
            "contract-renamed",
            f"run {'/'.join(self.run.contract_run.path)}",
            shown,
            why=f"What the contract calls {name} has another name now.",
            line=self.source.source_line(self._keys()),
        )

    def _keys(self, scope: Scope = "", kind: str = "", name: str = "") -> tuple[str, ...]:
        runs = [part for key in self.run.contract_run.path for part in ("runs", key)]
        return tuple(part for part in ("cases", self.case, *runs, scope, kind, name) if part)

    def _where(self, kind: str, name: str, words: str = "") -> str:
        """The line of the code that logs it."""
        fluent, mlflow_run = self.run.runs.get("fluent"), self.run.runs.get("mlflow-run")
        pair = RunPair("", fluent, mlflow_run)
        if kind == "artifacts":
            source_line = source_line_of_artifact(self.comparison, pair, name)
        else:
            source_line = source_line_of(self.comparison, pair, _CALLS[kind], name)
        return f"{words} in {source_line}" if source_line else ""

    def _finding(
        self,
        rule: str,
        subject: str,
        sides: Mapping[Mode, str],
        *,
        why: str,
        line: str | None,
        diff: tuple[tuple[str, ...] | None, str, str | None, Expected] | None = None,
        run: str | None = None,
    ) -> Finding:
        label = "/".join(self.run.contract_run.path) if self.several else ""
        return Finding(
            rule=rule,
            subject=subject,
            why=why,
            fix=_FIXES[rule].format(update=self.update),
            source_line=line,
            run=label if run is None else run,
            code=(_diff(self.source, line, diff),) if diff and line else (),
            fluent=sides.get("fluent"),
            mlflow_run=sides.get("mlflow-run"),
        )


_FIXES = {
    "contract-missing": "log it again; if it is meant to be gone:  {update}",
    "contract-renamed": "log it under the name it had; if the new one is meant:  {update}",
    "contract-value-differs": "log the value it had; if the new one is meant:  {update}",
    "contract-steps-differ": "log it at the steps it had; if the new ones are meant:  {update}",
    "contract-model-differs": "log the model as it was; if the new one is meant:  {update}",
    "contract-outdated": "{update}",
}


def _renames(
    missing: Sequence[tuple[str, Expected]], new: Mapping[Mode, Mapping[str, Expected]], kind: str
) -> dict[str, str]:
    """The new names of what is missing, as far as they can be told: the likeliest first."""
    names = sorted({name for found in new.values() for name in found})
    values = {name: next(found[name] for found in new.values() if name in found) for name in names}
    ranked: list[tuple[bool, float, str, str]] = []
    # Of so many, nobody reads which became which; and comparing all with all takes minutes.
    few = len(missing) * len(names) <= _MOST_COMPARED
    for old, expected in missing if few else ():
        for name in names:
            same = expected is not None and matches(expected, values[name])
            alike = difflib.SequenceMatcher(None, old, name).ratio()
            telling = isinstance(expected, str) and len(expected) >= _TELLING and same
            alone = len(missing) == len(names) == 1 and same
            moved = kind == "artifacts" and PurePosixPath(old).name == PurePosixPath(name).name
            enough = _ALIKE if same or expected is None else _MUCH_ALIKE
            if alike >= enough or telling or alone or moved:
                ranked.append((same, alike, old, name))
    found: dict[str, str] = {}
    for _, _, old, name in sorted(ranked, key=lambda one: (not one[0], -one[1], one[2], one[3])):
        if old not in found and name not in found.values():
            found[old] = name
    return found


def _new_runs(
    contract: CaseContract,
    comparison: Comparison,
    modes: Sequence[Mode],
    source: Source,
    case: str,
    update: str,
) -> Iterator[Finding]:
    """Runs that the contract doesn't have."""
    found: dict[str, set[Mode]] = {}
    for mode in modes:
        _, missing = pair_runs(as_launch(contract, mode), comparison.launches[mode])
        for pair in missing:
            if pair.mlflow_run is not None:
                found.setdefault(pair.label, set()).add(mode)
    for label, those in found.items():
        yield Finding(
            rule="contract-outdated",
            subject=f"run {label.removeprefix('run ')}",
            why="The run is logged, and the contract doesn't have it.",
            fix=update,
            fluent="logged" if "fluent" in those else None,
            mlflow_run="logged" if "mlflow-run" in those else None,
            source_line=source.source_line(("cases", case, "runs")),
        )


def _diff(
    source: Source, source_line: str, diff: tuple[tuple[str, ...] | None, str, str | None, Expected]
) -> CodePart:
    """The line of the contract, and what would stand there now."""
    keys, kind, name, expected = diff
    before = source.lines(keys) if keys else []
    after = written(kind, name, expected) if name is not None else []
    kept = set(before) & set(after)
    lines = [f"- {line}" for line in before if line not in kept]
    return CodePart(source_line, "\n".join(lines + [f"+ {line}" for line in after if line not in kept]))


def _update(comparison: Comparison) -> str:
    directory = shown_path(comparison.case.project.directory) if comparison.case else "."
    return f"pytest --mlflow-project={directory} --mlflow-update"


def _spoken(modes: Sequence[Mode]) -> str:
    return " and ".join("the fluent launch" if mode == "fluent" else "`mlflow run`" for mode in modes)


def _text(name: str, value: Expected) -> str:
    """A value in a cell."""
    if isinstance(value, Steps):
        return _points(value)
    if isinstance(value, ModelShape):
        return ", ".join(value.flavors or ()) or "no flavor"
    return name if value is None else value


def _points(steps: Steps) -> str:
    count = "" if steps.count is None else counted(steps.count, "point")
    if steps.first == steps.last and steps.first is not None:
        return f"{count} at step {steps.first}" if count else f"at step {steps.first}"
    if steps.first is not None or steps.last is not None:
        low, high = ("…" if one is None else str(one) for one in (steps.first, steps.last))
        where = f"{low} to {high}"
    else:
        where = ""
    irregular = "irregular" if steps.regular is False and (steps.count or 2) > 1 else ""
    return ", ".join(part for part in (count, where, irregular) if part) or "any steps"


def _difference(name: str, expected: Expected, value: Expected) -> str:
    """What the contract has where something else is logged."""
    if isinstance(expected, ModelShape) and isinstance(value, ModelShape):
        parts = [part for part, wanted in expected if wanted not in (None, getattr(value, part))]
        return f"other {' and '.join(parts)} of it"
    return _text(name, expected)
