"""Attempts of the code to lead MLflow to another store than the launch's own."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from pytest_mlflow_check.checks.comparison import Comparison
from pytest_mlflow_check.core.findings import Finding
from pytest_mlflow_check.core.records import Launch, Observation


def redirects(comparison: Comparison) -> Iterator[Finding]:
    """A finding for each place that names a store, and what it named."""
    found: dict[tuple[str, str | None], dict[str, Observation]] = {}
    for mode, launch in comparison.launches.items():
        for call in launch.observations:
            if call.what in ("redirect", "refused"):
                found.setdefault((call.key, call.source_line), {}).setdefault(mode, call)
    block = comparison.settings.tracking_uri == "block"
    for (uri, source_line), sides in found.items():
        first = next(iter(sides.values()))
        how = first.value
        yield Finding(
            rule="tracking-uri-hardcoded",
            subject=uri,
            fluent=_how(sides.get("fluent")),
            mlflow_run=_how(sides.get("mlflow-run")),
            source_line=source_line,
            why=f"{source_line or 'The code'} leads MLflow to {uri} with {how}, wherever the run was started "
            "for. "
            + (
                "The launch was stopped there."
                if block
                else "The request was refused; nothing was sent there."
                if first.what == "refused"
                else "It was led back to the launch's own store; nothing was sent there."
            ),
            fix=_fix(comparison, uri, source_line, how or ""),
        )


def _fix(comparison: Comparison, uri: str, source_line: str | None, how: str) -> str:
    """Remove it, and how to give it instead: in the form in which a shell takes it."""
    launch = next(iter(comparison.launches.values()))
    variable = "MLFLOW_REGISTRY_URI" if "registry" in how.lower() else "MLFLOW_TRACKING_URI"
    # Of one with a password nobody is to copy what is shown.
    value = "…" if "*" in uri or "…" in uri else shlex.quote(uri)
    fluent = comparison.launches.get("fluent", launch)
    return (
        f"remove it from {source_line or 'the code'}, and give it from outside:  "
        f"{variable}={value} {fluent.command}"
    )


def stopped(comparison: Comparison, launch: Launch) -> bool:
    """Whether a launch ended because an attempt was blocked, or a request refused."""
    block = comparison.settings.tracking_uri == "block"
    return any(call.what == "refused" or (block and call.what == "redirect") for call in launch.observations)


def _how(call: Observation | None) -> str | None:
    return call.value if call else None
