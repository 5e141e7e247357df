"""What is said about a run besides what it logged: its name, description, tags, and the data it used."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping

from pytest_mlflow_check.checks.comparison import Comparison, not_matching
from pytest_mlflow_check.checks.run_matching import RunPair
from pytest_mlflow_check.checks.setting_lines import ignore_line
from pytest_mlflow_check.checks.source_lines import source_line_of, source_line_of_start
from pytest_mlflow_check.core.findings import Finding
from pytest_mlflow_check.core.known_variation import is_tag_of_one_run
from pytest_mlflow_check.core.records import Mode, RunRecord, given_tags

# `mlflow.utils.mlflow_tags` of MLflow 3.17.2 and 2.22.5.
_DESCRIPTION = "mlflow.note.content"


def compare_metadata(comparison: Comparison) -> Iterator[Finding]:
    """Findings for names, descriptions, tags and datasets that one launch lacks, or that differ."""
    for pair in comparison.pairs:
        if pair.both:
            yield from _names(comparison, pair)
            yield from _descriptions(comparison, pair)
            yield from _tags(comparison, pair, *pair.both)
            yield from _datasets(comparison, pair, *pair.both)


def _names(comparison: Comparison, pair: RunPair) -> Iterator[Finding]:
    fluent, mlflow_run = pair.given.get("fluent"), pair.given.get("mlflow-run")
    if fluent == mlflow_run:
        return
    yield Finding(
        rule="run-name-differs",
        subject=pair.label or "run",
        fluent=fluent or "a name that MLflow invented",
        mlflow_run=mlflow_run or "a name that MLflow invented",
        source_line=_start(comparison, pair),
        why="The same code with the same values gave the run another name.",
        fix="make the name from the parameters alone, and give it to start_run() whatever the launch mode:  "
        "run_name=…",
    )


def _descriptions(comparison: Comparison, pair: RunPair) -> Iterator[Finding]:
    one, other = (_text(comparison, mode, run, _DESCRIPTION) for mode, run in pair.sides)
    if one == other:
        return
    set_by = source_line_of(comparison, pair, ["set_tag"], _DESCRIPTION)
    yield Finding(
        rule="description-differs",
        subject=pair.label or "run",
        fluent=one,
        mlflow_run=other,
        source_line=set_by or _start(comparison, pair),
        why="The description (the tag mlflow.note.content) isn't the same in both launches.",
        fix=f'give it whatever the launch mode:  mlflow.set_tag("{_DESCRIPTION}", …)'
        if set_by
        else "give it to start_run() whatever the launch mode:  description=…",
    )


def _tags(
    comparison: Comparison, pair: RunPair, fluent: RunRecord, mlflow_run: RunRecord
) -> Iterator[Finding]:
    keys = {*given_tags(fluent.tags), *given_tags(mlflow_run.tags)}
    sides = {
        key: [_text(comparison, mode, run, key) for mode, run in pair.sides]
        for key in not_matching(keys, comparison.settings.ignore.tags)
    }
    other_values = [key for key, (one, other) in sides.items() if None not in (one, other) and one != other]
    other_values = [key for key in other_values if not is_tag_of_one_run(key)]
    for key, (one, other) in sides.items():
        missing = one is None or other is None
        if one == other or not (missing or key in other_values):
            continue
        yield Finding(
            rule="tag-missing" if missing else "tag-differs",
            subject=key,
            fluent=one,
            mlflow_run=other,
            source_line=source_line_of(comparison, pair, ["set_tag"], key) or _start(comparison, pair),
            run=pair.label,
            why="The same code with the same values set this tag in one launch only."
            if missing
            else "The same code with the same values gave this tag two values.",
            fix=f'set it whatever the launch mode:  mlflow.set_tag("{key}", …)'
            if missing
            else "set it to the same whatever the launch mode; a value that is another one each time isn't "
            f"compared with  {ignore_line(comparison.settings.ignore, 'tags', other_values)}",
        )


def _datasets(
    comparison: Comparison, pair: RunPair, fluent: RunRecord, mlflow_run: RunRecord
) -> Iterator[Finding]:
    ours, theirs = _digests(fluent), _digests(mlflow_run)
    ignored = comparison.settings.ignore.datasets
    wanted = set(not_matching([name for name, _ in {*ours, *theirs}], ignored))
    for name, context in sorted({*ours, *theirs}):
        one, other = ours.get((name, context)), theirs.get((name, context))
        if name not in wanted or one == other:
            continue
        missing = one is None or other is None
        yield Finding(
            rule="dataset-missing" if missing else "dataset-differs",
            subject=f"{name} ({context})" if context else name,
            fluent=one,
            mlflow_run=other,
            source_line=source_line_of(comparison, pair, ["log_input"], name),
            run=pair.label,
            why="The same code with the same values logged this dataset as an input in one launch only."
            if missing
            else "The digests differ: the two launches used other data, or described it in another way.",
            fix="log it whatever the launch mode:  mlflow.log_input(…"
            + (f', context="{context}")' if context else ")")
            if missing
            else "read the same data from the same place in both modes",
        )


def _digests(run: RunRecord) -> Mapping[tuple[str, str], str]:
    """By name and context: the digest, or all of them where several datasets share both."""
    found: dict[tuple[str, str], list[str]] = defaultdict(list)
    for dataset in run.datasets:
        found[dataset.name, dataset.context or ""].append(dataset.digest)
    return {key: ", ".join(sorted(digests)) for key, digests in found.items()}


def _text(comparison: Comparison, mode: Mode, run: RunRecord, key: str) -> str | None:
    """A tag without what differs by its nature: places, and ids of runs."""
    value = run.tags.get(key)
    return None if value is None else comparison.comparable(mode, value)


def _start(comparison: Comparison, pair: RunPair) -> str | None:
    source_lines = (source_line_of_start(comparison, run) for _, run in pair.sides)
    return next((source_line for source_line in source_lines if source_line), None)
