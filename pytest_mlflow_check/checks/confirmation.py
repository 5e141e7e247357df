"""Chance or launch mode: what a second fluent launch tells of values that differ.

What differs between two fluent launches too varies by itself, and is a warning. What doesn't, differs because
of how it is launched, and stays an error. Without such a launch neither is said.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

from pytest_mlflow_check.checks.comparison import Comparison, compare_launches
from pytest_mlflow_check.checks.setting_lines import ignore_line
from pytest_mlflow_check.core.findings import Finding

VARIES = {
    "metric-points-differ": "metric-varies",
    "metric-steps-differ": "metric-varies",
    "metric-values-differ": "metric-varies",
    "param-differs": "param-varies",
    "tag-differs": "tag-varies",
    "description-differs": "tag-varies",
    "dataset-differs": "dataset-varies",
    "artifact-content-differs": "artifact-varies",
    "prediction-differs": "prediction-varies",
}
"""The rules about values that differ, and what each is where the value varies by itself."""

_IGNORED = {
    "metric-varies": "metrics",
    "param-varies": "params",
    "tag-varies": "tags",
    "dataset-varies": "datasets",
    "artifact-varies": "artifacts",
    "prediction-varies": "models",
}
"""Under which key of `ignore` the settings name what is never compared."""

Subject = tuple[str, str, str]
"""What a finding is about: its rule, its subject, its run."""


def subject_of(finding: Finding) -> Subject:
    """What a finding is about."""
    return finding.rule, finding.subject, finding.run


def unexplained(comparison: Comparison, findings: Iterable[Finding]) -> list[Finding]:
    """The findings that only a second fluent launch can explain."""
    return [
        finding
        for finding in findings
        if finding.rule in VARIES
        and subject_of(finding) not in comparison.known_to_vary
        # What `mlflow run` logs by itself is another value because of the mode, whatever varies.
        and not (finding.rule == "param-differs" and comparison.given_by_mlflow(finding.subject))
    ]


def explained(
    comparison: Comparison, findings: Sequence[Finding], find: Callable[[Comparison], list[Finding]]
) -> list[Finding]:
    """The findings, with those about values that differ told apart by the evidence there is.

    Args:
        comparison: both launches, with the second fluent one where it was made.
        findings: what the check found.
        find: the check.
    """
    open_ones = {subject_of(finding) for finding in unexplained(comparison, findings)}
    if not open_ones and not comparison.known_to_vary:
        return list(findings)
    twice = _two_fluent(comparison) if open_ones else None
    by_chance = {} if twice is None else {_key(finding): finding for finding in find(twice)}
    return list(_explained(comparison, findings, open_ones, twice is not None, by_chance))


def _explained(
    comparison: Comparison,
    findings: Sequence[Finding],
    open_ones: set[Subject],
    is_confirmed: bool,
    by_chance: dict[Subject, Finding],
) -> Iterator[Finding]:
    varying: dict[int, Finding | None] = {}
    for position, finding in enumerate(findings):
        if subject_of(finding) in comparison.known_to_vary:
            varying[position] = None
        elif subject_of(finding) in open_ones and is_confirmed and _key(finding) in by_chance:
            varying[position] = by_chance[_key(finding)]
    # Two lines of the settings can't give one key, so each has all of its kind.
    names: dict[str, list[str]] = defaultdict(list)
    for position in varying:
        names[_IGNORED[VARIES[findings[position].rule]]].append(_name(findings[position]))
    for position, finding in enumerate(findings):
        if position in varying:
            of_kind = names[_IGNORED[VARIES[finding.rule]]]
            setting = _setting(comparison, finding, of_kind)
            yield _varying(comparison, finding, varying[position], setting)
        elif subject_of(finding) not in open_ones or not is_confirmed:
            yield finding
        else:
            same = "Two fluent launches logged the same, so the launch mode makes the difference."
            yield replace(finding, why=f"{finding.why} {same}")


def _varying(comparison: Comparison, finding: Finding, other: Finding | None, setting: str) -> Finding:
    """What is said of a value that varies by itself.

    Args:
        comparison: both launches.
        finding: what was found of it.
        other: what was found between two fluent launches; None where an earlier session found it.
        setting: what says in the settings that it may vary.
    """
    rule = VARIES[finding.rule]
    seeds = [seed for seed in comparison.missing_seeds if rule != "tag-varies"]
    missing = " ".join(
        f"{seed.place} imports {seed.library}, and no file calls {seed.call}." for seed in seeds
    )
    # MLflow draws the name of a run from it, though not under `mlflow run`.
    after = " after start_run()" if any(seed.library == "random" for seed in seeds) else ""
    when = " in an earlier session" if other is None else ""
    again = other.mlflow_run if other is not None and finding.fluent is not None else None
    return replace(
        finding,
        rule=rule,
        fluent=f"{finding.fluent}; again: {again}" if again is not None else finding.fluent,
        why=f"It differs between two fluent launches too{when}, so the launch mode isn't the reason. "
        f"{missing}".rstrip(),
        fix=f"seed it{after}:  {'  and  '.join(seed.line for seed in seeds)}  or, if it may vary:  {setting}"
        if seeds
        else f"make it depend on the parameters alone; or, if it may vary:  {setting}",
        code=(),
    )


def _setting(comparison: Comparison, finding: Finding, names: Sequence[str]) -> str:
    """What says in the settings that it may vary, with all others of its kind that do."""
    rule = VARIES[finding.rule]
    if finding.rule == "description-differs":
        # `ignore` knows tags by their names, and this one is compared apart.
        return f'rules.{rule} = "off"'
    return ignore_line(comparison.settings.ignore, _IGNORED[rule], names)


def _name(finding: Finding) -> str:
    """The name by which `ignore` knows it; a dataset's context isn't part of it."""
    return finding.subject.partition(" (")[0] if VARIES[finding.rule] == "dataset-varies" else finding.subject


def _two_fluent(comparison: Comparison) -> Comparison | None:
    """The fluent launch beside the one that confirms it; None where that one failed, or wasn't made."""
    fluent, confirming = comparison.launches.get("fluent"), comparison.confirming
    if fluent is None or confirming is None or confirming.exit_code != 0:
        return None
    twice = compare_launches(
        # In the place of the other, so that the same checks compare them.
        {"fluent": fluent, "mlflow-run": replace(confirming, mode="mlflow-run")},
        settings=comparison.settings,
        case=comparison.case,
    )
    # A launch with more runs than the other gives them other labels.
    labels = {pair.fluent.run_id: pair.label for pair in comparison.pairs if pair.fluent}
    pairs = (
        replace(pair, label=labels.get(pair.fluent.run_id, pair.label)) if pair.fluent else pair
        for pair in twice.pairs
    )
    return replace(twice, pairs=tuple(pairs))


def _key(finding: Finding) -> Subject:
    """By which a finding between two fluent launches is known to be about the same thing."""
    return VARIES.get(finding.rule, finding.rule), finding.subject, finding.run
