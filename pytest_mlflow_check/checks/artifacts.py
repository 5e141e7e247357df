"""The check `artifacts`: the same files, where asked with the same content, and no model among them?"""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from pytest_mlflow_check.checks.artifact_matching import (
    ArtifactPair,
    LoggedImage,
    image_of,
    pair_artifacts,
    steps_in_words,
)
from pytest_mlflow_check.checks.comparison import Comparison, matches_any, not_matching
from pytest_mlflow_check.checks.pyfunc_snippets import CHECKPOINTS, DIRECTORIES, ModelFile, fix, parts
from pytest_mlflow_check.checks.run_matching import RunPair
from pytest_mlflow_check.checks.setting_lines import ignore_line, list_line
from pytest_mlflow_check.checks.source_lines import call_of_artifact, source_line_of_artifact
from pytest_mlflow_check.checks.unlogged_models import is_data, known_by_path, saved_only
from pytest_mlflow_check.core.findings import Finding
from pytest_mlflow_check.core.records import Artifact, Launch, Mode, Observation
from pytest_mlflow_check.core.text import counted

_FEW = 3
"""Files that are worth logging one by one."""

_MISSING = (
    "log it whatever the launch mode, by a name that depends on the parameters alone; what needn't be there "
    "isn't compared with"
)


def check_artifacts(comparison: Comparison) -> list[Finding]:
    """Findings for every artifact that is missing, differs, or should have been logged as a model."""
    findings: list[Finding] = []
    for pair in comparison.pairs:
        findings += _models_among(comparison, pair)
        if pair.both:
            findings += _compare(comparison, pair)
    findings += known_by_path(comparison)
    if not any(finding.rule == "model-as-artifact" for finding in findings):
        findings += saved_only(comparison)
    findings += _stale(comparison)
    return findings


def _stale(comparison: Comparison) -> Iterator[Finding]:
    found: dict[str, dict[str, str]] = {}
    for mode, launch in comparison.launches.items():
        for directory, files in launch.stale.items():
            for file in files:
                found.setdefault(file, {})[mode] = f"logged with {directory}"
    for file in not_matching(found, comparison.settings.ignore.artifacts):
        sides = found[file]
        call = _call_of_directory(comparison, file)
        yield Finding(
            rule="artifact-stale",
            subject=file,
            fluent=sides.get("fluent"),
            mlflow_run=sides.get("mlflow-run"),
            source_line=call.source_line if call else None,
            why="It was there before the launch, which wrote other files beside it and logged the whole "
            "directory: the run holds what it didn't make.",
            fix=_without_stale(comparison, call, found),
        )


def _without_stale(comparison: Comparison, call: Observation | None, stale: Collection[str]) -> str:
    """What to log in place of a directory: the few files that the launch wrote, or another directory."""
    below = f"{call.key}/" if call and call.key else ""
    runs = [run for launch in comparison.launches.values() for run in launch.runs] if call else []
    logged = next((sorted(run.artifacts) for run in runs if call and run.run_id == call.run_id), list[str]())
    inside = [path.removeprefix(below) for path in logged if path.startswith(below)]
    local = [posixpath.normpath(posixpath.join((call.value if call else "") or "", path)) for path in inside]
    written = [path for path in local if path not in stale]
    if call is None or not call.source_line or not 0 < len(written) <= _FEW or len(written) == len(local):
        return "write to an empty directory, such as tempfile.TemporaryDirectory(), and log that"
    under = f', "{call.key}"' if call.key else ""
    code = "; ".join(f'mlflow.log_artifact("{path}"{under})' for path in written)
    return f"write to an empty directory and log that; or, in place of {call.source_line}, log alone:  {code}"


def _call_of_directory(comparison: Comparison, file: str) -> Observation | None:
    """The call that logged the directory in which a file of the project lies."""
    for launch in comparison.launches.values():
        for call in launch.observations:
            if call.what == "log_artifacts" and call.value and call.source_line:
                directory = os.path.relpath(os.path.join(launch.directory, call.value), launch.directory)
                if directory == "." or file.startswith(f"{directory}/"):
                    return call
    return None


