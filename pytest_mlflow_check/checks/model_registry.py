"""What the code registers itself: names, versions, aliases, tags and descriptions, in both launches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from pytest_mlflow_check.checks.comparison import Comparison, not_matching
from pytest_mlflow_check.checks.source_lines import calls
from pytest_mlflow_check.core.findings import Finding
from pytest_mlflow_check.core.records import Launch, ModelVersion, RegisteredModel, given_tags
from pytest_mlflow_check.core.text import counted

_Described = RegisteredModel | ModelVersion


def compare_registered(comparison: Comparison) -> Iterator[Finding]:
    """Findings for registered models that one launch lacks, or that differ."""
    if len(comparison.launches) != 2:
        return
    ours, theirs = (
        {model.name: _comparable(model, launch) for model in launch.record.registered_models}
        for launch in (comparison.launches["fluent"], comparison.launches["mlflow-run"])
    )
    for name in not_matching({*ours, *theirs}, comparison.settings.ignore.models):
        one, other = ours.get(name), theirs.get(name)
        if one is None or other is None:
            yield Finding(
                rule="registered-model-missing",
                subject=name,
                fluent=_versions(one) if one else None,
                mlflow_run=_versions(other) if other else None,
                source_line=source_line_of_registering(comparison, name),
                why="The same code with the same values registered it in one launch only.",
                fix=f'register it whatever the launch mode:  registered_model_name="{name}"',
            )
            continue
        for what, here, there in _differences(one, other):
            yield Finding(
                rule="registered-model-differs",
                subject=name,
                fluent=here,
                mlflow_run=there,
                source_line=source_line_of_registering(comparison, name),
                why=f"The {what} of the registered model differ.",
                fix="make versions, aliases and tags depend on the parameters alone",
            )


def source_line_of_registering(comparison: Comparison, name: str) -> str | None:
    """The line that registered a version under a name."""
    seen = calls(comparison, ["register_model"])
    return next((call.source_line for call in seen if call.key == name and call.source_line), None)


def _comparable(model: RegisteredModel, launch: Launch) -> RegisteredModel:
    """The model with the texts of its own and its versions' as both launches should have them."""

    def texts(described: _Described) -> dict[str, Any]:
        about = described.description
        return {
            "tags": {key: launch.comparable(value) for key, value in described.tags.items()},
            "description": None if about is None else launch.comparable(about),
        }

    versions = tuple(replace(version, **texts(version)) for version in model.versions)
    return replace(model, versions=versions, **texts(model))


def _differences(
    one: RegisteredModel, other: RegisteredModel
) -> Iterator[tuple[str, str | None, str | None]]:
    """What differs, with both sides as text; the first thing of a kind only."""
    if len(one.versions) != len(other.versions):
        yield "versions", _versions(one), _versions(other)
        return
    pairs: list[tuple[str, _Described, _Described]] = [("", one, other)]
    pairs += zip(_numbers(one), one.versions, other.versions, strict=True)
    for number, here, there in pairs:
        if given_tags(here.tags) != given_tags(there.tags):
            yield "tags", _tags(number, here, there), _tags(number, there, here)
            break
    for _, here, there in pairs:
        if here.description != there.description:
            yield "descriptions", here.description, there.description
            break
    aliases = [
        {alias: version.version for version in each.versions for alias in version.aliases}
        for each in (one, other)
    ]
    if aliases[0] != aliases[1]:
        yield "aliases", _aliases(aliases[0]), _aliases(aliases[1])


def _numbers(model: RegisteredModel) -> list[str]:
    return [f"version {version.version}: " for version in model.versions]


def _tags(number: str, described: _Described, other: _Described) -> str | None:
    """The tags that the other side hasn't."""
    tags, others = given_tags(described.tags), given_tags(other.tags)
    texts = [f"{key}={value}" for key, value in sorted(tags.items()) if others.get(key) != value]
    return number + ", ".join(texts) if texts else None


def _aliases(versions: Mapping[str, str]) -> str | None:
    return ", ".join(f"{alias}: version {version}" for alias, version in sorted(versions.items())) or None


def _versions(model: RegisteredModel) -> str:
    return counted(len(model.versions), "version")