def _models_among(comparison: Comparison, pair: RunPair) -> Iterator[Finding]:
    # Where only one of the two logs a model, the other lacks it, and that is what to say.
    if any(run.models for _, run in pair.sides):
        return
    found: dict[str, dict[str, str]] = {}
    first: dict[str, Artifact] = {}
    checkpoints: dict[str, list[Artifact]] = {}
    directories: set[tuple[Mode, str]] = set()
    for mode, run in pair.sides:
        for path in not_matching(run.artifacts, comparison.settings.ignore.artifacts):
            artifact = run.artifacts[path]
            if artifact.format in CHECKPOINTS:
                checkpoints.setdefault(mode, []).append(artifact)
            elif artifact.format is not None and not is_data(path, artifact.holds):
                if artifact.format in DIRECTORIES:
                    # A large model is split into several files of one directory.
                    directory = (mode, posixpath.dirname(path))
                    if directory in directories:
                        continue
                    directories.add(directory)
                found.setdefault(path, {})[mode] = _described(artifact)
                first.setdefault(path, artifact)
    for path, sides in found.items():
        model, where = _model(comparison, pair, first[path])
        yield Finding(
            rule="model-as-artifact",
            subject=path,
            fluent=sides.get("fluent"),
            mlflow_run=sides.get("mlflow-run"),
            source_line=source_line_of_artifact(comparison, pair, path),
            run=pair.label,
            why="The run logs no model, but this file holds a serialised object. An artifact has no flavor, "
            "no signature and no requirements, and can't be registered.",
            fix=fix(model),
            code=parts(model, where),
        )
    if checkpoints:
        yield _checkpoints(comparison, pair, checkpoints)


def _checkpoints(comparison: Comparison, pair: RunPair, checkpoints: Mapping[str, list[Artifact]]) -> Finding:
    """The finding about all checkpoints of a run: which of them is worth keeping is for the user to say."""
    files = next(iter(checkpoints.values()))
    shown = {mode: counted(len(side), "checkpoint") for mode, side in checkpoints.items()}
    return Finding(
        rule="model-as-artifact",
        subject=_group([file.path for file in files]),
        fluent=shown.get("fluent"),
        mlflow_run=shown.get("mlflow-run"),
        source_line=source_line_of_artifact(comparison, pair, files[0].path),
        run=pair.label,
        why="A training resumes from these files. The run logs no model beside them, so that nothing can be "
        "registered, or loaded without the code of the training.",
        fix=f"keep them to resume from, and log the trained model too:  {CHECKPOINTS[files[0].format or '']}",
        severity="warning",
    )


def _group(paths: Sequence[str]) -> str:
    """One path, or a pattern that fits all of them."""
    if len(paths) == 1:
        return paths[0]
    directory = posixpath.commonpath([posixpath.dirname(path) for path in paths])
    suffixes = {posixpath.splitext(path)[1] for path in paths}
    return posixpath.join(directory, f"*{suffixes.pop() if len(suffixes) == 1 else ''}")


def _model(comparison: Comparison, pair: RunPair, artifact: Artifact) -> tuple[ModelFile, str]:
    """An artifact as the file that the code logged, and where it did so, for the wrapper."""
    path = artifact.path
    call = call_of_artifact(comparison, pair, path)
    note = ""
    if call is None or call.value is None:
        local, note = path, "the path of the file on disk"
    else:
        below = os.path.relpath(path, call.key or ".") if call.what == "log_artifacts" else "."
        local = os.path.normpath(os.path.join(call.value, below))
        local = next(
            (inside for launch in comparison.launches.values() if (inside := _inside(local, launch))), local
        )
        if os.path.isabs(local):
            note = f"as {call.source_line} has it"
    where = "and log the file with it, inside the run"
    if call:
        where += f", where {call.source_line} logs it now"
    format = artifact.format or "pickle"
    return ModelFile(local, format, artifact.holds, artifact.of_script, taken=path, note=note), where


def _inside(path: str, launch: Launch) -> str | None:
    """A path in a launch's copy relative to the project; None for one outside."""
    if not os.path.isabs(path):
        return path
    if launch.workspace is not None and Path(path).is_relative_to(launch.workspace):
        return os.path.relpath(path, launch.directory)
    return None


def artifact_pairs(
    comparison: Comparison, pair: RunPair, ignored: Sequence[str] = ()
) -> Iterator[ArtifactPair]:
    """The artifacts of a run in both launches, side by side, but those that match a pattern of `ignored`."""
    sides = {
        mode: [run.artifacts[path] for path in not_matching(run.artifacts, ignored)]
        for mode, run in pair.sides
    }
    return pair_artifacts(sides.get("fluent", ()), sides.get("mlflow-run", ()), comparison.comparable)


def _compare(comparison: Comparison, pair: RunPair) -> Iterator[Finding]:
    images: dict[tuple[str, bool], list[LoggedImage]] = {}
    pairs = list(artifact_pairs(comparison, pair, comparison.settings.ignore.artifacts))
    patterns = _patterns([both.name for both in pairs if both.only and not image_of(both.name)])
    contents = comparison.settings.artifact_contents
    differing = [
        both.name
        for both in pairs
        if both.fluent and both.mlflow_run and matches_any(both.name, contents)
        if not _same(both.fluent, both.mlflow_run)
    ]
    left = [each for each in contents if not any(matches_any(name, [each]) for name in differing)]
    for both in pairs:
        one, other, path = both.fluent, both.mlflow_run, both.name
        if one is None or other is None:
            if image := image_of(path):
                images.setdefault((image.key, other is None), []).append(image)
                continue
            yield Finding(
                rule="artifact-missing",
                subject=path,
                fluent=_size(one) if one else None,
                mlflow_run=_size(other) if other else None,
                source_line=source_line_of_artifact(comparison, pair, path),
                run=pair.label,
                why="The same code with the same values logged it in one launch only.",
                fix=f"{_MISSING}:  {ignore_line(comparison.settings.ignore, 'artifacts', patterns)}",
            )
        elif path in differing:
            yield Finding(
                rule="artifact-content-differs",
                subject=path,
                fluent=f"{_size(one)}, {one.digest()[:8]}…",
                mlflow_run=f"{_size(other)}, {other.digest()[:8]}…",
                source_line=source_line_of_artifact(comparison, pair, path),
                run=pair.label,
                why="It matches a pattern of artifact_contents, and its bytes differ (size, SHA-256).",
                fix="make its content depend on the parameters alone, or leave its pattern out:  "
                + list_line("artifact_contents", left),
            )
    for (key, of_fluent), lost in images.items():
        yield _lost_images(comparison, pair, key, lost, of_fluent=of_fluent)


def _lost_images(
    comparison: Comparison, pair: RunPair, key: str, images: list[LoggedImage], *, of_fluent: bool
) -> Finding:
    """The finding for the images of one key that one launch lacks; MLflow writes two files for each."""
    large = [image for image in images if not image.small] or images
    there = counted(len(large), "image")
    return Finding(
        rule="artifact-missing",
        subject=f"images of {key} at {steps_in_words(large)}",
        fluent=there if of_fluent else None,
        mlflow_run=None if of_fluent else there,
        # The call is known by the key of the image.
        source_line=source_line_of_artifact(comparison, pair, key),
        run=pair.label,
        why="The same code with the same values logged them in one launch only.",
        fix=f"log them with the same key and step whatever the launch mode:  "
        f'mlflow.log_image(…, key="{key}", step=…)',
    )


def _patterns(names: Iterable[str]) -> list[str]:
    """Patterns for names; one for those that differ in their digits."""
    alike: dict[str, list[str]] = {}
    for name in names:
        alike.setdefault(re.sub(r"\d+", "*", name), []).append(name)
    return [names[0] if len(names) == 1 else pattern for pattern, names in alike.items()]


def _same(one: Artifact, other: Artifact) -> bool:
    return one.size == other.size and one.digest() == other.digest()


def _described(artifact: Artifact) -> str:
    return f"{artifact.format}, {_size(artifact)}"


def _size(artifact: Artifact) -> str:
    return counted(artifact.size, "byte")
